//! Where a folder begins for us: at its first mail, or with what comes after the first start.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Office, Trouble, blocking};
use crate::ports::{End, FirstStart, Mailbox, Position};

/// The first start with a folder: says what will become of the letters that are there, and notes durably if they are to
/// be left alone.
pub(super) async fn first(mailbox: &mut impl Mailbox, office: &Arc<Office>) -> Result<Option<Position>, Trouble> {
    let Some(End { position, letters }) = mailbox.end().await? else { return Ok(None) };
    if !office.from_now {
        tracing::info!(letters, "first start with this folder: all letters that are there will be taken in");
        return Ok(None);
    }
    tracing::info!(letters, "first start with this folder: the letters that are there are left alone");
    let (store, above) = (office.store.clone(), position.clone());
    blocking(move || store.begin_above(&above, Timestamp::now())).await?;
    Ok(Some(position))
}

/// Which letters of the folder are left alone; if it is numbered anew since the last pass, that is noted durably.
pub(super) async fn again(
    mailbox: &mut impl Mailbox,
    folder: &str,
    office: &Arc<Office>,
    after: &mut Option<Position>,
) -> Result<Option<FirstStart>, Trouble> {
    let (store, of) = (office.store.clone(), folder.to_owned());
    let Some(start) = blocking(move || store.start(&of)).await? else { return Ok(None) };
    let Some(End { position, letters }) = mailbox.end().await? else { return Ok(None) };
    if position.validity == start.position.validity {
        return Ok(Some(start));
    }
    let (store, end) = (office.store.clone(), position.clone());
    let start = blocking(move || store.begin_again(&end)).await?;
    if start.is_some() {
        tracing::warn!(letters, "the folder is numbered anew: what came before the first start is left alone again");
        *after = Some(Position { uid: 0, ..position });
    }
    Ok(start)
}
