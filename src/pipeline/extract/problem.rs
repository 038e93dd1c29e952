//! What happened, when, how, and what was tried: the customer's account, sentence by sentence (policy clauses
//! `process.1` and `process.2`).

use crate::domain::facts::Evidence;
use crate::pipeline::extract::dates::Days;
use crate::pipeline::extract::meaning::Meaning;
use crate::pipeline::extract::receipt;
use crate::pipeline::extract::zone::Zone;
use crate::pipeline::fold::Span;
use crate::pipeline::phrases::{Group, Hit};

/// The account of a zone.
#[derive(Debug, Default)]
pub struct Account {
    pub what: Option<Evidence>,
    pub when: Option<Evidence>,
    pub how: Option<Evidence>,
    pub steps: Option<Evidence>,
    /// Says that something is broken, in whatever words.
    pub broken: Option<Evidence>,
}

/// The rule of a symptom that is named, rather than inferred from how the product is told of.
pub const NAMED: &str = "problem.what";

/// Reads the account of a zone, which names these `days`. `product` is where it names the product.
pub fn account(zone: &Zone<'_>, product: Option<Span>, days: &Days<'_>) -> Account {
    let mut account = Account::default();
    let mut told_before = false;
    let names_symptom = zone.folded.sentences.iter().any(|s| named(zone, *s).is_some());
    for sentence in &zone.folded.sentences {
        let clauses = zone.folded.clauses(*sentence);
        let told = || if names_symptom { None } else { part_told(zone, *sentence, product, days) };
        let symptom =
            named(zone, *sentence).map(|span| (span, NAMED)).or_else(|| told().map(|span| (span, "problem.told")));
        let what = symptom.map(|(span, rule)| zone.evidence(wide(zone, *sentence, span), rule));
        let what = zone.judged(*sentence, Meaning::What, what);
        let told = what.is_some();
        fill(&mut account.what, what);
        let broken = clauses
            .iter()
            .filter(|c| !zone.has(**c, Group::Elsewhere))
            .find_map(|c| zone.within(*c, Group::Broken).next());
        let broken = broken.map(|h| zone.evidence(h.span, "problem.broken"));
        fill(&mut account.broken, zone.judged(*sentence, Meaning::Broken, broken));
        let asks_before_buying = zone.has(*sentence, Group::BeforeBuying);
        let (mut when, mut how) = (None, None);
        for clause in &clauses {
            let logistics = zone.has(*clause, Group::Received) || zone.has(*clause, Group::Bought);
            let tells = symptom_or_fault(zone, *clause);
            let tries = zone.has(*clause, Group::Step) && !tells;
            let since_then = || told && begins_since(zone, *sentence, *clause, days);
            if asks_before_buying
                || tries
                || (logistics && !tells && !since_then())
                || zone.has(*clause, Group::Elsewhere)
            {
                continue;
            }
            if !receipt::is_dated_line(zone, *sentence, *clause) {
                let moment = moment(zone, *sentence, *clause, days);
                fill(&mut when, moment.map(|s| zone.evidence(s, "problem.when")));
            }
            // A circumstance belongs to a symptom told in this sentence or the one before.
            if told || told_before || tells {
                // "When:" is a label.
                let label = |h: &Hit| zone.folded.slice(*clause).trim() == zone.folded.slice(h.span).trim();
                let circumstance = zone.within(*clause, Group::How).find(|h| !label(h));
                fill(&mut how, circumstance.map(|_| zone.evidence(*clause, "problem.how")));
            }
        }
        fill(&mut account.when, zone.judged(*sentence, Meaning::When, when));
        fill(&mut account.how, zone.judged(*sentence, Meaning::How, how));
        let tried = tried(zone, *sentence).map(|s| zone.evidence(wide(zone, *sentence, s), "steps_taken"));
        fill(&mut account.steps, zone.judged(*sentence, Meaning::Tried, tried));
        let untried = zone.within(*sentence, Group::NothingTried).next();
        let untried = untried.map(|h| zone.evidence(wide(zone, *sentence, h.span), "steps_taken.none"));
        fill(&mut account.steps, zone.judged(*sentence, Meaning::Untried, untried));
        told_before = told;
    }
    account
}

/// A symptom that the sentence names.
fn named(zone: &Zone<'_>, sentence: Span) -> Option<Span> {
    zone.folded.clauses(sentence).into_iter().find_map(|c| symptom(zone, sentence, c))
}

