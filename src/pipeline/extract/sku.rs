//! Which product: by its code, by its name or alias (the longest that fits), with a colour word of any language
//! choosing the variant. A name that fits several variants names none of them; it lists them.

mod names;

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

use self::names::{Slips, words_before, words_from};
use crate::domain::catalogue::Catalogue;
use crate::domain::facts::Fact;
use crate::domain::ids::Sku;
use crate::pipeline::extract::zone::Zone;
use crate::pipeline::fold::{self, Span};
use crate::pipeline::lexicon::Lexicons;
use crate::pipeline::phrases::Group;

/// The names and codes of the catalogue, compiled.
#[derive(Debug)]
pub struct Skus {
    codes: AhoCorasick,
    code_of: Vec<Sku>,
    models: AhoCorasick,
    /// The place in `model_of` of each spelling in `models`.
    spelled: Vec<usize>,
    slips: Slips,
    model_of: Vec<Model>,
    /// Folded colour word to the colour's name.
    colours: BTreeMap<String, String>,
    colour_labels: Vec<String>,
    colour_fillers: Vec<String>,
}

#[derive(Debug)]
struct Model {
    words: String,
    /// The products of that name and the colours their names state.
    variants: Vec<(Sku, Option<String>)>,
}

/// What a zone says of the product.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub sku: Option<Fact<Sku>>,
    pub candidates: Vec<Fact<Sku>>,
    /// The name is made of words for accessories only ("charging cable").
    pub is_accessory: bool,
}

impl Skus {
    pub fn new(catalogue: &Catalogue, lexicons: &Lexicons) -> Result<Self, BuildError> {
        let mut colours = BTreeMap::new();
        let mut colour_labels = Vec::new();
        let mut colour_fillers = Vec::new();
        for lexicon in &lexicons.all {
            for (name, words) in &lexicon.colours {
                colours.extend(words.iter().map(|w| (fold::phrase(w), name.clone())));
            }
            colour_labels.extend(lexicon.colour_labels.iter().map(|w| fold::phrase(w)));
            colour_fillers.extend(lexicon.colour_fillers.iter().map(|w| fold::phrase(w)));
        }
        let code_of: Vec<Sku> = catalogue.products.iter().map(|p| p.sku.clone()).collect();
        let codes = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(code_of.iter().map(|sku| squeeze(sku.as_str()).0))?;
        let model_of = models(catalogue, &colours);
        let spelled: Vec<(String, usize)> = model_of
            .iter()
            .enumerate()
            .flat_map(|(at, model)| names::spellings(&model.words).into_iter().map(move |words| (words, at)))
            .collect();
        let models = AhoCorasick::new(spelled.iter().map(|(words, _)| format!(" {words} ")))?;
        let slips = Slips::new(model_of.iter().map(|m| m.words.as_str()), lexicons);
        let spelled = spelled.into_iter().map(|(_, at)| at).collect();
        Ok(Self { codes, code_of, models, spelled, slips, model_of, colours, colour_labels, colour_fillers })
    }

    /// The first SKU written out in a zone.
    pub fn code(&self, zone: &Zone<'_>) -> Option<Fact<Sku>> {
        let (squeezed, origin) = squeeze(zone.text);
        let alone = |at: Option<usize>| at.is_none_or(|at| !zone.text.get(at..).is_some_and(starts_alphanumeric));
        self.codes.find_iter(&squeezed).find_map(|found| {
            let sku = self.code_of.get(found.pattern().as_usize())?;
            let start = *origin.get(found.start())?;
            let end = *origin.get(found.end().checked_sub(1)?)? + 1;
            let before = zone.text.get(..start)?.char_indices().next_back().map(|(at, _)| at);
            let whole = alone(before) && alone(Some(end));
            let near = end - start <= sku.as_str().len() + 6;
            (whole && near)
                .then(|| Fact { value: sku.clone(), evidence: zone.evidence_at(Span { start, end }, "sku.code") })
        })
    }

    /// Where a zone names a product, if it does.
    pub fn mention(&self, zone: &Zone<'_>) -> Option<Span> {
        self.best(zone).map(|(span, _)| span)
    }

