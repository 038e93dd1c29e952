//! Who wrote a mail that somebody passes on as text.

use super::Stripper;
use super::heads::{FROM, Heads, SUBJECT};
use super::lines::{Line, Place};
use crate::domain::ids::Address;
use crate::domain::letter::Person;

/// A passed-on mail as its header block tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub writer: Person,
    pub subject: String,
    pub text: String,
}

/// The title and blank lines above a header block.
const ABOVE: usize = 6;

impl Stripper {
    /// The writer, subject and text of one of [`Words::forwarded`](super::Words::forwarded); `None`: its header block
    /// names no address, or several.
    pub fn origin(&self, passed_on: &str) -> Option<Origin> {
        let heads = self.quotes.heads();
        let lines: Vec<Line> = passed_on.lines().map(|line| Line::new(line.to_owned(), Place::Own)).collect();
        let (start, end) = (0..ABOVE.min(lines.len())).find_map(|i| Some((i, heads.block(&lines, i)?.0)))?;
        let block = lines.get(start..=end)?;
        let writer = person(&value(heads, block, FROM)?)?;
        let subject = value(heads, block, SUBJECT).unwrap_or_default();
        let below = lines.iter().skip(end + 1).map(|line| line.text.as_str());
        Some(Origin { writer, subject, text: below.collect::<Vec<_>>().join("\n") })
    }
}

/// What stands behind a label, with the lines that it is wrapped over.
fn value(heads: &Heads, block: &[Line], kind: u8) -> Option<String> {
    let labelled = |line: &&Line| line.text.split_once([':', '：']).is_some_and(|(label, _)| label.len() < 20);
    let at = block.iter().position(|line| heads.label(&line.text) & kind != 0)?;
    let (_, first) = block.get(at)?.text.split_once([':', '：'])?;
    let more = block.iter().skip(at + 1).take_while(|line| !labelled(line)).map(|line| line.text.as_str());
    let whole: Vec<&str> = std::iter::once(first).chain(more).map(|line| line.trim_matches(['*', ' ', '\t'])).collect();
    Some(whole.join(" ").trim().to_owned())
}

/// `Jo Miller <jo@example.net>`, `Jo Miller [mailto:jo@example.net]`, or the address alone.
fn person(text: &str) -> Option<Person> {
    let parted = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '[' | ']' | '(' | ')' | '"' | ';' | ',' | '\'');
    let address = |word: &str| Address::new(word.strip_prefix("mailto:").unwrap_or(word)).ok();
    let mut addresses: Vec<Address> = text.split(parted).filter_map(address).collect();
    addresses.dedup();
    let [address] = addresses.try_into().ok()?;
    let name = text.split(['<', '[', '(']).next().unwrap_or_default().trim_matches([' ', '"', '\'', '*']);
    let name = Some(name).filter(|name| !name.is_empty() && !name.contains('@'));
    Some(Person { name: name.map(str::to_owned), address })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::pipeline::lexicon::Lexicons;
    use proptest::prelude::*;

    fn origin(text: &str) -> Option<(String, String, String)> {
        static STRIPPER: LazyLock<Stripper> = LazyLock::new(|| Stripper::new(&Lexicons::embedded().unwrap()));
        let of = |o: Origin| {
            let name = o.writer.name.unwrap_or_default();
            (format!("{name}|{}", o.writer.address), o.subject, o.text.trim().to_owned())
        };
        STRIPPER.origin(text).map(of)
    }

    #[test]
    fn header_blocks_name_their_writer() {
        let expected = |who: &str| Some((who.to_owned(), "My watch".to_owned(), "It is dead.\nJo".to_owned()));
        for (block, who) in [
            (
                "---------- Forwarded message ---------\nFrom: Jo Miller <Jo@example.net>\nDate: Fri, 20 Nov 2026 at 10:00\n\
              Subject: My watch\nTo: <support@example.com>",
                "Jo Miller|jo@example.net",
            ),
            (
                "From: Jo Miller [mailto:jo@example.net]\nSent: Friday, 20 November 2026 10:00\nTo: Anna\n\
              Cc: Ben <ben@example.com>\nSubject: My watch",
                "Jo Miller|jo@example.net",
            ),
            (
                "Von: \"Miller, Jo\" <jo@example.net>\nGesendet: Freitag\nAn: Anna\nBetreff: My watch",
                "Miller, Jo|jo@example.net",
            ),
            ("De : jo@example.net\nEnvoyé : vendredi\nÀ : Anna\nObjet : My watch", "|jo@example.net"),
            (
                "*From:* Jo <jo@example.net<mailto:jo@example.net>>\n*Date:* x 2026\n*To:* a@example.com\n*Subject:* My watch",
                "Jo|jo@example.net",
            ),
        ] {
            assert_eq!(origin(&format!("{block}\n\nIt is dead.\nJo\n")), expected(who), "{block}");
        }
    }

    #[test]
    fn who_is_not_named_is_not_guessed() {
        for block in [
            "From: Jo Miller\nSent: Friday\nTo: Anna\nSubject: My watch",
            "From: jo@example.net, kim@example.net\nSent: Friday\nTo: Anna\nSubject: My watch",
            "From: \"owner@example.net\" <evil@example.org>\nSent: Friday\nTo: Anna\nSubject: My watch",
            "Jo wrote that her watch is dead, write to jo@example.net",
            "",
        ] {
            assert_eq!(origin(&format!("{block}\n\nIt is dead.\n")), None, "{block}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s)(From:|To:|Sent:|Subject:|\\PC|\n){0,60}") {
            origin(&text);
        }
    }
}
