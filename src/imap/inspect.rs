//! A look at what lies in folders, by EXAMINE (RFC 3501 section 6.3.2): nothing is marked, moved or taken.

use async_imap::imap_proto::{AttributeValue, Response};
use jiff::Timestamp;

use super::cursor::Listed;
use super::fetch;
use super::session::{Failure, Session};
use super::{ImapMailbox, Settings};
use crate::ports::{Content, Fault};

/// A connection that only looks.
#[derive(Debug)]
pub struct Inspection {
    session: Session,
    /// The server's own name of the folder in view.
    folder: String,
    mail_size: u64,
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// UIDVALIDITY.
    pub validity: u32,
    /// In the order of their UIDs.
    pub mails: Vec<Mail>,
}

/// A mail as the server tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub uid: u32,
    /// `RFC822.SIZE` in bytes; some servers only guess it.
    pub size: u64,
    /// The field `Message-ID`, without its angle brackets and not checked; `None` if the server gives none.
    pub message_id: Option<String>,
    /// `INTERNALDATE`: when it came into the mailbox.
    pub arrived: Option<Timestamp>,
}

impl Inspection {
    /// Connects and logs in.
    pub async fn open(settings: &Settings) -> Result<Self, Fault> {
        let session = ImapMailbox::new(settings.clone()).connected().await?;
        Ok(Self { session, folder: String::new(), mail_size: settings.mail_size })
    }

    /// All mails of a folder, which is then in view.
    pub async fn list(&mut self, folder: &str) -> Result<Listing, Fault> {
        self.look_into(folder).await.map_err(|failure| failure.fault(&format!("looking into {folder}")))
    }

    /// A mail of the folder in view as it would be handed out: whole, or its beginning; `None`: it is gone.
    pub async fn content(&mut self, mail: &Mail) -> Result<Option<Content>, Fault> {
        let batch = [Listed { uid: mail.uid, size: mail.size, stored: mail.arrived }];
        match fetch::contents(&mut self.session, &self.folder, &batch, self.mail_size).await {
            Ok(mut contents) => Ok(contents.pop().map(|(_, content)| content)),
            Err(Failure::Refused(why)) => Ok(Some(Content::Unreadable { why })),
            Err(failure) => Err(failure.fault("fetching a mail")),
        }
    }

    /// Logs out.
    pub async fn close(self) {
        self.session.close().await;
    }

    async fn look_into(&mut self, folder: &str) -> Result<Listing, Failure> {
        let session = &mut self.session;
        session.look_only();
        self.folder = match session.select(folder).await {
            Ok(()) => folder.to_owned(),
            Err(Failure::Refused(_)) => {
                let name = session.folder_meant(folder).await?;
                session.select(&name).await?;
                name
            }
            Err(failure) => return Err(failure),
        };
        let mut mails = Vec::new();
        if session.selected.exists > 0 {
            let line = "UID FETCH 1:* (UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])";
            session.command(line, 0, |response| mails.extend(mail(response))).await?;
        }
        mails.sort_by_key(|mail: &Mail| mail.uid);
        mails.dedup_by_key(|mail| mail.uid);
        Ok(Listing { validity: session.selected.validity, mails })
    }
}

fn mail(response: &Response<'_>) -> Option<Mail> {
    let Response::Fetch(_, values) = response else { return None };
    let mut mail = Mail { uid: 0, size: 0, message_id: None, arrived: None };
    for value in values {
        match value {
            AttributeValue::Uid(uid) => mail.uid = *uid,
            AttributeValue::Rfc822Size(size) => mail.size = u64::from(*size),
            AttributeValue::InternalDate(date) => mail.arrived = fetch::time(date),
            AttributeValue::BodySection { section: Some(_), data: Some(data), .. } => {
                mail.message_id = read_message_id(data);
            }
            _ => {}
        }
    }
    // Without both it is news of a flag.
    (mail.uid > 0 && values.len() > 2).then_some(mail)
}

fn read_message_id(field: &[u8]) -> Option<String> {
    let field = String::from_utf8_lossy(field);
    let (_, behind) = field.split_once('<')?;
    let (id, _) = behind.split_once('>')?;
    Some(id.split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_servers_write_them() {
        assert_eq!(read_message_id(b"Message-ID:\r\n <a@example.com>\r\n\r\n").as_deref(), Some("a@example.com"));
        assert_eq!(read_message_id(b"\r\n"), None);
    }
}
