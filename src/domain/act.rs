//! What staff do to a case.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::correction::Correction;
use super::ids::{CaseId, OrderNumber, Sku};
use super::returns::{Arrival, Finding, Money, Remedy, Service};
use super::warranty::{Item, Track};

/// One thing that a person does. What it needs of the case and does to it is in `pipeline/resume.rs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Authorises the return; what is not given is taken from the case.
    Approve {
        track: Option<Track>,
        order_number: Option<OrderNumber>,
        sku: Option<Sku>,
    },
    Ask {
        items: Vec<Item>,
    },
    /// Writes to the customer.
    Answer {
        text: String,
    },
    Reject {
        reason: String,
    },
    /// Clause `paid_repair`.
    Offer {
        text: Option<String>,
    },
    /// Sends the customer to the seller.
    Route {
        channel: Option<String>,
        text: Option<String>,
    },
    /// A new end of the RMA; without a day, as long again as a new one.
    Extend {
        until: Option<Date>,
    },
    Posted {
        tracking: Option<String>,
    },
    Arrived {
        arrival: Arrival,
    },
    Inspected {
        finding: Finding,
        text: Option<String>,
    },
    Chosen {
        remedy: Remedy,
    },
    Repaired,
    Replaced,
    Refunded {
        amount: Option<Money>,
        deducted: Option<Money>,
        text: Option<String>,
    },
    Reimbursed {
        amount: Option<Money>,
    },
    ShipBack {
        tracking: Option<String>,
        service: Service,
        text: Option<String>,
    },
    /// A danger is dealt with: the case may go on.
    Release,
    /// The drafts of the case go out.
    Send,
    /// The drafts of the case are never sent.
    Drop,
    Handled,
    /// Puts a fact right; the case is decided anew.
    Correct {
        correction: Correction,
    },
    /// Says whose case it is; `None`: nobody's.
    Assign {
        to: Option<String>,
    },
    /// Looks at it again on that day.
    Snooze {
        until: Date,
    },
    Note {
        text: String,
    },
    Withdraw,
    Close,
    Reopen,
    Merge {
        into: CaseId,
    },
    /// Letters become a case of their own; each by the beginning of its id.
    Split {
        letters: Vec<String>,
    },
}

/// The words that [`Act::parse`] takes, each with what may stand behind it.
pub const WORDS: [(&str, &str); 29] = [
    ("approve", "[doa | unopened_refund | repair] [order=NUMBER] [sku=CODE]"),
    ("ask", "ITEM…  (order_number sku item_code received_on problem_what … photo packaging_photo unopened)"),
    ("answer", ": words to the customer"),
    ("reject", ": the reason"),
    ("offer", "[: words to the customer]"),
    ("route", "[NAME OF THE SELLER] [: words to the customer]"),
    ("extend", "[DAY, as 2026-12-24]"),
    ("posted", "[TRACKING NUMBER]"),
    ("arrived", "[as_authorised | unauthorised | wrong_item | empty]"),
    (
        "inspected",
        "confirmed | no_fault_found | not_doa | not_repairable | not_covered | opened [: words to the customer]",
    ),
    ("chosen", "new_item | refund"),
    ("repaired", ""),
    ("replaced", ""),
    ("refunded", "[AMOUNT, as 12.50 EUR] [deducted=AMOUNT, as 3.10EUR] [: words to the customer]"),
    ("reimbursed", "[AMOUNT]"),
    ("shipped", "[faster] [TRACKING NUMBER] [: words to the customer]"),
    ("release", ""),
    ("send", ""),
    ("drop", ""),
    ("handled", ""),
    ("correct", "FACT VALUE, as order_number KX12345, received_on 2026-12-24, problem_when yes, void none"),
    ("assign", "[NAME]"),
    ("snooze", "DAY, as 2026-12-24"),
    ("note", ": words for staff"),
    ("withdraw", ""),
    ("close", ""),
    ("reopen", ""),
    ("merge", "CASE that goes on with it"),
    ("split", "LETTER…  (by id, or its first characters) that becomes a case of its own"),
];

