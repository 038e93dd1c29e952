//! The places a letter is read in: the words written now, the subject, the signature, what was forwarded.

use jiff::civil::Date;

use crate::domain::facts::{Evidence, Fact, Source};
use crate::domain::ids::LetterId;
use crate::pipeline::extract::dates::Found;
use crate::pipeline::extract::meaning::{Meaning, Model, Scores};
use crate::pipeline::fold::{Folded, Span};
use crate::pipeline::lexicon::Lexicon;
use crate::pipeline::phrases::{Group, Hit};

/// A text of the letter, folded and searched.
#[derive(Debug)]
pub struct Zone<'a> {
    pub letter: &'a LetterId,
    pub text: &'a str,
    pub folded: Folded,
    /// The hits of the letter's language, and the labels of every language.
    pub hits: Vec<Hit>,
    /// What the model reads in each sentence; empty where only forms are looked for.
    scores: Vec<Scores>,
    pub lexicons: Vec<&'a Lexicon>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Subject,
    Signature,
    Forwarded,
    /// The name of the attachment at this place.
    FileName {
        index: usize,
    },
}

impl<'a> Zone<'a> {
    /// Folds and searches `text` with the lexicons of the letter.
    pub fn new(letter: &'a LetterId, kind: Kind, text: &'a str, lexicons: &[&'a Lexicon]) -> Self {
        let folded = match lexicons {
            [one] => Folded::new(text, &one.writing.abbreviations),
            several => {
                let abbreviations = several.iter().flat_map(|l| l.writing.abbreviations.iter().cloned());
                Folded::new(text, &abbreviations.collect::<Vec<_>>())
            }
        };
        let mut hits: Vec<Hit> =
            lexicons.iter().filter_map(|l| l.search()).flat_map(|phrases| phrases.find(&folded)).collect();
        hits.sort_by_key(|h| (h.span.start, h.span.end, h.group));
        hits.dedup();
        Self { letter, text, folded, hits, scores: Vec::new(), lexicons: lexicons.to_vec(), kind }
    }

    /// Reads its sentences with the model, if there is one.
    pub fn scored(mut self, model: Option<&Model>) -> Self {
        self.scores = model.map_or_else(Vec::new, |m| self.folded.sentences.iter().map(|s| self.read(*s, m)).collect());
        self
    }

    /// What the model reads in a sentence. People who write without full stops say many things in one; so it is also
    /// read in pieces, which tell of what happened, but not of what was denied further off.
    fn read(&self, sentence: Span, model: &Model) -> Scores {
        let tally = model.tally(self.folded.slice(sentence));
        let read = |piece: Span| {
            model.read(&tally, piece.start - sentence.start..piece.end - sentence.start, self.hits_in(piece))
        };
        self.pieces(sentence).into_iter().fold(read(sentence), |scores, piece| scores.or_piece(read(piece)))
    }

    /// What the model reads in a part of a sentence as if it were all.
    pub fn read_alone(&self, part: Span, model: &Model) -> Scores {
        let text = self.folded.slice(part);
        model.read(&model.tally(text), 0..text.len(), self.hits_in(part))
    }

    /// The clauses of a sentence, and the stretches of a clause that is very long.
    fn pieces(&self, sentence: Span) -> Vec<Span> {
        const STRETCH: usize = 14;
        const LEAST: usize = 4;
        let mut pieces = Vec::new();
        for clause in self.folded.clauses(sentence) {
            let text = self.folded.slice(clause);
            let blanks: Vec<usize> = text.match_indices(' ').map(|(at, _)| clause.start + at).collect();
            if blanks.len() > LEAST && clause != sentence {
                pieces.push(clause);
            }
            if blanks.len() > STRETCH + STRETCH / 2 {
                let starts = blanks.iter().step_by(STRETCH / 2);
                let ends = blanks.iter().skip(STRETCH).step_by(STRETCH / 2);
                pieces.extend(starts.zip(ends).map(|(start, end)| Span { start: *start, end: end + 1 }));
            }
        }
        pieces
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The hits of a group inside `span`.
    pub fn within(&self, span: Span, group: Group) -> impl Iterator<Item = Hit> {
        self.beginning_in(span).iter().copied().filter(move |h| h.group == group && span.contains(h.span))
    }

    /// The hits that begin inside `span`: a long text has too many to look at all of them for each sentence.
    fn beginning_in(&self, span: Span) -> &[Hit] {
        let first = self.hits.partition_point(|h| h.span.start < span.start);
        let end = self.hits.partition_point(|h| h.span.start <= span.end);
        self.hits.get(first..end).unwrap_or_default()
    }

    /// The hits inside a sentence.
    fn hits_in(&self, sentence: Span) -> &[Hit] {
        let hits = self.beginning_in(sentence);
        hits.get(..hits.partition_point(|h| h.span.start < sentence.end - 1)).unwrap_or_default()
    }

    /// The model's score of a sentence.
    pub fn score(&self, sentence: Span, meaning: Meaning) -> Option<f32> {
        let at = self.folded.sentences.partition_point(|s| s.start < sentence.start);
        self.scores.get(at).map(|scores| scores.of(meaning))
    }

    /// The words that spoke most for a meaning.
    pub fn reasons(&self, sentence: Span, meaning: Meaning, model: &Model) -> Vec<String> {
        model.reasons(self.folded.slice(sentence), self.hits_in(sentence), meaning)
    }

    /// Whether a sentence says so, by the model and by the lexicon (`by_words`) together.
    pub fn says(&self, sentence: Span, meaning: Meaning, by_words: bool) -> bool {
        self.weighed(sentence, meaning, by_words).map_or(by_words, |score| meaning.is_said(score, by_words))
    }

    /// The evidence that a sentence says so: what the lexicon found, if the model doesn't object, or else the sentence
    /// itself, if the model is sure enough. Unclear is what would not be said if the model were a little less sure.
    pub fn judged(&self, sentence: Span, meaning: Meaning, by_words: Option<Evidence>) -> Option<Evidence> {
        let worded = by_words.is_some();
        if !self.says(sentence, meaning, worded) {
            return None;
        }
        let unclear = self.weighed(sentence, meaning, worded).is_some_and(|score| !meaning.is_clear(score, worded));
        let whole = || self.evidence(sentence, &format!("meaning.{}", meaning.name()));
        Some(Evidence { unclear, ..by_words.unwrap_or_else(whole) })
    }

    /// The model's score of a sentence, less what a question takes from it.
    fn weighed(&self, sentence: Span, meaning: Meaning, by_words: bool) -> Option<f32> {
        // What is asked about is seldom what happened: "does the glass crack if it falls?"
        const ASKED: f32 = 0.4;
        let asked = meaning.is_account() && !by_words && self.folded.is_question(sentence);
        let less = if asked { ASKED } else { 0.0 };
        self.score(sentence, meaning).map(|score| score - less)
    }

    /// Whether a group has a hit inside `span`.
    pub fn has(&self, span: Span, group: Group) -> bool {
        self.within(span, group).next().is_some()
    }

    /// The sentence that holds the folded place `at`.
    pub fn sentence_at(&self, at: usize) -> Option<Span> {
        let sentences = &self.folded.sentences;
        let first = sentences.partition_point(|s| s.end <= at);
        sentences.get(first).copied().filter(|s| s.start <= at)
    }

    /// Whether a sentence holds a code: a word with four digits or more.
    pub fn has_code(&self, sentence: Span) -> bool {
        self.folded.slice(sentence).split(' ').any(|w| w.bytes().filter(u8::is_ascii_digit).count() >= 4)
    }

    /// The clause of `sentence` that holds `span`.
    pub fn clause_of(&self, sentence: Span, span: Span) -> Span {
        self.folded
            .clauses(sentence)
            .into_iter()
            .find(|c| c.start <= span.start && span.start < c.end)
            .unwrap_or(sentence)
    }

    /// Evidence for what stands at the folded `span`.
    pub fn evidence(&self, span: Span, rule: &str) -> Evidence {
        self.evidence_at(self.folded.original(span), rule)
    }

    /// Evidence for what stands at `span` of the original text.
    pub fn evidence_at(&self, span: Span, rule: &str) -> Evidence {
        let whole = self.text.get(span.start..span.end).unwrap_or_default();
        // A clause begins and ends at its words, not at the marks around them.
        let outer = |c: char| c.is_whitespace() || matches!(c, ',' | '.' | ';' | ':' | '!' | '?' | '-' | '–' | '—');
        let behind = whole.trim_start_matches(|c| outer(c) || matches!(c, ')' | ']' | '}'));
        let quote = behind.trim_end_matches(|c| outer(c) || matches!(c, '(' | '[' | '{'));
        let start = span.start + (whole.len() - behind.len());
        let span = Span { start, end: start + quote.len() };
        let source = match self.kind {
            Kind::Text => Source::Text { start: span.start, end: span.end },
            Kind::Subject => Source::Subject,
            Kind::Signature => Source::Signature,
            Kind::Forwarded => Source::Forwarded,
            Kind::FileName { index } => Source::FileName { index },
        };
        Evidence::new(Some(self.letter.clone()), source, &readable(quote), rule)
    }

    /// A fact read at the folded `span`.
    pub fn fact<T>(&self, value: T, span: Span, rule: &str) -> Fact<T> {
        Fact { value, evidence: self.evidence(span, rule) }
    }

    /// The day found by one of the forms of days, read by `rule`.
    pub fn day(&self, day: &Found, rule: &str) -> Fact<Date> {
        let evidence = self.evidence(day.span, &format!("{rule}.{}", day.rule));
        Fact { value: day.date, evidence: Evidence { unclear: day.either_way, ..evidence } }
    }

    /// The label that a code at the folded `place` belongs to: the nearest one before it in its sentence, else the one
    /// right behind it.
    pub fn label_of(&self, place: Span) -> Option<Group> {
        const BEHIND: usize = 24;
        let behind = || {
            let sentence = self.sentence_at(place.start)?;
            let labels = self.beginning_in(sentence).iter().filter(|h| is_label(h.group) && sentence.contains(h.span));
            labels
                .filter(|h| h.span.start >= place.end && h.span.start - place.end <= BEHIND)
                .min_by_key(|h| (h.span.start, std::cmp::Reverse(h.span.end)))
                .map(|h| h.group)
        };
        self.label_before(place).or_else(behind)
    }

    /// The nearest label before a code in its sentence.
    pub fn label_before(&self, place: Span) -> Option<Group> {
        const BEFORE: usize = 48;
        let sentence = self.sentence_at(place.start)?;
        let labels = self.beginning_in(sentence).iter().filter(|h| is_label(h.group) && sentence.contains(h.span));
        labels
            .filter(|h| h.span.end <= place.start && place.start - h.span.end <= BEFORE)
            .max_by_key(|h| (h.span.end, h.span.end - h.span.start))
            .map(|h| h.group)
    }

    /// Whether the clause denies what stands at `span`: a negation at most `reach` words before it, right behind its
    /// first word, or in its own gap ("I have never dropped it"). A negation further off belongs to something else ("so
    /// hot that I could not touch it").
    pub fn is_denied(&self, clause: Span, span: Span, reach: usize) -> bool {
        let first_word = self.folded.slice(span).find(' ').map_or(span.end, |n| span.start + n);
        self.within(clause, Group::Negation).any(|n| {
            let between = self.folded.slice(Span { start: n.span.end, end: span.start });
            let before = n.span.end <= span.start && between.split(' ').filter(|w| !w.is_empty()).count() <= reach;
            before || n.span.start == first_word + 1 || span.contains(n.span)
        })
    }

    /// The folded place of `span` of the original.
    pub fn folded_place(&self, span: Span) -> Span {
        let start = self.folded.folded_at(span.start);
        let end = self.folded.folded_at(span.end).max(start + 1);
        Span { start, end }
    }
}

fn is_label(group: Group) -> bool {
    matches!(
        group,
        Group::LabelOrderNumber | Group::LabelSku | Group::LabelItemCode | Group::LabelProduct | Group::LabelOther
    )
}

/// Cuts a quote to a length that fits beside a fact, on one line.
pub fn readable(quote: &str) -> String {
    const LENGTH: usize = 160;
    let line = quote.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LENGTH { line } else { line.chars().take(LENGTH - 1).chain(['…']).collect() }
}