    /// The product a zone names, if any.
    pub fn named(&self, zone: &Zone<'_>) -> Option<Named> {
        let (span, model) = self.best(zone)?;
        let colour = self.colour_beside(zone, &spaced(zone), span);
        let fitting: Vec<&Sku> = model
            .variants
            .iter()
            .filter(|(_, own)| own.is_none() || colour.is_none() || *own == colour)
            .map(|(sku, _)| sku)
            .collect();
        let mut named = Named { is_accessory: is_accessory(zone, span), ..Named::default() };
        match fitting.as_slice() {
            [sku] => named.sku = Some(zone.fact((*sku).clone(), span, "sku.name")),
            [] => {
                named.candidates = model.variants.iter().map(|(s, _)| zone.fact(s.clone(), span, "sku.name")).collect();
            }
            several => named.candidates = several.iter().map(|s| zone.fact((*s).clone(), span, "sku.name")).collect(),
        }
        Some(named)
    }

    /// The one of `variants` whose colour a short clause names: the answer to "which of these is it?".
    pub fn coloured(&self, zone: &Zone<'_>, variants: &[Fact<Sku>]) -> Option<Fact<Sku>> {
        const SHORT: usize = 8;
        let told = |span: Span| {
            zone.hits.iter().any(|h| matches!(h.group, Group::Symptom | Group::Part) && h.span.contains(span))
        };
        let clauses = zone.folded.sentences.iter().flat_map(|s| zone.folded.clauses(*s));
        let short = clauses.filter(|c| zone.folded.slice(*c).split_whitespace().count() <= SHORT);
        let words = short.flat_map(|s| words_from(&zone.folded.text, s.start).take_while(move |(at, _)| *at < s.end));
        let mut named = words.filter_map(|(at, word)| {
            let span = Span { start: at, end: at + word.len() };
            self.colours.get(word).filter(|_| !told(span)).map(|colour| (span, colour))
        });
        let (span, colour) = named.next()?;
        if named.any(|(_, other)| other != colour) {
            return None;
        }
        let is_of = |sku: &Sku| {
            let own = self.model_of.iter().flat_map(|m| &m.variants).find(|(s, _)| s == sku);
            own.is_some_and(|(_, own)| own.as_ref() == Some(colour))
        };
        let mut fitting = variants.iter().filter(|v| is_of(&v.value));
        let one = fitting.next()?;
        fitting.next().is_none().then(|| zone.fact(one.value.clone(), span, "sku.colour"))
    }

    /// The name that says best which product the letter is about.
    fn best(&self, zone: &Zone<'_>) -> Option<(Span, &Model)> {
        let text = spaced(zone);
        let mut found: Vec<(Span, &Model)> = self
            .models
            .find_overlapping_iter(&text)
            .filter_map(|m| {
                let model = self.model_of.get(*self.spelled.get(m.pattern().as_usize())?)?;
                Some((Span { start: m.start() + 1, end: m.end() - 1 }, model))
            })
            .collect();
        let known = |span: Span| zone.hits.iter().any(|h| h.span.start <= span.start && span.end <= h.span.end);
        let slipped = self.slips.find(&text, known);
        found.extend(slipped.into_iter().filter_map(|(span, at)| Some((span, self.model_of.get(at)?))));
        found.sort_by_key(|(span, _)| (span.start, std::cmp::Reverse(span.end)));
        let mut end = 0;
        found.retain(|(span, _)| {
            let longest = span.start >= end;
            end = end.max(span.end);
            longest
        });
        found.into_iter().min_by_key(|(span, model)| {
            let sentence = zone.sentence_at(span.start);
            let clause = sentence.map(|s| zone.clause_of(s, *span));
            // "It isn't the M3, it is the M3 Ultra."
            let elsewhere = clause.is_some_and(|c| zone.has(c, Group::Elsewhere) || zone.is_denied(c, *span, 2));
            let labelled = zone.label_of(*span) == Some(Group::LabelProduct);
            (is_accessory(zone, *span), elsewhere, !labelled, model.variants.len() > 1, span.start)
        })
    }

