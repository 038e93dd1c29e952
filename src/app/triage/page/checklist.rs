//! The four steps of the warranty process and where each item stands: given, unclear, missing; its value, the words it
//! came from and the rule that read them.

use std::fmt;
use std::io;

use super::paper::{Ink, Paper, clean};
use crate::domain::case::Case;
use crate::domain::decision::Decision;
use crate::domain::facts::{Evidence, Fact, Facts, Source};
use crate::domain::ids::LetterId;
use crate::domain::warranty::{Item, Status};

/// The steps by their clauses in the policy.
const STEPS: [(&str, &[Item]); 5] = [
    (
        "Step 1: what happened, to which product, of which order",
        &[Item::ProblemWhat, Item::ProblemWhen, Item::ProblemHow, Item::OrderNumber, Item::Sku],
    ),
    ("Step 2: what was tried", &[Item::StepsTaken]),
    ("Step 3: the code on the packaging", &[Item::ItemCode]),
    ("Step 4: pictures", &[Item::Photo, Item::PackagingPhoto]),
    ("Receipt and state", &[Item::ReceivedOn, Item::Unopened]),
];

/// Writes what the case has after this letter. What is neither required nor known is left out.
pub fn write(paper: &mut Paper<'_>, case: &Case, decision: &Decision, letter: &LetterId) -> io::Result<()> {
    if let Some(request) = case.request {
        paper.heading("Request")?;
        let said = case.facts.request.as_ref().filter(|f| f.value == request);
        let proof = said.map_or(String::new(), |f| Proof::new(&f.evidence, letter).to_string());
        paper.entry(&request.code(), &proof)?;
    }
    for (step, items) in STEPS {
        let lines: Vec<(Item, Option<Status>)> = items
            .iter()
            .map(|item| (*item, decision.checklist.items.iter().find(|(i, _)| i == item).map(|(_, status)| *status)))
            .filter(|(item, status)| status.is_some() || !known(&case.facts, *item, letter).is_empty())
            .collect();
        if lines.is_empty() {
            continue;
        }
        paper.heading(step)?;
        for (item, status) in lines {
            line(paper, case, item, status, letter)?;
        }
    }
    Ok(())
}

fn line(paper: &mut Paper<'_>, case: &Case, item: Item, status: Option<Status>, letter: &LetterId) -> io::Result<()> {
    let (ink, sign, word) = match status {
        Some(Status::Given) => (Ink::Good, '✓', ""),
        Some(Status::Unclear) => (Ink::Doubtful, '?', "unclear"),
        Some(Status::Missing) => (Ink::Bad, '✗', "missing"),
        // Known, though nobody needs it.
        None => (Ink::Faint, '·', ""),
    };
    let name = item.code();
    let name = format!("{} {}", paper.ink(ink, &sign.to_string()), name.trim_start_matches("problem_"));
    let mut texts = known(&case.facts, item, letter);
    if !word.is_empty() {
        texts.insert(0, paper.ink(ink, word));
    }
    if item == Item::OrderNumber && case.order_not_found.is_some() && status == Some(Status::Unclear) {
        texts.push("not in the order feed".to_owned());
    }
    if let Some(cannot) = case.facts.not_available.iter().find(|f| f.value == item) {
        texts.push(format!("can't be given: {}", Proof::new(&cannot.evidence, letter)));
    }
    if case.facts.where_to_find.contains(&item) {
        texts.push("the customer asks where to find it".to_owned());
    }
    paper.entry(&name, &texts.join(" · "))
}

/// What is known of an item: value and proof.
fn known(facts: &Facts, item: Item, letter: &LetterId) -> Vec<String> {
    match item {
        Item::OrderNumber => value(facts.order_number.as_ref(), letter),
        Item::Sku => {
            let mut texts = value(facts.sku.as_ref(), letter);
            if let (None, Some(first)) = (&facts.sku, facts.sku_candidates.first()) {
                let fitting: Vec<&str> = facts.sku_candidates.iter().map(|f| f.value.as_str()).collect();
                texts.push(format!("{} fits {}", Proof::new(&first.evidence, letter), fitting.join(", ")));
            }
            texts
        }
        Item::ItemCode => value(facts.item_code.as_ref(), letter),
        Item::ReceivedOn => value(facts.received_on.as_ref(), letter),
        Item::ProblemWhat => words(facts.problem_what.as_ref(), letter),
        Item::ProblemWhen => words(facts.problem_when.as_ref(), letter),
        Item::ProblemHow => words(facts.problem_how.as_ref(), letter),
        Item::StepsTaken => words(facts.steps_taken.as_ref(), letter),
        Item::PackagingPhoto => words(facts.packaging_shown.as_ref(), letter),
        Item::Unopened => value(facts.unopened.as_ref(), letter),
        Item::Photo => {
            let usable = facts.usable_photos();
            let counts = [
                ("usable photos", usable),
                ("photos of no use", facts.photos.len() - usable),
                ("videos", facts.videos.len()),
                ("links", facts.links.len()),
            ];
            counts.into_iter().filter(|(_, n)| *n > 0).map(|(of, n)| format!("{of}: {n}")).collect()
        }
    }
}

fn value<T: fmt::Display>(fact: Option<&Fact<T>>, letter: &LetterId) -> Vec<String> {
    fact.map(|f| format!("{} {}", f.value, Proof::new(&f.evidence, letter))).into_iter().collect()
}

fn words(evidence: Option<&Evidence>, letter: &LetterId) -> Vec<String> {
    evidence.map(|e| Proof::new(e, letter).to_string()).into_iter().collect()
}

/// Why a fact is believed, as text: `“since Monday” (text, problem.when)`.
pub struct Proof<'a> {
    evidence: &'a Evidence,
    letter: &'a LetterId,
}

impl<'a> Proof<'a> {
    /// `letter`: the one that the page is about.
    pub fn new(evidence: &'a Evidence, letter: &'a LetterId) -> Self {
        Self { evidence, letter }
    }
}

impl fmt::Display for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.evidence.source {
            Source::Text { .. } => "text".to_owned(),
            Source::Subject => "subject".to_owned(),
            Source::Signature => "signature".to_owned(),
            Source::Forwarded => "forwarded".to_owned(),
            Source::Attachment { index } => format!("file {}", index + 1),
            Source::FileName { index } => format!("name of file {}", index + 1),
            Source::OrderFeed => "order feed".to_owned(),
            Source::Catalogue => "catalogue".to_owned(),
            Source::Staff => "staff".to_owned(),
        };
        let earlier = self.evidence.letter.as_ref().is_some_and(|l| l != self.letter);
        let of = if earlier { " of an earlier letter" } else { "" };
        let unclear = if self.evidence.unclear { ", not surely" } else { "" };
        write!(f, "“{}” ({place}{of}, {}{unclear})", clean(&self.evidence.quote), self.evidence.rule)
    }
}
