//! The day the customer got the item, and what only looks like it: a denied arrival, the day of a purchase.

use jiff::civil::Date;

use crate::domain::facts::Fact;
use crate::pipeline::extract::dates::{DAY_ALONE, Days};
use crate::pipeline::extract::meaning::{Meaning, Model};
use crate::pipeline::extract::zone::Zone;
use crate::pipeline::fold::{Span, place_of_words};
use crate::pipeline::lexicon::WithUs;
use crate::pipeline::phrases::{Group, Hit};

/// The day of receipt: by a word of receiving, else by what the sentence around a day means.
pub fn received_on(zone: &Zone<'_>, days: &Days<'_>, model: Option<&Model>) -> Option<Fact<Date>> {
    by_words(zone, days).or_else(|| by_meaning(zone, days, model?))
}

/// The day that stands nearest to a word of receiving, and nearer to it than to a word of buying.
fn by_words(zone: &Zone<'_>, days: &Days<'_>) -> Option<Fact<Date>> {
    zone.folded.sentences.iter().find_map(|sentence| {
        days.beginning_in(*sentence).find_map(|day| {
            let distance = |group| {
                let hits = zone.within(*sentence, group).filter(|hit| !is_denied(zone, *sentence, hit));
                hits.map(|hit| apart(zone, hit.span, day.span)).min().unwrap_or(usize::MAX)
            };
            let beside = || days.arrives(&zone.folded, *sentence, day.span);
            let received = match distance(Group::Received).min(distance(Group::LabelReceivedOn)) {
                far if far > NEAR && beside() && is_bare_arrival(zone, *sentence, day.span) => 1,
                distance => distance,
            };
            let other =
                [Group::Bought, Group::Symptom, Group::Broken].map(distance).into_iter().min().unwrap_or(usize::MAX);
            let near = received <= NEAR && received <= other && !is_doubtful(zone, *sentence, day.rule);
            near.then(|| zone.day(day, "received_on"))
        })
    })
}

/// Whether a day is told by its number alone in a sentence of a delivery that failed: "in transit since the 26th".
fn is_doubtful(zone: &Zone<'_>, sentence: Span, rule: &str) -> bool {
    const FAILED: [Group; 2] = [Group::OrderIssue, Group::StatusQuestion];
    rule == DAY_ALONE && (zone.folded.is_question(sentence) || FAILED.iter().any(|g| zone.has(sentence, *g)))
}

/// The farthest that a day stands from its word of receiving, in bytes.
const NEAR: usize = 60;

/// Whether the word beside `day`, which often means something else ("the warning came yesterday"), may tell of an arrival:
/// the item or its order is named there, too.
fn is_bare_arrival(zone: &Zone<'_>, sentence: Span, day: Span) -> bool {
    const ABOUT: usize = 30;
    let about =
        Span { start: day.start.saturating_sub(ABOUT).max(sentence.start), end: sentence.end.min(day.end + ABOUT) };
    let denied = [Group::Negation, Group::OrderIssue, Group::StatusQuestion];
    (zone.has(about, Group::Device) || zone.has_code(about))
        && !zone.folded.is_question(sentence)
        && !denied.iter().any(|g| zone.has(about, *g))
        && !is_with_us(zone, sentence, day)
}

