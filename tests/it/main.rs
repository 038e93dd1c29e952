//! The integration tests, one binary: it links once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells what it counted"
)]

mod api;
mod attachments;
mod audit;
mod backup;
mod bad_input;
mod books;
mod brands;
mod broken_steps;
mod clauses;
mod console;
mod conversation;
mod corpora;
mod crash;
mod daemon;
mod desk;
mod doctor;
mod drafts;
mod elsewhere;
mod floors;
mod full_disk;
mod guide;
mod hostile;
mod imap;
mod life;
mod loops;
mod oauth2;
mod observe;
mod orders;
mod pages;
mod passes;
mod people;
mod policy;
mod readme;
mod reload;
mod replay;
mod secrets;
mod seen;
mod service;
mod smtp;
mod split;
mod stores;
mod strangers;
mod support;
mod webhooks;
mod wire;
mod year;