    /// The colour that belongs to the name at `span`: right behind it, right before it, behind a colour label, or beside a
    /// word for the device ("my black watch").
    fn colour_beside(&self, zone: &Zone<'_>, text: &str, span: Span) -> Option<String> {
        let is_filler = |word: &str| word == "," || self.colour_fillers.iter().any(|f| f == word);
        let colour_at = |word: &str, at: usize| {
            let place = Span { start: at, end: at + word.len() };
            let is_symptom = zone
                .hits
                .iter()
                .any(|h| matches!(h.group, Group::Symptom | Group::Part) && h.span.contains(place) && h.span != place);
            self.colours.get(word).filter(|_| !is_symptom).cloned()
        };
        let behind = words_from(text, span.end).take(4).scan(true, |go_on, (at, word)| {
            let go = *go_on;
            *go_on = is_filler(word);
            go.then_some((at, word))
        });
        let reach = reach_before(zone, span);
        let before = words_before(text, span.start).take_while(|(at, _)| *at > reach);
        let before: Vec<(usize, &str)> = before.filter(|(_, word)| !is_filler(word)).take(2).collect();
        let labelled = || {
            self.colour_labels.iter().find_map(|label| {
                let (_, behind) = text.split_once(&format!(" {label} , "))?;
                self.colours.get(behind.split(' ').next()?).cloned()
            })
        };
        let of_device = || {
            let devices = zone.hits.iter().filter(|h| h.group == Group::Device).map(|h| h.span);
            let own = devices.filter(|d| {
                zone.sentence_at(d.start).is_some_and(|s| !zone.has(zone.clause_of(s, *d), Group::Elsewhere))
            });
            let mut named = own.filter_map(|device| {
                let mut beside = words_before(text, device.start).take(1).chain(words_from(text, device.end).take(1));
                beside.find_map(|(at, word)| colour_at(word, at))
            });
            let colour = named.next()?;
            named.all(|other| other == colour).then_some(colour)
        };
        behind
            .into_iter()
            .find_map(|(at, word)| colour_at(word, at))
            .or_else(|| before.into_iter().find_map(|(at, word)| colour_at(word, at)))
            .or_else(labelled)
            .or_else(of_device)
    }
}

/// Where the words before a name at `span` begin that may tell its colour: its clause, and the one before it if that is a
/// few words about no part ("a pink one, the Magic 4").
fn reach_before(zone: &Zone<'_>, span: Span) -> usize {
    const FEW: usize = 3;
    const OF_PARTS: [Group; 6] =
        [Group::Part, Group::Accessory, Group::Symptom, Group::Fault, Group::Broken, Group::Elsewhere];
    let Some(sentence) = zone.sentence_at(span.start) else { return 0 };
    let own = zone.clause_of(sentence, span);
    let clauses = zone.folded.clauses(sentence);
    let before = clauses.into_iter().take_while(|c| c.start < own.start).last();
    // The comma is a word, too.
    let few = |c: &Span| zone.folded.slice(*c).split_whitespace().filter(|word| *word != ",").count() <= FEW;
    let plain = before.filter(|c| few(c) && OF_PARTS.iter().all(|group| !zone.has(*c, *group)));
    plain.map_or(own.start, |c| c.start)
}

/// The folded text with every hyphen inside a name as a blank; the lengths stay the same.
fn spaced(zone: &Zone<'_>) -> String {
    zone.folded.text.replace('-', " ")
}

fn models(catalogue: &Catalogue, colours: &BTreeMap<String, String>) -> Vec<Model> {
    let mut by_words: BTreeMap<String, Vec<(Sku, Option<String>)>> = BTreeMap::new();
    for product in &catalogue.products {
        let names: Vec<String> =
            std::iter::once(&product.name).chain(&product.aliases).map(|n| fold::phrase(n).replace('-', " ")).collect();
        let own = names.iter().flat_map(|n| n.split(' ')).find_map(|w| colours.get(w)).cloned();
        for name in names {
            let words: Vec<&str> = name.split(' ').filter(|w| !w.is_empty() && !colours.contains_key(*w)).collect();
            let variants = by_words.entry(words.join(" ")).or_default();
            if !words.is_empty() && variants.iter().all(|(sku, _)| *sku != product.sku) {
                variants.push((product.sku.clone(), own.clone()));
            }
        }
    }
    by_words.into_iter().filter(|(w, _)| !w.is_empty()).map(|(words, variants)| Model { words, variants }).collect()
}

fn is_accessory(zone: &Zone<'_>, span: Span) -> bool {
    words_from(&zone.folded.text, span.start.saturating_sub(1)).take_while(|(at, _)| *at < span.end).all(
        |(at, word)| {
            let place = Span { start: at, end: at + word.len() };
            zone.hits.iter().any(|h| h.group == Group::Accessory && h.span.contains(place))
        },
    )
}

/// The letters and digits of a text, lower case, and where each stood.
fn squeeze(text: &str) -> (String, Vec<usize>) {
    text.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()).map(|(at, c)| (c.to_ascii_lowercase(), at)).unzip()
}

fn starts_alphanumeric(text: &str) -> bool {
    text.chars().next().is_some_and(char::is_alphanumeric)
}
