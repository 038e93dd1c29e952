//! Step 2: does a person wait for an answer, and which one? Everything that is not a customer's letter never gets an
//! automatic reply, so each rule errs on the side of silence, except where customers' own mail looks alike.

pub mod authentication;
pub mod bounced;
mod machines;

use self::authentication::{Dmarc, dmarc};

use super::lexicon::Lexicons;
use crate::domain::decision::Class;
use crate::domain::ids::Address;
use crate::domain::letter::{Attachment, Defect, FileKind, Letter, Person};

/// What we know of ourselves and of the servers before us.
#[derive(Debug, Clone, Default)]
pub struct Desk {
    /// Ours: the sender of our replies, the user of the mailbox.
    pub addresses: Vec<Address>,
    /// The authserv-ids (RFC 8601 section 2.5) whose verdicts count.
    pub trusted_authserv: Vec<String>,
    /// Web forms: the customer is in `Reply-To`.
    pub form_senders: Vec<Address>,
    /// The people behind the desk: never answered; what they forward counts for its original writer.
    pub staff: Vec<Address>,
}

/// Whose mail it is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screening {
    pub class: Class,
    /// The header or rule that decided, for staff and log.
    pub why: String,
    /// Whom to answer; `None` if the letter names no usable address, is staff's own or is no customer's.
    pub customer: Option<Person>,
    /// One of the staff sent it.
    pub by_staff: bool,
}

/// Our own mark in every reply: a letter that has it is our own mail come back.
pub const LOOP_HEADER: &str = "x-aftersalesd-loop";

/// The screen of one desk, its word lists made ready.
#[derive(Debug)]
pub struct Screen {
    desk: Desk,
    auto_reply: Vec<String>,
    bounce: Vec<String>,
    no_reply: Vec<String>,
}

/// Why a letter whose sender is forged, or seems so, is spam.
pub const DMARC_FAILED: &str = "Authentication-Results: dmarc=fail";

type Verdict = Option<(Class, String)>;

impl Screen {
    pub fn new(desk: Desk, lexicons: &Lexicons) -> Self {
        let words = |pick: fn(&super::lexicon::MailWords) -> &Vec<String>| -> Vec<String> {
            lexicons.all.iter().flat_map(|l| pick(&l.mail)).map(|w| w.to_lowercase()).collect()
        };
        Self {
            desk,
            auto_reply: words(|m| &m.auto_reply),
            bounce: words(|m| &m.bounce),
            no_reply: words(|m| &m.no_reply),
        }
    }

    /// Tells a customer's letter from all other mail.
    pub fn classify(&self, letter: &Letter) -> Screening {
        let from_form = letter.from.as_ref().is_some_and(|p| self.desk.form_senders.contains(&p.address));
        let verdict = self.spam(letter).or_else(|| self.own(letter)).or_else(|| {
            if from_form {
                return self.form(letter);
            }
            machines::report(letter)
                .or_else(|| self.auto_reply(letter))
                .or_else(|| self.bounce(letter))
                .or_else(|| self.list(letter))
                .or_else(|| self.machine(letter))
        });
        let by_staff = letter.from.as_ref().is_some_and(|p| self.desk.staff.contains(&p.address));
        let (class, why) = verdict.unwrap_or_else(|| {
            let why = match (from_form, by_staff) {
                (true, _) => "form sender",
                (_, true) => "sent by staff",
                _ => "no sign of a machine",
            };
            (Class::Customer, why.to_owned())
        });
        let customer = match class {
            Class::Customer if from_form => letter.reply_to.clone(),
            Class::Customer if by_staff || letter.defects.contains(&Defect::SeveralSenders) => None,
            Class::Customer => letter.from.clone(),
            _ => None,
        };
        Screening { class, why, customer: customer.filter(|p| !self.is_of_the_desk(&p.address)), by_staff }
    }

    /// Whether a trusted server stands for the author of a letter.
    pub fn vouches_for(&self, letter: &Letter) -> bool {
        authentication::is_vouched_for(letter, &self.desk.trusted_authserv)
    }

    /// Whether an address is ours, a web form's or staff's: no automatic letter goes there.
    pub fn is_of_the_desk(&self, address: &Address) -> bool {
        let Desk { addresses, form_senders, staff, .. } = &self.desk;
        [addresses, form_senders, staff].into_iter().any(|ours| ours.contains(address))
    }

    /// What the trusted server before us says. Without one anybody can have written these headers.
    fn spam(&self, letter: &Letter) -> Verdict {
        let trusted = &self.desk.trusted_authserv;
        if trusted.is_empty() {
            return None;
        }
        if dmarc(letter, trusted) == Dmarc::Fail {
            return Some((Class::Spam, DMARC_FAILED.to_owned()));
        }
        let yes = |name| letter.header(name).is_some_and(|v| v.to_lowercase().starts_with("yes"));
        ["x-spam-flag", "x-spam-status", "x-spam"].into_iter().find(|n| yes(n)).map(|n| (Class::Spam, n.to_owned()))
    }

