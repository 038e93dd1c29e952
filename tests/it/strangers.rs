//! Who is writing: a stranger learns nothing and changes nothing, whatever they quote; what staff pass on counts for its
//! original writer; a web form speaks for its Reply-To.

use std::fs;

use aftersalesd::domain::ids::{CaseId, LetterId, RmaNumber};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::post::{Draft, Reply};
use crate::support::program::Installation;

const OWNER: &str = "Priya Raman <priya@example.net>";
const EVE: &str = "Eve <eve@example.org>";
const STAFF: &str = "[staff]\naddresses = [\"anna@example.com\"]\n";

/// A shop whose customer has begun a claim.
struct Shop {
    here: Installation,
    /// The reply that the owner got.
    asked: Reply,
    case: String,
}

impl Shop {
    fn new() -> Self {
        let here = installation("");
        let body = "I bought a Tank T3 Ultra, order no. KS50001. Since Sunday the battery goes from full to empty within \
                    three hours, even while the watch just lies on my desk. The code printed on the box is 2000400001032.\n";
        let answers = here.say(&mail(OWNER, "first@example.net", "T3 Ultra runs flat", "", body));
        let asked = Reply::read(&answers[0]);
        let case = here.json(&["cases", "list", "--json"])[0]["case"].as_str().unwrap().to_owned();
        Self { here, asked, case }
    }

    /// All that decides what the owner is told.
    fn owners_case(&self) -> Value {
        let mut shown = self.here.json(&["cases", "show", &self.case, "--json"]).remove(0);
        // A letter that was only noted is on file with the case, for staff.
        for key in ["letters", "changed_at", "events", "version"] {
            shown.as_object_mut().unwrap().remove(key);
        }
        shown
    }

    /// The owner sends the rest, and gets the RMA.
    fn ends_with_an_rma(&self) -> String {
        let rest = Draft {
            from: OWNER,
            id: "rest@example.net",
            subject: "Re: T3 Ultra runs flat",
            body: "I reset the watch once and switched the GPS off, the drain stayed the same. Here is the photo.\n\nPriya\n",
            answers: Some(&self.asked),
            photos: &[("watch-black-display.jpg", "flat.jpg")],
        };
        let answers = self.here.say(&rest.raw());
        assert_eq!(answers.len(), 1);
        let case = self.owners_case();
        assert_eq!((&case["state"], &case["decision"]), (&json!("rma_issued"), &json!("issue_rma")), "{case:#}");
        case["rma"].as_str().unwrap().to_owned()
    }

    fn notices(&self, kind: &str) -> Vec<Value> {
        let all = self.here.json(&["cases", "notices", "--json"]);
        all.into_iter().filter(|notice| notice["notice"] == kind).collect()
    }
}

fn installation(further: &str) -> Installation {
    let here = Installation::of_maildirs();
    here.replace(
        "[delivery]",
        "trusted_authserv = [\"mx.example.com\"]\nform_senders = [\"form@example.com\"]\n[delivery]",
    );
    let config = fs::read_to_string(here.path("config.toml")).unwrap();
    here.write("config.toml", config + further);
    here
}

fn mail(from: &str, id: &str, subject: &str, further: &str, body: &str) -> String {
    let now = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000");
    format!(
        "From: {from}\r\nTo: claims@example.com\r\nSubject: {subject}\r\nMessage-ID: <{id}>\r\nDate: {now}\r\n{further}\r\n\
         {}",
        body.replace('\n', "\r\n")
    )
}

/// A number of ours that nobody has.
fn made_up_case() -> String {
    CaseId::derive(&LetterId::from_digest(&[0x5e; 32]), 0).to_string()
}

/// What a reply says, without what is the writer's own: its case and what was quoted.
fn said(answers: &[Vec<u8>], quoted: &str) -> Vec<(String, String, String)> {
    let own = regex::Regex::new("AS-[0-9A-Z]{8}").unwrap();
    let bare = |text: &str| own.replace_all(&text.replace(quoted, "QUOTED"), "CASE").into_owned();
    let of = |raw: &Vec<u8>| {
        let reply = Reply::read(raw);
        (bare(&reply.subject), bare(&reply.text), bare(&reply.html))
    };
    answers.iter().map(of).collect()
}

