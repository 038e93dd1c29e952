//! What is known of a claim, each fact with the evidence it rests on.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::ids::{ItemCode, LetterId, OrderNumber, Sku};
use super::returns::Outlay;
use super::warranty::Item;

/// A value and where it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact<T> {
    pub value: T,
    pub evidence: Evidence,
}

/// Why we believe a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The letter it came with; `None` if no letter said it (the order feed).
    pub letter: Option<LetterId>,
    pub source: Source,
    /// The words, the file name or the feed's line it was read from, cut to a readable length.
    pub quote: String,
    /// The rule that read it, as `explain` names it: `order_number.labelled`.
    pub rule: String,
    /// Read by its meaning or in one of two ways, and not surely: the customer is asked whether it was understood rightly.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unclear: bool,
}

impl Evidence {
    /// What was read from the `quote` by a `rule` that is sure of it.
    pub fn new(letter: Option<LetterId>, source: Source, quote: &str, rule: &str) -> Self {
        Self { letter, source, quote: quote.to_owned(), rule: rule.to_owned(), unclear: false }
    }
}

/// The place a fact was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Bytes `start..end` of the words written now.
    Text {
        start: usize,
        end: usize,
    },
    Subject,
    Signature,
    /// A mail the customer forwarded, inline or attached.
    Forwarded,
    Attachment {
        index: usize,
    },
    /// What an attachment is called; unlike what it shows, it may be left from anything.
    FileName {
        index: usize,
    },
    OrderFeed,
    Catalogue,
    /// A person of the staff knows it; the quote is their name.
    Staff,
}

impl Source {
    /// Whether the customer wrote it in this very letter. A subject line and a forwarded mail are carried along from
    /// letter to letter, so they never overrule what is known already.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Text { .. } | Self::Attachment { .. })
    }
}

/// What the customer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Defect,
    ReturnUnused,
    ReturnOpened,
    ShippingReimbursement,
    SpareParts,
    OrderIssue,
    Status,
    Question,
    Closing,
    Other,
}

/// A ground on which the warranty may be void; policy clauses `void.*`, `misuse.cost`, `wear`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoidSignal {
    Flashed,
    Opened,
    Modified,
    Misuse,
    ContinuedUse,
}

/// A picture and what looking at it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Photo {
    pub index: usize,
    pub name: String,
    pub judgement: Judgement,
    /// EAN and QR codes read from it.
    pub codes: Vec<String>,
}

/// Whether a picture can serve as evidence (policy clause `process.4`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    Usable,
    /// A real picture that could not be looked into: too large, damaged, of a rare kind; it counts as usable.
    NotChecked,
    TooDark,
    TooBright,
    Blurred,
    /// The short side is under 480 pixels.
    TooSmall,
    /// A person finds that it does not show the defect.
    NotShown,
}

impl Judgement {
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Usable | Self::NotChecked)
    }
}

/// What is known, of one letter or, after [`Facts::merge`], of a case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub request: Option<Fact<Request>>,
    pub order_number: Option<Fact<OrderNumber>>,
    pub sku: Option<Fact<Sku>>,
    /// The variants that what the customer named could mean, if it fits several.
    pub sku_candidates: Vec<Fact<Sku>>,
    pub item_code: Option<Fact<ItemCode>>,
    pub received_on: Option<Fact<Date>>,
    pub problem_what: Option<Evidence>,
    pub problem_when: Option<Evidence>,
    pub problem_how: Option<Evidence>,
    pub steps_taken: Option<Evidence>,
    pub unopened: Option<Fact<bool>>,
    pub packaging_shown: Option<Evidence>,
    pub photos: Vec<Photo>,
    /// File names of videos.
    pub videos: Vec<String>,
    /// Links to a picture, a video or a shared folder.
    pub links: Vec<String>,
    /// A person finds that what came shows the defect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_seen: Option<Evidence>,
    pub void_signals: Vec<Fact<VoidSignal>>,
    pub safety: Option<Evidence>,
    /// A sentence that may tell of what voids the warranty or of a danger, too unclear to be taken for it.
    pub doubt: Option<Evidence>,
    pub unsafe_attachment: Option<Evidence>,
    /// A lawyer, a legal right, a consumer agency, a chargeback, a data protection request is named.
    pub legal: Option<Evidence>,
    /// A receipt of return shipping.
    pub outlay: Option<Outlay>,
    /// What the customer says can't be given.
    pub not_available: Vec<Fact<Item>>,
    /// What the customer asks us where to find.
    pub where_to_find: Vec<Item>,
}

