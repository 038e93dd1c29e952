//! Floor 1: the path of one e-mail as pure functions.

pub mod extract;

pub mod lexicon;
