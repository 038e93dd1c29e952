//! What a letter says and shows, as facts.

pub mod photos;
