//! Why a case stands where it stands, clause by clause: which date, which window, how many days, whose words.
//!
//! The clauses have the names of the policy page; `explain` prints them.

use serde::Serialize;

use super::Terms;
use crate::domain::case::Case;
use crate::domain::decision::{Action, Decision, Reason};
use crate::domain::event::{CaseEvent, Event};
use crate::domain::facts::{Evidence, Request, Source, VoidSignal};
use crate::domain::policy::{Held, Payer, Route};
use crate::domain::returns::{Arrival, Finding, Remedy, Service};
use crate::domain::warranty::{self, Item, Status, Track};

/// What one clause comes to in a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Reckoned)]
pub struct Line {
    /// The clause's name on the policy page: `doa.window`; `channel` and `exception` for what the configuration adds.
    pub clause: &'static str,
    /// Whether it speaks for the customer's claim; `None` where it only says how things are done.
    pub holds: Option<bool>,
    pub text: String,
}

/// The reckoning of a case, in the order of a claim's life.
pub fn reckon(case: &Case, events: &[CaseEvent], terms: &Terms) -> Vec<Line> {
    let recorded = case.decision.as_ref().and_then(|decision| decision.held.clone());
    let held = recorded.unwrap_or_else(|| terms.held(case));
    let mut reckoning = Reckoning { case, terms, held, lines: Vec::new() };
    reckoning.exceptions();
    reckoning.windows();
    reckoning.items();
    reckoning.void();
    reckoning.asks();
    reckoning.rma();
    reckoning.parcel(events);
    reckoning.lines
}

/// A reason of a decision in plain words.
pub fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Safety => "a danger is reported: heat, smoke, fire, a swollen battery, a burn or an injury",
        Reason::Void => "something is told that may void the warranty",
        Reason::OutOfWarranty => "the first letter came after the end of the warranty",
        Reason::ReturnWindowPassed => "the first letter came after the window for returns",
        Reason::NotEligible => "opened or used goods are not taken back without a fault",
        Reason::SenderMismatch => "the order belongs to somebody else than the writer",
        Reason::SkuNotInOrder => "the product is not in the order",
        Reason::NotDelivered => "by the order feed the order was not delivered when the letter came",
        Reason::OrderUnknown => "the same order number, unknown to the order feed, was given twice",
        Reason::OrderUnverified => "the order could not be looked up when the letter came",
        Reason::EvidenceByLink => "the only evidence are links, which the program does not open",
        Reason::AskLimit => "the customer was asked as often as the policy allows",
        Reason::Language => "there are no words and letters in the customer's language",
        Reason::Request => "what is wanted is for a person to answer",
        Reason::FollowUp => "the case is with staff or has its RMA already",
        Reason::DuplicateRma => "the order line has an RMA in another case",
        Reason::Conflict => "what is told contradicts itself or what is known",
        Reason::UnsafeAttachment => "a program, script or macro document is attached",
        Reason::NotAvailable => "all that is still open can't be given, as the customer says",
        Reason::Doubt => "a sentence may tell of misuse or of a danger, too unclear to be taken for it",
        Reason::DuplicateLetter => "the same mail was taken in before",
        Reason::ReplyLimit => "the address has as many automatic letters as it may have in a day",
        Reason::Old => "the letter lay in the mailbox for too long to be answered automatically",
        Reason::NoReplyAddress => "there is no address that an automatic letter may go to",
        Reason::CaseLimit => "the case has as many automatic letters as it may have",
        Reason::UnknownThread => "it answers a letter of ours that its writer never had",
        Reason::Channel => "it was bought in a channel whose claims a person goes on with",
        Reason::Approval => "everything is there; the policy wants a person to approve it",
    }
}

/// What a decision comes to, in one sentence.
pub fn verdict(decision: &Decision) -> String {
    let codes = |items: &[Item]| items.iter().map(Item::code).collect::<Vec<_>>().join(", ");
    match decision.action {
        Action::Ask => format!("the customer is asked for {}", codes(&decision.ask)),
        Action::IssueRma => "everything is there and in time: the return is authorised".to_owned(),
        Action::Staff => "a person decides".to_owned(),
        Action::Close => "there is nothing left to do".to_owned(),
        Action::Ignore => "no customer's letter: no answer".to_owned(),
    }
}

struct Reckoning<'a> {
    case: &'a Case,
    terms: &'a Terms,
    /// The windows of the decision, which may have been made under other terms.
    held: Held,
    lines: Vec<Line>,
}

