//! A claim from the first letter to the RMA, over a real IMAP and a real SMTP server: each letter of the customer
//! answers the reply that was really delivered.

use aftersalesd::domain::ids::RmaNumber;
use aftersalesd::ports::Security;
use serde_json::{Value, json};

use crate::support::dovecot::Dovecot;
use crate::support::post::{Draft, Reply};
use crate::support::program::{FROM, Installation, keys};
use crate::support::smtpd::Smtpd;

/// What one conversation is made of.
struct Story<'a> {
    imap: Security,
    smtp: Security,
    customer: &'a str,
    address: &'a str,
    language: &'a str,
    order: &'a str,
    sku: &'a str,
    track: &'a str,
    subject: &'a str,
    letters: [Step<'a>; 3],
}

struct Step<'a> {
    body: &'a str,
    photos: &'a [(&'a str, &'a str)],
    /// What is still missing after it.
    missing: &'a [&'a str],
    /// The headings of what the reply asks for, just that.
    asked: &'a [&'a str],
}

#[test]
fn an_english_claim_for_a_repair() {
    play(&Story {
        imap: Security::Tls,
        smtp: Security::Tls,
        customer: "Priya Raman <priya@example.net>",
        address: "priya@example.net",
        language: "en",
        order: "KS50001",
        sku: "KP-TKT3U-BK",
        track: "repair",
        subject: "T3 Ultra runs flat",
        letters: [
            Step {
                body: "Good morning,\n\nI bought a Tank T3 Ultra from you, order no. KS50001. Since Sunday the battery goes \
                       from full to empty within three hours, even while the watch just lies on my desk with the display \
                       off.\n\nWhat do you need from me to get it repaired?\n\n-- \nPriya Raman\n",
                photos: &[],
                missing: &["item_code", "steps_taken", "photo"],
                asked: &["Item code", "What you have tried", "Photo or video of the defect"],
            },
            Step {
                body: "Thanks for coming back to me so quickly.\n\nThe code printed on the box is 2000400001032. As for what I \
                       did: I switched the heart rate and GPS off and reset the watch once. The drain stayed the same.\n\n\
                       I'll take a picture at the weekend.\n\nPriya\n",
                photos: &[],
                missing: &["photo"],
                asked: &["Photo or video of the defect"],
            },
            Step {
                body: "Here is the photo I promised.\n\nPriya\n",
                photos: &[("watch-black-display.jpg", "t3-flat-again.jpg")],
                missing: &[],
                asked: &[],
            },
        ],
    });
}

#[test]
fn a_german_claim_for_a_watch_that_was_dead_on_arrival() {
    play(&Story {
        imap: Security::Starttls,
        smtp: Security::Starttls,
        customer: "Sabine Krüger <sabine@example.net>",
        address: "sabine@example.net",
        language: "de",
        order: "KS50002",
        sku: "KP-MG5-SV",
        track: "doa",
        subject: "Magic 5 lädt nicht",
        letters: [
            Step {
                body: "Guten Tag,\n\nmeine neue Magic 5 (Bestellnummer KS50002) lädt seit gestern nicht mehr. Sobald ich sie auf \
                       die Ladeschale lege, erscheint kurz das Akkusymbol und dann wird der Bildschirm wieder schwarz.\n\n\
                       Wie geht es weiter?\n\nMit freundlichen Grüßen\nSabine Krüger\n",
                photos: &[],
                missing: &["item_code", "steps_taken", "photo", "packaging_photo"],
                asked: &[
                    "Artikelcode",
                    "Was Sie schon versucht haben",
                    "Foto oder Video des Defekts",
                    "Foto der Verpackung",
                ],
            },
            Step {
                body: "Hallo,\n\nder Artikelcode auf der Verpackung lautet 2000400001070. Ich habe die Kontakte gereinigt und ein \
                       anderes Netzteil ausprobiert, ohne Erfolg. Anbei ein Foto der Uhr.\n\nViele Grüße\nSabine Krüger\n",
                photos: &[("watch-black-display.jpg", "uhr.jpg")],
                missing: &["packaging_photo"],
                asked: &["Foto der Verpackung"],
            },
            Step {
                body: "Hier ist das Foto der Verpackung.\n\nSabine Krüger\n",
                photos: &[("watch-striped-display.jpg", "verpackung.jpg")],
                missing: &[],
                asked: &[],
            },
        ],
    });
}

