//! The files below `templates/mail/`: which there are, which are missing.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::FALLBACK;
use crate::domain::reply::Kind;

/// The frame of letters that have no HTML of their own.
pub(super) const FROM_TEXT: &str = "letter.html";

/// Words that make a display name no name to greet, one a line; all languages in one file, as names cross borders.
const NO_NAMES: &str = "words/no-names.txt";

/// The folder of what goes with a letter: `rma.svg`, and its words by language.
const PAPERS: &str = "papers/";

/// Template texts by their paths.
pub(super) struct Files<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Files<'a> {
    /// Takes the templates among `files`; notes and editors' backups may lie beside them. Papers that are not among them
    /// are those of `embedded`.
    pub(super) fn new(files: impl Iterator<Item = (&'a str, &'a str)>, embedded: &[(&'a str, &'a str)]) -> Self {
        let papers = embedded.iter().copied().filter(|(path, _)| path.starts_with(PAPERS));
        let is_template = |path: &str| [".txt", ".html", ".svg"].iter().any(|ending| path.ends_with(ending));
        Self(papers.chain(files).filter(|(path, _)| is_template(path)).collect())
    }

    /// Every file that is a template.
    pub(super) fn templates(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter(|(path, _)| **path != NO_NAMES).map(|(path, text)| (*path, *text))
    }

    /// The languages that have every kind of letter.
    pub(super) fn languages(&self) -> Vec<String> {
        self.begun().into_iter().filter(|language| self.missing(language).is_empty()).map(str::to_owned).collect()
    }

    /// What has to be there and is not: a language with some of its files only is a mistake, and so is no English.
    pub(super) fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for language in self.begun() {
            let missing = self.missing(language).join(", ");
            if !missing.is_empty() {
                gaps.push(format!("language {language:?} lacks {missing}: add the files, or remove the language"));
            }
        }
        if !self.0.contains_key(FROM_TEXT) {
            gaps.push(format!("{FROM_TEXT}: missing: add it, or every letter's own .html file"));
        }
        if !self.0.contains_key(NO_NAMES) {
            gaps.push(format!("{NO_NAMES}: missing: add it, one word a line (it may be empty)"));
        }
        gaps
    }

    /// The company and department words, in lower case.
    pub(super) fn no_names(&self) -> BTreeSet<String> {
        let text = self.0.get(NO_NAMES).copied().unwrap_or_default();
        text.lines().map(|line| line.trim().to_lowercase()).filter(|line| !line.is_empty()).collect()
    }

    /// A short digest of all paths and texts.
    pub(super) fn version(&self) -> String {
        let mut digest = Sha256::new();
        for part in self.0.iter().flat_map(|(path, text)| [path, text]) {
            digest.update(part.len().to_string());
            digest.update(":");
            digest.update(part);
        }
        digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The languages that have any letter, and English, which every other one falls back to.
    fn begun(&self) -> BTreeSet<&'a str> {
        let is_kind = |folder: &str| Kind::ALL.iter().any(|kind| kind.folder() == folder);
        let letters = self.0.keys().filter_map(|path| path.split_once('/')).filter(|(folder, _)| is_kind(folder));
        letters.filter_map(|(_, file)| Some(file.split_once('.')?.0)).chain([FALLBACK]).collect()
    }

    fn missing(&self, language: &str) -> Vec<String> {
        let letters = Kind::ALL.iter().map(|kind| format!("{}/{language}.txt", kind.folder()));
        let needed = letters.chain([format!("{PAPERS}{language}.txt")]);
        needed.filter(|path| !self.0.contains_key(path.as_str())).collect()
    }
}
