//! Step 5: the words and attachments of one letter become [`Facts`], each with its evidence.
//!
//! What has a form (numbers, codes, days, labels, links) is read by pattern; what has a meaning by the lexicon of the
//! letter's language and the sentence model together. Nothing here knows the case or the order feed.

pub mod answers;

pub mod dates;

pub mod file_names;

pub mod item_code;

pub mod language;

pub mod meaning;

pub mod order_number;

pub mod outlay;

pub mod photos;

pub mod problem;

pub mod proof;

pub mod receipt;

pub mod request;

pub mod signals;

pub mod sku;

pub mod zone;

use std::sync::OnceLock;

use jiff::civil::Date;

use crate::domain::catalogue::Catalogue;
use crate::domain::facts::{Evidence, Facts, Photo, Source};
use crate::domain::ids::LetterId;
use crate::domain::letter::{FileKind, Letter, Moment};
use crate::pipeline::lexicon::{Lexicon, Lexicons};
use crate::pipeline::phrases::Group;
use crate::pipeline::strip::Words;

use self::answers::{Asked, Ear, Numbering};
use self::dates::{Dates, Days};
use self::file_names::FileNames;
use self::item_code::ItemCodes;
use self::meaning::Model;
use self::order_number::OrderNumbers;
use self::outlay::Amounts;
use self::photos::{Hints, Look, Room};
use self::proof::Links;
use self::sku::Skus;
use self::zone::{Kind, Zone};

/// The patterns and names to look for, compiled once.
#[derive(Debug)]
pub struct Extractor {
    order_numbers: OrderNumbers,
    item_codes: ItemCodes,
    skus: Skus,
    links: Links,
    /// Without one the word lists decide alone.
    model: Option<Model>,
    file_names: FileNames,
    numbering: Numbering,
    amounts: Amounts,
    /// By language, as in the lexicons; compiled when first met, for most brands meet few. The tests compile them all.
    dates: Vec<(String, OnceLock<Option<Dates>>)>,
}

/// What one letter says, and in which language.
#[derive(Debug, Clone, PartialEq)]
pub struct Extract {
    pub language: Option<String>,
    pub facts: Facts,
}

impl Extractor {
    /// Compiles the shop's order number patterns and the catalogue; the error names what can't be compiled.
    pub fn new(patterns: &[String], catalogue: &Catalogue, lexicons: &Lexicons) -> Result<Self, String> {
        Self::with_model(patterns, catalogue, lexicons, Some(Model::embedded()?))
    }

