//! The day the customer got the item, and what only looks like it: a denied arrival, the day of a purchase.

use jiff::civil::Date;

use crate::domain::facts::Fact;
use crate::pipeline::extract::dates::Dates;
use crate::pipeline::extract::zone::Zone;
use crate::pipeline::fold::Span;
use crate::pipeline::phrases::{Group, Hit};

/// The day that stands nearest to a word of receiving, and nearer to it than to a word of buying.
pub fn received_on(zone: &Zone<'_>, dates: &[&Dates], today: Date) -> Option<Fact<Date>> {
    zone.folded.sentences.iter().find_map(|sentence| {
        let found = dates.iter().flat_map(|d| d.find(&zone.folded, *sentence, today));
        found.into_iter().find_map(|day| {
            let distance = |group| {
                let hits = zone.within(*sentence, group).filter(|hit| !is_denied(zone, *sentence, hit));
                hits.map(|hit| apart(zone, hit.span, day.span)).min().unwrap_or(usize::MAX)
            };
            let received = distance(Group::Received).min(distance(Group::LabelReceivedOn));
            let other =
                [Group::Bought, Group::Symptom, Group::Broken].map(distance).into_iter().min().unwrap_or(usize::MAX);
            let near = received <= 60 && received <= other;
            near.then(|| zone.fact(day.date, day.span, &format!("received_on.{}", day.rule)))
        })
    })
}

/// Whether the clause is the value of a line "Received: 3 Nov" or "Bought on: 3 Nov": its day is no moment of a problem.
pub fn is_dated_line(zone: &Zone<'_>, sentence: Span, clause: Span) -> bool {
    let clauses = zone.folded.clauses(sentence);
    let Some(label) = clauses.iter().take_while(|c| c.start < clause.start).last() else { return false };
    [Group::LabelReceivedOn, Group::Received, Group::Bought].iter().any(|group| {
        let covers = |hit: Hit| zone.folded.slice(*label).trim().len() <= hit.span.end - hit.span.start + 3;
        zone.within(*label, *group).any(covers)
    })
}

/// How far a word stands from a day, in bytes; a comma parts more than many words do.
fn apart(zone: &Zone<'_>, word: Span, day: Span) -> usize {
    let between = if word.end <= day.start {
        Span { start: word.end, end: day.start }
    } else {
        Span { start: day.end, end: word.start.max(day.end) }
    };
    between.end - between.start + 30 * zone.folded.slice(between).matches(" , ").count()
}

/// "Has not arrived until today", "I have received no answer since Monday". A negation that tells the symptom ("it does
/// not charge since it arrived") denies nothing.
fn is_denied(zone: &Zone<'_>, sentence: Span, hit: &Hit) -> bool {
    if !matches!(hit.group, Group::Received | Group::LabelReceivedOn) {
        return false;
    }
    let tells = |at: usize| {
        let groups = [Group::Symptom, Group::Fault, Group::Broken];
        groups.iter().any(|g| zone.within(sentence, *g).any(|h| h.span.start <= at && at < h.span.end))
    };
    // "Arrived without a box" begins with the arrival.
    let before = |i: &Hit| i.span.start < hit.span.start && i.span.contains(hit.span);
    let never_came = zone.within(sentence, Group::OrderIssue).any(|i| before(&i) && !tells(i.span.start));
    let another_thing = zone
        .within(sentence, Group::StatusQuestion)
        .any(|q| q.span.start == hit.span.end + 1 || q.span.start == hit.span.start && q.span.end > hit.span.end);
    let negated = zone.within(zone.clause_of(sentence, hit.span), Group::Negation).any(|n| {
        let between = zone.folded.slice(Span { start: n.span.end, end: hit.span.start });
        n.span.end <= hit.span.start && between.split_whitespace().count() <= 2 && !tells(n.span.start)
    });
    never_came || another_thing || negated
}
