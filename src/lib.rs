//! aftersalesd: reads a brand's after-sales mailbox so that nobody has to ask a customer twice.
//!
//! The modules, from the ground up; a file may use what lies below it, never a sibling on floors 2 and 3, never above.
//! In the order in which an e-mail meets them: [`imap`] or [`maildir`] → [`worker::inbound`] → [`pipeline`] (parse,
//! screen, trace, strip, extract, check, decide, compose) → [`store`] → [`worker::outbound`] → [`smtp`].

// Floor 0: the words of the business. Ids, letter, facts, policy, decision, event, state, case, reply.
pub mod domain;

// Floor 1: two small traits, where letters come from and where replies go.
pub mod ports;

// Floor 1: where tests let the process die; empty in a release.
pub mod fail_point;

// Floor 1: whom to trust over TLS.
pub mod tls;

// Floor 1: how a token is shown to a mail server.
pub mod sasl;

// Floor 1: the path of one e-mail, pure functions, one file a step.
pub mod pipeline;

// Floor 2: letters in, over IMAP.
pub mod imap;

// Floor 2: letters in, from a Maildir.
pub mod maildir;

// Floor 2: replies out, over SMTP or into a Maildir.
pub mod smtp;

// Floor 2: the HTTP client of those who ask something of others.
pub mod http;

// Floor 2: news out, to other programs.
pub mod webhook;

// Floor 2: access tokens for the mail servers, instead of passwords.
pub mod oauth2;

// Floor 2: what a mail server shows to whoever knocks.
pub mod probe;

// Floor 2: questions to a resolver of names.
pub mod dns;

// Floor 2: cases, outbox and raw mail on disk; the only place that knows sled.
pub mod store;

// Floor 2: the product catalogue and the order feed, two CSV files.
pub mod feeds;

// Floor 2: orders that the shop is asked for, one at a time.
pub mod orders;

// Floor 3: the only place where the order of side effects is written.
pub mod worker;

// Floor 4: the desk, where staff see what is known, why, and what to do next.
pub mod console;

// Floor 4: the commands, wired.
pub mod app;

// Floor 4: the configuration file, read once at start-up and checked as a whole.
pub mod config;
