//! A [`Reply`] as the bytes of a mail (RFC 5322, MIME). The same reply gives the same bytes, however often.
//!
//! Promises: nothing that a customer wrote can break out of its header field; all bytes are ASCII and all lines short,
//! so that any server takes them.

use std::fmt::Write;
use std::time::SystemTime;

use lettre::Address;
use lettre::message::header::{ContentTransferEncoding, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart, header};
use sha2::{Digest, Sha256};

use crate::domain::ids::MessageId;
use crate::domain::letter::Person;
use crate::domain::reply::{Enclosure, Kind, Reply};

/// The header that marks our own mail, for the case that it comes back.
pub const LOOP_HEADER: &str = "X-Aftersalesd-Loop";

/// Together, the ids in `References` stay below this many characters.
const REFERENCES: usize = 2000;
const SUBJECT: usize = 400;
const NAME: usize = 120;
/// A whole mail, as an enclosed file.
const MAIL: &str = "message/rfc822";

/// A mail ready to be sent.
#[derive(Debug, Clone)]
pub struct Mail {
    pub to: Address,
    /// ASCII only, lines end in CR LF.
    pub raw: Vec<u8>,
}

/// A reply that can't be made a mail, and why; another try won't help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the reply can't be written as a mail: {0}")]
pub struct Unmailable(String);

/// Writes the reply as a mail from `from` to its one recipient.
pub fn render(reply: &Reply, from: &Person) -> Result<Mail, Unmailable> {
    let to = mailbox(&reply.to)?;
    let address = to.email.clone();
    let written = SystemTime::from(reply.written).max(SystemTime::UNIX_EPOCH);
    let mut builder = Message::builder()
        .from(mailbox(from)?)
        .to(to)
        .subject(line(&reply.subject, SUBJECT))
        .date(written)
        .message_id(Some(bracketed(&reply.message_id)))
        .raw_header(field("Auto-Submitted", submitted(reply.kind))?)
        .raw_header(field("X-Auto-Response-Suppress", "All")?)
        .raw_header(field(
            LOOP_HEADER,
            if reply.kind.is_for_staff() { reply.kind.folder() } else { reply.case.as_str() },
        )?);
    let threaded = references(reply);
    if let Some(id) = &reply.in_reply_to {
        builder = builder.in_reply_to(bracketed(id));
    }
    if !threaded.is_empty() {
        builder = builder.references(threaded);
    }
    let plain = part(header::ContentType::TEXT_PLAIN, &reply.text);
    if reply.html.is_empty() {
        return finished(builder.singlepart(plain), address);
    }
    let letter = MultiPart::alternative()
        .boundary(boundary(&reply.message_id, ""))
        .singlepart(plain)
        .singlepart(part(header::ContentType::TEXT_HTML, &reply.html));
    if reply.files.is_empty() {
        return finished(builder.multipart(letter), address);
    }
    let mut body = MultiPart::mixed().boundary(boundary(&reply.message_id, "with files")).multipart(letter);
    for file in &reply.files {
        body = body.singlepart(enclosed(file)?);
    }
    finished(builder.multipart(body), address)
}

/// RFC 3834 section 5: who wrote it.
fn submitted(kind: Kind) -> &'static str {
    match kind {
        Kind::Notice | Kind::Handover => "auto-generated",
        _ if kind.is_personal() => "no",
        _ => "auto-replied",
    }
}

fn finished(message: Result<Message, lettre::error::Error>, to: Address) -> Result<Mail, Unmailable> {
    let raw = message.map_err(|e| Unmailable(e.to_string()))?.formatted();
    if raw.is_ascii() { Ok(Mail { to, raw }) } else { Err(Unmailable("a header is not ASCII".into())) }
}

/// The address for the envelope and the header, the name for the header.
pub(super) fn mailbox(person: &Person) -> Result<Mailbox, Unmailable> {
    let text = person.address.as_str();
    if !text.is_ascii() {
        return Err(Unmailable(format!("{} needs SMTPUTF8", person.address.masked())));
    }
    let address = text.parse().map_err(|e| Unmailable(format!("{}: {e}", person.address.masked())))?;
    let name = person.name.as_deref().map(|name| line(name, NAME)).filter(|name| !name.is_empty());
    Ok(Mailbox::new(name, address))
}

