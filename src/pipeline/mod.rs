//! Floor 1: the path of one e-mail as pure functions.

pub mod lexicon;

pub mod compose;
