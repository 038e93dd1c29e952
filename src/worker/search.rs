//! Keeps the search up to date beside everything else. Whatever happens to it, letters are taken in and answered.

use std::sync::Arc;
use std::time::Duration;

use super::{Office, Stop, blocking, pace};

/// Changes are gathered for so long: many together cost little more than one.
const GATHERS: Duration = Duration::from_millis(100);

/// Follows the cases until it is wished to stop.
pub async fn run(office: &Arc<Office>, stop: Stop) {
    let mut stop = stop;
    let mut failures = 0;
    while !stop.is_wished() {
        let of = Arc::clone(office);
        let pause = match blocking(move || of.store.follow_with_search()).await {
            Ok(true) => continue,
            Ok(false) => {
                failures = 0;
                tokio::select! {
                    () = office.store.search_is_behind() => {}
                    () = stop.wished() => return,
                }
                GATHERS
            }
            Err(trouble) => {
                tracing::warn!(%trouble, "the search does not follow the cases; will try again");
                failures += 1;
                pace::reopen(failures)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.wished() => return,
        }
    }
}