/// The text on one line: runs of blanks and control characters become one blank.
fn line(text: &str, longest: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.chars().take(longest).collect()
}

fn bracketed(id: &MessageId) -> String {
    format!("<{id}>")
}

/// The thread so far (RFC 5322 section 3.6.4): where it began and, within the bound, what came last.
fn references(reply: &Reply) -> String {
    let mut thread: Vec<&MessageId> = reply.references.iter().chain(&reply.in_reply_to).collect();
    // An id with other characters can't be named in a header without SMTPUTF8.
    thread.retain(|id| id.as_str().is_ascii());
    let mut seen = std::collections::BTreeSet::new();
    thread.reverse();
    thread.retain(|id| seen.insert(*id));
    let Some(first) = thread.pop() else { return String::new() };
    let mut room = REFERENCES.saturating_sub(first.as_str().len());
    let recent = thread.iter().take_while(|id| {
        let fits = id.as_str().len() + 3 <= room;
        room = room.saturating_sub(id.as_str().len() + 3);
        fits
    });
    let mut recent: Vec<&MessageId> = recent.copied().collect();
    recent.push(first);
    recent.iter().rev().map(|id| bracketed(id)).collect::<Vec<_>>().join(" ")
}

fn field(name: &'static str, value: &str) -> Result<HeaderValue, Unmailable> {
    let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|e| Unmailable(e.to_string()))?;
    Ok(HeaderValue::new(name, value.to_owned()))
}

fn part(kind: header::ContentType, text: &str) -> SinglePart {
    // Always encoded: a customer's line may be as long as it likes, and "From " at its start survives any relay.
    SinglePart::builder().header(kind).header(ContentTransferEncoding::QuotedPrintable).body(text.to_owned())
}

/// Its name is encoded by RFC 2231 where it needs to be.
fn enclosed(file: &Enclosure) -> Result<SinglePart, Unmailable> {
    let typed = |kind: &str| {
        let kind = header::ContentType::parse(kind).map_err(|e| Unmailable(format!("{kind}: {e}")))?;
        let part = SinglePart::builder().header(kind);
        Ok::<_, Unmailable>(part.header(header::ContentDisposition::attachment(&line(&file.name, NAME))))
    };
    if file.content_type == MAIL {
        let raw = with_crlf(&file.data);
        // RFC 2046 section 5.2.1: a mail in a mail is not encoded, so one that is not 7-bit goes as any other file.
        return Ok(match is_7bit(&raw) {
            true => typed(MAIL)?
                .header(ContentTransferEncoding::SevenBit)
                .body(Body::dangerous_pre_encoded(raw, ContentTransferEncoding::SevenBit)),
            false => typed("application/octet-stream")?.header(ContentTransferEncoding::Base64).body(file.data.clone()),
        });
    }
    Ok(typed(&file.content_type)?.header(ContentTransferEncoding::Base64).body(file.data.clone()))
}

/// RFC 2045 section 2.7, of lines that end in CR LF.
fn is_7bit(raw: &[u8]) -> bool {
    const LONGEST: usize = 998;
    let is_sound = |line: &[u8]| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.len() <= LONGEST && line.iter().all(|byte| byte.is_ascii() && !matches!(byte, 0 | b'\r'))
    };
    raw.split(|byte| *byte == b'\n').all(is_sound)
}

/// Each line ends in CR LF.
fn with_crlf(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + data.len() / 32);
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        out.extend(line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line)));
        if line.ends_with(b"\n") {
            out.extend(b"\r\n");
        }
    }
    out
}

