use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::pipeline::parse;

static STRIPPER: LazyLock<Stripper> = LazyLock::new(|| Stripper::new(&Lexicons::embedded().unwrap()));

fn read(subject: &str, kind: &str, body: &str) -> Words {
    let mail = format!(
        "From: Jo <jo@example.net>\nTo: after-sales@example.com\nSubject: {subject}\n\
         Content-Type: text/{kind}; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}"
    );
    STRIPPER.words(&parse::letter(mail.as_bytes(), false))
}

fn plain(body: &str) -> Words {
    read("Re: My watch", "plain", body)
}

fn html(body: &str) -> Words {
    read("Re: My watch", "html", body)
}

/// Compared without regard to white space.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of `got` that stand in both, in order, as a share of the longer one.
fn likeness(got: &str, expected: &str) -> f64 {
    let (a, b): (Vec<&str>, Vec<&str>) = (got.split_whitespace().collect(), expected.split_whitespace().collect());
    let mut row = vec![0_usize; b.len() + 1];
    for x in &a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    if a.is_empty() && b.is_empty() { 1.0 } else { row[b.len()] as f64 / a.len().max(b.len()) as f64 }
}

#[test]
fn real_replies_are_found() {
    let root = Path::new("../shared/corpora"); // cargo runs tests in the project root
    let Ok(pairs) = fs::read_to_string(root.join("quote_pairs.tsv")) else { return };
    let mut table: BTreeMap<(String, String), (usize, usize, usize)> = BTreeMap::new();
    for line in pairs.lines().skip(1) {
        let [corpus, _, email, expected, kind, _] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let raw = fs::read(root.join(email)).unwrap();
        let expected = String::from_utf8_lossy(&fs::read(root.join(expected)).unwrap()).into_owned();
        let letter = if email.ends_with(".eml") || corpus == "quagga-enron" {
            parse::letter(&raw, false)
        } else {
            let kind = if email.ends_with(".html") { "html" } else { "plain" };
            let head = format!("From: a@example.net\nContent-Type: text/{kind}; charset=utf-8\n\n");
            parse::letter(&[head.as_bytes(), &raw].concat(), false)
        };
        let words = STRIPPER.words(&letter);
        let got = match kind {
            "reply" | "no-signature" => words.text.clone(),
            "reply+sig" => format!("{}\n{}", words.text, words.signature),
            _ => continue,
        };
        let (got, expected) = (squeeze(&got), squeeze(&expected));
        let like = likeness(&got, &expected);
        let entry = table.entry((corpus.to_owned(), kind.to_owned())).or_default();
        entry.0 += 1;
        entry.1 += usize::from(got == expected);
        entry.2 += usize::from(like >= 0.9);
        if like < 0.9 {
            println!("--- {kind} {email} {like:.2}\ngot:      {:.600}\nexpected: {:.600}", got, expected);
        }
    }
    let mut near = (0, 0);
    for ((corpus, kind), (all, exact, like)) in &table {
        println!("{corpus:22} {kind:13} {all:4} exact {exact:4} near {like:4}");
        if kind.starts_with("reply") {
            near = (near.0 + like, near.1 + all);
        }
    }
    println!("near: {} of {}", near.0, near.1);
    assert!(near.0 * 100 >= near.1 * 70, "{near:?}");
}