/// The day beside which the words tell of an arrival, though no list has them ("the postman put it into my hand on 17
/// July"), more than of a moment, and nothing else claims it. A long sentence tells many things: only what stands around
/// the day is read.
fn by_meaning(zone: &Zone<'_>, days: &Days<'_>, model: &Model) -> Option<Fact<Date>> {
    const OTHER: [Group; 7] = [
        Group::Bought,
        Group::Symptom,
        Group::Broken,
        Group::Fault,
        Group::Step,
        Group::StatusQuestion,
        Group::OrderIssue,
    ];
    let asked = |sentence: &&Span| !zone.folded.is_question(**sentence);
    let past = zone.folded.sentences.iter().filter(asked).flat_map(|sentence| {
        let past = days.beginning_in(*sentence).filter(|day| day.date <= days.today);
        past.map(|day| (around(zone, *sentence, day.span), day))
    });
    let told = past.filter_map(|(words, day)| {
        let before = Span { start: words.start, end: day.span.start };
        let claimed = OTHER.iter().any(|g| zone.has(words, *g))
            || zone.has(before, Group::Negation)
            || is_with_us(zone, words, words);
        let scores = zone.read_alone(words, model);
        let received = scores.of(Meaning::Received);
        let told = Meaning::Received.is_said(received, false) && received > scores.of(Meaning::When);
        (told && !claimed).then_some((received, day))
    });
    let (received, day) = told.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let mut fact = zone.day(day, "received_on.meaning");
    fact.evidence.unclear |= !Meaning::Received.is_clear(received, false);
    Some(fact)
}

/// The words of the same clause around a day; of the sentence, where the clause has few.
fn around(zone: &Zone<'_>, sentence: Span, day: Span) -> Span {
    const BEFORE: usize = 9;
    const BEHIND: usize = 6;
    const FEW: usize = 3;
    let words = |span: Span| zone.folded.slice(span).split_whitespace().count();
    let clause = zone.clause_of(sentence, day);
    let within = if clause.end >= day.end && words(clause) > FEW + words(day) { clause } else { sentence };
    let before = zone.folded.slice(Span { start: within.start, end: day.start });
    let behind = zone.folded.slice(Span { start: day.end, end: within.end });
    let start = before.rmatch_indices(' ').nth(BEFORE).map_or(within.start, |(at, _)| within.start + at);
    let end = behind.match_indices(' ').nth(BEHIND).map_or(within.end, |(at, _)| day.end + at + 1);
    Span { start, end }
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
    // "Ordered on the 25th arrived on the 30th": a day rather belongs to the word before it.
    const BEHIND: usize = 5;
    let behind = if day.end <= word.start { BEHIND } else { 0 };
    let between = if word.end <= day.start {
        Span { start: word.end, end: day.start }
    } else {
        Span { start: day.end, end: word.start.max(day.end) }
    };
    behind + between.end - between.start + 30 * zone.folded.slice(between).matches(" , ").count()
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
        // "Nothing helps order KS20001 arrived on 3.11." begins anew behind the number.
        let at_once = between.split_whitespace().count() <= 2 && !between.contains(|c: char| c.is_ascii_digit());
        n.span.end <= hit.span.start && at_once && !tells(n.span.start)
    });
    never_came || another_thing || negated || is_with_us(zone, sentence, hit.span)
}

/// "Delivered to you on the 10th", "I sent it back and it arrived on Monday": what arrived here. `arrival` is the word
/// of receiving; "ordered from you, arrived on Monday" arrived there.
fn is_with_us(zone: &Zone<'_>, sentence: Span, arrival: Span) -> bool {
    const NEAR: usize = 3;
    let text = zone.folded.slice(sentence);
    let places = |list: fn(&WithUs) -> &Vec<String>| {
        let all = zone.lexicons.iter().flat_map(move |l| list(&l.with_us));
        all.filter_map(move |words| {
            let at = sentence.start + place_of_words(text, words)?;
            Some(Span { start: at, end: at + words.len() })
        })
    };
    let words = |span: Span| zone.folded.slice(span).split_whitespace().filter(|w| w.len() > 1).count();
    let bought = |at: Span| {
        let between = |b: Hit| Span { start: at.end.min(b.span.end), end: at.start.max(b.span.start) };
        zone.within(sentence, Group::Bought).any(|b| words(between(b)) <= 1)
    };
    let beside = |at: &Span| {
        let between = Span { start: at.end.min(arrival.end), end: at.start.max(arrival.start) };
        words(between) <= NEAR && !bought(*at)
    };
    places(|w| &w.sent).any(|at| at.start < arrival.end) || places(|w| &w.place).any(|at| beside(&at))
}
