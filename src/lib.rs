//! aftersalesd: reads a brand's after-sales mailbox so that nobody has to ask a customer twice.
//!
//! The modules, from the ground up; a file may use what lies below it, never a sibling on floors 2 and 3, never above.

/// Floor 0: the words of the business. Ids, letter, facts, warranty, decision, case, reply.
pub mod domain;

/// Floor 1: two small traits, where letters come from and where replies go.
pub mod ports;

/// Floor 1: the path of one e-mail, pure functions, one file a step.
pub mod pipeline;

/// Floor 2: letters in, from an IMAP server.
pub mod imap;

/// Floor 2: letters in, from a Maildir.
pub mod maildir;

/// Floor 2: replies out, over SMTP or into a Maildir.
pub mod smtp;
