//! The desk as people use it: a daemon with a real mailbox and a real SMTP server, and a real browser.

use std::fs::File;
use std::time::Duration;

use aftersalesd::ports::Security;

use super::PASSWORD;
use crate::support::chromium::{Chromium, Tab};
use crate::support::dovecot::Dovecot;
use crate::support::post::{Draft, Reply};
use crate::support::program::{Daemon, Installation, await_that, keys, run};
use crate::support::smtpd::Smtpd;

/// A daemon with its servers, and a browser.
pub struct Shop {
    // Ended before the servers.
    _daemon: Daemon,
    mailbox: Dovecot,
    pub smtp: Smtpd,
    pub here: Installation,
    pub desk: String,
    chromium: Chromium,
}

impl Shop {
    pub fn open() -> Self {
        Self::with("")
    }

    /// With these further keys in `[delivery]`.
    pub fn with(delivery: &str) -> Self {
        let (mailbox, smtp) = (Dovecot::start(), Smtpd::start(Security::Tls, &["--login", "claims:secret"]));
        let console = "[policy]\napprove = [\"repair\"]\n[console]\nlisten = \"127.0.0.1:0\"\n";
        let here = Installation::new(
            &keys("imap", &mailbox.server(Security::Tls)),
            &(keys("smtp", &smtp.server(Some(("claims", "secret")))) + delivery),
            console,
        );
        here.write("password", format!("{PASSWORD}\n"));
        for name in ["kim", "lee"] {
            let mut command = here.command(&["users", "add", name]);
            command.stdin(File::open(here.path("password")).unwrap());
            let told = run(command);
            assert_eq!(told.code, Some(0), "{told:?}");
        }
        let daemon = here.start();
        daemon.await_log("the console is at http://");
        let log = daemon.log();
        let desk = log.split("the console is at ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        Self { _daemon: daemon, mailbox, smtp, here, desk, chromium: Chromium::start() }
    }

    pub fn post(&self, draft: &Draft<'_>) {
        self.mailbox.deliver(draft.raw().as_bytes());
    }

    /// Somebody who has signed in.
    pub fn person(&self, name: &str) -> Tab {
        super::signed_in(&self.chromium, &self.desk, name)
    }
}

/// Complete, so that nothing but a person's approval is missing.
pub fn claim<'a>(id: &'a str, from: &'a str) -> Draft<'a> {
    Draft {
        from,
        id,
        subject: "Stripes on the display, KS50001",
        body: "Hello,\n\nsince Sunday the display of my Tank T3 Ultra (order KS50001) shows coloured stripes as soon as I open \
               the app. The code on the box is 2000400001032. I restarted the watch and reset it, it did not help. A photo is \
               attached.\n\nPriya\n",
        answers: None,
        photos: &[("watch-striped-display.jpg", "stripes.jpg")],
    }
}

#[test]
fn a_queue_is_worked_by_keyboard_until_the_letter_is_at_the_mail_server() {
    let shop = Shop::open();
    let mut kim = shop.person("kim");
    assert!(kim.text().contains("Nothing here"), "{}", kim.text());
    shop.post(&claim("claim@example.net", "Priya Raman <priya@example.net>"));
    // The count comes by itself.
    kim.await_that("document.querySelector('[data-count=needs_you]').textContent === '1'");
    kim.follow(|kim| kim.press("1"));
    kim.press("j");
    kim.follow(|kim| kim.press("Enter"));
    assert!(kim.path().starts_with("/cases/AS-"), "{}", kim.path());
    let page = kim.text();
    for told in ["Stripes on the display", "a person to approve it", "KP-TKT3U-BK", "Issue RMA", "usable"] {
        assert!(page.contains(told), "{told} in\n{page}");
    }
    // The proposed letter is there before anybody has done anything.
    assert!(page.contains("your return is authorised"), "{page}");
    assert!(!shop.smtp.kept().iter().any(|kept| Reply::read(&kept.raw).text.contains("your return is authorised")));
    kim.await_that("[...document.images].every((image) => image.complete && image.naturalWidth > 0)");
    kim.follow(|kim| kim.press("a"));
    assert!(kim.path().ends_with("/act/approve"), "{}", kim.path());
    assert!(kim.text().contains("To priya@example.net"), "{}", kim.text());
    kim.follow(|kim| kim.press("Enter"));
    assert!(kim.text().contains("Done: Issue RMA"), "{}", kim.text());
    kim.await_that("document.querySelector('[data-count=rma_out]').textContent === '1'");
    let rma = shop.here.json(&["cases", "list", "--json"])[0]["rma"].as_str().unwrap().to_owned();
    let sent = || shop.smtp.kept().into_iter().find(|kept| Reply::read(&kept.raw).text.contains(&rma));
    await_that(Duration::from_secs(30), "the letter is at the mail server", || sent().is_some());
    assert!(sent().unwrap().envelope["to"].to_string().contains("priya@example.net"));
    assert!(kim.text().contains(&rma));
    // What was done is in the history, with the person's name, and in the trail.
    let shown = shop.here.ok(&["users", "trail", "--user", "kim"]).out;
    assert!(shown.contains("acted") && shown.contains("saw_case"), "{shown}");
}

#[test]
fn two_people_on_one_case_see_each_other_and_only_one_of_them_acts() {
    let shop = Shop::open();
    shop.post(&claim("claim@example.net", "Priya Raman <priya@example.net>"));
    let (mut kim, mut lee) = (shop.person("kim"), shop.person("lee"));
    for tab in [&mut kim, &mut lee] {
        tab.await_that("document.querySelector('[data-count=needs_you]').textContent === '1'");
        tab.follow(|tab| tab.press("1"));
        tab.press("j");
        tab.follow(|tab| tab.press("Enter"));
    }
    kim.await_that("document.getElementById('people').innerText.includes('lee')");
    lee.await_that("document.getElementById('people').innerText.includes('kim')");
    // Whoever leaves is no longer here.
    lee.follow(|lee| lee.press("1"));
    kim.await_that("document.getElementById('people').hidden");
    lee.go(&format!("{}{}", shop.desk, kim.path()));
    lee.follow(|lee| lee.press("a"));
    kim.follow(|kim| kim.press("a"));
    kim.follow(|kim| kim.press("Enter"));
    assert!(kim.text().contains("Done: Issue RMA"), "{}", kim.text());
    lee.follow(|lee| lee.press("Enter"));
    let told = lee.text();
    assert!(told.contains("Not done: the case has changed since you looked at it"), "{told}");
    assert!(told.contains("RMA K") && told.contains("kim,"), "{told}");
    // Back on the case, what happens meanwhile is told.
    lee.follow(|lee| lee.press("Escape"));
    kim.follow(|kim| kim.press("n"));
    kim.await_that("document.activeElement.name === 'text'");
    kim.type_in("called her");
    kim.follow(|kim| drop(kim.run("document.querySelector('[value=preview]').click()")));
    kim.follow(|kim| drop(kim.run("document.querySelector('[value=do]').click()")));
    lee.await_that("!document.getElementById('changed').hidden");
    lee.follow(|lee| drop(lee.run("document.querySelector('#changed a').click()")));
    assert!(lee.text().contains("note: called her"), "{}", lee.text());
}

#[test]
fn a_letter_full_of_script_does_nothing() {
    let shop = Shop::open();
    let attack = "<img src=x onerror=alert(1)><script>alert(2)</script><svg onload=alert(3)>";
    let raw = format!(
        "From: \"<script>alert(4)</script>\" <eve@example.net>\r\nTo: claims@example.com\r\n\
         Subject: {attack} \"' onmouseover=alert(5)\r\nMessage-ID: <eve@example.net>\r\n\
         Date: {}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
         <p>Which model is for diving? {attack} &lt;script&gt;alert(6)&lt;/script&gt;</p>\
         <a href=\"javascript:alert(7)\">here</a><img src=\"http://127.0.0.1:9/tracker.gif\">\
         <iframe src=\"javascript:alert(8)\"></iframe><base href=\"http://127.0.0.1:9/\"><style>@import url(http://127.0.0.1:9/x.css);</style>\
         <meta http-equiv=refresh content=\"0;url=http://127.0.0.1:9/\"><form action=http://127.0.0.1:9/><input autofocus onfocus=alert(9)></form>\r\n\
         --b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=\"<img src=x onerror=alert(10)>.html\"\r\n\r\n\
         <script>alert(11)</script>\r\n\
         --b\r\nContent-Type: image/svg+xml\r\nContent-Disposition: attachment; filename=a.svg\r\n\r\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(12)\"/>\r\n--b--\r\n",
        jiff::Zoned::now().strftime("%a, %d %b %Y %H:%M:%S %z")
    );
    shop.mailbox.deliver(raw.as_bytes());
    let mut kim = shop.person("kim");
    kim.await_that("document.querySelector('[data-count=needs_you]').textContent === '1'");
    kim.follow(|kim| kim.press("1"));
    kim.press("j");
    kim.follow(|kim| kim.press("Enter"));
    let case = kim.path();
    assert!(kim.text().contains("Which model is for diving?"), "{}", kim.text());
    // As it came, with its own layout.
    kim.follow(|kim| drop(kim.run("[...document.links].find((link) => link.textContent === 'as it came').click()")));
    kim.run("document.querySelector('main details').open = true");
    kim.await_that("document.querySelector('iframe').getBoundingClientRect().height > 100");
    let framed = kim.run("document.querySelector('iframe').src").as_str().unwrap().to_owned();
    // The frame alone, without the page around it.
    kim.go(&framed);
    assert!(kim.text().contains("Which model is for diving?"));
    kim.go(&format!("{}/search?q={}", shop.desk, "%3Cscript%3Ealert(13)%3C/script%3E"));
    kim.go(&format!("{}{case}?done=%3Cscript%3Ealert(14)%3C/script%3E", shop.desk));
    for noticed in kim.noticed() {
        let what = noticed.to_string();
        let method = noticed["method"].as_str().unwrap();
        assert_ne!(method, "Page.javascriptDialogOpening", "{what}");
        assert_ne!(method, "Runtime.exceptionThrown", "{what}");
        if let Some(url) = noticed["params"]["request"]["url"].as_str() {
            assert!(url.starts_with(&shop.desk), "a request went elsewhere: {what}");
        }
        // A complaint of the policy would mean that something got as far as that.
        assert!(!what.contains("Content Security Policy"), "{what}");
    }
}
