//! The integration tests, one binary: it links once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod attachments;
mod bad_input;
mod conversation;
mod corpora;
mod daemon;
mod floors;
mod hostile;
mod imap;
mod pages;
mod passes;
mod readme;
mod smtp;
mod support;
mod wire;
