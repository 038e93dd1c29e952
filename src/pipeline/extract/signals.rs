//! What must not be overlooked: grounds on which the warranty may be void, and reports of danger. Denied, hypothetical
//! and other people's doings don't count; in doubt they do, for the price of a doubt is a look by a person.

use crate::domain::facts::{Evidence, Fact, VoidSignal};
use crate::pipeline::extract::meaning::Meaning;
use crate::pipeline::extract::zone::Zone;
use crate::pipeline::fold::Span;
use crate::pipeline::phrases::{Group, Hit};

/// The void signals of the zones, each once; policy clauses `void.*`, `wear`.
pub fn void(zones: &[&Zone<'_>]) -> Vec<Fact<VoidSignal>> {
    const SIGNALS: [(Group, Meaning, VoidSignal, &str); 5] = [
        (Group::Flashed, Meaning::Flashed, VoidSignal::Flashed, "void.flash"),
        (Group::Opened, Meaning::Opened, VoidSignal::Opened, "void.open"),
        (Group::Modified, Meaning::Modified, VoidSignal::Modified, "void.modify"),
        (Group::Misuse, Meaning::Misuse, VoidSignal::Misuse, "void.unintended"),
        (Group::ContinuedUse, Meaning::Continued, VoidSignal::ContinuedUse, "void.continued"),
    ];
    SIGNALS
        .into_iter()
        .filter_map(|(group, meaning, value, rule)| {
            let evidence = zones.iter().find_map(|zone| reported(zone, group, meaning, 5, rule))?;
            Some(Fact { value, evidence })
        })
        .collect()
}

/// A report of heat, smoke, fire, a swollen battery, a burn or an injury.
pub fn safety(zone: &Zone<'_>) -> Option<Evidence> {
    reported(zone, Group::Safety, Meaning::Safety, 3, "safety")
}

/// A lawyer, a legal right, a consumer agency, a chargeback or a data protection request.
pub fn legal(zone: &Zone<'_>) -> Option<Evidence> {
    zone.folded
        .sentences
        .iter()
        .find_map(|sentence| zone.judged(*sentence, Meaning::Legal, None))
        .map(|evidence| Evidence { rule: "legal".to_owned(), ..evidence })
}

/// A sentence that may tell of such a thing in passing ("to be fair, it took a dive off the balcony"): not sure enough to
/// be taken for it, too likely to authorise a return on it.
pub fn doubt(zone: &Zone<'_>) -> Option<Evidence> {
    const DOUBTFUL: f32 = -0.4;
    const LEAST_WORDS: usize = 4;
    const KINDS: [Meaning; 6] =
        [Meaning::Misuse, Meaning::Opened, Meaning::Modified, Meaning::Flashed, Meaning::Continued, Meaning::Safety];
    zone.folded.sentences.iter().find_map(|sentence| {
        let long = zone.folded.slice(*sentence).split_whitespace().count() > LEAST_WORDS;
        // "My neighbour has …" begins what somebody did to ours as well as what is the matter with theirs.
        let least = if zone.has(*sentence, Group::Elsewhere) { 0.0 } else { DOUBTFUL };
        let kind = KINDS.into_iter().find(|k| long && zone.score(*sentence, *k).is_some_and(|s| s > least))?;
        Some(zone.evidence(*sentence, &format!("doubt.{}", kind.name())))
    })
}

/// Whether a doubt is of danger.
pub fn is_of_danger(doubt: &Evidence) -> bool {
    doubt.rule == "doubt.safety"
}

/// From here on the model is sure.
const SURE: f32 = 0.5;

/// The first sentence that reports it; a denial reaches over `reach` words.
fn reported(zone: &Zone<'_>, group: Group, meaning: Meaning, reach: usize, rule: &str) -> Option<Evidence> {
    zone.folded.sentences.iter().find_map(|sentence| {
        let by_words = happened(zone, *sentence, group, reach).then(|| zone.evidence(*sentence, rule));
        // Of another device the model alone has to be sure.
        let sure = !zone.has(*sentence, Group::Elsewhere) || zone.score(*sentence, meaning).is_some_and(|s| s > SURE);
        zone.judged(*sentence, meaning, by_words.clone()).filter(|_| sure || by_words.is_some())
    })
}

/// Whether the sentence has a hit of the group that is told as a fact.
fn happened(zone: &Zone<'_>, sentence: Span, group: Group, reach: usize) -> bool {
    zone.within(sentence, group).any(|h| {
        let clause = zone.clause_of(sentence, h.span);
        let harmless = zone
            .hits
            .iter()
            .any(|o| o.group == Group::Harmless && o.span.start < h.span.end && h.span.start < o.span.end);
        !harmless
            && !zone.has(clause, Group::Elsewhere)
            // Danger counts, whatever it comes from.
            && (group == Group::Safety || !is_of_other_thing(zone, clause, h.span))
            && !is_denied(zone, sentence, clause, h.span, reach)
            && !is_hypothetical(zone, sentence, clause)
    })
}

/// "My phone fell and is rooted": what the clause is about is not the product.
fn is_of_other_thing(zone: &Zone<'_>, clause: Span, hit: Span) -> bool {
    /// "But last week …" may stand before it.
    const REACH: usize = 24;
    let begins = |thing: &Hit| thing.span.start <= clause.start + REACH && thing.span.end <= hit.start;
    zone.within(clause, Group::OtherThing).any(|thing| begins(&thing)) && !zone.has(clause, Group::Device)
}

/// Whether a hit is denied, or goes on a list that a denial began ("never dropped it, opened it, …").
fn is_denied(zone: &Zone<'_>, sentence: Span, clause: Span, hit: Span, reach: usize) -> bool {
    if zone.is_denied(clause, hit, reach) {
        return true;
    }
    let own_subject = zone.within(clause, Group::Subject).next().is_some_and(|h| h.span.start <= clause.start + 6);
    let clauses = zone.folded.clauses(sentence);
    let before = clauses.iter().take_while(|c| c.start < clause.start).last();
    // The list's first member is denied where the list begins: "never …", "I have not …".
    let began = |c: &Span| zone.within(*c, Group::Negation).any(|n| n.span.start <= c.start + 20);
    !own_subject && before.is_some_and(began)
}

fn is_hypothetical(zone: &Zone<'_>, sentence: Span, clause: Span) -> bool {
    zone.has(clause, Group::Hypothetical)
        || (zone.folded.is_question(sentence) && zone.has(sentence, Group::Hypothetical))
}
