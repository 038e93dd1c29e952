use super::*;
use crate::domain::case::State;
use crate::domain::ids::LetterId;
use crate::pipeline::tests::{Desktop, terms};
use crate::pipeline::{self, parse};
use proptest::prelude::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn key() -> Key {
    Key { case: CaseId::derive(&LetterId::from_digest(&[7; 32]), 0), token: TOKEN.to_owned() }
}

fn read(headers: &str, body: &str) -> Option<Instructions> {
    let raw =
        format!("From: Kim <kim@example.com>\nSubject: Re: x\nMessage-ID: <k@example.com>\n{headers}\n\n{body}\n");
    let terms = terms();
    pipeline::read(raw.as_bytes(), false, &terms, Timestamp::UNIX_EPOCH).instructions
}

fn answered() -> String {
    format!("In-Reply-To: <{}>", key().message_id("1f", "example.com").unwrap())
}

fn lines(body: &str) -> Vec<String> {
    read(&answered(), body).unwrap().lines
}

#[test]
fn a_key_is_found_in_what_is_answered_and_in_the_text() {
    assert_eq!(read(&answered(), "release").unwrap().keys, [key()]);
    let reference = key().reference();
    for body in [format!("release\n\n> Reference: {reference}"), format!("release\n\n{}", reference.to_lowercase())] {
        assert_eq!(read("X-Other: 1", &body).unwrap().keys, [key()], "{body}");
    }
    let other = "AS-22222222";
    assert!(CaseId::new(other).is_err());
    for none in ["release", &format!("{other}.{TOKEN}"), &format!("{}.0123", key().case), TOKEN] {
        assert_eq!(read("X-Other: 1", none), None, "{none}");
    }
}

#[test]
fn machines_say_nothing() {
    for header in ["Auto-Submitted: auto-replied", "X-Autoreply: yes", "Precedence: bulk", "Return-Path: <>"] {
        assert_eq!(read(&format!("{}\n{header}", answered()), "release"), None, "{header}");
    }
}

#[test]
fn only_the_top_of_a_plain_text_counts() {
    assert_eq!(lines("\nrelease\nask  photo\n\nclose\n> close"), ["release", "ask photo"]);
    assert_eq!(lines("release\n> refunded 500 EUR\nclose"), ["release"]);
    assert_eq!(lines("release\n-- \nclose"), ["release"]);
    assert_eq!(
        lines("> long quoted words that were wrapped by the program of the\nrefunded 500 EUR\n\nrelease"),
        [""; 0]
    );
    assert_eq!(lines("On Monday KOSPET wrote:\n> x\n\nrelease"), ["On Monday KOSPET wrote:"]);
    let wrapped = "reject: the box was opened and the seal is broken, so that we can't take\nit back\nclose";
    assert_eq!(lines(wrapped), [wrapped.replacen('\n', " ", 1).split_once('\n').unwrap().0, "close"]);
    assert_eq!(lines("reject: opened\nclsoe"), ["reject: opened", "clsoe"]);
    assert_eq!(lines(&"release\n".repeat(100)).len(), LINES);
}

#[test]
fn quotes_of_html_are_none_of_the_writers_words() {
    let html = |body: &str| {
        let headers = format!("{}\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8", answered());
        read(&headers, body).unwrap().lines
    };
    let quote = "<div class=\"gmail_quote\">On Monday, KOSPET wrote:<br><blockquote>refunded 500 EUR<br>close</blockquote></div>";
    assert_eq!(html(&format!("<div>release</div><div>ask photo</div><br>{quote}")), ["release", "ask photo"]);
    assert_eq!(
        html(&format!("<p>release</p><p>ask photo</p><p>Best regards from here</p>{quote}")),
        ["release", "ask photo"]
    );
    assert_eq!(html(quote), [""; 0]);
}

#[test]
fn it_says_who_writes_and_who_vouches() {
    let pass = "Authentication-Results: mx.example.com; dmarc=pass header.from=example.com";
    let said = read(&format!("{pass}\n{}", answered()), "release").unwrap();
    assert_eq!((said.by.unwrap().as_str(), said.vouched), ("kim@example.com", true));
    assert!(!read(&answered(), "release").unwrap().vouched);
    let two = read(&format!("{pass}\n{}\nFrom: jo@example.net", answered()), "release");
    assert!(two.is_none_or(|said| said.by.is_none() && !said.vouched));
}

