//! Floor 1: named places between two side effects, where a test lets the process die.
//!
//! Only builds with debug assertions have them; in a release every call here is empty. `AFTERSALESD_DIE_AT=NAME:N` ends
//! the process when it gets to NAME for the N-th time (`NAME` alone: the first), with nothing unwound, flushed or told,
//! as SIGKILL ends it; with `NAME:N:panic` only the thread panics,
//! with `NAME:N:hang` it goes no further. `tests/it/crash.rs` kills at each of [`POINTS`].

use std::time::Duration;

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
    ("open-cases-placed", "store/mod.rs"),
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
    ("erase-search-forgot", "store/search.rs"),
    ("erase-overwritten", "store/erase.rs"),
    ("erase-noted", "store/erase.rs"),
    ("erase-key-drawn", "store/erase.rs"),
    ("erase-case-rewritten", "store/erase.rs"),
    ("erase-traces-removed", "store/erase.rs"),
    ("erase-letter-hidden", "store/erase.rs"),
    ("compact-copied", "store/compact.rs"),
    ("compact-moved-away", "store/compact.rs"),
    ("compact-in-place", "store/compact.rs"),
    ("forget-case-erased", "worker/erasure.rs"),
    ("case-gone-on", "worker/turn.rs"),
    ("act-durable", "worker/turn.rs"),
    ("migrate-copied", "store/compact.rs"),
    ("migrate-kept", "store/compact.rs"),
    ("migrate-begun", "store/migrate.rs"),
    ("migrate-table", "store/migrate.rs"),
    ("search-behind", "store/search.rs"),
    ("search-followed", "store/search.rs"),
    ("webhook-to-be-posted", "worker/webhooks.rs"),
    ("webhook-answered", "worker/webhooks.rs"),
];

/// The process is at the point `name`.
#[inline]
pub fn reached(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::reached(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// The step `step` begins on a letter with these bytes or words. `AFTERSALESD_PANIC_ON=TEXT` makes the step that reads a
/// mail with this text panic, `AFTERSALESD_PANIC_ON=STEP:TEXT` another step (`read`, `recall`, `answer`);
/// `AFTERSALESD_HANG_ON` makes it go on for ever.
#[inline]
pub fn handling(step: &'static str, text: &[u8]) {
    #[cfg(debug_assertions)]
    armed::handling(step, text);
    #[cfg(not(debug_assertions))]
    let _ = (step, text);
}

/// The time that a step may take, which `AFTERSALESD_PATIENCE_MS` makes shorter, so that a test need not wait for it.
#[inline]
pub fn patience(usual: Duration) -> Duration {
    #[cfg(debug_assertions)]
    let usual = armed::number("AFTERSALESD_PATIENCE_MS").map_or(usual, Duration::from_millis);
    usual
}

/// A size in bytes that `AFTERSALESD_SEGMENT_SIZE` makes smaller, so that a test gets to the end of it.
#[inline]
pub fn segment_size(usual: u64) -> u64 {
    #[cfg(debug_assertions)]
    let usual = armed::number("AFTERSALESD_SEGMENT_SIZE").unwrap_or(usual);
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
        how: String,
    }

    static TO_DIE_AT: LazyLock<Option<Wanted>> = LazyLock::new(|| {
        let told = env::var("AFTERSALESD_DIE_AT").ok()?;
        let mut words = told.split(':');
        let name = words.next()?.to_owned();
        let times = words.next().and_then(|times| times.parse().ok()).unwrap_or(1);
        Some(Wanted { name, times, how: words.next().unwrap_or_default().to_owned() })
    });
    static TIMES: AtomicU64 = AtomicU64::new(0);

    /// A step, and the text on which it breaks.
    type Broken = Option<(String, Vec<u8>)>;
    static TO_PANIC_ON: LazyLock<Broken> = LazyLock::new(|| broken("AFTERSALESD_PANIC_ON"));
    static TO_HANG_ON: LazyLock<Broken> = LazyLock::new(|| broken("AFTERSALESD_HANG_ON"));

    fn broken(variable: &str) -> Broken {
        let told = env::var(variable).ok().filter(|told| !told.is_empty())?;
        let (step, text) = told.split_once(':').unwrap_or(("read", &told));
        Some((step.to_owned(), text.as_bytes().to_vec()))
    }

    pub fn reached(name: &str) {
        if let Some(wanted) = &*TO_DIE_AT
            && wanted.name == name
            && TIMES.fetch_add(1, Ordering::SeqCst) + 1 == wanted.times
        {
            assert!(wanted.how != "panic", "told to panic at {name}");
            if wanted.how == "hang" {
                loop {
                    std::thread::park();
                }
            }
            // Whoever wants to know reads standard error; the process dies either way.
            let _ = writeln!(std::io::stderr(), "died at {name}");
            std::process::abort();
        }
    }

    pub fn handling(step: &str, text: &[u8]) {
        let is_meant = |broken: &Broken| {
            broken.as_ref().is_some_and(|(at, on)| at == step && text.windows(on.len()).any(|window| window == on))
        };
        // What the mail says is in what a step says that breaks on it.
        assert!(!is_meant(&TO_PANIC_ON), "this mail is to break a step: {:?}", String::from_utf8_lossy(text));
        while is_meant(&TO_HANG_ON) {
            std::thread::park();
        }
    }

    pub fn number(variable: &str) -> Option<u64> {
        env::var(variable).ok()?.parse().ok()
    }
}