impl Act {
    /// Reads one line of words, as staff write it in a shell or a mail: `ask photo sku`, `reject: the box was opened`.
    ///
    /// An error says what was expected. No word is passed over: it may have been meant for the customer.
    pub fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let end = line.find(|c: char| c == ':' || c.is_whitespace()).unwrap_or(line.len());
        let (verb, rest) = line.split_at_checked(end).unwrap_or((line, ""));
        let verb = verb.to_ascii_lowercase();
        match verb.as_str() {
            "answer" => return Ok(Self::Answer { text: needed(said(rest), "answer: words to the customer")? }),
            "note" => return Ok(Self::Note { text: needed(said(rest), "note: words for staff")? }),
            "reject" => return Ok(Self::Reject { reason: needed(said(rest), "reject: the reason")? }),
            _ => {}
        }
        let (head, text) = match rest.split_once(':') {
            Some((head, text)) => (head, said(text)),
            None => (rest, None),
        };
        let mut words = Arguments::of(head, text);
        let act = match verb.as_str() {
            "approve" => Self::Approve {
                track: words.coded("a track: doa, unopened_refund or repair")?,
                order_number: words
                    .named("order")
                    .map(|o| OrderNumber::new(o).map_err(|e| e.to_string()))
                    .transpose()?,
                sku: words.named("sku").map(|s| Sku::new(s).map_err(|e| e.to_string())).transpose()?,
            },
            "ask" => {
                let items =
                    words.plain().into_iter().map(|word| code(word.trim_end_matches(','), "an item to ask for"));
                let items = items.collect::<Result<Vec<Item>, _>>()?;
                Self::Ask { items: needed((!items.is_empty()).then_some(items), "ask photo sku")? }
            }
            "offer" => Self::Offer { text: words.text() },
            "route" => Self::Route { channel: words.joined(), text: words.text() },
            "extend" => Self::Extend { until: words.joined().map(|text| day(&text)).transpose()? },
            "posted" => Self::Posted { tracking: words.joined() },
            "arrived" => {
                let arrival = words.coded("as_authorised, unauthorised, wrong_item or empty")?;
                Self::Arrived { arrival: arrival.unwrap_or(Arrival::AsAuthorised) }
            }
            "inspected" => {
                let finding = words
                    .coded("a finding: confirmed, no_fault_found, not_doa, not_repairable, not_covered or opened")?;
                Self::Inspected { finding: needed(finding, "inspected confirmed")?, text: words.text() }
            }
            "chosen" => Self::Chosen { remedy: needed(words.coded("new_item or refund")?, "chosen refund")? },
            "repaired" => Self::Repaired,
            "replaced" => Self::Replaced,
            "refunded" => Self::Refunded {
                amount: words.joined().map(|text| amount(&text)).transpose()?,
                deducted: words.named("deducted").map(amount).transpose()?,
                text: words.text(),
            },
            "reimbursed" => Self::Reimbursed { amount: words.joined().map(|text| amount(&text)).transpose()? },
            "shipped" => {
                let mut tracking = words.plain();
                let faster = tracking.first().is_some_and(|word| word.eq_ignore_ascii_case("faster"));
                if faster {
                    tracking.remove(0);
                }
                let tracking = Some(tracking.join(" ")).filter(|t| !t.is_empty());
                let service = if faster { Service::Faster } else { Service::FlatRate };
                Self::ShipBack { tracking, service, text: words.text() }
            }
            "release" => Self::Release,
            "send" => Self::Send,
            "drop" => Self::Drop,
            "handled" => Self::Handled,
            "correct" => {
                let said = needed(words.joined(), "correct order_number KX12345")?;
                let (fact, value) = said.split_once(' ').ok_or("write, for example: correct problem_when yes")?;
                Self::Correct { correction: Correction::parse(fact, value)? }
            }
            "assign" => Self::Assign { to: words.joined() },
            "snooze" => Self::Snooze { until: day(&needed(words.joined(), "snooze 2026-12-24")?)? },
            "withdraw" => Self::Withdraw,
            "close" => Self::Close,
            "reopen" => Self::Reopen,
            "merge" => {
                let into = needed(words.joined(), "merge AS-XXXXXXXX")?;
                Self::Merge { into: CaseId::new(&into).map_err(|e| format!("{into:?}: {e}"))? }
            }
            "split" => {
                let letters = words.plain().into_iter().map(letter).collect::<Result<Vec<_>, _>>()?;
                Self::Split { letters: needed((!letters.is_empty()).then_some(letters), "split 3f9a2c51b7e0")? }
            }
            _ => {
                let known: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
                return Err(format!("{verb:?} is nothing that can be done; there are: {}", known.join(" ")));
            }
        };
        words.finish(&verb)?;
        Ok(act)
    }
}

/// What stands behind the verb: plain words, `name=value` and, behind a colon, a text. Each is taken once.
struct Arguments<'a> {
    plain: Vec<&'a str>,
    named: Vec<(&'a str, &'a str)>,
    text: Option<String>,
}

impl<'a> Arguments<'a> {
    fn of(head: &'a str, text: Option<String>) -> Self {
        let (mut plain, mut named) = (Vec::new(), Vec::new());
        for word in head.split_whitespace() {
            match word.split_once('=') {
                Some(pair) => named.push(pair),
                None => plain.push(word),
            }
        }
        Self { plain, named, text }
    }