/// Derived from the Message-ID, so that a repetition is the same to the byte; `of` tells the boundaries of one mail
/// apart. Neither quoted-printable nor base64 text can hold `=_`.
fn boundary(id: &MessageId, of: &str) -> String {
    let mut boundary = String::from("=_");
    for byte in Sha256::digest(format!("{id}{of}")).iter().take(16) {
        // Writing to a String can't fail.
        let _ = write!(boundary, "{byte:02x}");
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{CaseId, LetterId};
    use crate::domain::reply::Kind;
    use proptest::prelude::*;

    fn person(name: &str, address: &str) -> Person {
        Person { name: Some(name.into()), address: crate::domain::ids::Address::new(address).unwrap() }
    }

    fn reply() -> Reply {
        let case = CaseId::derive(&LetterId::from_digest(&[7; 32]), 0);
        Reply {
            message_id: MessageId::of_reply(&case, 1, "example.com"),
            case,
            number: 1,
            kind: Kind::Ask,
            to: person("Jörg \"JJ\" Müller", "jj@example.net"),
            subject: "Re: Ladegerät defekt".into(),
            language: "de".into(),
            in_reply_to: Some(MessageId::new("b@example.net").unwrap()),
            references: vec![MessageId::new("a@example.net").unwrap()],
            written: "2026-11-22T10:00:00Z".parse().unwrap(),
            text: "Guten Tag,\n\n.\nFrom here: wir brauchen noch ein Foto – danke!\n".into(),
            html: "<p>Guten Tag</p>".into(),
            files: Vec::new(),
            passes_on: None,
        }
    }

    fn sender() -> Person {
        person("Kundendienst", "after-sales@example.com")
    }

    fn raw(reply: &Reply) -> String {
        String::from_utf8(render(reply, &sender()).unwrap().raw).unwrap()
    }

    #[test]
    fn the_same_reply_gives_the_same_bytes() {
        assert_eq!(raw(&reply()), raw(&reply()));
        let other = Reply { number: 2, message_id: MessageId::new("other@example.com").unwrap(), ..reply() };
        assert_ne!(raw(&reply()), raw(&other));
    }

    #[test]
    fn it_says_that_it_is_automatic_and_whose() {
        let raw = raw(&reply());
        let case = format!("{LOOP_HEADER}: {}\r\n", reply().case);
        for header in ["Auto-Submitted: auto-replied\r\n", "X-Auto-Response-Suppress: All\r\n", &case] {
            assert!(raw.contains(header), "{header} in {raw}");
        }
        assert!(raw.contains("In-Reply-To: <b@example.net>\r\n"), "{raw}");
        assert!(raw.contains("References: <a@example.net> <b@example.net>\r\n"), "{raw}");
        assert!(raw.contains("Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n"), "{raw}");
    }

    #[test]
    fn mail_parser_reads_it_back() {
        let raw = render(&reply(), &sender()).unwrap().raw;
        let mail = mail_parser::MessageParser::new().parse(&raw).unwrap();
        let to = mail.to().unwrap().first().unwrap();
        assert_eq!(to.name(), Some("Jörg \"JJ\" Müller"));
        assert_eq!(to.address(), Some("jj@example.net"));
        assert_eq!(mail.subject(), Some("Re: Ladegerät defekt"));
        assert_eq!(mail.message_id(), Some(reply().message_id.as_str()));
        assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n").trim_end(), reply().text.trim_end());
        assert_eq!(mail.body_html(0).unwrap().trim_end(), reply().html);
    }

    #[test]
    fn a_file_goes_with_the_letter() {
        let data: Vec<u8> = (0..=255).cycle().take(3000).collect();
        let file =
            |name: &str| Enclosure { name: name.into(), content_type: "application/pdf".into(), data: data.clone() };
        let with = Reply { files: vec![file("RMA-KR-2611-4Q9TXC.pdf"), file("Rücksendung\r\nBcc: x.pdf")], ..reply() };
        assert_eq!(raw(&with), raw(&with));
        let raw = render(&with, &sender()).unwrap().raw;
        let mail = mail_parser::MessageParser::new().parse(&raw).unwrap();
        assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n").trim_end(), with.text.trim_end());
        assert_eq!(mail.body_html(0).unwrap().trim_end(), with.html);
        assert!(mail_parser::MimeHeaders::is_content_type(&mail, "multipart", "mixed"));
        let names = mail.attachments().map(|part| {
            assert_eq!(part.contents(), data);
            mail_parser::MimeHeaders::attachment_name(part).unwrap().to_owned()
        });
        assert_eq!(names.collect::<Vec<_>>(), ["RMA-KR-2611-4Q9TXC.pdf", "Rücksendung Bcc: x.pdf"]);
        let json = serde_json::to_string(&with).unwrap();
        assert_eq!(serde_json::from_str::<Reply>(&json).unwrap(), with);
        assert!(!serde_json::to_string(&reply()).unwrap().contains("files"));
    }

    #[test]
    fn a_mail_goes_in_a_mail_as_it_is_if_it_can() {
        let enclose = |data: &[u8]| {
            let file = Enclosure { name: "original.eml".into(), content_type: MAIL.into(), data: data.to_vec() };
            render(&Reply { files: vec![file], ..reply() }, &sender()).unwrap().raw
        };
        let raw = enclose(b"Message-ID: <x@example.net>\nSubject: x\n\n.\nHello, this is a line of more than seventy-six characters, as people write them.\n");
        let mail = mail_parser::MessageParser::new().parse(&raw).unwrap();
        let inner = mail.attachments().find_map(|part| part.message()).unwrap();
        assert_eq!(inner.message_id(), Some("x@example.net"));
        let long = "x".repeat(999);
        for eight_bit in ["Subject: \u{e4}\n\n".as_bytes(), b"\0", b"a\rb", long.as_bytes()] {
            let raw = enclose(eight_bit);
            let mail = mail_parser::MessageParser::new().parse(&raw).unwrap();
            assert_eq!(mail.attachments().next().unwrap().contents(), eight_bit);
        }
    }

    #[test]
    fn references_keep_the_beginning_and_the_end_of_a_long_thread() {
        let ids: Vec<MessageId> = (0..500).map(|n| MessageId::new(&format!("{n}@example.net")).unwrap()).collect();
        let long = Reply { in_reply_to: ids.last().cloned(), references: ids, ..reply() };
        let references = references(&long);
        assert!(references.len() < 2100, "{}", references.len());
        assert!(references.starts_with("<0@example.net> <"), "{references}");
        assert!(references.ends_with("<498@example.net> <499@example.net>"), "{references}");
    }

    #[test]
    fn an_address_that_needs_smtputf8_is_refused_without_being_shown() {
        let foreign = Reply { to: person("J", "jörg@example.net"), ..reply() };
        let why = render(&foreign, &sender()).unwrap_err().to_string();
        assert!(why.contains("SMTPUTF8") && !why.contains("jörg"), "{why}");
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_its_header(
            name in "(?s).{0,200}", subject in "(?s).{0,600}", text in "(?s).{0,400}", id in "[!-~]{1,300}",
        ) {
            let mut hostile = Reply { subject: format!("x\r\nBcc: a@b.example\r\n\r\n{subject}"), text, ..reply() };
            hostile.to.name = Some(format!("y\r\nBcc: c@d.example\n{name}"));
            hostile.references.extend(MessageId::new(&id));
            let raw = raw(&hostile);
            let (head, _) = raw.split_once("\r\n\r\n").unwrap();
            let own = ["From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
                "X-Auto-Response-Suppress", LOOP_HEADER, "MIME-Version", "Content-Type"];
            for line in head.split("\r\n").filter(|l| !l.starts_with([' ', '\t'])) {
                let name = line.split(':').next().unwrap();
                prop_assert!(own.contains(&name), "{line:?}");
            }
            prop_assert!(raw.split("\r\n").all(|l| l.len() <= 998 && !l.contains(['\r', '\n'])));
            prop_assert!(mail_parser::MessageParser::new().parse(raw.as_bytes()).unwrap().cc().is_none());
        }
    }
}
