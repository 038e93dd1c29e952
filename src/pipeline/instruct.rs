//! What staff answer to a hand-over mail: lines of words that the program follows, as `release` or `ask photo sku`.
//!
//! Reading them says nothing about whether their writer may be followed: the shell holds the writer, the verdict of the
//! mail server and the token against what it knows.

use jiff::Timestamp;
use regex::Regex;

use super::resume::{Cause, Known, Resumed, resume};
use super::screen::Screen;
use super::strip::Stripper;
use super::{Reading, Terms, bare};
use crate::domain::act::Act;
use crate::domain::case::{Case, IllegalEvent};
use crate::domain::decision::{Action, Class, Outcome};
use crate::domain::event::{Actor, CaseEvent, Event};
use crate::domain::ids::{Address, CaseId, MessageId};
use crate::domain::letter::{Body, Defect, Letter};
use crate::domain::reply::Reply;

/// More than anybody writes into one mail.
const LINES: usize = 10;

/// What a mail says that names a case and a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instructions {
    /// The cases and the tokens that are to prove a right to them; those that the mail answers go first.
    pub keys: Vec<Key>,
    /// The author, if there is one.
    pub by: Option<Address>,
    /// A trusted server stands for the author's domain.
    pub vouched: bool,
    /// What is to be done, a line each.
    pub lines: Vec<String>,
}

/// A case and what proves that one was told of it. The token is 32 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub case: CaseId,
    pub token: String,
}

impl Key {
    /// As the last line of a hand-over mail has it.
    pub fn reference(&self) -> String {
        format!("{}.{}", self.case, self.token)
    }

    /// The id of mail number `number` (hex digits) that hands the case over.
    pub fn message_id(&self, number: &str, domain: &str) -> Option<MessageId> {
        MessageId::new(&format!("{}.h{number}.{}@{domain}", self.case.as_str().to_lowercase(), self.token)).ok()
    }
}

/// Finds keys in mails.
#[derive(Debug)]
pub struct Reader(Regex);

impl Reader {
    pub fn new() -> Result<Self, regex::Error> {
        Regex::new(r"(?i)\b(AS-[2-9A-HJKMNP-Z]{8})\.(?:h[0-9a-f]{1,16}\.)?([0-9a-f]{32})\b").map(Self)
    }

    /// `None`: a machine's mail, or one without any key.
    pub fn read(&self, letter: &Letter, stripper: &Stripper, screen: &Screen) -> Option<Instructions> {
        let answered = letter.in_reply_to.iter().chain(letter.references.iter().rev()).map(MessageId::as_str);
        let mut keys: Vec<Key> = answered.flat_map(|id| self.keys(id)).collect();
        let bodies = letter.bodies.iter().map(|(Body::Plain(text) | Body::Html(text))| text.as_str());
        keys.extend(bodies.flat_map(|text| self.keys(text)).take(LINES));
        keys.dedup();
        if keys.is_empty() || screen.classify(letter).class != Class::Customer {
            return None;
        }
        let single = !letter.defects.contains(&Defect::SeveralSenders);
        Some(Instructions {
            keys,
            by: letter.from.as_ref().filter(|_| single).map(|person| person.address.clone()),
            vouched: screen.vouches_for(letter),
            lines: lines(letter, stripper),
        })
    }

    fn keys(&self, text: &str) -> Vec<Key> {
        let key = |found: regex::Captures<'_>| {
            let case = CaseId::new(found.get(1)?.as_str()).ok()?;
            Some(Key { case, token: found.get(2)?.as_str().to_lowercase() })
        };
        self.0.captures_iter(text).filter_map(key).collect()
    }
}

/// The first lines, up to an empty one, a quote or a signature. What a mail program makes of a quote must never be taken
/// for words of its sender: so of a plain text only its very top counts, whatever looks like a person's words below.
fn lines(letter: &Letter, stripper: &Stripper) -> Vec<String> {
    let one_line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let ends = |line: &str| line.is_empty() || line.starts_with('>') || line == "--";
    let lines: Vec<String> = match letter.bodies.first() {
        None => Vec::new(),
        Some(Body::Plain(text)) => {
            let top = text.lines().map(one_line).skip_while(String::is_empty).take_while(|line| !ends(line));
            top.fold(Vec::new(), unwrapped)
        }
        // Quotes are marked as such. Each line may be a paragraph: of what stands below the first, commands count.
        Some(Body::Html(_)) => {
            let words = stripper.words(letter).text;
            let all: Vec<String> = words.lines().map(one_line).collect();
            let first = all.iter().take_while(|line| !line.is_empty()).count();
            let further = all.iter().skip(first).filter(|line| !line.is_empty()).take_while(|l| Act::parse(l).is_ok());
            all.iter().take(first).chain(further).cloned().collect()
        }
    };
    lines.into_iter().take(LINES).collect()
}