impl Facts {
    /// Takes in what a later letter of the case says: its fresh words go before what was known; what it only carries
    /// along (subject, forwarded mail) fills gaps. Evidence adds up.
    pub fn merge(&mut self, later: &Facts) {
        take(&mut self.request, &later.request);
        take(&mut self.order_number, &later.order_number);
        if later.sku.is_some() || !later.sku_candidates.is_empty() {
            let overrules =
                later.sku.as_ref().or(later.sku_candidates.first()).is_some_and(|f| f.evidence.source.is_fresh());
            if later.sku.is_some() && (overrules || self.sku.is_none()) {
                self.sku.clone_from(&later.sku);
                self.sku_candidates.clear();
            } else if self.sku.is_none() && (overrules || self.sku_candidates.is_empty()) {
                self.sku_candidates.clone_from(&later.sku_candidates);
            }
        }
        take(&mut self.item_code, &later.item_code);
        take(&mut self.received_on, &later.received_on);
        keep(&mut self.problem_what, &later.problem_what);
        keep(&mut self.problem_when, &later.problem_when);
        keep(&mut self.problem_how, &later.problem_how);
        keep(&mut self.steps_taken, &later.steps_taken);
        take(&mut self.unopened, &later.unopened);
        keep(&mut self.packaging_shown, &later.packaging_shown);
        add(&mut self.photos, &later.photos);
        add(&mut self.videos, &later.videos);
        add(&mut self.links, &later.links);
        keep(&mut self.evidence_seen, &later.evidence_seen);
        for signal in &later.void_signals {
            if self.void_signals.iter().all(|s| s.value != signal.value) {
                self.void_signals.push(signal.clone());
            }
        }
        keep(&mut self.safety, &later.safety);
        keep(&mut self.doubt, &later.doubt);
        keep(&mut self.unsafe_attachment, &later.unsafe_attachment);
        keep(&mut self.legal, &later.legal);
        self.outlay = later.outlay.clone().or(self.outlay.take());
        for item in &later.not_available {
            if self.not_available.iter().all(|i| i.value != item.value) {
                self.not_available.push(item.clone());
            }
        }
        self.where_to_find.clone_from(&later.where_to_find);
    }

    /// The number of pictures that can serve as evidence.
    pub fn usable_photos(&self) -> usize {
        self.photos.iter().filter(|p| p.judgement.is_usable()).count()
    }
}

/// A claim has a dozen at most; a machine that writes into one case for ever must not make it grow without end.
const KEPT: usize = 200;

fn add<T: Clone>(known: &mut Vec<T>, later: &[T]) {
    known.extend(later.iter().take(KEPT.saturating_sub(known.len())).cloned());
}

fn take<T: Clone>(known: &mut Option<Fact<T>>, later: &Option<Fact<T>>) {
    if let Some(fact) = later
        && (known.is_none() || fact.evidence.source.is_fresh())
    {
        *known = Some(fact.clone());
    }
}

fn keep(known: &mut Option<Evidence>, later: &Option<Evidence>) {
    if known.is_none() {
        known.clone_from(later);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str, source: Source) -> Facts {
        let evidence = Evidence::new(None, source, text, "test");
        let value = OrderNumber::new(text).unwrap();
        Facts { order_number: Some(Fact { value, evidence }), ..Facts::default() }
    }

    #[test]
    fn a_case_does_not_grow_without_end() {
        let mut case = Facts::default();
        for n in 0..1000 {
            case.merge(&Facts { links: vec![n.to_string()], videos: vec![n.to_string()], ..Facts::default() });
        }
        assert_eq!((case.links.len(), case.videos.len(), case.links[0].as_str()), (KEPT, KEPT, "0"));
    }

    #[test]
    fn a_corrected_number_replaces_the_old_one_whatever_the_subject_still_says() {
        let mut case = number("KS10001", Source::Subject);
        case.merge(&number("KS10002", Source::Text { start: 0, end: 7 }));
        case.merge(&number("KS10001", Source::Subject));
        assert_eq!(case.order_number.unwrap().value.as_str(), "KS10002");
    }
}
