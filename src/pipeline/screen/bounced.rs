//! Whom a report says it could not reach.

use crate::domain::ids::Address;
use crate::domain::letter::Letter;
use crate::pipeline::strip::Words;

/// Addresses kept: a report of a reply of ours has one recipient, named a few times.
const MOST: usize = 50;

/// The addresses that a report names anywhere: in its fields (RFC 3464 section 2.3), in the mail that it gives back, in
/// its words. Who forges a report to a case has to know its customer.
pub fn named(letter: &Letter, words: &Words) -> Vec<Address> {
    let fields = |letter: &Letter| {
        let told = letter.headers.iter().filter(|h| matches!(h.name.as_str(), "x-failed-recipients" | "to"));
        told.map(|h| h.value.clone()).collect::<Vec<_>>()
    };
    let mut texts = fields(letter);
    texts.extend(letter.forwarded.iter().flat_map(fields));
    let status =
        letter.attachments.iter().filter(|a| a.declared.starts_with("message/") || a.declared.starts_with("text/"));
    texts.extend(status.map(|a| String::from_utf8_lossy(&a.data).into_owned()));
    texts.extend([&words.text, &words.quoted, &words.signature].map(Clone::clone));
    texts.extend(words.forwarded.iter().cloned());
    let parted = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | '"' | ';' | ',' | ':');
    let mut named: Vec<Address> = Vec::new();
    for word in texts.iter().flat_map(|text| text.split(parted)).filter(|word| word.contains('@')) {
        if let Ok(address) = Address::new(word.trim_end_matches('.'))
            && !named.contains(&address)
        {
            named.push(address);
        }
        if named.len() == MOST {
            break;
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::parse;

    #[test]
    fn reports_of_every_kind_name_the_recipient() {
        let named = |mail: &str| {
            let letter = parse::letter(mail.as_bytes(), false);
            let text = letter.bodies.iter().map(|b| format!("{b:?}").replace("\\n", "\n")).collect();
            super::named(&letter, &Words { text, ..Words::default() })
        };
        let jo = Address::new("jo@example.net").unwrap();
        let report = "Content-Type: multipart/report; boundary=b\n\n--b\n\nIt failed.\n--b\nContent-Type: ";
        for mail in [
            "X-Failed-Recipients: jo@example.net\n\nx".to_owned(),
            "Subject: x\n\n<Jo@example.net>:\nuser unknown".to_owned(),
            format!("{report}message/delivery-status\n\nFinal-Recipient: rfc822; jo@example.net\n--b--\n"),
            format!("{report}message/rfc822\n\nFrom: us@example.com\nTo: Jo <jo@example.net>\n\nx\n--b--\n"),
            format!("{report}text/rfc822-headers\n\nFrom: us@example.com\nTo: Jo <jo@example.net>\n--b--\n"),
        ] {
            assert!(named(&format!("From: MAILER-DAEMON@mx.example\n{mail}")).contains(&jo), "{mail}");
        }
        assert!(!named("From: MAILER-DAEMON@mx.example\nSubject: x\n\nYour case AS-22222222 failed").contains(&jo));
    }
}