/// Adds a line, to the one before if a mail program has wrapped that: its words would not have fitted there.
fn unwrapped(mut lines: Vec<String>, line: String) -> Vec<String> {
    const WRAPPED_AT: usize = 60;
    match lines.last_mut() {
        Some(before) if before.len() >= WRAPPED_AT && before.contains(':') && Act::parse(&line).is_err() => {
            before.push(' ');
            before.push_str(&line);
        }
        _ => lines.push(line),
    }
    lines
}

/// What following the lines comes to: the shell commits it, whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    pub case: Case,
    pub events: Vec<CaseEvent>,
    pub replies: Vec<Reply>,
    /// What became of each line, for its writer.
    pub told: Vec<String>,
}

impl Followed {
    /// As the outcome of a letter.
    pub fn outcome(&self, terms: &Terms) -> Outcome {
        Outcome { events: self.events.clone(), ..nothing(Class::Customer, terms) }
    }
}

/// The outcome of a letter that changes nothing and is answered by nobody.
pub fn nothing(class: Class, terms: &Terms) -> Outcome {
    Outcome { class, decision: bare(Action::Ignore, Vec::new(), terms), events: Vec::new(), reply: None }
}

/// Does what the lines say, in order, in the name of `by`. If one is not understood, nothing is done; what stands behind
/// one that can't be done is not done. `hindrance` keeps all of them from being done.
pub fn follow(
    case: &Case,
    reading: &Reading,
    (by, lines): (&Address, &[String]),
    hindrance: Option<&str>,
    known: &Known,
    terms: &Terms,
    now: Timestamp,
) -> Result<Followed, IllegalEvent> {
    let noted = Event::LetterNoted {
        letter: reading.letter.id.clone(),
        message_id: reading.letter.message_id.clone(),
        from: reading.letter.from.clone(),
        subject: reading.letter.subject.clone(),
        class: Class::Customer,
    };
    let noted = CaseEvent::new(noted, Actor::Staff(by.to_string()), now);
    let case = Case::apply(Some(case.clone()), &noted)?;
    let mut followed = Followed { case, events: vec![noted], replies: Vec::new(), told: Vec::new() };
    let read: Vec<Result<Act, String>> = lines.iter().map(|line| Act::parse(line)).collect();
    if read.is_empty() {
        followed.told.push("nothing was done: the mail does not begin with anything that can be done".to_owned());
    }
    let mut stopped = hindrance.map(str::to_owned);
    if stopped.is_none() && read.iter().any(Result::is_err) {
        stopped = Some("not every line is understood".to_owned());
    }
    for (line, act) in lines.iter().zip(&read) {
        let outcome = match (act, &stopped) {
            (Err(why), _) => Err(format!("not understood: {why}")),
            (Ok(_), Some(why)) => Err(why.clone()),
            (Ok(act), None) => followed.take(act, by, known, terms, now),
        };
        let told = match outcome {
            Ok(()) => "done".to_owned(),
            Err(why) => {
                stopped = stopped.or_else(|| Some("what stands above it could not be done".to_owned()));
                format!("NOT DONE: {why}")
            }
        };
        followed.told.push(format!("{}: {told}", line.chars().take(200).collect::<String>()));
    }
    Ok(followed)
}

impl Followed {
    fn take(&mut self, act: &Act, by: &Address, known: &Known, terms: &Terms, now: Timestamp) -> Result<(), String> {
        let cause = Cause::Staff { name: by.as_str(), act, why: None };
        let Resumed { events, reply, .. } =
            resume(&self.case, cause, known, terms, now).map_err(|impossible| impossible.to_string())?;
        let after = events.iter().try_fold(self.case.clone(), |case, event| Case::apply(Some(case), event));
        self.case = after.map_err(|illegal| illegal.to_string())?;
        self.events.extend(events);
        self.replies.extend(reply);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