impl Reckoning<'_> {
    fn line(&mut self, clause: &'static str, holds: Option<bool>, text: impl Into<String>) {
        self.lines.push(Line { clause, holds, text: text.into() });
    }

    fn exceptions(&mut self) {
        if let Some(channel) = &self.held.channel {
            let what = match self.held.route {
                Route::Here => "claims are handled here",
                Route::Staff => "a person decides",
                Route::Seller => "a person decides; the seller is to help",
            };
            let text = format!("{channel}, by the order number: {what}");
            self.line("channel", None, text);
        }
        for name in self.held.exceptions.clone() {
            self.line("exception", None, format!("“{name}” applies"));
        }
        if let Some(track) = self.case.decision.as_ref().and_then(|d| d.checklist.track)
            && self.held.approve.contains(&track)
        {
            self.line("repair.confirm", None, format!("{}: a person approves it before the RMA", track.code()));
        }
    }

    fn windows(&mut self) {
        let (case, held) = (self.case, self.held.clone());
        let request = case.request.unwrap_or(Request::Other);
        let Some(received) = &case.facts.received_on else {
            return self.line("warranty.start", None, "the day of delivery (D) is not known");
        };
        let (d, c) = (received.value, case.opened_on);
        let from = source(&received.evidence);
        self.line("warranty.start", None, format!("D = {d}, {from}; C = {c}, the day of the first letter"));
        let days = warranty::days_between(d, c);
        match request {
            Request::Defect => {
                let within = (0..=i64::from(held.doa_days)).contains(&days);
                let text = format!("C − D = {days} days, {} allowed", held.doa_days);
                self.line("doa.window", Some(within), text);
                let months = held.warranty_months;
                let ends = warranty::warranty_ends(d, months);
                self.line("repair.window", Some(c <= ends), format!("{months} months from D end on {ends}"));
            }
            Request::ReturnUnused | Request::ReturnOpened => {
                let within = (0..=i64::from(held.unopened_days)).contains(&days);
                let text = format!("C − D = {days} days, {} allowed", held.unopened_days);
                self.line("unopened.window", Some(within), text);
            }
            _ => {}
        }
    }

    fn items(&mut self) {
        let Some(decision) = &self.case.decision else { return };
        let mut steps: Vec<(&'static str, Vec<String>, bool)> = Vec::new();
        for (item, status) in &decision.checklist.items {
            let clause = clause(*item);
            let word = match status {
                Status::Given => "given",
                Status::Unclear => "unclear",
                Status::Missing => "missing",
            };
            let told = format!("{} {word}", item.code());
            let given = *status == Status::Given;
            match steps.iter_mut().find(|(known, ..)| *known == clause) {
                Some((_, items, all)) => {
                    items.push(told);
                    *all &= given;
                }
                None => steps.push((clause, vec![told], given)),
            }
        }
        for (clause, items, all) in steps {
            self.line(clause, Some(all), items.join(", "));
        }
    }

    fn void(&mut self) {
        for signal in &self.case.facts.void_signals {
            let clause = match signal.value {
                VoidSignal::Flashed => "void.flash",
                VoidSignal::Opened => "void.open",
                VoidSignal::Modified => "void.modify",
                VoidSignal::Misuse => "void.unintended",
                VoidSignal::ContinuedUse => "void.continued",
            };
            self.line(clause, Some(false), format!("“{}”; a person decides", signal.evidence.quote));
        }
    }

    fn asks(&mut self) {
        let (asks, most) = (self.case.asks, self.terms.policy.asks);
        if asks > 0 {
            self.line(
                "incomplete",
                None,
                format!("asked {asks} times of {most}; then a person decides, never the program"),
            );
        }
    }

    fn rma(&mut self) {
        let case = self.case;
        let Some(rma) = &case.rma else { return };
        let text = format!("{} of {}, to be posted until {}", rma.number, rma.issued_on, rma.valid_until);
        self.line("rma.first", Some(true), text);
        let clause = match rma.track {
            Track::Doa => "doa.return_cost",
            Track::UnopenedRefund => "unopened.cost",
            Track::Repair => "repair.cost",
        };
        let there = match rma.payer() {
            Payer::Customer => "return shipping is the customer's",
            Payer::CustomerReimbursed => "return shipping is paid back on a valid receipt once the fault is confirmed",
            Payer::Brand => "return shipping is ours",
        };
        let back = if rma.track == Track::Repair { "; the way back is ours" } else { "" };
        self.line(clause, None, format!("{there}{back}"));
        self.line("customs", None, "customs, duties and tariffs of the return are the customer's");
    }

    fn parcel(&mut self, events: &[CaseEvent]) {
        for CaseEvent { event, at, .. } in events {
            let at = at.strftime("%F");
            match event {
                Event::Arrived { arrival: Arrival::AsAuthorised } => {
                    self.line("inspection", None, format!("{at}: the parcel is here"));
                }
                Event::Arrived { arrival } => {
                    let how = match arrival {
                        Arrival::Unauthorised => "without authorisation",
                        Arrival::WrongItem => "with another item",
                        Arrival::Empty | Arrival::AsAuthorised => "empty",
                    };
                    self.line("rma.breach", Some(false), format!("{at}: the parcel came {how}; a person decides"));
                }
                Event::Inspected { finding } => self.finding(*finding, &at.to_string()),
                Event::Chosen { remedy } => {
                    let what = if *remedy == Remedy::Refund { "a full refund" } else { "a new item" };
                    self.line("doa.outcome", None, format!("{at}: the customer wants {what}"));
                }
                Event::Replaced => self.line("doa.outcome", None, format!("{at}: a new item")),
                Event::Refunded { deducted: Some(kept), .. } => {
                    self.line("customs", None, format!("{at}: {kept} kept back of the refund"));
                }
                Event::ReceiptTaken { outlay, .. } => {
                    let amount =
                        outlay.amount.as_ref().map_or_else(|| "no amount read".to_owned(), ToString::to_string);
                    self.line("doa.return_cost", None, format!("{at}: receipt {} came, {amount}", outlay.file));
                }
                Event::Reimbursed { .. } => {
                    self.line("doa.return_cost", Some(true), format!("{at}: return shipping was paid back"));
                }
                Event::ShippedBack { service: Service::Faster, .. } => {
                    self.line(
                        "repair.flat_rate",
                        None,
                        format!("{at}: sent back by a faster way, at the customer's cost"),
                    );
                }
                Event::ShippedBack { .. } => {
                    self.line("repair.flat_rate", None, format!("{at}: sent back by flat-rate shipping"));
                }
                Event::Rejected => {
                    self.line(
                        "paid_repair",
                        Some(false),
                        format!("{at}: a person has refused; a paid repair can be offered"),
                    );
                }
                _ => {}
            }
        }
    }

    fn finding(&mut self, finding: Finding, at: &str) {
        let of = |track| self.case.rma.as_ref().is_some_and(|rma| rma.track == track);
        let (clause, holds, text) = match finding {
            Finding::Confirmed if of(Track::Doa) => {
                ("doa.outcome", true, "the fault is confirmed: a new item or a refund")
            }
            Finding::Confirmed if of(Track::UnopenedRefund) => ("unopened.condition", true, "unopened and unused"),
            Finding::Confirmed => ("repair.confirm", true, "the fault is confirmed: it is repaired free of charge"),
            Finding::NoFaultFound if of(Track::Doa) => {
                ("doa.not_confirmed", false, "no fault was found: no reimbursement")
            }
            Finding::NoFaultFound => ("inspection", false, "no fault was found"),
            Finding::NotDoa => ("doa.not_confirmed", false, "the fault was not there on arrival: no reimbursement"),
            Finding::NotRepairable => ("repair.alternative", true, "it can't be repaired: another solution is offered"),
            Finding::NotCovered => {
                ("misuse.cost", false, "the warranty does not cover it: an offer at the customer's cost")
            }
            Finding::Opened => ("unopened.condition", false, "it was opened or used"),
        };
        self.line(clause, Some(holds), format!("{at}: {text}"));
    }
}

/// The clause that requires an item.
fn clause(item: Item) -> &'static str {
    match item {
        Item::OrderNumber | Item::Sku | Item::ProblemWhat | Item::ProblemWhen | Item::ProblemHow => "process.1",
        Item::ReceivedOn => "warranty.start",
        Item::StepsTaken => "process.2",
        Item::ItemCode => "process.3",
        Item::Photo => "process.4",
        Item::PackagingPhoto => "doa.evidence",
        Item::Unopened => "unopened.condition",
    }
}

fn source(evidence: &Evidence) -> String {
    match evidence.source {
        Source::OrderFeed => "by the order feed".to_owned(),
        Source::Staff => "by staff".to_owned(),
        _ => format!("by the customer (“{}”)", evidence.quote),
    }
}