fn held() -> (Desktop, Reading) {
    let mut desktop = Desktop::new();
    desktop.take("The battery of my ROAM 5 is swollen and hot, it smells of smoke. Order KS20001.");
    assert_eq!(desktop.case.as_ref().unwrap().state, State::SafetyHold);
    let reading = pipeline::read(
        format!("From: kim@example.com\nSubject: Re\nMessage-ID: <k@example.com>\n{}\n\nrelease\n", answered())
            .as_bytes(),
        false,
        &desktop.terms,
        Timestamp::UNIX_EPOCH,
    );
    (desktop, reading)
}

fn done(lines: &[&str], hindrance: Option<&str>) -> Followed {
    let (desktop, reading) = held();
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let rma = (0..=255)
        .find_map(|n| crate::domain::ids::RmaNumber::make("KR", jiff::civil::date(2026, 11, 20), [n, 1, 2, 3, 4]))
        .unwrap();
    let by = Address::new("kim@example.com").unwrap();
    let now = "2026-11-20T11:00:00Z".parse().unwrap();
    let case = desktop.case.unwrap();
    let followed =
        follow(&case, &reading, (&by, &lines), hindrance, &Known::nothing_but(rma), &desktop.terms, now).unwrap();
    let after = followed.events.iter().try_fold(case, |case, event| Case::apply(Some(case), event)).unwrap();
    assert_eq!(after, followed.case);
    assert!(followed.events.iter().any(|e| e.by == Actor::Staff("kim@example.com".to_owned())));
    followed
}

#[test]
fn lines_are_done_in_order_in_the_name_of_their_writer() {
    let followed = done(&["release", "ask photo order_number", "note: ask for the charger too"], None);
    assert_eq!(followed.told, ["release: done", "ask photo order_number: done", "note: ask for the charger too: done"]);
    assert_eq!((followed.case.state, followed.replies.len()), (State::AwaitingInfo, 1));
}

#[test]
fn a_line_that_is_not_understood_leaves_nothing_half_done() {
    let followed = done(&["release", "asc photo"], None);
    assert_eq!((followed.case.state, followed.events.len()), (State::SafetyHold, 1));
    assert!(followed.told[0].contains("NOT DONE: not every line") && followed.told[1].contains("there are: approve"));
}

#[test]
fn what_stands_behind_one_that_can_not_be_done_is_not_done() {
    let followed = done(&["release", "repaired", "close"], None);
    assert_eq!(followed.case.state, State::WithStaff);
    assert_eq!(followed.told[0], "release: done");
    assert!(followed.told[1].contains("can't be done with a case that is with_staff"), "{:?}", followed.told);
    assert!(followed.told[2].contains("what stands above"), "{:?}", followed.told);
}

#[test]
fn nothing_is_done_without_words_or_against_a_hindrance() {
    for followed in [done(&[], None), done(&["release"], Some("the order line is held by case AS-X"))] {
        assert_eq!((followed.case.state, followed.events.len(), followed.told.len()), (State::SafetyHold, 1, 1));
    }
}

proptest! {
    #[test]
    fn no_mail_makes_it_panic(body in "(?s)[ -~\\n>]{0,300}", html in any::<bool>()) {
        let terms = terms_once();
        let kind = if html { "html" } else { "plain" };
        let raw = format!("From: k@example.com\nContent-Type: text/{kind}\n{}\n\n{body}", answered());
        let letter = parse::letter(raw.as_bytes(), false);
        if let Some(said) = terms.reader.read(&letter, &terms.stripper, &terms.screen) {
            prop_assert!(said.lines.len() <= LINES && said.lines.iter().all(|line| !line.contains('\n')));
        }
    }
}

fn terms_once() -> &'static Terms {
    static TERMS: std::sync::OnceLock<Terms> = std::sync::OnceLock::new();
    TERMS.get_or_init(terms)
}
