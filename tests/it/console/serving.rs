//! How pages are served: what a long one costs, and that an open one keeps nobody waiting.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_is_let_go_when_the_daemon_ends() {
    let house = House::new();
    let cookie = house.enter("kim").await;
    let (desk, switch) = house.serve().await;
    let mut page = TcpStream::connect(desk.strip_prefix("http://").unwrap()).await.unwrap();
    let ask = format!("GET /live HTTP/1.1\r\nHost: desk.example\r\nCookie: {cookie}\r\n\r\n");
    page.write_all(ask.as_bytes()).await.unwrap();
    let mut told = Vec::new();
    while !String::from_utf8_lossy(&told).contains("event: counts") {
        assert!(page.read_buf(&mut told).await.unwrap() > 0, "{}", String::from_utf8_lossy(&told));
    }
    switch.send(true).unwrap();
    let rest = tokio::time::timeout(Duration::from_secs(30), page.read_to_end(&mut told)).await;
    rest.expect("it is ended").unwrap();
    // The stream was ended, as the last of its chunks says; one that is waited for is cut.
    assert!(told.ends_with(b"\r\n0\r\n\r\n"), "{}", String::from_utf8_lossy(&told));
}

/// Measures; run it by name.
#[tokio::test]
#[ignore = "a figure to look at"]
async fn a_case_of_thirty_letters() {
    let house = House::new();
    let claim =
        std::fs::read_to_string(crate::support::program::sample("mail/01-english-complete-repair.eml")).unwrap();
    let claim = String::from_utf8(aftersalesd::app::demo::with_photos(&claim)).unwrap();
    let first = claim.split("Message-ID: <").nth(1).and_then(|rest| rest.split('>').next()).unwrap().to_owned();
    let (case, _) = house.letter(&claim);
    for number in 1..30 {
        let id = format!("Message-ID: <{number}.again@mail.example>\r\nIn-Reply-To: <{first}>");
        let (again, _) = house.letter(&claim.replace(&format!("Message-ID: <{first}>"), &id));
        assert_eq!(again.id, case.id);
    }
    let cookie = house.enter("kim").await;
    let path = format!("/cases/{}", case.id);
    let mut took = Vec::new();
    for _ in 0..31 {
        let begun = Instant::now();
        let page = house.get(&path, &cookie).await;
        took.push(begun.elapsed());
        assert_eq!(page.text.matches("as it came").count(), 30);
    }
    let first = took.remove(0);
    took.sort();
    eprintln!(
        "30 letters with a photo each: first {first:?}, then {:?} at the median, {:?} at worst",
        took[15], took[29]
    );
}
