//! All that a mailbox tells of itself, beyond what taking letters in needs: special folders, quota, flags that last.

use async_imap::imap_proto::Response;
use async_imap::imap_proto::rfc2087::QuotaResourceName;

use super::folder;
use super::session::{Failure, Session};
use super::{Report, Settings, looked};
use crate::ports::Fault;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    pub report: Report,
    pub read_only: bool,
    /// Keywords of anybody's making last in the folder.
    pub takes_keywords: bool,
    /// Folders that the server itself uses (RFC 6154): what for, and their names.
    pub special: Vec<(&'static str, String)>,
    /// What the mailbox may hold (RFC 9208).
    pub quotas: Vec<Quota>,
}

/// A bound on a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// As the server names it, in capitals: `STORAGE` is in KiB, `MESSAGE` a number of mails.
    pub resource: String,
    pub used: u64,
    pub most: u64,
}

/// Logs in, selects the folder, and asks for all of it; changes nothing.
pub async fn survey(settings: &Settings) -> Result<Survey, Fault> {
    let (report, mut session, listed) = looked(settings).await?;
    let folders = match listed {
        Some(folders) => folders,
        None => session.folders().await.map_err(|failure| failure.fault("LIST"))?,
    };
    let special = folders.into_iter().filter_map(|folder| Some((folder.special?, folder.name))).collect();
    let quotas = match session.can("QUOTA") {
        true => quotas(&mut session, &report.folder).await.map_err(|failure| failure.fault("GETQUOTAROOT"))?,
        false => Vec::new(),
    };
    let (read_only, takes_keywords) = (session.selected.read_only, session.selected.takes("\\*"));
    session.close().await;
    Ok(Survey { report, read_only, takes_keywords, special, quotas })
}

async fn quotas(session: &mut Session, folder: &str) -> Result<Vec<Quota>, Failure> {
    let mut found = Vec::new();
    let line = format!("GETQUOTAROOT {}", folder::quoted(folder));
    let asked = session.command(&line, 0, |response| {
        if let Response::Quota(quota) = response {
            let named = quota.resources.iter().map(|it| Quota {
                resource: match &it.name {
                    QuotaResourceName::Storage => "STORAGE".to_owned(),
                    QuotaResourceName::Message => "MESSAGE".to_owned(),
                    QuotaResourceName::Atom(name) => name.to_ascii_uppercase(),
                },
                used: it.usage,
                most: it.limit,
            });
            found.extend(named);
        }
    });
    match asked.await {
        // It has the command and no bound.
        Ok(()) | Err(Failure::Refused(_)) => Ok(found),
        Err(failure) => Err(failure),
    }
}
