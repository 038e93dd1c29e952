//! A claim from the first letter to the RMA, over a real IMAP and a real SMTP server: each letter of the customer
//! answers the reply that was really delivered.

use std::time::Duration;

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
    /// Words that the reply has, and words that it must not have.
    has: &'a [&'a str],
    has_not: &'a [&'a str],
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
                has: &["KS50001", "photo", "code"],
                has_not: &["KR-"],
            },
            Step {
                body: "Thanks for coming back to me so quickly.\n\nThe code printed on the box is 2000400001032. As for what I \
                       did: I switched the heart rate and GPS off and reset the watch once. The drain stayed the same.\n\n\
                       I'll take a picture at the weekend.\n\nPriya\n",
                photos: &[],
                missing: &["photo"],
                has: &["KS50001", "photo"],
                has_not: &["KR-", "item code"],
            },
            Step {
                body: "Here is the photo I promised.\n\nPriya\n",
                photos: &[("watch-black-display.jpg", "t3-flat-again.jpg")],
                missing: &[],
                has: &["KS50001", "12 Example Street"],
                has_not: &[],
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
                       Was kann ich tun?\n\nMit freundlichen Grüßen\nSabine Krüger\n",
                photos: &[],
                missing: &["item_code", "steps_taken", "photo", "packaging_photo"],
                has: &["KS50002", "Foto"],
                has_not: &["KR-"],
            },
            Step {
                body: "Hallo,\n\nder Artikelcode auf der Verpackung lautet 2000400001070. Ich habe die Kontakte gereinigt und ein \
                       anderes Netzteil ausprobiert, ohne Erfolg. Anbei ein Foto der Uhr.\n\nViele Grüße\nSabine Krüger\n",
                photos: &[("watch-black-display.jpg", "uhr.jpg")],
                missing: &["packaging_photo"],
                has: &["KS50002", "Foto", "Verpackung"],
                has_not: &["KR-", "Artikelcode"],
            },
            Step {
                body: "Hier ist das Foto der Verpackung.\n\nSabine Krüger\n",
                photos: &[("watch-striped-display.jpg", "verpackung.jpg")],
                missing: &[],
                has: &["KS50002", "12 Example Street"],
                has_not: &[],
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
        for word in step.has {
            assert!(reply.text.contains(word), "{word:?} is missing in\n{}", reply.text);
            assert!(reply.html.contains(word), "{word:?} is missing in\n{}", reply.html);
        }
        for word in step.has_not {
            assert!(!reply.text.contains(word), "{word:?} has no place in\n{}", reply.text);
            assert!(!reply.html.contains(word), "{word:?} has no place in\n{}", reply.html);
        }
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
    assert_eq!((&case["state"], &case["reasons"]), (&json!("with_staff"), &json!(["follow_up"])));
    let told = smtpd.kept();
    assert_eq!(told.len(), 4, "it is acknowledged");
    assert!(Reply::read(&told[3].raw).text.contains(story.order));
    std::thread::sleep(Duration::from_millis(1));
    assert_eq!(here.ok(&["once"]).code, Some(0));
    assert_eq!(smtpd.kept().len(), 4);
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
    assert_eq!(reply.content_type, "multipart/alternative");
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
    let greeting = if story.language == "de" { "Guten Tag" } else { "Dear" };
    assert!(reply.text.contains(greeting), "{}", reply.text);
    assert_eq!(case["customer"], story.address);
}

fn is_authorised(here: &Installation, story: &Story<'_>, reply: &Reply) {
    let case = one_case(here);
    let number = case["rma"].as_str().unwrap();
    assert_eq!(RmaNumber::new(number).unwrap().as_str(), number);
    assert!(regex::Regex::new(r"^KR-\d{4}-[0-9A-Z]{6}$").unwrap().is_match(number), "{number}");
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
