//! Floor 1: named places between two side effects, where a test lets the process die.
//!
//! Only builds with debug assertions have them; in a release every call here is empty. `AFTERSALESD_DIE_AT=NAME:N` ends
//! the process when it gets to NAME for the N-th time (`NAME` alone: the first), with nothing unwound, flushed or told,
//! as SIGKILL ends it; with `NAME:N:panic` only the thread panics. `tests/it/crash.rs` kills at each of [`POINTS`].

/// Every point: its name, and the file below `src/` that gets there.
pub const POINTS: &[(&str, &str)] = &[
    ("open-locked", "store/mod.rs"),
    ("open-snapshots-swept", "store/tables.rs"),
    ("open-snapshots-copied", "store/tables.rs"),
    ("open-trees", "store/tables.rs"),
    ("open-format-noted", "store/mod.rs"),
    ("open-archive-cut", "store/mod.rs"),
    ("open-mail-indexed", "store/mod.rs"),
    ("open-lost-mail-asked-for", "store/mod.rs"),
    ("letters-fetched", "worker/inbound.rs"),
    ("segment-full", "store/raw.rs"),
    ("segment-rolled", "store/raw.rs"),
    ("mail-half-written", "store/raw.rs"),
    ("mail-kept", "store/raw.rs"),
    ("letters-kept", "worker/inbound.rs"),
    ("letter-committed", "worker/inbound.rs"),
    ("batch-committed", "worker/inbound.rs"),
    ("flush-begun", "store/mod.rs"),
    ("flush-archive-synced", "store/mod.rs"),
    ("flush-done", "store/mod.rs"),
    ("batch-durable", "worker/inbound.rs"),
    ("mailbox-to-be-told", "worker/inbound.rs"),
    ("mailbox-told", "worker/inbound.rs"),
    ("mailbox-noted", "worker/inbound.rs"),
    ("outbox-taken", "worker/outbound.rs"),
    ("reply-to-be-sent", "worker/outbound.rs"),
    ("reply-accepted", "worker/outbound.rs"),
    ("reply-put-off", "worker/outbound.rs"),
    ("reply-refused", "worker/outbound.rs"),
    ("replies-noted", "worker/outbound.rs"),
    ("replies-durable", "worker/outbound.rs"),
    ("import-marked", "store/export.rs"),
    ("import-chunk", "store/export.rs"),
    ("import-flushed", "store/export.rs"),
    ("import-undone", "store/export.rs"),
    ("erase-half-done", "store/raw.rs"),
    ("erase-overwritten", "store/mod.rs"),
    ("erase-noted", "store/mod.rs"),
];

/// The process is at the point `name`.
#[inline]
pub fn reached(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::reached(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Panics, as a step with a mistake in it would, on a mail that holds the text of `AFTERSALESD_PANIC_ON`.
#[inline]
pub fn reading(raw: &[u8]) {
    #[cfg(debug_assertions)]
    armed::reading(raw);
    #[cfg(not(debug_assertions))]
    let _ = raw;
}

/// A size in bytes that `AFTERSALESD_SEGMENT_SIZE` makes smaller, so that a test gets to the end of it.
#[inline]
pub fn segment_size(usual: u64) -> u64 {
    #[cfg(debug_assertions)]
    let usual = armed::segment_size().unwrap_or(usual);
    usual
}

#[cfg(debug_assertions)]
mod armed {
    use std::env;
    use std::io::Write;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Wanted {
        name: String,
        times: u64,
        panics: bool,
    }

    static TO_DIE_AT: LazyLock<Option<Wanted>> = LazyLock::new(|| {
        let told = env::var("AFTERSALESD_DIE_AT").ok()?;
        let mut words = told.split(':');
        let name = words.next()?.to_owned();
        let times = words.next().and_then(|times| times.parse().ok()).unwrap_or(1);
        Some(Wanted { name, times, panics: words.next() == Some("panic") })
    });
    static TIMES: AtomicU64 = AtomicU64::new(0);

    static TO_BREAK_ON: LazyLock<Option<Vec<u8>>> =
        LazyLock::new(|| Some(env::var("AFTERSALESD_PANIC_ON").ok()?.into_bytes()).filter(|text| !text.is_empty()));

    pub fn reached(name: &str) {
        if let Some(wanted) = &*TO_DIE_AT
            && wanted.name == name
            && TIMES.fetch_add(1, Ordering::SeqCst) + 1 == wanted.times
        {
            assert!(!wanted.panics, "told to panic at {name}");
            // Whoever wants to know reads standard error; the process dies either way.
            let _ = writeln!(std::io::stderr(), "died at {name}");
            std::process::abort();
        }
    }

    pub fn reading(raw: &[u8]) {
        if let Some(text) = &*TO_BREAK_ON {
            assert!(!raw.windows(text.len()).any(|window| window == text), "this mail is to break a step");
        }
    }

    pub fn segment_size() -> Option<u64> {
        env::var("AFTERSALESD_SEGMENT_SIZE").ok()?.parse().ok()
    }
}