/// What a part does, told with a moment or a circumstance ("the time jumps as soon as I change the watch face"): no word
/// list holds all that a part can do, but nobody tells when and how about a part that is well.
fn part_told(zone: &Zone<'_>, sentence: Span, product: Option<Span>, days: &Days<'_>) -> Option<Span> {
    const OTHER: [Group; 10] = [
        Group::Received,
        Group::Bought,
        Group::WantsReturn,
        Group::BeforeBuying,
        Group::HowTo,
        Group::OrderIssue,
        Group::SpareParts,
        Group::Solved,
        Group::StatusQuestion,
        Group::ShippingReimbursement,
    ];
    if zone.folded.is_question(sentence) || OTHER.iter().any(|g| zone.has(sentence, *g)) {
        return None;
    }
    let clauses = zone.folded.clauses(sentence);
    let own =
        |clause: &&Span| ![Group::Step, Group::Elsewhere, Group::Hypothetical].iter().any(|g| zone.has(**clause, *g));
    let part = clauses.iter().filter(own).find_map(|c| zone.within(*c, Group::Part).next()).map(|h| h.span);
    let moment = clauses.iter().any(|c| moment(zone, sentence, *c, days).is_some());
    let circumstance = zone.has(sentence, Group::How);
    let next = zone.folded.sentences.iter().find(|s| s.start >= sentence.end - 1);
    let goes_on = || circumstance || next.is_some_and(|s| zone.has(*s, Group::How) && !zone.folded.is_question(*s));
    // Of the product as a whole, both have to be told.
    let whole = || {
        let device = clauses.iter().filter(own).find_map(|c| zone.within(*c, Group::Device).next()).map(|h| h.span);
        device.or(product.filter(|p| sentence.contains(*p))).filter(|_| moment && goes_on())
    };
    // "One of the display, one of the box" tells of pictures; a symptom in such words comes with both.
    let of_pictures = [Group::PhotoWord, Group::Attached].iter().any(|g| zone.has(sentence, *g));
    let enough = if of_pictures { moment && circumstance } else { moment || circumstance };
    part.filter(|_| enough).or_else(whole)
}

/// A symptom in the clause: named by itself, or a part together with a word that it fails.
fn symptom(zone: &Zone<'_>, sentence: Span, clause: Span) -> Option<Span> {
    if zone.has(clause, Group::Elsewhere) || zone.has(clause, Group::Hypothetical) && zone.folded.is_question(sentence)
    {
        return None;
    }
    let tried = |span: Span| zone.within(sentence, Group::Step).any(|h| h.span.contains(span));
    let named = zone
        .within(sentence, Group::Symptom)
        .find(|h| clause.start <= h.span.start && h.span.start < clause.end && !tried(h.span));
    let failing = || {
        let fault = zone.within(clause, Group::Fault).find(|h| !tried(h.span))?;
        zone.within(clause, Group::Part).find(|h| !tried(h.span)).map(|_| fault)
    };
    named.or_else(failing).map(|h| h.span)
}

fn symptom_or_fault(zone: &Zone<'_>, clause: Span) -> bool {
    [Group::Symptom, Group::Fault, Group::Broken].iter().any(|g| zone.has(clause, *g))
}

fn moment(zone: &Zone<'_>, sentence: Span, clause: Span, days: &Days<'_>) -> Option<Span> {
    let word = zone.within(sentence, Group::When).find(|h| clause.start <= h.span.start && h.span.start < clause.end);
    word.map(|h| h.span).or_else(|| days.beginning_in(clause).next().map(|day| day.span))
}

/// "Since I got it on 3 November, the screen flickers", "it came on Monday and since I put it on it flickers": a clause on
/// the delivery that tells since when. A day alone ("got it yesterday, it flickers") tells nothing of the sort.
fn begins_since(zone: &Zone<'_>, sentence: Span, clause: Span, days: &Days<'_>) -> bool {
    let delivered = [Group::Received, Group::Bought].iter().filter_map(|g| zone.within(clause, *g).next());
    let delivered = delivered.map(|h| h.span.start).min().unwrap_or(clause.start);
    let since = |h: &Hit| h.span.start == clause.start + 1 || h.span.start > delivered && h.span.end <= clause.end;
    let Some(word) = zone.within(sentence, Group::When).find(since) else {
        return false;
    };
    days.beginning_in(clause).all(|day| day.span.start >= word.span.end || word.span.start >= day.span.end)
}

fn tried(zone: &Zone<'_>, sentence: Span) -> Option<Span> {
    let tried = zone.within(sentence, Group::Step).find(|h| {
        let clause = zone.clause_of(sentence, h.span);
        let asked_only = zone.folded.is_question(sentence) && zone.has(sentence, Group::Hypothetical);
        !zone.has(clause, Group::Elsewhere) && !asked_only && !is_moment(zone, clause, h.span)
    });
    tried.map(|h| h.span)
}

/// "Since I updated it on Tuesday": a step that dates the problem, unless the model takes it for more.
fn is_moment(zone: &Zone<'_>, clause: Span, step: Span) -> bool {
    const BETWEEN: usize = 3;
    zone.within(clause, Group::When).any(|when| {
        let between = zone.folded.slice(Span { start: when.span.end.min(step.start), end: step.start });
        when.span.end <= step.start && between.split_whitespace().count() <= BETWEEN
    })
}

/// The clause around a hit, for people to read.
fn wide(zone: &Zone<'_>, sentence: Span, span: Span) -> Span {
    let clause = zone.clause_of(sentence, span);
    Span { start: clause.start + 1, end: clause.end.max(span.end) }
}

fn fill(known: &mut Option<Evidence>, found: Option<Evidence>) {
    if known.is_none() {
        *known = found;
    }
}
