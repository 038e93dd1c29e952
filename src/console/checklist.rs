//! The four steps of the warranty process as entries of a list: where each item stands, its value, and a link to where
//! it was read.

use super::correct::is_fact;
use super::marks::{anchor, entry, named, short};
use crate::domain::case::Case;
use crate::domain::facts::{Evidence, Source};
use crate::domain::ids::LetterId;
use crate::domain::warranty::{Item, Status};

/// The steps by their clauses in the policy; the template has their names.
const STEPS: [&[Item]; 5] = [
    &[Item::ProblemWhat, Item::ProblemWhen, Item::ProblemHow, Item::OrderNumber, Item::Sku],
    &[Item::StepsTaken],
    &[Item::ItemCode],
    &[Item::Photo, Item::PackagingPhoto],
    &[Item::ReceivedOn, Item::Unopened],
];

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    pub number: usize,
    pub entries: Vec<Entry>,
}

/// One item, or a sign of something else.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: String,
    /// The code of the item or sign.
    pub name: String,
    /// `given`, `unclear`, `missing`; `known` of what nobody asks for; `grave`, `doubtful` of signs.
    pub status: &'static str,
    pub value: String,
    pub proof: Option<Proof>,
    /// How many there are, by what they are.
    pub counts: Vec<(&'static str, usize)>,
    /// What is to be known beside it.
    pub remark: Option<&'static str>,
    /// Whether it is a fact that can be put right.
    pub is_fact: bool,
}

/// The words that something was read from.
#[derive(Debug, Clone)]
pub struct Proof {
    pub quote: String,
    /// The code of the place.
    pub place: &'static str,
    pub rule: String,
    /// The mark or the file it leads to.
    pub link: Option<String>,
}

/// The steps of a case. `photo` is where the first usable one is shown.
pub fn steps(case: &Case, photo: Option<&str>) -> Vec<Step> {
    let checklist = case.decision.as_ref().map(|decision| &decision.checklist);
    let mut steps = Vec::new();
    for (n, items) in STEPS.iter().enumerate() {
        let of = |item: &Item| {
            let status = checklist.and_then(|list| list.items.iter().find(|(known, _)| known == item));
            item_entry(case, *item, status.map(|(_, status)| *status), photo)
        };
        let entries: Vec<Entry> = items.iter().filter_map(of).collect();
        if !entries.is_empty() {
            steps.push(Step { number: n + 1, entries });
        }
    }
    steps
}

/// What else was read: dangers, grounds that may void the warranty, doubts, legal words.
pub fn signs(case: &Case) -> Vec<Entry> {
    let facts = &case.facts;
    let mut signs = Vec::new();
    let mut add = |name: &str, status, value: String, evidence: Option<&Evidence>| {
        if let Some(evidence) = evidence {
            let proof = Some(proof(evidence, name));
            signs.push(Entry {
                id: entry(name),
                name: name.to_owned(),
                status,
                value,
                proof,
                counts: Vec::new(),
                remark: None,
                is_fact: is_fact(name),
            });
        }
    };
    add("safety", "grave", String::new(), facts.safety.as_ref());
    for signal in &facts.void_signals {
        add("void", "grave", signal.value.code(), Some(&signal.evidence));
    }
    add("doubt", "doubtful", String::new(), facts.doubt.as_ref());
    add("legal", "doubtful", String::new(), facts.legal.as_ref());
    add("unsafe_attachment", "doubtful", String::new(), facts.unsafe_attachment.as_ref());
    for item in &facts.not_available {
        add("not_available", "doubtful", item.value.code(), Some(&item.evidence));
    }
    add(
        "request",
        "known",
        case.request.map(|r| r.code()).unwrap_or_default(),
        facts.request.as_ref().map(|f| &f.evidence),
    );
    signs
}

fn item_entry(case: &Case, item: Item, status: Option<Status>, photo: Option<&str>) -> Option<Entry> {
    let facts = &case.facts;
    let code = item.code();
    let evidence = named(facts).into_iter().find(|(name, _)| *name == code).map(|(_, evidence)| evidence);
    let value = match item {
        Item::OrderNumber => facts.order_number.as_ref().map(|f| f.value.to_string()),
        Item::Sku if facts.sku.is_none() => {
            let fitting: Vec<&str> = facts.sku_candidates.iter().map(|f| f.value.as_str()).collect();
            (!fitting.is_empty()).then(|| fitting.join(" / "))
        }
        Item::Sku => facts.sku.as_ref().map(|f| f.value.to_string()),
        Item::ItemCode => facts.item_code.as_ref().map(|f| f.value.to_string()),
        Item::ReceivedOn => facts.received_on.as_ref().map(|f| f.value.to_string()),
        Item::Unopened => facts.unopened.as_ref().map(|f| if f.value { "✓" } else { "✗" }.to_owned()),
        _ => None,
    };
    let counts = if item == Item::Photo { pictures(case) } else { Vec::new() };
    if status.is_none() && value.is_none() && evidence.is_none() && counts.is_empty() {
        return None;
    }
    let proof = match (item, photo) {
        (Item::Photo, Some(link)) => {
            Some(Proof { quote: String::new(), place: "file", rule: String::new(), link: Some(link.to_owned()) })
        }
        _ => evidence.map(|evidence| proof(evidence, &code)),
    };
    let status = match status {
        Some(Status::Given) => "given",
        Some(Status::Unclear) => "unclear",
        Some(Status::Missing) => "missing",
        None => "known",
    };
    let remark = match () {
        () if item == Item::OrderNumber && case.order_not_found.is_some() && status == "unclear" => Some("not_in_feed"),
        () if facts.not_available.iter().any(|f| f.value == item) => Some("not_available"),
        () if facts.where_to_find.contains(&item) => Some("where_to_find"),
        () if evidence.is_some_and(|evidence| evidence.unclear) => Some("read_unsurely"),
        () => None,
    };
    let (value, is_fact) = (value.unwrap_or_default(), is_fact(&code));
    Some(Entry { id: entry(&code), name: code, status, value, proof, counts, remark, is_fact })
}

/// How many pictures, videos and links there are.
fn pictures(case: &Case) -> Vec<(&'static str, usize)> {
    let facts = &case.facts;
    let usable = facts.usable_photos();
    let counts = [
        ("usable", usable),
        ("of_no_use", facts.photos.len().saturating_sub(usable)),
        ("videos", facts.videos.len()),
        ("links", facts.links.len()),
    ];
    counts.into_iter().filter(|(_, n)| *n > 0).collect()
}

fn proof(evidence: &Evidence, name: &str) -> Proof {
    let file = |letter: &LetterId, index: usize| format!("#f-{}-{index}", short(letter));
    let letter = evidence.letter.as_ref();
    let (place, link) = match evidence.source {
        Source::Text { .. } => ("text", letter.map(|l| format!("#{}", anchor(l, name)))),
        Source::Subject => ("subject", letter.map(|l| format!("#{}", anchor(l, name)))),
        Source::Signature => ("signature", None),
        Source::Forwarded => ("forwarded", None),
        Source::Attachment { index } => ("file", letter.map(|l| file(l, index))),
        Source::FileName { index } => ("file_name", letter.map(|l| file(l, index))),
        Source::Staff => ("staff", None),
        Source::OrderFeed => ("order_feed", None),
        Source::Catalogue => ("catalogue", None),
    };
    Proof { quote: evidence.quote.clone(), place, rule: evidence.rule.clone(), link }
}
