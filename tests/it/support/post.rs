//! Letters as customers write them, and replies as customers get them.

use jiff::{Timestamp, Zoned};
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Attachment, Message, MultiPart, SinglePart};
use mail_parser::{HeaderValue, MessageParser, MimeHeaders};

use super::program::{FROM, sample};

/// A letter that a customer writes now.
pub struct Draft<'a> {
    /// `Jo <jo@example.net>`.
    pub from: &'a str,
    /// Without angle brackets.
    pub id: &'a str,
    pub subject: &'a str,
    pub body: &'a str,
    /// The reply that it answers.
    pub answers: Option<&'a Reply>,
    /// Of the demo's photos: its name there and its name in the letter.
    pub photos: &'a [(&'a str, &'a str)],
}

impl Draft<'_> {
    /// The whole mail, lines ending in CR LF.
    pub fn raw(&self) -> String {
        let mut builder = Message::builder()
            .from(self.from.parse().unwrap())
            .to(FROM.parse().unwrap())
            .subject(self.subject)
            .date(std::time::SystemTime::from(Timestamp::now()))
            .message_id(Some(format!("<{}>", self.id)));
        if let Some(reply) = self.answers {
            builder = builder.in_reply_to(format!("<{}>", reply.message_id)).references(format!(
                "{} <{}>",
                reply.references.iter().map(|id| format!("<{id}>")).collect::<Vec<_>>().join(" "),
                reply.message_id
            ));
        }
        let text = self.quoting();
        let text = SinglePart::builder()
            .header(ContentType::TEXT_PLAIN)
            .header(ContentTransferEncoding::QuotedPrintable)
            .body(text);
        let message = if self.photos.is_empty() {
            builder.singlepart(text)
        } else {
            let mut parts = MultiPart::mixed().singlepart(text);
            for (photo, name) in self.photos {
                let content = std::fs::read(sample("photos").join(photo)).unwrap();
                parts =
                    parts.singlepart(Attachment::new((*name).to_owned()).body(content, "image/jpeg".parse().unwrap()));
            }
            builder.multipart(parts)
        };
        String::from_utf8(message.unwrap().formatted()).unwrap()
    }

    /// The body with the answered reply below it, as mail programs quote.
    fn quoting(&self) -> String {
        let Some(reply) = self.answers else { return self.body.to_owned() };
        let quoted: String = reply.text.lines().map(|line| format!("> {line}\n")).collect();
        let day = Zoned::now().strftime("%a, %d %b %Y at %H:%M");
        format!("{}\n\nOn {day}, KOSPET After-Sales <{FROM}> wrote:\n{quoted}", self.body)
    }
}

/// A reply as a mail program shows it.
#[derive(Debug, Clone)]
pub struct Reply {
    pub message_id: String,
    pub in_reply_to: Option<String>,
    pub references: Vec<String>,
    pub from: String,
    pub to: String,
    pub subject: String,
    pub auto_submitted: String,
    pub content_type: String,
    pub language: Option<String>,
    pub text: String,
    pub html: String,
}

impl Reply {
    pub fn read(raw: &[u8]) -> Self {
        let mail = MessageParser::default().parse(raw).unwrap();
        let ids = |value: &HeaderValue<'_>| match value {
            HeaderValue::Text(id) => vec![id.to_string()],
            HeaderValue::TextList(ids) => ids.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        let address = |list: Option<&mail_parser::Address<'_>>| {
            list.and_then(|list| list.first()).and_then(|one| one.address()).unwrap().to_owned()
        };
        let kind = mail.content_type().unwrap();
        Self {
            message_id: mail.message_id().unwrap().to_owned(),
            in_reply_to: ids(mail.in_reply_to()).pop(),
            references: ids(mail.references()),
            from: address(mail.from()),
            to: address(mail.to()),
            subject: mail.subject().unwrap().to_owned(),
            auto_submitted: mail.header_raw("Auto-Submitted").unwrap_or_default().trim().to_owned(),
            content_type: format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()),
            language: mail.header_raw("Content-Language").map(|language| language.trim().to_owned()),
            text: mail.body_text(0).unwrap().replace("\r\n", "\n"),
            html: mail.body_html(0).unwrap().into_owned(),
        }
    }
}
