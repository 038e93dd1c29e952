//! One fuzz target a binary; the binary's name chooses the path of `paths.rs` that the bytes take.

#![no_main]

mod paths;

use std::sync::LazyLock;

static PATH: LazyLock<paths::Walk> = LazyLock::new(|| {
    let named = paths::ALL.iter().find(|(name, _)| *name == env!("CARGO_BIN_NAME"));
    named.expect("a path of the binary's name").1
});

libfuzzer_sys::fuzz_target!(
    init: {
        // What is caught on purpose (a decoder that panics) must not end the run: only what comes through does.
        std::panic::set_hook(Box::new(|panic| {
            if std::env::var_os("SHOW_PANICS").is_some() {
                eprintln!("{panic}");
            }
        }));
        // Makes what the path works with: no input is to be blamed for that.
        PATH(b"");
    },
    |data: &[u8]| PATH(data)
);
