//! The words of each language, as data: one `extract/lexicon/<language>.toml` a language, built into the binary.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;

use serde::Deserialize;

use super::fold;
use super::phrases::{Group, Phrases};

/// The embedded lexicon files: name and text.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/lexicons.rs"));

/// The words of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lexicon {
    /// The two-letter code, from the file's name.
    #[serde(skip)]
    pub language: String,
    /// Words that end with a full stop without ending a sentence, and other ways to write a letter.
    pub writing: Writing,
    pub mail: MailWords,
    pub dates: DateWords,
    /// Colour by its name in the catalogue: the words that mean it.
    pub colours: BTreeMap<String, Vec<String>>,
    /// Words before a colour that say it is one: `colour`.
    pub colour_labels: Vec<String>,
    /// Words that may stand between a product's name and its colour: `in the colour`.
    pub colour_fillers: Vec<String>,
    /// Says that something is with us, or on the way to us: `at yours`, `sent back to you`.
    #[serde(default)]
    pub with_us: WithUs,
    /// What people write in place of an answer.
    #[serde(default)]
    pub answers: AnswerWords,
    /// The phrases of each group, all groups present.
    pub phrases: BTreeMap<Group, Vec<String>>,
    #[serde(skip)]
    compiled: OnceLock<Option<Phrases>>,
    #[serde(skip)]
    common: HashSet<String>,
    #[serde(skip)]
    vocabulary: Vocabulary,
}

/// All the words of a lexicon, folded, by which a line of few words is told from another language's.
#[derive(Debug, Default)]
struct Vocabulary {
    words: HashSet<String>,
    /// What words begin with, where the lexicon leaves their ending open.
    stems: HashSet<String>,
    /// The length of the longest stem: no more of a word is looked at, however long it is.
    longest: usize,
}

impl Vocabulary {
    const STEM: usize = 5;

    fn of(lexicon: &Lexicon) -> Self {
        let mut vocabulary = Self::default();
        let phrases = lexicon.phrases.values().flatten().flat_map(|p| p.split([' ', '(', ')', '|']));
        for word in phrases.filter(|w| !w.starts_with('*') && *w != "..") {
            let folded = fold::phrase(word.trim_end_matches('*'));
            let mut parts: Vec<&str> = folded.split(' ').collect();
            if word.ends_with('*') {
                vocabulary.stems.extend(parts.pop().filter(|s| s.len() >= Self::STEM).map(str::to_owned));
            }
            vocabulary.words.extend(parts.into_iter().filter(|w| w.len() > 1).map(str::to_owned));
        }
        vocabulary.words.extend(lexicon.common.iter().cloned());
        vocabulary.longest = vocabulary.stems.iter().map(String::len).max().unwrap_or(0);
        vocabulary
    }

    fn has(&self, word: &str) -> bool {
        let mut lengths = Self::STEM..word.len().min(self.longest + 1);
        let mut stemmed = || lengths.any(|n| word.get(..n).is_some_and(|s| self.stems.contains(s)));
        self.words.contains(word) || stemmed()
    }
}

impl Lexicon {
    /// The phrases, ready to search. They are compiled when a letter of the language first comes: most mailboxes see
    /// few languages. `None` only for a lexicon that [`Lexicons::verify`] objects to.
    pub fn search(&self) -> Option<&Phrases> {
        self.compiled.get_or_init(|| self.compile().ok()).as_ref()
    }

    fn compile(&self) -> Result<Phrases, String> {
        Phrases::new(&self.phrases, &self.writing.spellings)
    }

    fn prepare(&mut self, language: &str) -> Result<(), String> {
        self.language = language.to_owned();
        for group in Group::all() {
            if !self.phrases.contains_key(&group) {
                return Err(format!("[phrases] lacks {group:?}"));
            }
        }
        self.writing.abbreviations = self.writing.abbreviations.iter().map(|a| fold::phrase(a)).collect();
        let (answers, with_us) = (&mut self.answers, &mut self.with_us);
        for list in [
            &mut answers.later,
            &mut answers.unknown,
            &mut answers.beside,
            &mut answers.since,
            &mut answers.not,
            &mut answers.yes,
            &mut with_us.place,
            &mut with_us.sent,
        ] {
            list.iter_mut().for_each(|words| *words = fold::phrase(words));
        }
        let words = self.writing.common.iter().map(|w| fold::phrase(w));
        self.common = words.flat_map(|w| w.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
        self.vocabulary = Vocabulary::of(self);
        Ok(())
    }
}

/// How a language is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writing {
    pub abbreviations: Vec<String>,
    /// Another way to write a letter: `ä` as `ae`.
    pub spellings: BTreeMap<String, String>,
    /// The most frequent words, which tell the language.
    pub common: Vec<String>,
}

