//! What the customer wants.

use crate::domain::facts::{Fact, Request};
use crate::pipeline::extract::problem::Account;
use crate::pipeline::extract::zone::Zone;
use crate::pipeline::fold::Span;
use crate::pipeline::phrases::{Group, Hit};

/// The request of a letter, by what its words and its subject say; `None` if they only bring facts.
pub fn request(zones: &[Zone<'_>], account: &Account) -> Option<Fact<Request>> {
    let defect = account.what.as_ref().or(account.broken.as_ref());
    let told = account.what.is_some();
    let first = |group| first(zones, group);
    if let Some(found) = solved(zones) {
        return Some(found);
    }
    if let Some((zone, hit)) = first(Group::ShippingReimbursement).filter(|_| !told) {
        return Some(zone.fact(Request::ShippingReimbursement, hit.span, "request.shipping_reimbursement"));
    }
    if let Some((zone, hit)) = first(Group::SpareParts).filter(|_| !told) {
        return Some(zone.fact(Request::SpareParts, hit.span, "request.spare_parts"));
    }
    if let Some((zone, hit)) = first(Group::BeforeBuying).filter(|_| !told) {
        return Some(zone.fact(Request::Question, hit.span, "request.before_buying"));
    }
    if let Some((zone, hit)) = first(Group::WantsReturn).filter(|_| !told || says(zones, Group::NothingWrong)) {
        let (request, rule) = match unopened(zones) {
            Some(fact) if !fact.value => (Request::ReturnOpened, "request.return_opened"),
            _ => (Request::ReturnUnused, "request.return_unused"),
        };
        let defective = defect.is_some() && !says(zones, Group::NothingWrong) && request == Request::ReturnUnused;
        if !defective {
            return Some(zone.fact(request, hit.span, rule));
        }
    }
    if let Some((zone, hit)) = first(Group::OrderIssue).filter(|_| !told) {
        let sealed = unopened(zones).is_some_and(|f| f.value) && says(zones, Group::WantsReturn);
        if !sealed {
            return Some(zone.fact(Request::OrderIssue, hit.span, "request.order_issue"));
        }
    }
    if let Some(fact) = unopened(zones).filter(|f| f.value && !told && account.broken.is_none()) {
        return Some(Fact { value: Request::ReturnUnused, evidence: fact.evidence });
    }
    let asks = [(Group::StatusQuestion, Request::Status, "request.status")];
    for (group, request, rule) in asks {
        if let Some((zone, hit)) = first(group).filter(|_| !told) {
            return Some(zone.fact(request, hit.span, rule));
        }
    }
    if let Some(evidence) = defect {
        return Some(Fact { value: Request::Defect, evidence: evidence.clone() });
    }
    if let Some((zone, hit)) = first(Group::HowTo) {
        return Some(zone.fact(Request::Question, hit.span, "request.how_to"));
    }
    None
}

/// Whether the customer says that the item is unopened and unused. Opened but unused counts as opened.
pub fn unopened(zones: &[Zone<'_>]) -> Option<Fact<bool>> {
    let used = zones.iter().find_map(|zone| {
        let hit = hits(zone, Group::Used).find(|(sentence, h)| {
            let covered = zone.within(*sentence, Group::Sealed).any(|s| s.span.contains(h.span));
            !covered && !denied(zone, *sentence, h)
        })?;
        Some(zone.fact(false, hit.1.span, "unopened.used"))
    });
    let sealed = zones.iter().find_map(|zone| {
        let (_, hit) = hits(zone, Group::Sealed).find(|(sentence, _)| !zone.folded.is_question(*sentence))?;
        Some(zone.fact(true, hit.span, "unopened.sealed"))
    });
    let denied_use = || {
        zones.iter().find_map(|zone| {
            let (_, hit) = hits(zone, Group::Used).find(|(sentence, h)| denied(zone, *sentence, h))?;
            Some(zone.fact(true, hit.span, "unopened.never_used"))
        })
    };
    used.or(sealed).or_else(denied_use)
}

fn denied(zone: &Zone<'_>, sentence: Span, hit: &Hit) -> bool {
    zone.is_denied(zone.clause_of(sentence, hit.span), hit.span, 4)
}

/// Closing: says that it is solved, and tells no trouble beside it; or only says thanks.
fn solved(zones: &[Zone<'_>]) -> Option<Fact<Request>> {
    let text = zones.iter().find(|z| z.kind() == super::zone::Kind::Text)?;
    let good = |(sentence, hit): &(Span, Hit)| {
        let clause = text.clause_of(*sentence, hit.span);
        // "No longer needed" is said with a negation, "not solved yet" is denied by one further in.
        let negated = text.within(clause, Group::Negation).any(|n| {
            let lead = text.folded.slice(Span { start: hit.span.start, end: n.span.start });
            !hit.span.contains(n.span) || lead.split_whitespace().count() >= 2
        });
        !negated && !text.has(clause, Group::Hypothetical) && !text.folded.is_question(*sentence)
    };
    let found: Vec<(Span, Hit)> = hits(text, Group::Solved).filter(good).collect();
    let trouble = hits(text, Group::Symptom).any(|(sentence, symptom)| {
        let clause = text.clause_of(sentence, symptom.span);
        // "Works again since yesterday but now it does not charge" has no comma either.
        let beside = |hit: &Hit| {
            let between = Span { start: hit.span.end.min(symptom.span.start), end: symptom.span.start };
            text.folded.slice(between).split_whitespace().count() < 3
        };
        found.iter().all(|(s, hit)| *s != sentence || text.clause_of(*s, hit.span) != clause || !beside(hit))
    });
    if let Some((_, hit)) = found.first()
        && !trouble
    {
        return Some(text.fact(Request::Closing, hit.span, "request.solved"));
    }
    let (_, thanks) = hits(text, Group::Thanks).next()?;
    // Only thanks: nothing else is said, or it may be the answer to a question of ours.
    let beside = text.folded.sentences.iter().filter(|s| !text.has(**s, Group::Thanks));
    let words: usize =
        beside.map(|s| text.folded.slice(*s).split(' ').filter(|w| w.chars().any(char::is_alphabetic)).count()).sum();
    let plain = [
        Group::Symptom,
        Group::Broken,
        Group::Attached,
        Group::PhotoWord,
        Group::StatusQuestion,
        Group::WantsReturn,
        Group::LabelOrderNumber,
        Group::LabelItemCode,
        Group::LabelSku,
        Group::OrderIssue,
        Group::SpareParts,
        Group::HowTo,
    ]
    .iter()
    .all(|g| hits(text, *g).next().is_none());
    let question = text.folded.sentences.iter().any(|s| text.folded.is_question(*s));
    let digits = text.text.bytes().filter(u8::is_ascii_digit).count() >= 5;
    (words <= 2 && plain && !question && !digits).then(|| text.fact(Request::Closing, thanks.span, "request.thanks"))
}

fn first<'z, 'a>(zones: &'z [Zone<'a>], group: Group) -> Option<(&'z Zone<'a>, Hit)> {
    zones.iter().find_map(|zone| hits(zone, group).next().map(|(_, hit)| (zone, hit)))
}

fn says(zones: &[Zone<'_>], group: Group) -> bool {
    first(zones, group).is_some()
}

/// The hits of a group with the sentence each stands in.
fn hits<'z>(zone: &'z Zone<'_>, group: Group) -> impl Iterator<Item = (Span, Hit)> + 'z {
    zone.folded.sentences.iter().flat_map(move |s| zone.within(*s, group).map(move |h| (*s, h)))
}
