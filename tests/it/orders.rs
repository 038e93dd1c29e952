//! Orders that a shop is asked for: what it knows is used as the feed's is, and what it can't say goes to a person.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::{ToSpan, Zoned};
use serde_json::{Value, json};

use crate::reload::{BEGINNING, PHOTO, REST, claim};
use crate::support::http::{Request, ask};
use crate::support::post::Reply;
use crate::support::program::{Installation, await_that};
use crate::support::shop::{Say, Shop};

const PATIENCE: Duration = Duration::from_secs(60);

/// An installation that asks this shop, with these further keys.
fn of(shop: &Shop, keys: &str) -> Installation {
    let here = Installation::of_maildirs();
    let table = format!(
        "[orders.http]\nurl = \"http://127.0.0.1:{}/orders?of=watches\"\ntoken = \"sesame\"\n{keys}",
        shop.port
    );
    here.replace("[orders]\nfile = \"orders.csv\"\n", &table);
    here
}

fn whole(name: &str, order: &str) -> String {
    claim(name, order, &format!("{BEGINNING}{REST}"), PHOTO)
}

/// An order of these people, received 100 days ago.
fn order(number: &str, emails: &[&str]) -> Value {
    let day = Zoned::now().date().checked_sub(100.days()).unwrap();
    json!({"orders": [{"number": number, "emails": emails, "country": "DE", "lines": [
        {"sku": "KP-TKT3U-BK", "quantity": 1, "delivered_on": day}, {"sku": "KP-MG5-SV", "delivered_on": null},
    ]}]})
}

fn number(request: &Request) -> String {
    request.line.rsplit_once("number=").map(|(_, number)| number.to_owned()).unwrap_or_default()
}

fn case_of(here: &Installation, order: &str) -> Value {
    here.json(&["cases", "show", order, "--json"]).remove(0)
}