    /// Recognises the order numbers of other channels, too.
    pub fn know_channels<'a>(&mut self, patterns: impl Iterator<Item = &'a str>) -> Result<(), String> {
        self.order_numbers.know_channels(patterns).map_err(|e| e.to_string())
    }

    /// As [`Extractor::new`], with other weights than the built-in ones, or none.
    pub fn with_model(
        patterns: &[String],
        catalogue: &Catalogue,
        lexicons: &Lexicons,
        model: Option<Model>,
    ) -> Result<Self, String> {
        Ok(Self {
            order_numbers: OrderNumbers::new(patterns).map_err(|e| format!("order number pattern: {e}"))?,
            item_codes: ItemCodes::new().map_err(|e| e.to_string())?,
            skus: Skus::new(catalogue, lexicons).map_err(|e| e.to_string())?,
            links: Links::new().map_err(|e| e.to_string())?,
            model,
            file_names: FileNames::new().map_err(|e| e.to_string())?,
            numbering: Numbering::new().map_err(|e| e.to_string())?,
            amounts: Amounts::new().map_err(|e| e.to_string())?,
            dates: lexicons.all.iter().map(|l| (l.language.clone(), OnceLock::new())).collect(),
        })
    }

    /// Reads everything out of a letter.
    pub fn extract(
        &self,
        letter: &Letter,
        words: &Words,
        arrived: Moment,
        catalogue: &Catalogue,
        lexicons: &Lexicons,
    ) -> Extract {
        // The subject of an answer is carried along: it says nothing about the words written now.
        let written = format!("{}\n{}", letter.subject, words.text);
        let in_subject = || letter.begins_thread().then(|| language::detect(&written, lexicons)).flatten();
        let own = language::detect(&words.text, lexicons);
        let language = own.clone().or_else(|| language::guess(&words.text, lexicons)).or_else(in_subject);
        // Without words enough to tell its language a letter is read with all lexicons; a code needs no language.
        let known: Vec<&Lexicon> = match own.as_deref().and_then(|l| lexicons.of(l)) {
            Some(lexicon) => vec![lexicon],
            None => language::nearest(&words.text, lexicons),
        };
        Extract { language, facts: self.facts(letter, words, arrived, catalogue, &known) }
    }

    /// The facts of a letter, read with the lexicons `known`.
    pub fn facts(
        &self,
        letter: &Letter,
        words: &Words,
        arrived: Moment,
        catalogue: &Catalogue,
        known: &[&Lexicon],
    ) -> Facts {
        let forwarded = forwarded_text(letter, words);
        let text = Zone::new(&letter.id, Kind::Text, &words.text, known).scored(self.model.as_ref());
        let subject = Zone::new(&letter.id, Kind::Subject, &letter.subject, known).scored(self.model.as_ref());
        let signature = Zone::new(&letter.id, Kind::Signature, &words.signature, known);
        let passed_on = Zone::new(&letter.id, Kind::Forwarded, &forwarded, known).scored(self.model.as_ref());
        let zones = [text, subject, signature, passed_on];
        let dates = self.dates_of(known);
        let mut facts = Facts::default();
        self.attachments(letter, words, &mut facts);
        self.codes(&zones, letter, catalogue, &mut facts);
        let finders = (&self.order_numbers, &self.item_codes, &self.skus);
        self.file_names.fill(&mut facts, letter, &letter.files(), known, catalogue, finders);
        let days = zones.each_ref().map(|zone| Days::of(&zone.folded, &dates, arrived.date()));
        self.account(&zones, &days, letter.begins_thread(), &mut facts);
        facts.outlay = self.amounts.outlay(letter, &words.text, facts.request.as_ref().map(|f| f.value));
        facts.links = self.links.find(&words.text);
        let links = facts.links.len();
        facts.packaging_shown = proof::packaging(&zones, &facts.photos, links, letter, known);
        facts
    }

    /// Adds to what a letter says by itself what it answers to the questions of our last letter.
    pub fn answers(
        &self,
        asked: Asked<'_>,
        words: &Words,
        letter: &LetterId,
        today: Date,
        (catalogue, lexicons): (&Catalogue, &[&Lexicon]),
        facts: &mut Facts,
    ) {
        let ear = Ear {
            letter,
            text: &words.text,
            lexicons,
            dates: &self.dates_of(lexicons),
            today,
            catalogue,
            order_numbers: &self.order_numbers,
            item_codes: &self.item_codes,
            skus: &self.skus,
        };
        ear.answers(asked, &self.numbering, facts);
    }

    fn dates_of(&self, lexicons: &[&Lexicon]) -> Vec<&Dates> {
        let dates = |lexicon: &&Lexicon| {
            let (_, compiled) = self.dates.iter().find(|(language, _)| *language == lexicon.language)?;
            compiled.get_or_init(|| Dates::new(lexicon).ok()).as_ref()
        };
        lexicons.iter().filter_map(dates).collect()
    }

    fn attachments(&self, letter: &Letter, words: &Words, facts: &mut Facts) {
        let mut room = Room::default();
        for (index, attachment) in letter.files().into_iter().enumerate() {
            match attachment.kind {
                FileKind::Picture | FileKind::HeicPicture => {
                    let in_signature =
                        attachment.content_id.as_ref().is_some_and(|id| words.signature.contains(id.as_str()));
                    let hints = Hints { inline: attachment.inline, in_signature };
                    let Look::Real { judgement, codes } = photos::look(&attachment.data, hints, &mut room) else {
                        continue;
                    };
                    facts.photos.push(Photo { index, name: attachment.name.clone(), judgement, codes });
                }
                FileKind::Video => facts.videos.push(attachment.name.clone()),
                FileKind::Program => {
                    facts.unsafe_attachment.get_or_insert_with(|| {
                        Evidence::new(
                            Some(letter.id.clone()),
                            Source::Attachment { index },
                            &attachment.name,
                            "attachment.program",
                        )
                    });
                }
                _ => {}
            }
        }
    }

    fn codes(&self, zones: &[Zone<'_>], letter: &Letter, catalogue: &Catalogue, facts: &mut Facts) {
        facts.order_number = zones.iter().find_map(|z| self.order_numbers.find(z, catalogue));
        facts.item_code = zones
            .iter()
            .find_map(|z| self.item_codes.find(z, catalogue))
            .filter(|code| facts.order_number.as_ref().is_none_or(|o| o.value.as_str() != code.value.as_str()))
            .or_else(|| self.item_codes.on_photos(&facts.photos, &letter.id, catalogue));
        facts.sku = zones.iter().find_map(|z| self.skus.code(z));
        if facts.sku.is_some() {
            return;
        }
        let about_a_device = zones.iter().any(|z| z.hits.iter().any(|h| h.group == Group::Device));
        let named = zones.iter().filter_map(|z| self.skus.named(z)).min_by_key(|n| (n.is_accessory, n.sku.is_none()));
        if let Some(named) = named.filter(|n| !n.is_accessory || !about_a_device) {
            facts.sku = named.sku;
            facts.sku_candidates = named.candidates;
        }
    }

    fn account(&self, zones: &[Zone<'_>; 4], days: &[Days<'_>; 4], first: bool, facts: &mut Facts) {
        let [text, subject, signature, passed_on] = zones;
        let [in_text, in_subject, in_signature, in_passed_on] = days;
        let product = self.skus.mention(text);
        let mut account = problem::account(text, product, in_text);
        // The subject of a reply is that of an earlier letter.
        let read = if first { zones.get(..2) } else { zones.get(..1) };
        if first {
            let in_subject = problem::account(subject, None, in_subject);
            account.what = account.what.or(in_subject.what);
            account.broken = account.broken.or(in_subject.broken);
        }
        facts.request = request::request(read.unwrap_or_default(), &account, self.model.as_ref());
        if !passed_on.text.is_empty() {
            let forwarded = problem::account(passed_on, None, in_passed_on);
            account.what = account.what.or(forwarded.what);
            account.when = account.when.or(forwarded.when);
            account.how = account.how.or(forwarded.how);
            account.steps = account.steps.or(forwarded.steps);
        }
        facts.unopened = request::unopened(std::slice::from_ref(text));
        let model = self.model.as_ref();
        facts.received_on = [(text, in_text), (passed_on, in_passed_on), (signature, in_signature)]
            .into_iter()
            .find_map(|(z, days)| receipt::received_on(z, days, model));
        facts.problem_what = account.what;
        facts.problem_when = account.when;
        facts.problem_how = account.how;
        facts.steps_taken = account.steps;
        facts.void_signals = signals::void(&[text, passed_on]);
        facts.safety = [text, subject, passed_on].into_iter().find_map(signals::safety);
        if facts.safety.is_none() && facts.void_signals.is_empty() {
            facts.doubt = [text, passed_on].into_iter().find_map(signals::doubt);
        }
        facts.legal = [text, subject].into_iter().find_map(signals::legal);
        facts.not_available = proof::not_available(text);
        facts.where_to_find = proof::where_to_find(text);
    }
}

/// What the customer passes on: mails forwarded inline, and the subjects and texts of attached ones.
fn forwarded_text(letter: &Letter, words: &Words) -> String {
    let mut all = words.forwarded.join("\n\n");
    for mail in &letter.forwarded {
        all.push_str(&format!("\n\n{}\n", mail.subject));
        for body in &mail.bodies {
            if let crate::domain::letter::Body::Plain(text) = body {
                all.push_str(text);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests;