/// How a language names days.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DateWords {
    /// January to December, each with its short forms.
    pub months: Vec<Vec<String>>,
    /// Monday to Sunday, each with its short forms.
    pub weekdays: Vec<Vec<String>>,
    /// Words for a day relative to today: `yesterday` is 1, `today` 0.
    pub days_ago: BTreeMap<String, i64>,
    /// Number words, also vague ones that mean a number ("a couple of" is 2).
    pub numbers: BTreeMap<String, i64>,
    pub day: Vec<String>,
    pub week: Vec<String>,
    pub month: Vec<String>,
    pub year: Vec<String>,
    /// What stands around a span of time to mean "before now", with `{}` for it: `{} ago`, `vor {}`.
    pub ago: Vec<String>,
    /// Words before what is counted that leave its number as it is: `about two weeks ago`, `vor genau drei Wochen`.
    pub about: Vec<String>,
    /// Words before a weekday that mean its latest past occurrence: `last`, `am`.
    pub last: Vec<String>,
    /// `last week`: days back.
    pub spans_ago: BTreeMap<String, i64>,
    /// Words that may stand inside a date: `of`, `the`, `den`.
    pub fillers: Vec<String>,
    /// Endings of day numbers: `st`, `nd`.
    pub ordinals: Vec<String>,
    /// Ordinals as days of the month: `third` is 3.
    #[serde(default)]
    pub day_words: BTreeMap<String, i64>,
    /// Number words that mean another count of days: `quinze jours` are 14.
    #[serde(default)]
    pub days_meant: BTreeMap<String, i64>,
    /// What joins two spans: `three weeks and two days ago`.
    #[serde(default)]
    pub and: Vec<String>,
    /// What stands in place of a number and means half a one: `half a year`.
    #[serde(default)]
    pub half: Vec<String>,
    /// What adds a half behind a unit: `a year and a half ago`.
    #[serde(default)]
    pub and_a_half: Vec<String>,
    /// Units that mean one of them without a number: `miesiąc temu`.
    #[serde(default)]
    pub alone: Vec<String>,
    /// Words beside a weekday that say of which week it is, counted back: `last week` is 1, `this week` 0.
    #[serde(default)]
    pub weeks_back: BTreeMap<String, i64>,
    /// Words behind a day that say of which month it is, counted back: `of this month` is 0.
    #[serde(default)]
    pub months_back: BTreeMap<String, i64>,
    /// Words right before a day that show two numbers to be one: `on 3/9`.
    #[serde(default)]
    pub before_day: Vec<String>,
    /// Words before a number alone that make it a day of the month: `dnia 12`, `am 12.`
    pub day_leads: Vec<String>,
    /// Words before a number with one of `ordinals` that make it a day of the month: `the 12th`.
    pub ordinal_leads: Vec<String>,
    /// Words of arriving that mean many other things too, so that they count right beside a day only: `came`, `here`.
    pub arriving: Vec<String>,
    /// Whether a date of numbers may count the month first (English, by the rule of the contract).
    pub month_first: bool,
}

/// How people say that their item is with us, folded; its arrival here is no day of receipt.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithUs {
    /// Right beside the word of arriving: `at yours`, `by you`.
    pub place: Vec<String>,
    /// Before it in the same sentence: `sent it back`.
    pub sent: Vec<String>,
}

/// Words in answers to our questions, and in place of them, folded.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerWords {
    /// Puts it off: `will send`, `tomorrow`.
    pub later: Vec<String>,
    /// Doesn't know: `no idea`.
    pub unknown: Vec<String>,
    /// Courtesy and pressure, which tell nothing: `kind regards`, `hurry`.
    pub beside: Vec<String>,
    /// Words that make a day the beginning of something rather than a day by itself: `since`.
    pub since: Vec<String>,
    /// The one word that denies the code right behind it: `not KS1 but KS2`.
    pub not: Vec<String>,
    /// How an answer that confirms begins: `yes`, `that's it`.
    pub yes: Vec<String>,
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
    /// By frequent word: the places in `all` of the languages that have it.
    speakers: HashMap<String, Vec<usize>>,
}

impl Lexicons {
    /// Reads the embedded files; an error names the file and the place in it.
    pub fn embedded() -> Result<Self, String> {
        let mut all = Vec::new();
        for (name, text) in FILES {
            let mut lexicon: Lexicon = toml::from_str(text).map_err(|e| format!("lexicon {name}: {e}"))?;
            lexicon.prepare(name.trim_end_matches(".toml")).map_err(|e| format!("lexicon {name}: {e}"))?;
            all.push(lexicon);
        }
        let mut speakers: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, lexicon) in all.iter().enumerate() {
            for word in &lexicon.common {
                speakers.entry(word.clone()).or_default().push(place);
            }
        }
        Ok(Self { all, speakers })
    }

    /// How many of `words` (folded) are frequent ones of each language, in the order of `all`.
    pub fn shared<'w>(&self, words: impl Iterator<Item = &'w str>) -> Vec<usize> {
        let mut counts = vec![0; self.all.len()];
        for place in words.filter_map(|w| self.speakers.get(w)).flatten() {
            if let Some(count) = counts.get_mut(*place) {
                *count += 1;
            }
        }
        counts
    }

    /// Tries every phrase of every language; an error names the file.
    pub fn verify(&self) -> Result<(), String> {
        for lexicon in &self.all {
            lexicon.compile().map_err(|e| format!("lexicon {}.toml: {e}", lexicon.language))?;
        }
        Ok(())
    }

    /// The folded frequent words of a language.
    pub fn common(&self, language: &str) -> Option<&HashSet<String>> {
        self.of(language).map(|l| &l.common)
    }

    /// How much of a text each language's lexicon knows, from 0 to 1, likeliest first; what several know counts less.
    pub fn likeness(&self, words: &[&str]) -> Vec<(f64, &str)> {
        let mut sums: Vec<(f64, &str)> = self.all.iter().map(|l| (0.0, l.language.as_str())).collect();
        for word in words {
            let known: Vec<bool> = self.all.iter().map(|l| l.vocabulary.has(word)).collect();
            let share = 1.0 / (known.iter().filter(|k| **k).count() * words.len()).max(1) as f64;
            for ((sum, _), _) in sums.iter_mut().zip(&known).filter(|(_, known)| **known) {
                *sum += share;
            }
        }
        sums.sort_by(|a, b| b.0.total_cmp(&a.0));
        sums
    }

    /// The lexicon of a language.
    pub fn of(&self, language: &str) -> Option<&Lexicon> {
        self.all.iter().find(|l| l.language == language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lexicon_is_whole() {
        Lexicons::embedded().unwrap().verify().unwrap();
    }
}