    fn own(&self, letter: &Letter) -> Verdict {
        if letter.header(LOOP_HEADER).is_some() {
            return Some((Class::Own, LOOP_HEADER.to_owned()));
        }
        let from = letter.from.as_ref()?;
        let form = self.desk.form_senders.contains(&from.address);
        (!form && self.desk.addresses.contains(&from.address)).then(|| (Class::Own, "From is ours".to_owned()))
    }

    /// A form's mail that names us as the customer would be answered to ourselves.
    fn form(&self, letter: &Letter) -> Verdict {
        let address = &letter.reply_to.as_ref()?.address;
        let ours = self.desk.addresses.contains(address) || self.desk.form_senders.contains(address);
        ours.then(|| (Class::Own, "Reply-To is ours".to_owned()))
    }

    fn auto_reply(&self, letter: &Letter) -> Verdict {
        if is(letter, "auto-submitted", &["auto-replied"]) && !self.is_from_daemon(letter) {
            return Some((Class::AutoReply, "Auto-Submitted: auto-replied".to_owned()));
        }
        for name in
            ["x-autoreply", "x-autorespond", "x-auto-reply", "x-autoresponder", "x-autoreply-from", "x-mail-autoreply"]
        {
            if letter.header(name).is_some_and(|v| !v.eq_ignore_ascii_case("no") && !v.eq_ignore_ascii_case("false")) {
                return Some((Class::AutoReply, name.to_owned()));
            }
        }
        for name in ["precedence", "x-precedence"] {
            if is(letter, name, &["auto_reply", "auto-reply", "autoreply"]) {
                return Some((Class::AutoReply, format!("{name}: auto_reply")));
            }
        }
        // Answers to invitations (RFC 5546 section 3.2.3); an invitation itself a person may have sent.
        let answer = |a: &Attachment| a.kind == FileKind::Calendar && a.data.windows(12).any(|w| w == b"METHOD:REPLY");
        let meeting = letter.attachments.iter().any(answer)
            || is(letter, "content-class", &["urn:content-classes:calendarmessage"])
            || letter.header("content-type").is_some_and(|v| v.to_lowercase().starts_with("text/calendar"));
        if meeting {
            return Some((Class::AutoReply, "calendar message".to_owned()));
        }
        let words = begins(&letter.subject, &self.auto_reply)?;
        Some((Class::AutoReply, format!("subject: {words}")))
    }

    fn is_from_daemon(&self, letter: &Letter) -> bool {
        let senders = letter.headers.iter().filter(|h| matches!(h.name.as_str(), "from" | "return-path" | "sender"));
        senders.map(|h| h.value.to_lowercase()).any(|v| {
            v.contains("mailer-daemon")
                || v.contains("mailerdaemon")
                || v.split(['<', ' ', '"']).any(|t| t.starts_with("postmaster@"))
        }) || letter.from.as_ref().and_then(|p| p.name.as_deref()).is_some_and(|n| begins(n, &self.bounce).is_some())
    }

    fn bounce(&self, letter: &Letter) -> Verdict {
        let bounce = |why: &str| Some((Class::Bounce, why.to_owned()));
        if letter.header("x-failed-recipients").is_some() {
            return bounce("X-Failed-Recipients");
        }
        if self.is_from_daemon(letter) {
            return bounce("sent by a mail server");
        }
        if letter.header("return-path").is_some_and(|v| matches!(v.trim(), "<>" | "")) {
            return bounce("null Return-Path");
        }
        let words = begins(&letter.subject, &self.bounce)?;
        bounce(&format!("subject: {words}"))
    }
}

/// Whether the field's first word is one of these.
fn is(letter: &Letter, name: &str, values: &[&str]) -> bool {
    letter.headers(name).any(|v| {
        let word = v.split([';', '(', ' ', ',']).next().unwrap_or_default().trim();
        values.iter().any(|value| word.eq_ignore_ascii_case(value))
    })
}

/// The word of the list that the text begins with, as whole words; a word after `* ` may stand anywhere.
fn begins<'a>(text: &str, words: &'a [String]) -> Option<&'a str> {
    let text = text.trim().to_lowercase();
    words.iter().map(String::as_str).find(|word| match word.strip_prefix("* ") {
        Some(inside) => text.contains(inside),
        None => text
            .strip_prefix(*word)
            .is_some_and(|rest| !word.ends_with(char::is_alphanumeric) || !rest.starts_with(char::is_alphanumeric)),
    })
}

#[cfg(test)]
mod tests;