/// The reasons of its last decision.
fn reasons(case: &Value) -> Vec<String> {
    let reasons = case["reasons"].as_array().unwrap();
    reasons.iter().map(|reason| reason.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_the_shop_knows_is_used_and_what_it_can_not_say_goes_to_a_person() {
    let shop = Shop::start(|request| {
        let of = |emails: &[&str]| Say::json(order(&number(request), emails));
        match number(request).as_str() {
            _ if !request.head.to_ascii_lowercase().contains("\r\nauthorization: bearer sesame\r\n") => {
                Say::status(401)
            }
            "KS51001" => of(&["a.work@example.com", "ann@example.net"]),
            "KS51002" | "CHECK-0" => Say::status(404),
            "KS51003" => of(&["somebody.else@example.net"]),
            "KS51004" => Say::Silence,
            "KS51005" => Say::status(500),
            "KS51006" => Say::json("{\"orders\": [{\"number\": "),
            "KS51007" => Say::json(format!("{{\"orders\": [], \"more\": \"{}\"}}", "x".repeat(1 << 20))),
            "KS51008" => Say::Answer(302, "Location: /orders?number=KS51001\r\n".to_owned(), Vec::new()),
            "KS51009" => {
                let mut told = order("KS51009", &["ian@example.net"]);
                told["orders"][0]["lines"] = json!([{"sku": "KP-TKT3U-BK", "day_unknown": true}]);
                Say::json(told)
            }
            other => panic!("{other}: {request:?}"),
        }
    });
    let here = of(&shop, "timeout = \"1s\"\nwait = \"10s\"\n");
    let checked = here.ok(&["check"]);
    assert!(checked.out.contains("orders         answered"), "{}", checked.out);

    let rma = Reply::read(&here.say(&whole("ann", "KS51001"))[0]);
    assert!(rma.subject.contains("RMA") || rma.text.contains("KR-"), "{rma:?}");
    let case = case_of(&here, "KS51001");
    assert_eq!(case["state"], "rma_issued", "{case:#}");
    assert_eq!(case["facts"]["received_on"], order("", &[])["orders"][0]["lines"][0]["delivered_on"], "{case:#}");
    assert_eq!(shop.asked().iter().filter(|request| number(request) == "KS51001").count(), 1, "asked once");
    assert!(shop.asked()[0].line.starts_with("GET /orders?of=watches&number="), "{:?}", shop.asked()[0]);

    // Unknown: the number is asked for, the second time a person looks.
    assert_eq!(here.say(&whole("ben", "KS51002")).len(), 1);
    let case = case_of(&here, "KS51002");
    assert_eq!((&case["state"], &case["missing"][0]), (&"awaiting_info".into(), &"order_number".into()), "{case:#}");

    // Somebody else's: its writer learns nothing of it.
    let told = Reply::read(&here.say(&whole("cid", "KS51003"))[0]);
    assert!(!told.text.contains("somebody") && !told.text.contains("KR-"), "{}", told.text);
    assert_eq!(reasons(&case_of(&here, "KS51003")), ["sender_mismatch"]);

    for (name, order, tries) in [
        ("dan", "KS51004", 3),
        ("eve", "KS51005", 3),
        ("fay", "KS51006", 1),
        ("guy", "KS51007", 3),
        ("hal", "KS51008", 1),
    ] {
        let told = here.say(&whole(name, order));
        assert_eq!(told.len(), 1, "{order}: acknowledged");
        let case = case_of(&here, order);
        assert_eq!(
            (reasons(&case), &case["state"]),
            (vec!["order_unverified".to_owned()], &"with_staff".into()),
            "{order}"
        );
        assert!(case["rma"].is_null() && !Reply::read(&told[0]).text.contains("KR-"), "{order}");
        assert_eq!(shop.count(&format!("number={order}")), tries, "{order}");
    }
    assert_eq!(shop.count("KS51001"), 1, "no redirect is followed");

    // It can't tell the day: the customer is asked, or believed.
    here.say(&whole("ian", "KS51009"));
    let case = case_of(&here, "KS51009");
    assert!(reasons(&case).is_empty(), "{case:#}");

    // A letter without a number asks nothing; nor does a dry run.
    let before = shop.asked().len();
    here.say(
        "From: Joe <joe@example.net>\r\nSubject: watch\r\nMessage-ID: <n@x.example>\r\n\r\nMy watch is broken.\r\n",
    );
    here.write("dry.eml", whole("ann", "KS51001"));
    here.ok(&["triage", "--json", here.path("dry.eml").to_str().unwrap()]);
    assert_eq!(shop.asked().len(), before);

    // Without a daemon a command has no token: a person is told that it could not be looked up.
    let id = case_of(&here, "KS51005")["case"].as_str().unwrap().to_owned();
    here.ok(&["cases", "act", &id, "correct order_number KS51001"]);
    assert_eq!(shop.asked().len(), before);
    assert!(here.ok(&["cases", "explain", &id]).out.contains("could not be looked up"));
    here.ok(&["verify"]);

    // Another token: nobody asks for long, and staff hear of it.
    here.replace("token = \"sesame\"", "token = \"Simsalabim\"");
    let wrong = here.run(&["check"]);
    assert!(wrong.code == Some(78) && wrong.err.contains("the token is not accepted"), "{wrong:?}");
    assert!(!wrong.err.contains("Simsalabim"));
    here.say(&whole("kim", "KS51010"));
    assert_eq!(reasons(&case_of(&here, "KS51010")), ["order_unverified"]);
}

#[test]
fn a_shop_that_fails_is_left_alone_for_a_while_and_holds_up_nobody() {
    let sound = Arc::new(AtomicBool::new(false));
    let script = Arc::clone(&sound);
    let shop = Shop::start(move |request| match script.load(Ordering::SeqCst) {
        true => Say::json(order(&number(request), &["jo@example.net"])),
        false => Say::status(500),
    });
    let here = of(&shop, "timeout = \"1s\"\nwait = \"2s\"\npause = \"1h\"\n");
    here.replace("path = \"inbox\"", "path = \"inbox\"\npoll_interval = \"1s\"");
    let config = std::fs::read_to_string(here.path("config.toml")).unwrap();
    here.write("config.toml", config + "[limits]\nreplies_per_sender = 100\n[console]\nlisten = \"127.0.0.1:0\"\n");
    let daemon = here.start();
    let deliver = |count: usize| {
        let order = format!("KS520{count:02}");
        here.deliver(&format!("{count}.host"), whole("jo", &order).as_bytes());
        await_that(PATIENCE, &order, || here.run(&["cases", "show", &order, "--json"]).code == Some(0));
        case_of(&here, &order)
    };
    for count in 0..3 {
        assert_eq!(reasons(&deliver(count)), ["order_unverified"]);
    }
    // The shop is well again, but it is not asked yet.
    sound.store(true, Ordering::SeqCst);
    let asked = shop.asked().len();
    assert_eq!(reasons(&deliver(3)), ["order_unverified"]);
    assert_eq!(shop.asked().len(), asked);
    let status = here.json(&["status", "--json"]).remove(0);
    let orders = &status["orders"];
    assert_eq!((&orders["failed"], &orders["not_asked"], &orders["paused"]), (&3.into(), &1.into(), &true.into()));
    assert!(here.ok(&["status"]).out.contains("orders     not asked for a pause"), "{status:#}");
    let notices = here.ok(&["cases", "notices"]).out;
    assert!(notices.contains("orders can't be looked up"), "{notices}");
    let log = daemon.log();
    let address = log.split("the console is at http://").nth(1).unwrap().split_whitespace().next().unwrap();
    let metrics = ask(address, "GET", "/metrics", &[], b"").text();
    for line in ["aftersalesd_order_look_ups_total{outcome=\"failed\"} 3", "aftersalesd_order_look_ups_paused 1"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    // A reload begins anew with the shop. With a pause that is over, one look-up tries, and from then on all are asked.
    sound.store(false, Ordering::SeqCst);
    here.replace("pause = \"1h\"", "pause = \"100ms\"");
    here.ok(&["reload"]);
    assert_eq!(here.json(&["status", "--json"])[0]["orders"]["paused"], false);
    for count in 4..8 {
        assert_eq!(reasons(&deliver(count)), ["order_unverified"]);
    }
    sound.store(true, Ordering::SeqCst);
    let mut count = 8;
    await_that(PATIENCE, "an RMA", || {
        count += 1;
        deliver(count)["state"] == "rma_issued"
    });
    assert_eq!(here.json(&["status", "--json"])[0]["orders"]["paused"], false);
    // Staff put right what could not be looked up: it is decided anew.
    let id = case_of(&here, "KS52000")["case"].as_str().unwrap().to_owned();
    here.ok(&["cases", "act", &id, "correct order_number KS52000"]);
    let case = case_of(&here, &id);
    assert!(!reasons(&case).contains(&"order_unverified".to_owned()), "{case:#}");
    here.ok(&["verify"]);
}

#[test]
fn what_the_shop_will_not_say_of_one_order_is_no_outage() {
    let shop = Shop::start(|request| match number(request).as_str() {
        "KS54001" => Say::status(400),
        "KS54002" => Say::status(422),
        "KS54003" => Say::json(json!({"orders": [{"number": "KS54003", "emails": "ann@example.net"}]})),
        other => Say::json(order(other, &["ann@example.net"])),
    });
    let here = of(&shop, "pause = \"1h\"\n");
    let checked = |answer: &str| here.ok(&["check"]).out.contains(answer);
    assert!(checked("it says that there is an order CHECK-0"));
    for order in ["KS54001", "KS54002", "KS54003", "KS54004"] {
        here.deliver(&format!("{order}.host"), whole("ann", order).as_bytes());
    }
    let _daemon = here.start();
    await_that(PATIENCE, "the last letter", || here.run(&["cases", "show", "KS54004", "--json"]).code == Some(0));
    for order in ["KS54001", "KS54002", "KS54003"] {
        assert_eq!(reasons(&case_of(&here, order)), ["order_unverified"]);
    }
    assert_eq!(case_of(&here, "KS54004")["state"], "rma_issued");
    let orders = &here.json(&["status", "--json"])[0]["orders"];
    assert_eq!((&orders["unclear"], &orders["failed"], &orders["paused"]), (&3.into(), &0.into(), &false.into()));
}

#[test]
fn the_next_letter_asks_anew_once_an_answer_is_no_longer_fresh() {
    let shop = Shop::start(|request| Say::json(order(&number(request), &["ann@example.net"])));
    let here = of(&shop, "cache = \"0s\"\n");
    here.replace("path = \"inbox\"", "path = \"inbox\"\npoll_interval = \"1s\"");
    let _daemon = here.start();
    for (letter, name) in ["ann", "ben", "cid"].iter().enumerate() {
        here.deliver(&format!("{letter}.host"), whole(name, "KS54001").as_bytes());
        await_that(PATIENCE, name, || here.replies().len() == letter + 1);
        assert_eq!(shop.count("KS54001"), letter + 1, "{name}");
    }
}

#[test]
fn a_stop_does_not_wait_for_a_slow_shop_and_the_letters_come_again() {
    let sound = Arc::new(AtomicBool::new(false));
    let script = Arc::clone(&sound);
    let shop = Shop::start(move |request| match script.load(Ordering::SeqCst) {
        true => Say::json(order(&number(request), &["ann@example.net"])),
        false => Say::Silence,
    });
    let here = of(&shop, "timeout = \"50s\"\nwait = \"50s\"\n");
    here.deliver("1.host", whole("ann", "KS54001").as_bytes());
    let mut daemon = here.start();
    await_that(PATIENCE, "the shop is asked", || shop.count("KS54001") == 1);
    let begun = Instant::now();
    assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert!(here.json(&["cases", "list", "--json"]).is_empty());
    sound.store(true, Ordering::SeqCst);
    here.ok(&["once"]);
    assert_eq!(case_of(&here, "KS54001")["state"], "rma_issued");
    here.ok(&["verify"]);
}

#[test]
fn what_waits_for_an_order_that_the_shop_does_not_know_gets_no_rma_by_a_new_catalogue() {
    let shop = Shop::start(|_| Say::status(404));
    let here = of(&shop, "");
    let day = Zoned::now().date().checked_sub(60.days()).unwrap();
    let body = format!(
        "Good morning,\n\nsince Sunday my watch goes from full to empty within three hours while it lies on my desk with the \
         display off. I reset it once, no change. I received it on {day}. The item code is 4006381333931. A photo is \
         attached.\n"
    );
    assert_eq!(here.say(&claim("ann", "KS51002", &body, PHOTO)).len(), 1);
    let case = case_of(&here, "KS51002");
    assert_eq!(
        (&case["state"], &case["missing"]),
        (&"awaiting_info".into(), &json!(["order_number", "sku"])),
        "{case:#}"
    );
    let products = std::fs::read_to_string(here.path("products.csv")).unwrap();
    here.write("products.csv", format!("{}\nKP-NEW-BK,NEWCOMER black,,4006381333931,24\n", products.trim_end()));
    here.ok(&["once"]);
    let case = case_of(&here, "KS51002");
    assert_eq!((&case["state"], &case["rma"]), (&"awaiting_info".into(), &Value::Null), "{case:#}");
}

#[test]
fn what_is_wrong_about_a_shop_is_told_at_the_start() {
    let shop = Shop::start(|_| Say::status(404));
    for (old, new, told) in [
        ("http://127.0.0.1", "http://192.0.2.7", "http:// is for loopback addresses only"),
        ("http://127.0.0.1", "ftp://127.0.0.1", "expected https://"),
        ("token = \"sesame\"", "token = \"open sesame\"", "holds what no token does"),
        ("token = \"sesame\"", "", "AFTERSALESD_ORDERS_TOKEN"),
        ("token = \"sesame\"", "token_file = \"none\"", "cannot be read"),
        ("url = ", "uri = ", "url: is missing"),
        ("[orders.http]", "[orders]\nfile = \"orders.csv\"\n[orders.http]", "orders come from one place only"),
        ("wait = \"5s\"", "wait = \"1s\"", "timeout: is longer than wait"),
    ] {
        let here = of(&shop, "timeout = \"3s\"\nwait = \"5s\"\n");
        here.replace(old, new);
        let checked = here.run(&["check", "--offline"]);
        assert!(checked.code == Some(78) && checked.err.contains(told), "{new}: {checked:?}");
    }
    let here = of(&shop, "");
    assert!(here.ok(&["check", "--offline"]).out.contains(&format!("asked of http://127.0.0.1:{}", shop.port)));
    assert!(shop.asked().is_empty());
}

/// As Shopify's Admin API answers.
fn shopify(name: &str, scopes: &[&str]) -> Value {
    let day = Zoned::now().date().checked_sub(100.days()).unwrap();
    let scopes: Vec<Value> = scopes.iter().map(|handle| json!({"handle": handle})).collect();
    json!({"data": {
        "orders": {"nodes": [{
            "name": name, "email": "Ann@Example.net", "createdAt": format!("{day}T08:00:00Z"), "customer": null,
            "shippingAddress": {"countryCodeV2": "DE"},
            "lineItems": {"nodes": [{"id": "gid://shopify/LineItem/1", "sku": "KP-TKT3U-BK", "currentQuantity": 1}],
                "pageInfo": {"hasNextPage": false}},
            "fulfillments": [{"deliveredAt": format!("{day}T12:00:00Z"), "displayStatus": "DELIVERED",
                "fulfillmentLineItems": {"nodes": [{"lineItem": {"id": "gid://shopify/LineItem/1"}}],
                    "pageInfo": {"hasNextPage": false}}}],
        }], "pageInfo": {"hasNextPage": false}},
        "currentAppInstallation": {"accessScopes": scopes},
    }})
}

#[test]
fn a_shop_at_shopify_is_asked_by_name_and_what_it_hides_is_not_unknown() {
    let throttled = Arc::new(AtomicBool::new(false));
    let was_throttled = Arc::clone(&throttled);
    let all_orders = Arc::new(AtomicBool::new(false));
    let may_read_all = Arc::clone(&all_orders);
    let shop = Shop::start(move |request| {
        let head = request.head.to_ascii_lowercase();
        if !head.contains("\r\nx-shopify-access-token: shpat_sesame\r\n") {
            let refused = br#"{"errors":"[API] Invalid API key or access token"}"#.to_vec();
            return Say::Answer(401, String::new(), refused);
        }
        let scopes: &[&str] =
            if may_read_all.load(Ordering::SeqCst) { &["read_orders", "read_all_orders"] } else { &["read_orders"] };
        let asked: Value = serde_json::from_str(&request.body).unwrap();
        let told = match asked["variables"]["name"].as_str().unwrap() {
            "name:\"KS53001\"" if !was_throttled.swap(true, Ordering::SeqCst) => json!({
                "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
                "extensions": {"cost": {"requestedQueryCost": 102, "actualQueryCost": null, "throttleStatus":
                    {"maximumAvailable": 1000.0, "currentlyAvailable": 82, "restoreRate": 50.0}}},
            }),
            "name:\"KS53001\"" => shopify("#KS53001", scopes),
            // The search finds what is alike, too.
            _ => shopify("#KS53001-A", scopes),
        };
        Say::Answer(200, "X-Shopify-API-Version: 2027-01\r\n".to_owned(), told.to_string().into_bytes())
    });
    let here = Installation::of_maildirs();
    here.replace(
        "[orders]\nfile = \"orders.csv\"\n",
        &format!("[orders.shopify]\nshop = \"http://127.0.0.1:{}\"\ntoken = \"shpat_sesame\"\n", shop.port),
    );
    let checked = here.ok(&["check"]).out;
    assert!(
        checked.contains("read_all_orders") && checked.contains("2026-10 was asked for, 2027-01 answered"),
        "{checked}"
    );
    assert!(shop.asked()[0].line.ends_with("POST /admin/api/2026-10/graphql.json"), "{:?}", shop.asked()[0]);

    assert_eq!(here.say(&whole("ann", "KS53001")).len(), 1);
    let case = case_of(&here, "KS53001");
    assert_eq!((&case["state"], shop.count("KS53001")), (&"rma_issued".into(), 2), "{case:#}");

    // It may be an old one.
    here.say(&whole("ben", "KS53002"));
    assert_eq!(reasons(&case_of(&here, "KS53002")), ["order_unverified"]);
    all_orders.store(true, Ordering::SeqCst);
    assert!(!here.ok(&["check"]).out.contains("read_all_orders"));
    here.say(&whole("cid", "KS53003"));
    let case = case_of(&here, "KS53003");
    assert_eq!((&case["state"], &case["missing"][0]), (&"awaiting_info".into(), &"order_number".into()), "{case:#}");

    for (old, new, told) in [
        ("shpat_sesame", "shpat_x", "the token is not accepted"),
        ("[orders.shopify]\n", "[orders.shopify]\napi_version = \"2026-11\"\n", "expected a version as"),
        ("shop = \"http://127.0.0.1", "shop = \"http://192.0.2.7", "http:// is for loopback addresses only"),
        ("shop = \"http://", "shop = \"", "expected the"),
    ] {
        here.replace(old, new);
        let checked = here.run(&["check"]);
        assert!(checked.code == Some(78) && checked.err.contains(told), "{new}: {checked:?}");
        here.replace(new, old);
    }
}
