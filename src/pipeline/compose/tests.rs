mod form;
mod html;
mod stories;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

use super::*;
use crate::domain::decision::Reason;
use crate::domain::facts::{Evidence, Fact, Judgement, Source};
use crate::domain::warranty::Item;
use stories::{Story, at, catalogue, evidence, frame, photo, stories};

static LETTERS: LazyLock<Letters> =
    LazyLock::new(|| Letters::embedded().unwrap_or_else(|errors| panic!("{}", errors.join("\n"))));
static LEXICONS: LazyLock<Lexicons> = LazyLock::new(|| Lexicons::embedded().unwrap());

#[test]
fn the_embedded_letters_have_no_mistake_in_any_sample() {
    assert_eq!(LETTERS.rehearse(), [] as [String; 0]);
}

#[test]
fn letters_read_as_the_golden_files_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/letters/out");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differing = Vec::new();
    for (name, story) in stories() {
        let reply = story.reply();
        let references: Vec<_> = reply.references.iter().map(|id| format!("<{id}>")).collect();
        let got = format!(
            "To: {}\nSubject: {}\nMessage-ID: <{}>\nReferences: {}\n\n{}",
            reply.to.address,
            reply.subject,
            reply.message_id,
            references.join(" "),
            reply.text
        );
        let path = folder.join(format!("{}-{name}.txt", story.kind.folder()));
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &got).unwrap();
        } else if std::fs::read_to_string(&path).unwrap_or_default() != got {
            differing.push(format!("{}:\n{got}", path.display()));
        }
    }
    assert!(differing.is_empty(), "UPDATE_GOLDEN=1 rewrites them:\n{}", differing.join("\n\n"));
}

#[test]
#[ignore = "writes the letters as HTML to target/letters, to look at them"]
fn preview() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/letters");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, story) in stories() {
        std::fs::write(folder.join(format!("{}-{name}.html", story.kind.folder())), story.reply().html).unwrap();
    }
}

#[test]
#[ignore = "measures"]
fn an_ask_letter_takes_little_time() {
    let story = Story::new(Kind::Ask, "de").open(&[Item::ItemCode, Item::ProblemWhen, Item::Photo]);
    let (case, decision, frame, catalogue) = (story.case(), story.decision(), frame(), catalogue());
    let occasion = Occasion {
        kind: Kind::Ask,
        case: &case,
        decision: &decision,
        letter: Some((&story.letter, &story.said)),
        step: &Step::default(),
        at: at(),
    };
    LETTERS.reply(&occasion, &frame, &catalogue, &LEXICONS).unwrap();
    let mut best = f64::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        for _ in 0..200 {
            std::hint::black_box(LETTERS.reply(&occasion, &frame, &catalogue, &LEXICONS).unwrap());
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / 200.0);
    }
    let start = Instant::now();
    Letters::embedded().unwrap();
    println!("one ask letter: {best:.0} µs; loading all: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
}

#[test]
fn what_customers_write_is_data() {
    let mut story = Story::new(Kind::Ask, "en").open(&[Item::Sku, Item::Photo]);
    story.letter.subject = "Re: <script>x</script>\r\nBcc: all@example.org\r\n\r\nbody {{ brand }}".to_owned();
    story.customer.name = Some("<b>Eve</b>\r\nBcc: x".to_owned());
    let words = "<script>alert(1)</script> & \"{{ rma.number }}\" \u{202e}evil\r\n\r\n\u{7}https://spam.example/x now";
    story.said.problem_what = Some(evidence(words));
    story.said.steps_taken = Some(evidence(&"very long words ".repeat(100)));
    story.said.photos = vec![photo("<img src=x onerror=y>.jpg\r\n", Judgement::Blurred)];
    let reply = story.reply();
    assert!(!reply.subject.contains(|c: char| c.is_control()), "{:?}", reply.subject);
    assert_eq!(reply.subject.matches("Bcc: all@example.org").count(), 1, "kept as words on the one line");
    assert!(reply.text.starts_with("Hello,\n"));
    assert!(!reply.html.contains("<script") && !reply.html.contains("<img") && !reply.html.contains("<b>Eve"));
    assert!(reply.html.contains("&lt;script&gt;alert(1)&lt;"));
    assert!(reply.text.contains("“<script>alert(1)</script> & \"{{ rma.number }}\" evil … now”"), "{}", reply.text);
    let tried = reply.text.lines().find(|line| line.contains("very long")).unwrap();
    assert!(tried.chars().count() < 160 && tried.ends_with("…”"), "{tried}");
}

#[test]
fn the_html_says_what_the_text_says() {
    for language in LETTERS.languages() {
        for matter in samples::all(language) {
            let rendered = LETTERS.render(&matter).unwrap();
            let shown = words_of_html(&rendered.html);
            for line in rendered.text.lines() {
                let line = line.trim().trim_start_matches(['✓', '-', ' ']).trim_end_matches(':');
                let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(". ");
                let squeezed: String = line.split_whitespace().collect();
                assert!(shown.contains(&squeezed), "{}/{language}: not in HTML: {line}", matter.kind.folder());
            }
        }
    }
}

