//! What the customer wants.

use crate::domain::facts::{Evidence, Fact, Request};
use crate::pipeline::extract::meaning::letter::{self, Wishes};
use crate::pipeline::extract::meaning::{Meaning, Model};
use crate::pipeline::extract::problem::Account;
use crate::pipeline::extract::zone::{Kind, Zone};
use crate::pipeline::fold::Span;
use crate::pipeline::phrases::{Group, Hit};

/// The request of a letter, by what its words and its subject say; `None` if they only bring facts. Without a model the
/// words of the lexicon decide alone.
pub fn request(zones: &[Zone<'_>], account: &Account, model: Option<&Model>) -> Option<Fact<Request>> {
    let by_words = by_words(zones, account);
    match model {
        Some(model) => as_a_whole(zones, by_words, &model.letters.read(zones)),
        None => by_words,
    }
}

/// The request that the whole letter tells by the model. What single sentences say stands unless the whole is much plainer:
/// most letters are plain, and a claim that goes to a person by mistake waits.
fn as_a_whole(zones: &[Zone<'_>], by_words: Option<Fact<Request>>, wishes: &Wishes) -> Option<Fact<Request>> {
    const THAN_A_CLAIM: f32 = 1.0;
    const THAN_FACTS: f32 = 0.5;
    const THAN_A_WISH: f32 = 0.3;
    const CLOSING_LEADS: f32 = 0.5;
    let (wish, lead) = wishes.best();
    let said = by_words.as_ref().map(|fact| fact.value);
    let plainer = wishes.of(wish) - wishes.of(said);
    let enough = match (wish, said) {
        // A letter closed by mistake is never answered: some sentence has to say so, and one that brings a code may be an
        // answer or a correction.
        (Some(Request::Closing), _) => {
            lead > CLOSING_LEADS && zones.iter().any(half_closes) && !zones.iter().any(brings_code)
        }
        // "It's broken, please help" brings no facts, so it can't be about facts alone.
        (None, Some(Request::Defect)) => plainer > THAN_A_CLAIM && zones.iter().any(brings_code),
        (_, Some(Request::Defect)) => plainer > THAN_A_CLAIM,
        // A letter with no wish that is known goes to a person in any case.
        (Some(Request::Other), _) => false,
        (_, None) => plainer > THAN_FACTS,
        // "I want to return it. Order …, code …, received on …" brings facts, and a wish all the same.
        (None, Some(_)) => plainer > THAN_A_CLAIM,
        _ => plainer > THAN_A_WISH,
    };
    if wish == said || !enough {
        return by_words;
    }
    let value = wish?;
    Some(Fact { value, evidence: telling(zones, value)? })
}

/// Whether a sentence may say that nothing is left to do.
fn half_closes(zone: &Zone<'_>) -> bool {
    const MAYBE: f32 = -0.3;
    let closes = |s: &Span| zone.score(*s, Meaning::Closing).is_some_and(|score| score > MAYBE);
    zone.folded.sentences.iter().any(closes)
}

/// Whether the words written now hold a number or a code.
fn brings_code(zone: &Zone<'_>) -> bool {
    zone.kind() == Kind::Text && zone.folded.sentences.iter().any(|s| zone.has_code(*s))
}

/// The sentence that tells most of a request.
fn telling(zones: &[Zone<'_>], request: Request) -> Option<Evidence> {
    let meanings: &[Meaning] = match request {
        Request::Defect => &[Meaning::What, Meaning::Broken],
        Request::ReturnUnused => &[Meaning::Return, Meaning::Sealed],
        Request::ReturnOpened => &[Meaning::Return, Meaning::Used],
        Request::ShippingReimbursement => &[Meaning::Shipping],
        Request::SpareParts => &[Meaning::Parts],
        Request::OrderIssue => &[Meaning::Order],
        Request::Status => &[Meaning::Status],
        Request::Question => &[Meaning::Question],
        Request::Closing => &[Meaning::Closing],
        Request::Other => &[Meaning::Legal],
    };
    let scored = zones.iter().flat_map(|zone| {
        let score = |s: &Span| meanings.iter().filter_map(|m| zone.score(*s, *m)).max_by(f32::total_cmp);
        zone.folded.sentences.iter().filter_map(move |s| Some((score(s)?, zone, *s)))
    });
    let (_, zone, sentence) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let name = letter::WISHES.iter().find(|(wish, _)| *wish == Some(request)).map_or("", |(_, name)| name);
    Some(zone.evidence(sentence, &format!("letter.{name}")))
}

/// The request by the words of the lexicon, and what single sentences mean.
fn by_words(zones: &[Zone<'_>], account: &Account) -> Option<Fact<Request>> {
    let sealed = unopened(zones);
    let defect = account.what.as_ref().or(account.broken.as_ref());
    let fault = defect.map(|_| plainness(zones, account));
    // A letter that tells of a fault is a claim, unless it asks for something else more plainly.
    let wishes = WISHES.iter().filter_map(|(request, meaning, groups, over)| {
        let said = strongest(zones, *meaning, groups)?;
        fault.is_none_or(|fault| said.strength > fault + over).then_some((*request, said))
    });
    let wish = wishes.max_by(|(_, a), (_, b)| a.strength.total_cmp(&b.strength));
    if let Some(found) = solved(zones, account) {
        // "It's my own fault, what does a new glass cost": nothing is settled while something is wanted.
        if wish.as_ref().is_none_or(|(_, said)| said.strength < PLAIN) {
            return Some(found);
        }
    }
    // Thanks end many letters that want something: beside them it has to be said more plainly that all is well.
    let closing = strongest(zones, Meaning::Closing, &[])
        .filter(|closing| closing.strength > if closing.thanks { PLAIN + BESIDE_THANKS } else { PLAIN });
    if let Some(closing) = closing {
        // "Forget it, it was the phone's Bluetooth" tells a symptom too.
        let plainer = |other: f32| closing.strength > other;
        if fault.is_none_or(plainer) && wish.as_ref().is_none_or(|(_, said)| plainer(said.strength)) {
            return Some(Fact { value: Request::Closing, evidence: closing.evidence });
        }
    }
    // "I want to send it back, how do I do that?" asks for no more than the return.
    let wish = match (wish, strongest(zones, Meaning::Return, &[Group::WantsReturn])) {
        (Some((Request::Question, _)), Some(back)) if back.strength > PLAIN && !asks_before_buying(zones) => {
            Some((Request::ReturnUnused, back))
        }
        (wish, _) => wish,
    };
    if let Some((request, said)) = wish {
        let request = match (&sealed, request) {
            (Some(fact), Request::ReturnUnused) if !fact.value => Request::ReturnOpened,
            (_, request) => request,
        };
        return Some(Fact { value: request, evidence: said.evidence });
    }
    let claim = defect.map(|evidence| Fact { value: Request::Defect, evidence: evidence.clone() });
    // "Never worn, what now": whoever says no more than that wants to return it.
    claim.or_else(|| sealed.filter(|f| f.value).map(|f| Fact { value: Request::ReturnUnused, evidence: f.evidence }))
}

fn asks_before_buying(zones: &[Zone<'_>]) -> bool {
    zones.iter().any(|zone| hits(zone, Group::BeforeBuying).next().is_some())
}

/// From here on a sentence says something plainly.
const PLAIN: f32 = 0.3;

/// How much more plainly it has to be said beside thanks.
const BESIDE_THANKS: f32 = 0.5;

/// How plainly a fault is told.
fn plainness(zones: &[Zone<'_>], account: &Account) -> f32 {
    let what = account.what.as_ref().and_then(|_| strongest(zones, Meaning::What, &[Group::Symptom]));
    let broken = || strongest(zones, Meaning::Broken, &[Group::Broken]);
    what.or_else(broken).map_or(0.0, |told| told.strength)
}

/// What a letter may ask for besides the repair of a fault: by which meaning, by which words, and by how much it must
/// be plainer than a fault told in the same letter.
const WISHES: [(Request, Meaning, &[Group], f32); 7] = [
    (Request::ShippingReimbursement, Meaning::Shipping, &[Group::ShippingReimbursement], -0.4),
    (Request::SpareParts, Meaning::Parts, &[Group::SpareParts], -0.4),
    (Request::ReturnUnused, Meaning::Return, &[Group::WantsReturn], 0.5),
    (Request::ReturnUnused, Meaning::Sealed, &[Group::Sealed], 0.5),
    (Request::OrderIssue, Meaning::Order, &[Group::OrderIssue], 0.3),
    (Request::Status, Meaning::Status, &[Group::StatusQuestion], 0.5),
    (Request::Question, Meaning::Question, &[Group::BeforeBuying, Group::HowTo], 0.5),
];

/// What a sentence says, and how plainly.
struct Said {
    strength: f32,
    evidence: Evidence,
    /// The sentence gives thanks.
    thanks: bool,
}

/// The sentence that says it most plainly; the lexicon's word adds to the model's.
fn strongest(zones: &[Zone<'_>], meaning: Meaning, groups: &[Group]) -> Option<Said> {
    const BY_WORDS: f32 = 0.5;
    let sentences = zones.iter().flat_map(|z| z.folded.sentences.iter().map(move |s| (z, *s)));
    let said = sentences.filter_map(|(zone, sentence)| {
        let hit = groups.iter().find_map(|g| zone.within(sentence, *g).next());
        let by_words = hit.map(|h| zone.evidence(h.span, &format!("request.{}", h.group.name())));
        let strength = zone.score(sentence, meaning).unwrap_or_default() + if hit.is_some() { BY_WORDS } else { 0.0 };
        let evidence = zone.judged(sentence, meaning, by_words)?;
        Some(Said { strength, evidence, thanks: zone.has(sentence, Group::Thanks) })
    });
    said.max_by(|a, b| a.strength.total_cmp(&b.strength))
}

/// Whether the customer says that the item is unopened and unused. Opened but unused counts as opened.
pub fn unopened(zones: &[Zone<'_>]) -> Option<Fact<bool>> {
    let sentences = || zones.iter().flat_map(|z| z.folded.sentences.iter().map(move |s| (z, *s)));
    let used = sentences().find_map(|(zone, sentence)| {
        let hit = zone.within(sentence, Group::Used).find(|h| {
            let covered = zone.within(sentence, Group::Sealed).any(|s| s.span.contains(h.span));
            !covered && !denied(zone, sentence, h)
        });
        // "Sealed, just as the courier brought it on Monday": words that list it as sealed outweigh a faint meaning.
        let rather_sealed = || {
            let score = |meaning| zone.score(sentence, meaning);
            zone.has(sentence, Group::Sealed) && score(Meaning::Used) < score(Meaning::Sealed)
        };
        let by_words = hit.map(|h| zone.evidence(h.span, "unopened.used"));
        if by_words.is_none() && rather_sealed() {
            return None;
        }
        zone.judged(sentence, Meaning::Used, by_words)
    });
    let sealed = sentences().find_map(|(zone, sentence)| {
        let hit = || zone.within(sentence, Group::Sealed).next().map(|h| zone.evidence(h.span, "unopened.sealed"));
        let denied_use = || {
            let hit = zone.within(sentence, Group::Used).find(|h| denied(zone, sentence, h))?;
            Some(zone.evidence(hit.span, "unopened.never_used"))
        };
        zone.judged(sentence, Meaning::Sealed, hit().or_else(denied_use))
    });
    let fact = |value| move |evidence| Fact { value, evidence };
    used.map(fact(false)).or(sealed.map(fact(true)))
}

fn denied(zone: &Zone<'_>, sentence: Span, hit: &Hit) -> bool {
    zone.is_denied(zone.clause_of(sentence, hit.span), hit.span, 4)
}

/// Closing: says that it is solved, and tells no trouble beside it; or only says thanks.
fn solved(zones: &[Zone<'_>], account: &Account) -> Option<Fact<Request>> {
    let text = zones.iter().find(|z| z.kind() == Kind::Text)?;
    let good = |(sentence, hit): &(Span, Hit)| {
        let clause = text.clause_of(*sentence, hit.span);
        // "No longer needed" is said with a negation, "not solved yet" is denied by one further in.
        let negated = text.within(clause, Group::Negation).any(|n| {
            let lead = text.folded.slice(Span { start: hit.span.start, end: n.span.start });
            !hit.span.contains(n.span) || lead.split_whitespace().count() >= 2
        });
        !negated
            && !text.has(clause, Group::Hypothetical)
            && !text.folded.is_question(*sentence)
            && text.says(*sentence, Meaning::Closing, true)
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
    let (sentence, thanks) = hits(text, Group::Thanks).next()?;
    let long = text.folded.slice(sentence).split_whitespace().count() > 12;
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
    (words <= 2 && plain && !long && account.what.is_none() && !question && !digits)
        .then(|| text.fact(Request::Closing, thanks.span, "request.thanks"))
}

/// The hits of a group with the sentence each stands in.
fn hits<'z>(zone: &'z Zone<'_>, group: Group) -> impl Iterator<Item = (Span, Hit)> + 'z {
    zone.folded.sentences.iter().flat_map(move |s| zone.within(*s, group).map(move |h| (*s, h)))
}