fn play(story: &Story<'_>) {
    let dovecot = Dovecot::start();
    let smtpd = Smtpd::start(story.smtp, &["--login", "claims:secret"]);
    let imap = keys("imap", &dovecot.server(story.imap));
    let smtp = keys("smtp", &smtpd.server(Some(("claims", "secret"))));
    let address = "[rma]\nreturn_address = [\"KOSPET Service\", \"12 Example Street\", \"10115 Berlin\"]\n";
    let here = Installation::new(&imap, &smtp, address);
    here.ok(&["check"]);
    let mut replies: Vec<Reply> = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    for (number, step) in story.letters.iter().enumerate() {
        let id = format!("letter-{number}@example.net");
        let draft = Draft {
            from: story.customer,
            id: &id,
            subject: &if number == 0 { story.subject.to_owned() } else { format!("Re: {}", story.subject) },
            body: step.body,
            answers: replies.last(),
            photos: step.photos,
        };
        dovecot.deliver(&draft.raw());
        here.ok(&["once"]);
        let kept = smtpd.kept();
        assert_eq!(kept.len(), number + 1, "one reply a letter");
        let envelope = &kept[number].envelope;
        assert_eq!(envelope["from"], "", "the null sender");
        assert_eq!(envelope["to"], json!([story.address]));
        assert_eq!((&envelope["tls"], &envelope["authenticated"]), (&json!(true), &json!(true)));
        let reply = Reply::read(&kept[number].raw);
        let case = one_case(&here);
        assert_eq!(case["missing"], json!(step.missing), "{case:#}");
        is_in_the_thread(&reply, story, &case, &id, &ids);
        let asked = if step.asked.is_empty() { Vec::new() } else { headings(&reply.text) };
        assert_eq!(asked, step.asked, "{}", reply.text);
        assert!(step.asked.iter().all(|heading| reply.html.contains(heading)), "{}", reply.html);
        assert!(reply.text.contains(story.order) && reply.html.contains(story.order), "{}", reply.text);
        assert!(replies.iter().all(|earlier| earlier.message_id != reply.message_id));
        let state = if number == 2 { "rma_issued" } else { "awaiting_info" };
        assert_eq!(
            (&case["state"], &case["letters"], &case["replies"]),
            (&json!(state), &json!(number + 1), &json!(number + 1))
        );
        ids.push(id);
        ids.push(reply.message_id.clone());
        replies.push(reply);
    }
    is_authorised(&here, story, replies.last().unwrap());
    assert!(dovecot.flags("INBOX").iter().all(|(_, flags)| flags.contains("\\Seen")), "{:?}", dovecot.flags("INBOX"));
    // A second RMA is never sent: what comes now is for staff.
    let draft = Draft {
        from: story.customer,
        id: "afterwards@example.net",
        subject: story.subject,
        body: story.letters[0].body,
        answers: replies.last(),
        photos: &[],
    };
    dovecot.deliver(&draft.raw());
    here.ok(&["once"]);
    let case = one_case(&here);
    assert_eq!((&case["state"], &case["reasons"]), (&json!("rma_issued"), &json!(["follow_up"])));
    assert_eq!(case["waits_for_staff"], true);
    let told = smtpd.kept();
    assert_eq!(told.len(), 4, "it is acknowledged");
    assert!(Reply::read(&told[3].raw).text.contains(story.order));
    here.ok(&["once"]);
    assert_eq!(smtpd.kept().len(), 4);
}

/// The numbered lines of a letter.
fn headings(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.split_once(". ").filter(|(n, _)| n.parse::<u8>().is_ok()))
        .map(|(_, h)| h)
        .collect()
}

/// The only case, as `list` and `show` tell it.
fn one_case(here: &Installation) -> Value {
    let listed = here.json(&["cases", "list", "--json"]);
    assert_eq!(listed.len(), 1, "{listed:#?}");
    let shown = here.json(&["cases", "show", listed[0]["case"].as_str().unwrap(), "--json"]);
    assert_eq!(shown.len(), 1);
    for key in ["case", "state", "customer", "order_number", "sku", "rma", "letters", "replies"] {
        assert!(listed[0].get(key).is_some(), "{key} is missing in {}", listed[0]);
        assert_eq!(listed[0][key], shown[0][key], "{key}");
    }
    assert!(shown[0]["events"].as_array().is_some_and(|events| !events.is_empty()));
    assert!(shown[0]["facts"].is_object());
    shown[0].clone()
}

fn is_in_the_thread(reply: &Reply, story: &Story<'_>, case: &Value, answered: &str, before: &[String]) {
    // An authorised return brings the form for its parcel.
    let with_form = case["state"] == "rma_issued";
    assert_eq!(reply.content_type, if with_form { "multipart/mixed" } else { "multipart/alternative" });
    assert_eq!(reply.in_reply_to.as_deref(), Some(answered));
    let mut thread = before.to_vec();
    thread.push(answered.to_owned());
    assert_eq!(reply.references, thread);
    assert_eq!(reply.auto_submitted, "auto-replied");
    assert_eq!((reply.from.as_str(), reply.to.as_str()), (FROM, story.address));
    let number = case["case"].as_str().unwrap();
    assert!(reply.subject.contains(number), "{number} is not in {:?}", reply.subject);
    assert!(reply.subject.contains(story.subject), "{:?}", reply.subject);
    assert!(reply.message_id.starts_with(&number.to_lowercase()) && reply.message_id.ends_with("@example.com"));
    assert_eq!(case["language"], story.language);
    let greeting = if story.language == "de" { "Guten Tag" } else { "Hello" };
    let name = story.customer.split(" <").next().unwrap();
    assert!(reply.text.starts_with(&format!("{greeting} {name},")), "{}", reply.text);
    assert_eq!(case["customer"], story.address);
}

fn is_authorised(here: &Installation, story: &Story<'_>, reply: &Reply) {
    let case = one_case(here);
    let number = case["rma"].as_str().unwrap();
    assert_eq!(RmaNumber::new(number).unwrap().as_str(), number);
    assert!(regex::Regex::new(r"^KR-\d{4}-[0-9A-Z]{6}$").unwrap().is_match(number), "{number}");
    assert!(reply.text.contains("12 Example Street") && reply.html.contains("12 Example Street"));
    assert!(reply.text.contains(number) && reply.html.contains(number), "{}", reply.text);
    assert_eq!(case["decision"], "issue_rma");
    assert_eq!(
        (&case["order_number"], &case["sku"], &case["track"]),
        (&json!(story.order), &json!(story.sku), &json!(story.track))
    );
    for spelling in [number.to_owned(), number.to_lowercase().replace('-', " "), story.order.to_lowercase()] {
        assert_eq!(here.json(&["cases", "show", &spelling, "--json"])[0]["case"], case["case"], "{spelling}");
        assert_eq!(here.json(&["cases", "search", &spelling, "--json"])[0]["case"], case["case"], "{spelling}");
    }
    assert!(here.ok(&["cases", "show", number]).out.contains(number));
}