/// The characters a reader sees, without blanks.
fn words_of_html(html: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside && !c.is_whitespace() => out.push(c),
            _ => {}
        }
    }
    [("&#x27;", "'"), ("&gt;", ">"), ("&lt;", "<"), ("&quot;", "\""), ("&#x2f;", "/"), ("&amp;", "&")]
        .iter()
        .fold(out, |text, (entity, sign)| text.replace(entity, sign))
}

#[test]
fn the_return_address_stands_in_rma_letters_only() {
    for (name, story) in stories() {
        let reply = story.reply();
        let printed = reply.text.contains("1 Sample Street") || reply.html.contains("1 Sample Street");
        assert_eq!(printed, story.kind == Kind::Rma, "{name}");
    }
}

#[test]
fn an_acknowledgement_tells_nobody_more_than_they_told_us() {
    let mut story = Story { reasons: vec![Reason::Conflict], ..Story::new(Kind::Acknowledgement, "en") };
    let from_feed = |mut evidence: Evidence| {
        evidence.letter = None;
        evidence.source = Source::OrderFeed;
        evidence
    };
    story.said.received_on = story.said.received_on.map(|f| Fact { evidence: from_feed(f.evidence), ..f });
    story.said.sku = story.said.sku.map(|f| Fact { evidence: from_feed(f.evidence), ..f });
    let reply = story.reply();
    assert!(reply.text.contains("KS10442"));
    for hidden in ["3 November", "TANK", "KP-TKT3"] {
        assert!(!reply.text.contains(hidden) && !reply.html.contains(hidden), "{hidden}");
    }
    story.said.photos.push(photo("dark.jpg", Judgement::TooDark));
    assert!(story.reply().text.contains("3 photos"), "what is of no use has arrived too");
    let stranger = Story { reasons: vec![Reason::SenderMismatch], ..story }.reply();
    assert!(!stranger.text.contains("KS10442") && !stranger.html.contains("KS10442"));
}

#[test]
fn reasons_never_show() {
    let every = [Reason::Void, Reason::OutOfWarranty, Reason::SkuNotInOrder, Reason::DuplicateRma, Reason::AskLimit];
    let replies =
        every.map(|reason| Story { reasons: vec![reason], ..Story::new(Kind::Acknowledgement, "en") }.reply());
    assert!(replies.iter().all(|reply| *reply == replies[0]));
}

#[test]
fn a_reply_joins_the_thread() {
    let story = Story { asks: 1, ..Story::new(Kind::Ask, "fi").open(&[Item::Sku]) };
    let (mut case, decision) = (story.case(), story.decision());
    let id = |text: &str| MessageId::new(text).unwrap();
    case.thread = vec![id("first@example.net"), id("as-1.r1@example.com")];
    case.replies = 1;
    let occasion = Occasion {
        kind: Kind::Ask,
        case: &case,
        decision: &decision,
        letter: Some((&story.letter, &story.said)),
        step: &Step::default(),
        at: at(),
    };
    let reply = LETTERS.reply(&occasion, &frame(), &catalogue(), &LEXICONS).unwrap();
    assert_eq!(reply.language, "en");
    assert_eq!(reply.number, 2);
    assert_eq!(reply.message_id, MessageId::of_reply(&case.id, 2, "example.com"));
    assert_eq!(reply.in_reply_to, Some(id("first@example.net")));
    assert_eq!(reply.references, [id("as-1.r1@example.com"), id("first@example.net")]);
    let by_staff = LETTERS.reply(&Occasion { letter: None, ..occasion }, &frame(), &catalogue(), &LEXICONS).unwrap();
    assert_eq!(by_staff.in_reply_to, Some(id("as-1.r1@example.com")));
    assert_eq!(by_staff.references, case.thread);
}

#[test]
fn a_letter_without_its_matter_is_refused() {
    let story = Story::new(Kind::Ask, "en");
    let (case, decision) = (story.case(), story.decision());
    for kind in [Kind::Ask, Kind::Rma] {
        let occasion =
            Occasion { kind, case: &case, decision: &decision, letter: None, step: &Step::default(), at: at() };
        assert!(LETTERS.reply(&occasion, &frame(), &catalogue(), &LEXICONS).is_err(), "{kind:?}");
    }
}

