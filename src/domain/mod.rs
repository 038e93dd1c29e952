//! Floor 0: the words of the business.
//!
//! Values and the rules that hold for them wherever they are used: what an order number looks like, what a fact
//! remembers, which event is legal in which state. Nothing here reads a clock, a file, a socket or a random source,
//! and nothing here knows how mail is parsed, stored or sent.

pub mod ids;

pub mod check;

pub mod catalogue;

pub mod letter;

pub mod facts;

pub mod warranty;

pub mod policy;

pub mod correction;
pub mod decision;

pub mod hours;

pub mod returns;

pub mod act;

pub mod event;

pub mod state;

pub mod case;

pub mod queue;

pub mod spread;

pub mod erasure;

pub mod reply;

pub mod account;
pub mod token;

pub mod report;
