//! The words of each language, as data: one `extract/lexicon/<language>.toml` a language, built into the binary.

use serde::Deserialize;

/// The embedded lexicon files: name and text.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/lexicons.rs"));

/// The words of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lexicon {
    /// The two-letter code, from the file's name.
    #[serde(skip)]
    pub language: String,
    pub mail: MailWords,
}

/// What mail programs and letter writers of a language put around the words that matter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailWords {
    /// What ends the line before a quote: `wrote:`, `schrieb:`.
    pub wrote: Vec<String>,
    /// The labels of a quoted header block, without the colon.
    pub from: Vec<String>,
    pub sent: Vec<String>,
    pub to: Vec<String>,
    pub subject: Vec<String>,
    /// The title over a quoted mail: `Original Message`.
    pub original: Vec<String>,
    /// The title over a forwarded mail: `Forwarded message`.
    pub forwarded: Vec<String>,
    /// Subject prefixes of replies and forwards, without the colon: `Re`, `AW`, `Fwd`, `WG`.
    pub reply_prefixes: Vec<String>,
    pub forward_prefixes: Vec<String>,
    /// Lines that mail programs add: `Sent from my iPhone`.
    pub footers: Vec<String>,
    /// Closing lines that begin a signature: `Kind regards`.
    pub signoffs: Vec<String>,
    /// Subject beginnings of automatic replies: `Out of office`; after `* ` a phrase that may stand anywhere.
    pub auto_reply: Vec<String>,
    /// Subject beginnings and sender names of delivery reports: `Undelivered Mail`.
    pub bounce: Vec<String>,
    /// Local parts of addresses that nobody reads, without dots and hyphens: `noreply`.
    #[serde(default)]
    pub no_reply: Vec<String>,
    /// Beginnings of what companies and scanners put below every mail: `This e-mail is confidential`.
    #[serde(default)]
    pub disclaimers: Vec<String>,
}

/// All lexicons, by language code.
#[derive(Debug)]
pub struct Lexicons {
    pub all: Vec<Lexicon>,
}

impl Lexicons {
    /// Reads the embedded files; an error names the file and the place in it.
    pub fn embedded() -> Result<Self, String> {
        let mut all = Vec::new();
        for (name, text) in FILES {
            let mut lexicon: Lexicon = toml::from_str(text).map_err(|e| format!("lexicon {name}: {e}"))?;
            lexicon.language = name.trim_end_matches(".toml").to_owned();
            all.push(lexicon);
        }
        Ok(Self { all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lexicon_is_whole() {
        Lexicons::embedded().unwrap();
    }
}
