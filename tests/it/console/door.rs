//! Who comes in, and where forms come from.

use aftersalesd::domain::account::Deed;

use super::*;

#[tokio::test]
async fn nothing_is_shown_before_one_is_in() {
    let house = House::new();
    let (case, letter) = house.claim();
    for path in [
        "/".to_owned(),
        "/queues/needs_you".to_owned(),
        "/search?q=greta".to_owned(),
        format!("/cases/{}", case.id),
        format!("/cases/{}/act/note", case.id),
        format!("/cases/{}/letters/{letter}", case.id),
        format!("/cases/{}/letters/{letter}/html", case.id),
        format!("/cases/{}/letters/{letter}/files/0", case.id),
        format!("/cases/{}/letters/{letter}/files/0/small", case.id),
        "/live".to_owned(),
        "/health".to_owned(),
        "/trail".to_owned(),
    ] {
        let answer = house.get(&path, "desk=0123456789abcdef").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(answer.header("location").starts_with("/login?next=/"), "{path}: {}", answer.header("location"));
        assert!(!answer.text.contains("greta"), "{path}");
    }
    for (path, expected) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = house.get(path, "").await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, expected));
    }
}

#[tokio::test]
async fn name_and_password_open_and_a_session_ends_when_it_should() {
    let house = House::new();
    let cookie = house.enter("kim").await;
    let shown = house.get("/queues/needs_you", &cookie).await;
    assert_eq!(shown.status, StatusCode::OK);
    let token = shown.quoted("name=\"token\" value=\"");
    // Signed out, the same cookie opens nothing.
    assert_eq!(house.post("/logout", &cookie, &format!("token={token}")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(house.get("/queues/needs_you", &cookie).await.status, StatusCode::SEE_OTHER);
    // Disabled, or with a new password, likewise.
    for disabled in [true, false] {
        let cookie = house.enter("kim").await;
        let kim = AccountName::new("kim").unwrap();
        let account = house.office.store.account(&kim).unwrap().unwrap();
        let changed_at = Timestamp::now();
        house.office.store.keep_account(&Account { disabled, changed_at, ..account.clone() }).unwrap();
        assert_eq!(house.get("/", &cookie).await.status, StatusCode::SEE_OTHER);
        if disabled {
            let form = format!("name=kim&password={}", PASSWORD.replace(' ', "+"));
            assert_eq!(house.post("/login", "", &form).await.status, StatusCode::UNAUTHORIZED);
        }
        house.office.store.keep_account(&account).unwrap();
    }
    let deeds: Vec<Deed> = house.trail().iter().rev().map(|trace| trace.what).collect();
    assert_eq!(
        deeds,
        [Deed::SignedIn, Deed::SawQueue, Deed::SignedOut, Deed::SignedIn, Deed::SignInFailed, Deed::SignedIn]
    );
}

#[tokio::test]
async fn an_idle_session_is_over() {
    let house = House::new();
    let cookie = house.enter("kim").await;
    let store = &house.office.store;
    let export = |store: &Store| {
        let mut lines = Vec::new();
        store.export(&mut lines).unwrap();
        String::from_utf8(lines).unwrap()
    };
    // Tokens are kept as digests, and sessions are in no export.
    let token = cookie.split('=').nth(1).unwrap();
    assert_eq!(token.len(), 64);
    let kept = export(store);
    assert!(!kept.contains(token) && !kept.contains("\"table\":\"sessions\"") && kept.contains("$argon2id$"));
    let digest: String = {
        use sha2::Digest;
        sha2::Sha256::digest(format!("session {token}")).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let session = store.session(&digest).unwrap().unwrap();
    let old = Timestamp::now() - SignedDuration::from_hours(13);
    let idle = aftersalesd::domain::account::Session { used_at: old, ..session.clone() };
    store.keep_session(&digest, &idle, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(house.get("/health", &cookie).await.status, StatusCode::SEE_OTHER);
    assert_eq!(store.session(&digest).unwrap(), None);
}

#[tokio::test]
async fn wrong_names_and_passwords_are_told_apart_by_nobody_and_are_slowed_down() {
    let house = House::new();
    let wrong = house.post("/login", "", "name=kim&password=not+the+password").await;
    let nobody = house.post("/login", "", "name=nobody&password=not+the+password").await;
    assert_eq!((wrong.status, nobody.status), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    assert_eq!(wrong.text.replace("kim", "nobody"), nobody.text);
    assert!(wrong.header("set-cookie").is_empty());
    for _ in 0..9 {
        house.post("/login", "", "name=kim&password=not+the+password").await;
    }
    // Now even the right one has to wait; others have not.
    let form = format!("name=kim&password={}", PASSWORD.replace(' ', "+"));
    let locked = house.post("/login", "", &form).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(locked.text.contains("Try again in 15 minutes"), "{}", locked.text);
    house.account("lee", Role::Agent);
    house.enter("lee").await;
    // A name that there is not may be a password.
    let trail = house.trail();
    assert!(trail.iter().all(|trace| trace.who.as_deref() != Some("nobody")));
    assert_eq!(trail.iter().filter(|trace| trace.what == Deed::SignInFailed).count(), 11);
}

#[tokio::test]
async fn forms_of_other_sites_and_other_sessions_do_nothing() {
    let house = House::new();
    let (case, _) = house.claim();
    let cookie = house.enter("kim").await;
    let path = format!("/cases/{}/act/note", case.id);
    let page = house.get(&path, &cookie).await;
    let token = page.quoted("name=\"token\" value=\"");
    let form = format!("token={token}&version={}&text=hello&step=preview", case.version);
    let request = |origin: Option<&'static str>, site: Option<&'static str>| {
        let mut request = Request::post(&path)
            .header(HOST, "desk.example")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, &cookie);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        request.body(Body::from(form.clone())).unwrap()
    };
    for (origin, site) in [
        (None, None),
        (Some("https://evil.example"), None),
        (Some("null"), None),
        (None, Some("cross-site")),
        (Some("http://desk.example"), Some("same-site")),
    ] {
        assert_eq!(house.send(request(origin, site)).await.status, StatusCode::FORBIDDEN, "{origin:?} {site:?}");
    }
    assert_eq!(house.send(request(None, Some("same-origin"))).await.status, StatusCode::OK);
    // Another session's form.
    let forged = house.post(&path, &house.enter("kim").await, &form).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert_eq!(house.office.store.case(&case.id).unwrap().unwrap().version, case.version);
}

#[tokio::test]
async fn every_answer_says_what_a_browser_may_do() {
    let house = House::with(true);
    let (case, letter) = house.claim();
    let cookie = house.enter("kim").await;
    assert!(cookie.starts_with("__Host-desk="));
    let form = format!("name=kim&password={}", PASSWORD.replace(' ', "+"));
    let entered = house.post("/login", "", &form).await;
    let set = entered.header("set-cookie");
    for word in ["Path=/", "HttpOnly", "SameSite=Strict", "Secure"] {
        assert!(set.contains(word), "{set}");
    }
    assert!(!set.contains("Domain"));
    for path in [
        "/login".to_owned(),
        "/queues/needs_you".to_owned(),
        format!("/cases/{}", case.id),
        format!("/cases/{}/letters/{letter}", case.id),
        "/nowhere".to_owned(),
        "/queues/nowhere".to_owned(),
    ] {
        let answer = house.get(&path, &cookie).await;
        let policy = answer.header("content-security-policy");
        for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        let told = ["x-content-type-options", "referrer-policy", "cache-control", "cross-origin-opener-policy"];
        assert_eq!(
            told.map(|name| answer.header(name)),
            ["nosniff", "no-referrer", "no-store", "same-origin"],
            "{path}"
        );
        assert!(
            answer.header("permissions-policy").contains("camera=()")
                && answer.header("strict-transport-security").contains("max-age")
        );
        // No script and no style but ours.
        assert!(
            !answer.text.contains("<style") && !answer.text.contains(" style=") && !answer.text.contains("onclick")
        );
        assert_eq!(answer.text.matches("<script").count(), answer.text.matches("<script src=\"/static/").count());
    }
    let page = house.get("/login", "").await;
    let style = house.get(&page.quoted("rel=\"stylesheet\" href=\""), "").await;
    assert_eq!((style.status, style.header("content-type")), (StatusCode::OK, "text/css; charset=utf-8"));
    assert!(style.header("cache-control").contains("immutable"));
}

#[tokio::test]
async fn numbers_are_for_this_machine_and_tell_of_nobody() {
    let house = House::new();
    house.claim();
    let told = house.get("/metrics", "").await;
    assert_eq!(told.status, StatusCode::OK);
    assert!(told.text.contains("aftersalesd_letters_total{class=\"customer\"} 1\n"), "{}", told.text);
    assert!(told.text.contains("aftersalesd_queue{queue=\"needs_you\"} 1\n"));
    assert!(!told.text.contains("greta") && !told.text.contains('@'));
    let proxied = Request::get("/metrics").header("x-forwarded-for", "203.0.113.7").body(Body::empty()).unwrap();
    assert_eq!(house.send(proxied).await.status, StatusCode::NOT_FOUND);
    // Without a store there are no pages, but who asks is told why.
    house.premises.close("on purpose");
    assert_eq!(house.get("/readyz", "").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(house.get("/healthz", "").await.status, StatusCode::OK);
    assert!(house.get("/metrics", "").await.text.contains("aftersalesd_store_open 0\n"));
    assert_eq!(house.get("/queues/needs_you", "desk=0").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn too_large_a_form_is_refused() {
    let house = House::new();
    let (case, _) = house.claim();
    let cookie = house.enter("kim").await;
    let form = format!("text={}", "x".repeat(300 << 10));
    let answer = house.post(&format!("/cases/{}/act/note", case.id), &cookie, &form).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}
