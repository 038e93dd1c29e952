//! What pages show, and what acts do and refuse.

use aftersalesd::app::query::{self, Query, Question};
use aftersalesd::domain::account::Deed;
use aftersalesd::domain::event::Event;
use aftersalesd::domain::queue::Queue;
use aftersalesd::worker::turn;

use super::*;

#[tokio::test]
async fn a_case_is_shown_with_each_fact_where_it_stands_and_nothing_of_it_acts() {
    let house = House::new();
    let (case, letter) = house.claim();
    let cookie = house.enter("kim").await;
    let queue = house.get("/queues/needs_you", &cookie).await;
    assert!(queue.text.contains(&format!("href=\"/cases/{}\"", case.id)));
    assert!(queue.text.contains("Which model &#60;b&#62;is"), "{}", queue.text);
    let page = house.get(&format!("/cases/{}", case.id), &cookie).await;
    assert_eq!(page.status, StatusCode::OK);
    let anchor = page.quoted("<mark class=\"order_number\" id=\"");
    assert!(page.text.contains(&format!("href=\"#{anchor}\"")), "the checklist leads to the mark");
    assert!(page.text.contains("id=\"i-order_number\""), "the mark leads to the checklist");
    assert!(!page.text.contains("<script>") && !page.text.contains("<b>"));
    assert!(page.text.contains("&#60;script&#62;alert"));
    let deeds: Vec<_> = house.trail().into_iter().map(|trace| (trace.what, trace.case)).collect();
    assert!(deeds.contains(&(Deed::SawCase, Some(case.id.clone()))));
    // The trail is no part of the case.
    assert_eq!(house.office.store.events(&case.id).unwrap().len() as u64, case.version);
    // Letters are read through their case only.
    let (other, _) = house.letter(&CLAIM.replace("greta@", "hans@").replace("<claim@", "<other@"));
    let path = format!("/cases/{}/letters/{letter}", other.id);
    assert_eq!(house.get(&path, &cookie).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_act_is_shown_first_and_then_done_once() {
    let house = House::new();
    let (case, _) = house.claim();
    let cookie = house.enter("kim").await;
    let path = format!("/cases/{}/act/answer", case.id);
    let empty = house.get(&path, &cookie).await;
    let token = empty.quoted("name=\"token\" value=\"");
    assert!(!empty.text.contains("value=\"do\""), "nothing to confirm before there are words");
    let form = format!("token={token}&version={}&text=The+Tank+M3+goes+to+50+m.", case.version);
    let shown = house.post(&path, &cookie, &format!("{form}&step=preview")).await;
    assert!(shown.text.contains("The Tank M3 goes to 50 m.") && shown.text.contains("value=\"do\""), "{}", shown.text);
    assert!(shown.text.contains("To greta@post.example"));
    assert_eq!(house.office.store.case(&case.id).unwrap().unwrap(), case, "nothing is done yet");
    let mark = shown.quoted("name=\"mark\" value=\"");
    // Other words than those that were looked at are shown, not sent.
    let other = form.replace("50+m", "500+m");
    let again = house.post(&path, &cookie, &format!("{other}&step=do&mark={mark}")).await;
    assert_eq!((again.status, house.office.store.counts().unwrap().waiting), (StatusCode::OK, 1));
    let done = house.post(&path, &cookie, &format!("{form}&step=do&mark={mark}")).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    assert_eq!(done.header("location"), format!("/cases/{}?done=answer", case.id));
    let after = house.office.store.case(&case.id).unwrap().unwrap();
    assert_eq!((after.attention, after.replies), (None, case.replies + 1));
    // The same again, as a double click sends it.
    let twice = house.post(&path, &cookie, &format!("{form}&step=do&mark={mark}")).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    assert!(twice.text.contains("the case has changed since you looked at it"));
    assert!(twice.text.contains("done for now") && twice.text.contains("kim,"), "{}", twice.text);
    assert_eq!(house.office.store.case(&case.id).unwrap().unwrap(), after);
    assert_eq!(house.trail().iter().filter(|trace| trace.what == Deed::Acted).count(), 1);
}

#[tokio::test]
async fn the_second_of_two_people_is_told_what_the_first_did() {
    let house = House::new();
    house.account("lee", Role::Agent);
    let (case, _) = house.claim();
    let (kim, lee) = (house.enter("kim").await, house.enter("lee").await);
    let path = format!("/cases/{}/act/reject", case.id);
    let form = async |cookie: &str| {
        let page = house.get(&path, cookie).await;
        let (token, version) = (page.quoted("name=\"token\" value=\""), page.quoted("name=\"version\" value=\""));
        let form = format!("token={token}&version={version}&text=It+was+opened.");
        let shown = house.post(&path, cookie, &format!("{form}&step=preview")).await;
        format!("{form}&step=do&mark={}", shown.quoted("name=\"mark\" value=\""))
    };
    let (of_kim, of_lee) = (form(&kim).await, form(&lee).await);
    assert_eq!(house.post(&path, &kim, &of_kim).await.status, StatusCode::SEE_OTHER);
    let refused = house.post(&path, &lee, &of_lee).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text.contains("refused") && refused.text.contains("kim,"), "{}", refused.text);
    let events = house.office.store.events(&case.id).unwrap();
    assert_eq!(events.iter().filter(|event| event.event == Event::Rejected).count(), 1);
}

#[tokio::test]
async fn what_the_program_only_notes_of_itself_makes_nobody_look_again() {
    let house = House::new();
    let (case, _) = house.claim();
    let seen = case.version;
    for waiting in house.office.store.outbox_due(Timestamp::now(), 9).unwrap() {
        house.office.store.outbox_sent(&[waiting.key], Timestamp::now()).unwrap();
    }
    assert!(house.office.store.case(&case.id).unwrap().unwrap().version > seen);
    assert!(turn::happened_since(&house.office, &case.id, seen).unwrap().is_empty());
}

#[tokio::test]
async fn what_makes_no_sense_is_said_where_it_was_filled_in() {
    let house = House::new();
    let (case, _) = house.claim();
    let cookie = house.enter("kim").await;
    let token = house.get("/", &cookie).await;
    assert_eq!(token.status, StatusCode::SEE_OTHER);
    let token = house.get("/health", &cookie).await.quoted("name=\"token\" value=\"");
    for (verb, fields, told) in [
        ("approve", "word=", "the case has no track"),
        ("refunded", "word=twelve", "12.50 EUR"),
        ("merge", "word=AS-22222222", "case"),
        ("arrived", "word=as_authorised", "no RMA"),
        ("ask", "", "for example: ask photo sku"),
        ("extend", "word=2020-01-01", "is over"),
    ] {
        let path = format!("/cases/{}/act/{verb}", case.id);
        let form = format!("token={token}&version={}&step=preview&{fields}", case.version);
        let answer = house.post(&path, &cookie, &form).await;
        assert_eq!(answer.status, StatusCode::OK, "{verb}: {}", answer.text);
        let alert = answer.text.split("role=\"alert\">").nth(1).unwrap_or_else(|| panic!("{verb} {}", answer.text));
        let alert = alert.split("</p>").next().unwrap();
        assert!(alert.contains(told) || alert.to_lowercase().contains(told), "{verb}: {alert}");
    }
    assert_eq!(house.get(&format!("/cases/{}/act/nonsense", case.id), &cookie).await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.get("/cases/AS-22222222", &cookie).await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.get("/cases/nonsense", &cookie).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn queues_are_paged_picked_and_counted() {
    let house = House::new();
    for n in 0..60 {
        let raw = CLAIM.replace("greta@", &format!("greta{n}@")).replace("<claim@", &format!("<claim{n}@"));
        house.letter(&raw);
    }
    assert_eq!(house.office.store.queue_counts().unwrap(), [60, 0, 0, 0, 0]);
    let cookie = house.enter("kim").await;
    let first = house.get("/queues/needs_you", &cookie).await;
    let links = |text: &str| text.matches("<a href=\"/cases/").count();
    assert_eq!(links(&first.text), 50);
    let more = first.quoted("<p class=\"pages\"><a href=\"").replace("&#38;", "&");
    let second = house.get(&more, &cookie).await;
    assert_eq!((second.status, links(&second.text)), (StatusCode::OK, 10), "{more}");
    let none = house.get("/queues/needs_you?language=fr", &cookie).await;
    assert!(none.text.contains("No case is like that."));
    let english = house.get("/queues/needs_you?language=en&reason=request", &cookie).await;
    assert_eq!(links(&english.text), 50);
    let early = house.get("/search?q=greta7@post.example", &cookie).await;
    assert!(early.text.contains("being made ready and may miss cases: 0 of 60"), "{}", early.text);
    let health = house.get("/health", &cookie).await;
    assert!(health.text.contains("is being made ready: 0 of 60"), "{}", health.text);
    house.office.store.follow_all_with_search().unwrap();
    let many = house.get("/search?q=greta", &cookie).await;
    assert_eq!((many.status, links(&many.text)), (StatusCode::OK, 50), "{}", many.text);
    assert!(many.text.contains("These are the first 50; there are more.") && !many.text.contains("made ready"));
    let mut told = Vec::new();
    query::answer(&house.office, &Query::Ask(Question::Search("greta".to_owned())), &mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    assert_eq!((told.lines().count(), told.lines().last()), (51, Some(r#"{"more":true}"#)));
    let found = house.get("/search?q=greta7@post.example", &cookie).await;
    assert_eq!(found.status, StatusCode::SEE_OTHER, "the only one is shown at once");
    // Closed, a case moves; its order is that of the cases' states.
    let first = house.office.store.queued(Queue::NeedsYou, None).next().unwrap().unwrap().case;
    let act = aftersalesd::domain::act::Act::Close;
    turn::act(&house.office, &first, "kim", &act, None, Timestamp::now()).unwrap();
    assert_eq!(house.office.store.queue_counts().unwrap(), [59, 0, 0, 0, 1]);
    assert!(house.office.store.verify().unwrap().findings.is_empty());
}

#[tokio::test]
async fn the_trail_is_for_leads_and_sign_ins_for_admins() {
    let house = House::new();
    house.account("lena", Role::Lead);
    house.account("ada", Role::Admin);
    let (kim, lena, ada) = (house.enter("kim").await, house.enter("lena").await, house.enter("ada").await);
    assert_eq!(house.get("/trail", &kim).await.status, StatusCode::FORBIDDEN);
    house.get("/queues/needs_you", &kim).await;
    let of_lead = house.get("/trail", &lena).await;
    assert!(of_lead.text.contains("saw a queue") && !of_lead.text.contains("signed in"), "{}", of_lead.text);
    assert!(house.get("/trail?user=kim", &ada).await.text.contains("signed in"));
}

#[tokio::test]
async fn files_are_shown_bare_played_or_only_downloaded() {
    let house = House::new();
    let photo = std::fs::read(crate::support::program::sample("photos/watch-striped-display.jpg")).unwrap();
    let encoded = |data: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, data);
    let part = |kind: &str, name: &str, data: &[u8]| {
        format!(
            "--b\r\nContent-Type: {kind}\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            encoded(data)
        )
    };
    let html = "<p>Hello</p><script>parent.document.title='in'</script><img src=http://tracker.example/p.gif>";
    let raw = format!(
        "From: Jo <jo@post.example>\r\nTo: after-sales@demo.example\r\nSubject: broken\r\nMessage-ID: <f@post.example>\r\n\
         Date: Mon, 23 Nov 2026 08:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/html\r\n\r\n{html}\r\n{}{}{}--b--\r\n",
        part("image/jpeg", "photo.jpg", &photo),
        part("text/html", "page.html", b"<script>alert(1)</script>"),
        part("video/mp4", "clip.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom and so on"),
    );
    let (case, letter) = house.letter(&raw);
    let cookie = house.enter("kim").await;
    let path = |rest: &str| format!("/cases/{}/letters/{letter}{rest}", case.id);
    let page = house.get(&format!("/cases/{}", case.id), &cookie).await;
    assert!(page.text.contains(&path("/files/0/small")) && page.text.contains("<video"), "{}", page.text);
    for (rest, kind, disposition) in [
        ("/files/0", "image/jpeg", ""),
        ("/files/0/small", "image/jpeg", ""),
        ("/files/1", "application/octet-stream", "attachment; filename=\"file-2.bin\""),
        ("/files/2", "video/mp4", ""),
    ] {
        let answer = house.get(&path(rest), &cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{rest}: {}", answer.text);
        assert_eq!((answer.header("content-type"), answer.header("content-disposition")), (kind, disposition));
        assert!(answer.header("content-security-policy").contains("sandbox"), "{rest}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert_eq!(house.get(&path("/files/9"), &cookie).await.status, StatusCode::NOT_FOUND);
    let whole = house.get(&path(""), &cookie).await;
    assert!(whole.text.contains("<iframe sandbox=\"\""));
    let framed = house.get(&path("/html"), &cookie).await;
    assert!(framed.text.contains("<p>Hello</p>") && !framed.text.contains("script"), "{}", framed.text);
    assert!(!framed.text.contains("tracker") && framed.header("content-security-policy").contains("sandbox"));
}
