//! Lists, newsletters, notifications and reports of mail systems.

use super::{Screen, Verdict, is};
use crate::domain::decision::Class;
use crate::domain::letter::{Letter, Person};

impl Screen {
    /// List mail, unless the list is our own address: many shops read their mailbox through a group.
    pub(super) fn list(&self, letter: &Letter) -> Verdict {
        const FIELDS: [&str; 12] = [
            "list-id",
            "list-post",
            "list-unsubscribe",
            "list-help",
            "list-subscribe",
            "mailing-list",
            "x-mailing-list",
            "x-mailman-version",
            "x-beenthere",
            "x-list",
            "x-mlserver",
            "x-campaign-id",
        ];
        let ours = |value: &str| {
            let value = value.to_lowercase();
            self.desk
                .addresses
                .iter()
                .any(|a| value.contains(a.as_str()) || value.contains(&a.as_str().replace('@', ".")))
        };
        let of_ours = ["list-id", "list-post", "x-beenthere", "mailing-list"]
            .iter()
            .any(|name| letter.header(name).is_some_and(ours));
        if of_ours {
            return None;
        }
        if let Some(name) = FIELDS.into_iter().find(|name| letter.header(name).is_some_and(|v| !v.is_empty())) {
            return Some((Class::Bulk, name.to_owned()));
        }
        for name in ["precedence", "x-precedence"] {
            if is(letter, name, &["bulk", "list", "junk"]) {
                return Some((Class::Bulk, format!("{name}: {}", letter.header(name).unwrap_or_default())));
            }
        }
        // Amazon's service puts it on every mail it carries, people's too.
        if letter.header("feedback-id").is_some_and(|v| !v.to_lowercase().ends_with("amazonses")) {
            return Some((Class::Bulk, "feedback-id".to_owned()));
        }
        let listed = |local: &str| {
            local.starts_with("owner-")
                || local.ends_with("-bounces")
                || local.ends_with("-owner")
                || local.contains("-bounces+")
        };
        ["sender", "return-path", "from"].into_iter().find_map(|name| {
            let value = letter.header(name)?.to_lowercase();
            let local = value.split('@').next()?.rsplit(['<', ' ', '"']).next()?.to_owned();
            listed(&local).then(|| (Class::Bulk, format!("{name} of a list")))
        })
    }

    /// Mail that a program wrote and nobody wants an answer to.
    pub(super) fn machine(&self, letter: &Letter) -> Verdict {
        // "no" is said by people's programs (RFC 3834 section 5); parameters and comments may follow the keyword.
        if let Some(value) = letter.header("auto-submitted") {
            let keyword = value.split([';', '(', ' ']).next().unwrap_or_default();
            if !keyword.is_empty() && !keyword.eq_ignore_ascii_case("no") {
                return Some((Class::Bulk, format!("Auto-Submitted: {keyword}")));
            }
        }
        let has = |name| letter.header(name).is_some();
        if has("tls-report-domain")
            || (letter.subject.starts_with("Report Domain:") && letter.subject.contains("Submitter:"))
        {
            return Some((Class::Bulk, "a report about mail".to_owned()));
        }
        let addresses = [letter.from.as_ref(), letter.reply_to.as_ref()];
        let deaf = |p: &Person| {
            let local: String = p.address.local_part().chars().filter(|c| c.is_alphanumeric()).collect();
            self.no_reply.iter().any(|w| local.contains(w.as_str()))
        };
        // An address in Reply-To that is read makes up for a sender that is not.
        let target = addresses.into_iter().flatten().last()?;
        let from = letter.from.as_ref()?;
        (deaf(from) || deaf(target)).then(|| (Class::Bulk, format!("no-reply sender {}", from.address.masked())))
    }
}

/// Reports of mail systems (RFC 6522).
pub(super) fn report(letter: &Letter) -> Verdict {
    let kind = letter.header("content-type").unwrap_or_default().to_lowercase();
    let part = |kind: &str| letter.attachments.iter().any(|a| a.declared == kind);
    let report = kind.starts_with("multipart/report");
    if report && kind.contains("disposition-notification") || part("message/disposition-notification") {
        return Some((Class::AutoReply, "a read receipt".to_owned()));
    }
    if report && kind.contains("feedback-report")
        || part("message/feedback-report")
        || kind.contains("report-type=tlsrpt")
    {
        return Some((Class::Bulk, "a report about mail".to_owned()));
    }
    (report || part("message/delivery-status")).then(|| (Class::Bounce, "a delivery status report".to_owned()))
}