#[test]
fn mistakes_in_templates_show_when_loading() {
    let mistake = |path: &str, from: &str, to: &str| {
        let files: Vec<(String, String)> = TEMPLATES
            .iter()
            .map(|(name, text)| {
                let text = if *name == path { text.replace(from, to) } else { (*text).to_owned() };
                assert!(
                    *name != path || text != TEMPLATES.iter().find(|(n, _)| n == name).unwrap().1,
                    "{path}: {from}"
                );
                ((*name).to_owned(), text)
            })
            .collect();
        Letters::from_folder(&files).unwrap_err().join("\n")
    };
    let cases = [
        ("ask/de.txt", "size(mail_megabytes)", "size(mail_megabites)", "ask/de.txt:"),
        ("ask/de.txt", "Subject: ", "Betreff: ", "ask/de.txt:1: begin with a line"),
        ("rma/en.html", "{% endblock %}", "", "rma/en.html:"),
        ("rma/en.txt", "{{ line }}", "", "rma/en.txt:1: the return address"),
        ("acknowledgement/en.txt", " [{{ case }}]", "", "the subject lacks the case number"),
        ("words/en.txt", "\"too_small\"", "\"too_tiny\"", "words/en.txt:"),
        ("words/de.txt", ", \"Dezember\"]", "]", "words/de.txt:"),
        ("layout.html", "{{ brand }}", "{{ brand | shout }}", "layout.html:"),
    ];
    for (path, from, to, expected) in cases {
        let errors = mistake(path, from, to);
        assert!(errors.contains(expected), "{path}: {errors}");
    }
    let endless = mistake(
        "ask/en.txt",
        "{{ desk }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    );
    assert!(endless.contains("ask/en.txt:"), "{endless}");
}

#[test]
fn a_language_is_whole_or_a_mistake() {
    type Templates = Vec<(String, String)>;
    let with = |change: fn(&mut Templates)| {
        let mut files: Vec<_> = TEMPLATES.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
        change(&mut files);
        Letters::from_folder(&files)
    };
    let letters = with(|files| files.retain(|(name, _)| !name.contains("/de."))).unwrap();
    let languages: Vec<_> = letters.languages().collect();
    assert!(languages.contains(&"en") && !languages.contains(&"de"), "{languages:?}");
    assert_ne!(letters.version(), LETTERS.version());
    assert_eq!(with(|_| ()).unwrap().version(), LETTERS.version());
    let errors = with(|files| files.retain(|(name, _)| name != "rma/de.txt")).unwrap_err();
    assert_eq!(errors, ["language \"de\" lacks rma/de.txt: add the files, or remove the language"]);
    assert!(with(|files| files.retain(|(name, _)| name != "rma/de.html")).is_ok(), "its HTML is made from its text");
    let errors = with(|files| files.retain(|(name, _)| name != "words/de.txt")).unwrap_err().join("\n");
    assert!(errors.contains("words/de.txt") && errors.contains("add the file"), "{errors}");
    let noted = with(|files| files.push(("ask/en.txt~".to_owned(), "{{".to_owned()))).unwrap();
    assert_eq!(noted.version(), LETTERS.version());
    assert!(with(|files| files.clear()).unwrap_err().iter().any(|e| e.contains("\"en\" lacks")));
}

#[test]
fn names_to_greet_by() {
    let greet = |name: &str| plain::human_name(name, &LETTERS.no_names, "Example");
    for (display, expected) in [
        ("Maria Schmidt", "Maria Schmidt"),
        ("Schmidt, Maria", "Maria Schmidt"),
        ("\"Anna\"", "Anna"),
        ("Jean-Luc d'Arc", "Jean-Luc d'Arc"),
        ("Ludwig van Beethoven", "Ludwig van Beethoven"),
        ("Ian McCoy", "Ian McCoy"),
        ("Dr. Eva Müller", "Dr. Eva Müller"),
        ("王伟", "王伟"),
        ("Łukasz Żak", "Łukasz Żak"),
    ] {
        assert_eq!(greet(display).as_deref(), Some(expected), "{display}");
    }
    for display in [
        "",
        "maria@example.net",
        "maria.schmidt",
        "johnny88",
        "ACME GMBH",
        "Acme GmbH",
        "Sales Team",
        "Example",
        "M",
        "Example Support",
        "Visit www.x.example",
        "Evil.com",
        "Max\r\nBcc: y",
        "info",
        "A B C D E",
        "🙂 Max",
        "Müller, Max, Dr.",
    ] {
        assert_eq!(greet(display), None, "{display}");
    }
}

#[test]
fn subjects_do_not_pile_up() {
    let prefixes = ["Re", "AW", "Antwort"];
    for (subject, expected) in [
        ("Broken", "Broken"),
        ("Re: AW: RE[2]: Broken [AS-CJPNM6KH]", "Broken"),
        ("re : Broken [AS-CJPNM6KH] [AS-CJPNM6KH]", "Broken"),
        ("AW： Broken", "Broken"),
        ("Return of a watch", "Return of a watch"),
        ("Ré: x", "Ré: x"),
        ("Re:", ""),
        ("[AS- open", "[AS- open"),
        ("a\r\nBcc: b\tc", "a Bcc: b c"),
    ] {
        assert_eq!(plain::topic(subject, prefixes.into_iter()), expected, "{subject}");
    }
    assert!(plain::topic(&"x".repeat(5000), prefixes.into_iter()).chars().count() <= 100);
}

proptest::proptest! {
    #[test]
    fn any_text_can_be_printed(text in "(?s).{0,300}") {
        let line = plain::line(&text, 40);
        proptest::prop_assert!(line.chars().count() <= 40 && !line.contains(|c: char| c.is_control()));
        plain::human_name(&text, &LETTERS.no_names, "Example");
        plain::topic(&text, ["Re", "AW"].into_iter());
    }
}