/// A letter that quotes something, as the n-th of its writer.
type Letter<'a> = &'a dyn Fn(&str, usize) -> String;

/// Of two shops in the same state, one is told the real thing and one a made-up one, in as many letters as given.
fn learns_nothing(what: &str, real: impl Fn(&Shop) -> String, made_up: &str, letters: &[Letter<'_>]) {
    let (shop, other) = (Shop::new(), Shop::new());
    let (real, before) = (real(&shop), shop.owners_case());
    for (number, letter) in letters.iter().enumerate() {
        let told = said(&shop.here.say(&letter(&real, number)), &real);
        let expected = said(&other.here.say(&letter(made_up, number)), made_up);
        assert_eq!(told, expected, "{what}, letter {number}");
        for (subject, text, _) in &told {
            assert!(!subject.contains(&shop.case) && !text.contains("Priya") && !text.contains("Ultra"), "{text}");
        }
    }
    assert_eq!(shop.owners_case(), before, "{what}");
    shop.ends_with_an_rma();
}

const WISH: &str = "My watch does not switch on any more. What about it?\n";

#[test]
fn a_case_number_tells_a_stranger_nothing() {
    let case = |shop: &Shop| shop.case.clone();
    learns_nothing(
        "in the subject",
        case,
        &made_up_case(),
        &[&|number, n| mail(EVE, &format!("{n}@e"), &format!("Re: Watch [{number}]"), "", WISH), &|number, n| {
            mail(EVE, &format!("{n}@e"), &format!("Fwd: {number}"), "", "Any news? Which address do I send it to?\n")
        }],
    );
    learns_nothing(
        "in the text",
        case,
        &made_up_case(),
        &[
            &|number, n| mail(EVE, &format!("{n}@e"), "Watch", "", &format!("{WISH}My case is {number}.\n")),
            &|number, n| {
                mail(EVE, &format!("{n}@e"), "Watch", "", &format!("Please close {number}, it works again.\n"))
            },
        ],
    );
    learns_nothing(
        "in a quote",
        case,
        &made_up_case(),
        &[&|number, n| {
            mail(
                EVE,
                &format!("{n}@e"),
                "Re: Watch",
                "",
                &format!("{WISH}\nOn 3 Nov 2026, KOSPET <claims@example.com> wrote:\n> Your case {number}\n"),
            )
        }],
    );
}

#[test]
fn an_answer_to_somebody_elses_reply_tells_nothing() {
    let reply = |shop: &Shop| shop.asked.message_id.clone();
    let made_up = format!("{}.r1@example.com", made_up_case().to_lowercase());
    let answer = |id: &str, n: usize| {
        mail(EVE, &format!("{n}@e"), "Re: T3 Ultra", &format!("In-Reply-To: <{id}>\r\nReferences: <{id}>\r\n"), WISH)
    };
    learns_nothing(
        "an answer",
        reply,
        &made_up,
        &[
            &answer,
            // Once more, then about one's own first letter, then as a new thread with the number given before.
            &|id, n| answer(id, n).replace(WISH.trim(), "The code is 2000400001032, order KS99999."),
            &|_, n| {
                mail(
                    EVE,
                    &format!("{n}@e"),
                    "Re: Watch",
                    "In-Reply-To: <0@e>\r\nReferences: <0@e>\r\n",
                    "Hello? Please answer.\n",
                )
            },
            &|_, n| mail(EVE, &format!("{n}@e"), "Order KS99999", "", WISH),
        ],
    );
}

#[test]
fn staff_hear_of_a_stranger_once() {
    let shop = Shop::new();
    for n in 0..3 {
        let further = format!("References: <{}>\r\n", shop.asked.message_id);
        assert!(
            shop.here.say(&mail(EVE, &format!("{n}@e"), "Re: T3 Ultra", &further, &format!("{WISH}{n}\n"))).is_empty()
        );
    }
    let told = shop.notices("stranger");
    assert_eq!((told.len(), &told[0]["about"], &told[0]["times"]), (1, &json!(shop.case), &json!(3)));
}

#[test]
fn a_forged_report_changes_nothing_and_a_true_one_calls_a_person() {
    let shop = Shop::new();
    let before = shop.owners_case();
    let id = &shop.asked.message_id;
    let report = |n: usize, customer: &str| {
        let further = format!("Return-Path: <>\r\nReferences: <{id}>\r\n");
        let body = format!("Your mail of case {} to {customer} could not be delivered.\n", shop.case);
        mail("MAILER-DAEMON@mx.example.org", &format!("{n}@b"), "Undelivered", &further, &body)
    };
    for (n, guess) in ["the customer", "eve@example.org", "priya@example.org"].iter().enumerate() {
        assert!(shop.here.say(&report(n, guess)).is_empty());
        assert_eq!(shop.owners_case(), before, "{guess}");
    }
    assert!(shop.here.say(&report(9, "<priya@example.net>")).is_empty());
    assert_eq!(shop.owners_case()["state"], json!("with_staff"));
}

#[test]
fn an_rma_number_tells_a_stranger_nothing() {
    let shop = Shop::new();
    let real = shop.ends_with_an_rma();
    let before = shop.owners_case();
    let made_up = (0..=255)
        .find_map(|n| RmaNumber::make("KR", jiff::civil::date(2026, 11, 3), [n, 9, 8, 7, 6]))
        .unwrap()
        .to_string();
    let ask = |number: &str, who: &str| {
        let from = format!("{who} <{who}@example.org>");
        let raw = mail(
            &from,
            &format!("{who}@e"),
            &format!("RMA {number}"),
            "",
            "Where do I send the parcel? What is the address?\n",
        );
        said(&shop.here.say(&raw), number)
            .into_iter()
            .map(|(s, t, h)| (s, t.replace(who, "WHO"), h.replace(who, "WHO")))
            .collect::<Vec<_>>()
    };
    let told = ask(&real, "eve");
    assert_eq!(told, ask(&made_up, "mallory"));
    assert_eq!(told.len(), 1, "each is acknowledged for a case of their own");
    assert_eq!(shop.owners_case(), before);
}

#[test]
fn an_order_of_somebody_else_gives_nothing_away() {
    // By default, a person looks; which order it is makes no difference.
    let told = |order: &str, body: &str| {
        let shop = Shop::new();
        shop.ends_with_an_rma();
        let before = shop.owners_case();
        let answers = said(&shop.here.say(&mail(EVE, "1@e", "Watch", "", &body.replace("ORDER", order))), order);
        assert_eq!(shop.owners_case(), before);
        answers
    };
    let body = "My watch from order ORDER does not switch on any more since Sunday.\n";
    let (with_rma, without) = (told("KS50001", body), told("KS50002", body));
    assert_eq!(with_rma, without);
    assert!(with_rma.len() == 1 && with_rma[0].1.contains("personally"), "{with_rma:#?}");
}

#[test]
fn where_orders_of_others_are_unknown_nobody_can_tell_which_there_are() {
    let (shop, other) = (Shop::new(), Shop::new());
    for one in [&shop, &other] {
        one.here.replace("file = \"orders.csv\"", "file = \"orders.csv\"\nof_others = \"unknown\"");
    }
    let before = shop.owners_case();
    let letters = [
        "My watch from order ORDER does not switch on any more since Sunday, as soon as I press the button.\n",
        "I said order ORDER. It is a Tank T3 Ultra, the code is 2000400001032, I got it on 3 November 2026.\n",
        "And what now?\n",
    ];
    for (n, body) in letters.iter().enumerate() {
        let write =
            |order: &str| mail(EVE, &format!("{n}@e"), "Watch", "References: <0@e>\r\n", &body.replace("ORDER", order));
        let told = said(&shop.here.say(&write("KS50001")), "KS50001");
        assert_eq!(told, said(&other.here.say(&write("KS50009")), "KS50009"), "letter {n}");
        assert_eq!(told.is_empty(), n == 2, "asked, then acknowledged, then a person's");
    }
    assert_eq!(shop.owners_case(), before);
    shop.ends_with_an_rma();
}

#[test]
fn only_the_very_address_is_the_owner() {
    let shop = Shop::new();
    let before = shop.owners_case();
    let thread = format!("In-Reply-To: <{0}>\r\nReferences: <{0}>\r\n", shop.asked.message_id);
    let tries = [
        "Priya Raman <priya.raman@work.example>",
        "Priya Raman <priya+watch@example.net>",
        "\"priya@example.net\" <evil@example.org>",
        "priya@example.net <evil@example.org>",
        "=?utf-8?q?Priya_=3Cpriya=40example=2Enet=3E?= <evil@example.org>",
        "Priya <priya@example.net.evil.example>",
        "\"priya@example.net\"@evil.example",
        "Priya <priya@ex\u{430}mple.net>",
        "Priya <priya@xn--exmple-cua.net>",
        "priya@example.net, evil@example.org",
        "Team: priya@example.net, evil@example.org;",
        "Priya <evil@example.org>\r\nReply-To: priya@example.net\r\nSender: priya@example.net",
        "evil@example.org\r\nFrom: priya@example.net",
        "priya@example.net\r\nFrom: evil@example.org",
        "priya@example.net\r\nAuthentication-Results: mx.example.com; dmarc=fail (p=none) header.from=example.net",
    ];
    for (n, from) in tries.iter().enumerate() {
        let body = "I dropped it, the order is KS50002 and the code is 2000400001070. Close the case.\n";
        let answers = shop.here.say(&mail(from, &format!("{n}@e"), "Re: T3 Ultra", &thread, body));
        assert!(answers.is_empty(), "{from}: {answers:#?}");
        assert_eq!(shop.owners_case(), before, "{from}");
    }
    assert!(shop.here.json(&["cases", "quarantine", "--json"]).is_empty());
    assert_eq!(shop.notices("forged").len(), 1);
    assert_eq!(shop.here.json(&["cases", "show", &shop.case, "--json"])[0]["letters"], json!(1 + tries.len()));
    // In capitals, with another name, with forged verdicts below and beside the true one: still the owner.
    let verdicts = "Authentication-Results: mx.example.com; dmarc=pass\r\nAuthentication-Results: mx.example.com; dmarc=fail\r\n\
                    Authentication-Results: evil.example; dmarc=fail\r\n";
    let rest = "I reset the watch once, the drain stayed the same.\n";
    let answers = shop.here.say(&mail(
        "P. R. <PRIYA@Example.NET>",
        "own@example.net",
        "Re: T3",
        &format!("{verdicts}{thread}"),
        rest,
    ));
    assert_eq!(answers.len(), 1);
    assert_eq!(shop.owners_case()["missing"], json!(["photo"]));
}

#[test]
fn the_answer_goes_to_the_writer_wherever_replies_are_wished_to() {
    let here = installation("");
    let answers = here.say(&mail(
        EVE,
        "1@e",
        "Watch",
        "Reply-To: victim@example.net\r\nCc: other@example.net\r\nSender: third@example.net\r\n",
        WISH,
    ));
    assert_eq!(answers.iter().map(|raw| Reply::read(raw).to).collect::<Vec<_>>(), ["eve@example.org"]);
}

#[test]
fn who_has_several_names_gets_no_answer_and_a_person() {
    let here = installation("");
    for (n, from) in
        ["a@example.org, b@example.org", "Team: a@example.org, b@example.org;", "a@example.org\r\nFrom: b@example.org"]
            .iter()
            .enumerate()
    {
        assert!(here.say(&mail(from, &format!("{n}@e"), "Watch", "", WISH)).is_empty(), "{from}");
    }
    let cases = here.json(&["cases", "list", "--json"]);
    assert_eq!(cases.len(), 3);
    assert!(cases.iter().all(|c| c["state"] == "with_staff" && c["reasons"][0] == "no_reply_address"), "{cases:#?}");
}

// --- staff and forms ----------------------------------------------------------------------------------------------

const KIM: &str = "From: Kim Park <kim@example.net>\nDate: Sun, 22 Nov 2026 09:00:00 +0000\nSubject: Strap\n\
                   To: support@example.com\nMessage-ID: <kims@example.net>\n\nThe strap of my watch came off last night.\n";

fn attached(from: &str, id: &str, inner: &str) -> String {
    let parts = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    let body = format!("--b\n\nFor you.\n--b\nContent-Type: message/rfc822\n\n{inner}\n--b--\n");
    mail(from, id, "Fwd: Strap", parts, &body)
}

const ANNA: &str = "Anna <anna@example.com>";

#[test]
fn what_staff_forward_counts_for_its_writer() {
    let inline = "For you.\n\n---------- Forwarded message ---------\nFrom: Kim Park <kim@example.net>\n\
                  Date: Sun, 22 Nov 2026 at 09:00\nSubject: Strap\nTo: <support@example.com>\n\n\
                  The strap of my watch came off last night.\n";
    let outlook = "\n________________________________\nVon: Kim Park <kim@example.net>\nGesendet: Sonntag, 22. November 2026 09:00\n\
                   An: support@example.com\nBetreff: Strap\n\nThe strap of my watch came off last night.\n";
    let twice = attached("Anna <anna@example.com>", "i", KIM).replace("\r\n", "\n");
    let twice = twice.replace("=b\n", "=inner\n").replace("--b", "--inner");
    for (how, raw) in [
        ("attached", attached(ANNA, "1@s", KIM)),
        ("as text", mail(ANNA, "1@s", "Fwd: Strap", "", inline)),
        ("by Outlook", mail(ANNA, "1@s", "WG: Strap", "", outlook)),
        ("twice", attached(ANNA, "1@s", &twice)),
    ] {
        let here = installation(STAFF);
        let answers: Vec<Reply> = here.say(&raw).iter().map(|raw| Reply::read(raw)).collect();
        assert_eq!(answers.len(), 1, "{how}");
        assert!(
            answers[0].to == "kim@example.net" && answers[0].text.starts_with("Hello Kim Park,"),
            "{how}: {answers:#?}"
        );
        assert!(answers[0].subject.starts_with("Re: Strap ["), "{how}: {}", answers[0].subject);
        let cases = here.json(&["cases", "list", "--json"]);
        assert_eq!((cases.len(), &cases[0]["customer"]), (1, &json!("kim@example.net")), "{how}");
        // The writer goes on, and it is the same case.
        let more = Draft {
            from: "Kim Park <kim@example.net>",
            id: "2@k",
            subject: "Re: Strap",
            body: "My order is KS50002.\n",
            answers: Some(&answers[0]),
            photos: &[],
        };
        here.say(&more.raw());
        let cases = here.json(&["cases", "list", "--json"]);
        assert_eq!((cases.len(), &cases[0]["letters"]), (1, &json!(2)), "{how}");
        here.ok(&["audit"]);
    }
}

#[test]
fn a_letter_that_came_by_itself_is_not_answered_again_when_staff_forward_it() {
    let here = installation(STAFF);
    assert_eq!(here.say(KIM).len(), 1);
    assert!(here.say(&attached(ANNA, "1@s", KIM)).is_empty());
    assert_eq!(here.json(&["cases", "list", "--json"])[0]["letters"], json!(1));
    here.ok(&["audit"]);
}

#[test]
fn staff_are_never_answered() {
    let here = installation(STAFF);
    let newsletter = KIM.replace("Subject", "List-Unsubscribe: <mailto:x@example.net>\nSubject");
    let two = attached(ANNA, "2@s", KIM)
        .replace("\r\n--b--", &format!("\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n{KIM}\r\n--b--"));
    let nameless = "---------- Forwarded message ---------\nFrom: Kim Park\nDate: Sun, 22 Nov 2026\nSubject: Strap\nTo: us\n\nIt broke.\n";
    let failed = attached(ANNA, "4@s", KIM)
        .replace("Subject: Fwd", "Authentication-Results: mx.example.com; dmarc=fail\r\nSubject: Fwd");
    for (raw, cases) in [
        (mail(ANNA, "1@s", "Watch", "", WISH), 1),
        (two, 2),
        (mail(ANNA, "3@s", "Fwd: Strap", "", nameless), 3),
        (failed, 3),
        (attached(ANNA, "5@s", &newsletter), 3),
        (attached(ANNA, "6@s", &KIM.replace("Kim Park <kim@example.net>", "<claims@example.com>")), 3),
        (attached(EVE, "7@s", KIM), 4),
    ] {
        let answers: Vec<String> = here.say(&raw).iter().map(|raw| Reply::read(raw).to).collect();
        let by_eve = raw.contains("eve@example.org");
        assert_eq!(answers, if by_eve { vec!["eve@example.org"] } else { vec![] }, "{raw}");
        assert_eq!(here.json(&["cases", "list", "--json"]).len(), cases, "{raw}");
    }
    let forged = here.json(&["cases", "notices", "--json"]);
    assert_eq!((forged.len(), &forged[0]["notice"]), (1, &json!("forged")), "{forged:#?}");
}

#[test]
fn a_web_form_speaks_for_its_reply_to_only() {
    let here = installation(STAFF);
    let form = "Shop form <form@example.com>";
    let filled = here.say(&mail(
        form,
        "1@f",
        "Contact",
        "Reply-To: Kim <kim@example.net>\r\nAuto-Submitted: auto-generated\r\n",
        WISH,
    ));
    assert_eq!(filled.iter().map(|raw| Reply::read(raw).to).collect::<Vec<_>>(), ["kim@example.net"]);
    assert!(here.say(&mail(form, "2@f", "Contact", "", WISH)).is_empty());
    for (n, ours) in ["form@example.com", "claims@example.com", "anna@example.com"].iter().enumerate() {
        assert!(
            here.say(&mail(form, &format!("3{n}@f"), "Contact", &format!("Reply-To: {ours}\r\n"), WISH)).is_empty(),
            "{ours}"
        );
    }
    let cases = here.json(&["cases", "list", "--json"]);
    let silent: Vec<&Value> = cases.iter().filter(|c| c["reasons"][0] == "no_reply_address").collect();
    assert_eq!((cases.len(), silent.len()), (3, 2), "{cases:#?}");
    assert!(silent.iter().all(|c| c["state"] == "with_staff"));
}

#[test]
fn a_slip_in_an_order_number_is_told_its_owner_alone() {
    let here = installation("");
    let body = "My Tank T3 Ultra, order KS50010, goes from full to empty within three hours since Sunday, even while it lies \
                on my desk. I reset it once. The code on the box is 2000400001032.\n";
    let told = |from: &str, id: &str| {
        let answers = here.say(&mail(from, id, "T3 Ultra runs flat", "", body));
        Reply::read(&answers[0])
    };
    let (to_eve, to_owner) = (told(EVE, "eve@example.org"), told(OWNER, "slip@example.net"));
    assert!(to_eve.text.contains("KS50010") && !to_eve.text.contains("KS50001"), "{}", to_eve.text);
    assert!(to_owner.text.contains("under your e-mail address: is that the one you mean?"), "{}", to_owner.text);
    let yes = Draft {
        from: OWNER,
        id: "yes@example.net",
        subject: "Re: T3 Ultra runs flat",
        body: "Yes, that's the one, sorry. The photo is attached.\n\nPriya\n",
        answers: Some(&to_owner),
        photos: &[("watch-black-display.jpg", "flat.jpg")],
    };
    here.say(&yes.raw());
    let cases = here.json(&["cases", "list", "--json"]);
    let own: Vec<&Value> = cases.iter().filter(|case| case["customer"] == "priya@example.net").collect();
    assert_eq!(own.len(), 1);
    assert_eq!((&own[0]["order_number"], own[0]["rma"].is_string()), (&json!("KS50001"), true), "{:#}", own[0]);
}