    fn plain(&mut self) -> Vec<&'a str> {
        std::mem::take(&mut self.plain)
    }

    fn named(&mut self, name: &str) -> Option<&'a str> {
        let at = self.named.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(self.named.remove(at).1)
    }

    fn text(&mut self) -> Option<String> {
        self.text.take()
    }

    fn joined(&mut self) -> Option<String> {
        Some(self.plain().join(" ")).filter(|text| !text.is_empty())
    }

    /// The one word, if there is one, as the code that it is.
    fn coded<T: serde::de::DeserializeOwned>(&mut self, expected: &str) -> Result<Option<T>, String> {
        self.joined().map(|word| code(&word, expected)).transpose()
    }

    /// Nothing may be left over.
    fn finish(self, verb: &str) -> Result<(), String> {
        let plain = (!self.plain.is_empty()).then(|| self.plain.join(" "));
        let named = self.named.first().map(|(name, _)| format!("{name}="));
        let text = self.text.map(|text| format!(": {text}"));
        let expected = WORDS.iter().find(|(word, _)| *word == verb).map_or("", |(_, rest)| rest);
        match plain.or(named).or(text) {
            Some(left) if expected.is_empty() => Err(format!("{verb} takes nothing behind it, found {left:?}")),
            Some(left) => Err(format!("{verb} does not take {left:?}; write {verb} {expected}")),
            None => Ok(()),
        }
    }
}

/// The words behind the verb, with or without a colon.
fn said(rest: &str) -> Option<String> {
    let rest = rest.trim_start();
    let words = rest.strip_prefix(':').unwrap_or(rest).trim();
    (!words.is_empty()).then(|| words.to_owned())
}

fn needed<T>(value: Option<T>, example: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("something is missing; write, for example: {example}"))
}

fn code<T: serde::de::DeserializeOwned>(word: &str, expected: &str) -> Result<T, String> {
    let spelled = word.to_ascii_lowercase().replace(['-', ' '], "_");
    serde_json::from_value(spelled.into()).map_err(|_| format!("expected {expected}, found {word:?}"))
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("expected a day as 2026-12-24, found {text:?}"))
}

/// Enough of a letter's id to tell it from others by chance.
fn letter(word: &str) -> Result<String, String> {
    let word = word.trim_end_matches(',').to_ascii_lowercase();
    let is_id = (6..=64).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_id {
        true => Ok(word),
        false => Err(format!("expected a letter's id, or its first 6 to 64 characters, found {word:?}")),
    }
}

fn amount(text: &str) -> Result<Money, String> {
    Money::parse(text).ok_or_else(|| format!("expected an amount as 12.50 EUR, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_of_staff_are_read() {
        let read = |line: &str| Act::parse(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!(read("ASK photo, sku"), Act::Ask { items: vec![Item::Photo, Item::Sku] });
        assert_eq!(read("reject: the box: opened"), Act::Reject { reason: "the box: opened".to_owned() });
        assert_eq!(
            read("approve repair order=KS10001"),
            Act::Approve {
                track: Some(Track::Repair),
                order_number: Some(OrderNumber::new("KS10001").unwrap()),
                sku: None
            }
        );
        assert_eq!(read("arrived"), Act::Arrived { arrival: Arrival::AsAuthorised });
        assert_eq!(read("arrived wrong item"), Act::Arrived { arrival: Arrival::WrongItem });
        assert_eq!(
            read("refunded 49,90 EUR deducted=3.10EUR: Sorry for the wait."),
            Act::Refunded {
                amount: Money::parse("49.90 EUR"),
                deducted: Money::parse("3.10 EUR"),
                text: Some("Sorry for the wait.".to_owned())
            }
        );
        assert_eq!(
            read("shipped faster 1Z 99"),
            Act::ShipBack { tracking: Some("1Z 99".to_owned()), service: Service::Faster, text: None }
        );
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for (line, told) in [
            ("", "there are: approve"),
            ("aprove", "there are: approve"),
            ("ask", "for example: ask photo sku"),
            ("ask foto", "an item to ask for"),
            ("reject", "reject: the reason"),
            ("approve maybe", "a track: doa"),
            ("approve order=", "order number"),
            ("approve oder=KS1", "does not take \"oder=\""),
            ("approve repair: as she says", "does not take \": as she says\""),
            ("offer We repair it for 30 EUR", "does not take \"We repair it for 30 EUR\""),
            ("ask photo: please", "does not take"),
            ("posted 1Z42: on Monday", "does not take"),
            ("extend tomorrow", "2026-12-24"),
            ("refunded twelve", "12.50 EUR"),
            ("close now", "takes nothing"),
            ("merge me", "case"),
            ("split", "something is missing"),
            ("split 12", "first 6 to 64 characters"),
        ] {
            let error = Act::parse(line).unwrap_err();
            assert!(error.contains(told), "{line:?}: {error}");
        }
    }

    #[test]
    fn every_word_that_is_listed_is_known() {
        for (word, rest) in WORDS {
            let error = Act::parse(word).err().unwrap_or_default();
            assert!(!error.contains("is nothing that can be done"), "{word}");
            assert!(Act::parse(&format!("{word} 😀=1")).is_err() || rest.starts_with(':'), "{word} passes over a word");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "\\PC{0,80}") {
            let _ = Act::parse(&line);
        }
    }
}
