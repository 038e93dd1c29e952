//! Floor 1: the path of one e-mail as pure functions.

pub mod fold;

pub mod phrases;

pub mod lexicon;
pub mod parse;
pub mod screen;
pub mod strip;
