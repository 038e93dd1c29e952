//! What staff or the clock do to a case: the same proposal of events and a letter as a customer's letter makes.

mod correct;
mod feed;
pub mod split;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::compose::Step;
use super::course::Course;
use super::{Terms, bare};
use crate::domain::act::Act;
use crate::domain::case::{Case, Draft, Rma, State};
use crate::domain::catalogue::OrderAnswer;
use crate::domain::decision::{Action, Decision};
use crate::domain::event::{Actor, CaseEvent, Event, Timer};
use crate::domain::hours::Deadlines;
use crate::domain::ids::{CaseId, OrderNumber, RmaNumber, Sku};
use crate::domain::reply::{Kind, Reply};
use crate::domain::returns::Arrival;
use crate::domain::warranty::{Item, Track};

/// Who goes on with the case.
#[derive(Debug, Clone, Copy)]
pub enum Cause<'a> {
    /// What is due by the clock.
    Timer,
    /// The order feed or the catalogue may tell more than before.
    Feed,
    Staff {
        name: &'a str,
        act: &'a Act,
        why: Option<&'a str>,
    },
}

/// What is proposed: the shell commits it, whole or not at all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resumed {
    pub events: Vec<CaseEvent>,
    pub reply: Option<Reply>,
    /// Staff have to be told that the case waits for them.
    pub tell_staff: Option<String>,
    /// A case that it opens.
    pub opened: Option<Opened>,
}

/// A new case, by its first events.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    pub case: CaseId,
    pub events: Vec<CaseEvent>,
}

/// Why it can't be done; the text says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impossible(pub String);

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Impossible {}

/// What the shell looked up for it.
#[derive(Debug, Clone)]
pub struct Known {
    /// A number that nobody has yet.
    pub fresh_rma: RmaNumber,
    /// The feed's answers about the order numbers in question.
    pub orders: BTreeMap<OrderNumber, OrderAnswer>,
    /// The lines of those orders for which other cases hold an RMA.
    pub rmas_elsewhere: BTreeSet<(OrderNumber, Sku)>,
    /// Automatic letters to the customer in the last 24 hours.
    pub replies_today: usize,
    /// Of the letters that become a case of their own.
    pub split: Option<split::Split>,
}

impl Known {
    /// Where nothing can be looked up.
    pub fn nothing_but(fresh_rma: RmaNumber) -> Self {
        Self { fresh_rma, orders: BTreeMap::new(), rmas_elsewhere: BTreeSet::new(), replies_today: 0, split: None }
    }

    fn order_of(&self, case: &Case) -> OrderAnswer {
        let number = case.facts.order_number.as_ref().map(|fact| &fact.value);
        number.and_then(|number| self.orders.get(number)).cloned().unwrap_or(OrderAnswer::NotAsked)
    }

    fn has_rma_elsewhere(&self, case: &Case) -> bool {
        let line = case.facts.order_number.as_ref().zip(case.facts.sku.as_ref());
        line.is_some_and(|(number, sku)| self.rmas_elsewhere.contains(&(number.value.clone(), sku.value.clone())))
    }
}

/// Goes on with a case. Nothing is proposed if nothing is due.
pub fn resume(
    case: &Case,
    cause: Cause<'_>,
    known: &Known,
    terms: &Terms,
    now: Timestamp,
) -> Result<Resumed, Impossible> {
    let by = match cause {
        Cause::Timer | Cause::Feed => Actor::Daemon,
        Cause::Staff { name, .. } => Actor::Staff(name.to_owned()),
    };
    let why = match cause {
        Cause::Staff { why, .. } => why.map(str::to_owned),
        Cause::Feed => Some("the order feed or the catalogue tells more".to_owned()),
        Cause::Timer => None,
    };
    let mut turn = Turn { course: Course::of(case), by, why, terms, now, reply: None, tell_staff: None, opened: None };
    match cause {
        Cause::Staff { act, .. } => {
            turn.act(act, known)?;
            turn.overtake(case)?;
        }
        Cause::Timer => {
            // A case written by a version without a clock, or under other deadlines, has nothing due.
            if let Some(due) = case.due.filter(|due| due.at <= now) {
                turn.strike(due.timer)?;
            }
        }
        Cause::Feed => {
            if !turn.follow_feed(known)? {
                return Ok(Resumed::default());
            }
        }
    }
    turn.course.schedule(terms, now).map_err(|e| Impossible(e.to_string()))?;
    Ok(Resumed { events: turn.course.events, reply: turn.reply, tell_staff: turn.tell_staff, opened: turn.opened })
}

/// One proposal in the making.
struct Turn<'a> {
    course: Course,
    by: Actor,
    why: Option<String>,
    terms: &'a Terms,
    now: Timestamp,
    reply: Option<Reply>,
    tell_staff: Option<String>,
    opened: Option<Opened>,
}

impl Turn<'_> {
    /// What the clock does.
    fn strike(&mut self, timer: Timer) -> Result<(), Impossible> {
        let case = &self.course.case;
        match timer {
            Timer::RemindItems => {
                let Deadlines { hours, reminders, unanswered, .. } = &self.terms.deadlines;
                let sent = case.reminders as usize;
                let days = reminders.get(sent).map(|day| unanswered.saturating_sub(*day));
                // The last one says what happens then.
                let days = days.filter(|_| sent + 1 == reminders.len());
                let until = days.map(|days| hours.day(hours.after_days(self.now, days)));
                let step = Step { until, ..Step::default() };
                self.write_or_hand_over(Kind::Reminder, &step, Event::Reminded { of: timer })
            }
            Timer::CloseUnanswered => self.write_or_hand_over(Kind::Unanswered, &Step::default(), Event::Closed),
            Timer::RemindRma => {
                let today = self.terms.deadlines.hours.day(self.now);
                let reminded = Event::Reminded { of: timer };
                match &case.rma {
                    Some(rma) if rma.valid_until >= today => {
                        self.write_or_hand_over(Kind::RmaReminder, &Step::default(), reminded)
                    }
                    // After a long stop the day may be over: then there is nothing to remind of.
                    _ => self.add(reminded),
                }
            }
            Timer::ExpireRma => self.write_or_hand_over(Kind::RmaExpired, &Step::default(), Event::Expired),
            Timer::ParcelOverdue => {
                self.tell_staff = Some(format!("the parcel of case {} has not arrived", case.id));
                self.add(Event::HandedToStaff)
            }
            Timer::ReleaseDraft => {
                let now = self.now;
                self.release(|draft| draft.until.is_some_and(|until| until <= now))
            }
            Timer::RemindStaff => {
                let what = match case.held() {
                    Some(draft) => format!("with a letter ({}) that is held", draft.kind.folder()),
                    None => format!("({})", case.state.code()),
                };
                self.tell_staff = Some(format!("case {} waits for a person {what}", case.id));
                self.add(Event::Reminded { of: timer })
            }
            Timer::CloseDone => self.add(Event::Closed),
            Timer::Wake => {
                self.tell_staff = Some(format!("case {} is back: it was put off until now", case.id));
                self.add(Event::Reminded { of: timer })
            }
        }
    }

    /// What a person does.
    fn act(&mut self, act: &Act, known: &Known) -> Result<(), Impossible> {
        match act {
            Act::Approve { track, order_number, sku } => self.approve(*track, order_number, sku, &known.fresh_rma),
            Act::Ask { items } => self.ask(items),
            Act::Answer { text } => {
                self.write(Kind::Answer, &said(Some(text)))?;
                self.add(Event::Handled)
            }
            Act::Reject { reason } => {
                self.add(Event::Rejected)?;
                self.write(Kind::Rejection, &said(Some(reason)))
            }
            Act::Offer { text } => {
                self.write(Kind::Offer, &said(text.as_ref()))?;
                self.add(Event::Handled)
            }
            Act::Route { channel, text } => {
                let channel = channel.clone().or_else(|| self.terms.held(&self.course.case).channel);
                let step = Step { channel, ..said(text.as_ref()) };
                self.write(Kind::Route, &step)?;
                self.add(Event::Handled)
            }
            Act::Extend { until } => {
                let days = i64::from(self.terms.held(&self.course.case).rma_valid_days).days();
                let today = self.terms.deadlines.hours.day(self.now);
                let valid_until = until.unwrap_or_else(|| today.saturating_add(days));
                if valid_until < today {
                    return Err(Impossible(format!("{valid_until} is over: give a day that is still to come")));
                }
                self.add(Event::RmaExtended { valid_until })?;
                self.write(Kind::RmaExtended, &Step::default())
            }
            Act::Posted { tracking } => self.add(Event::Posted { tracking: tracking.clone() }),
            Act::Arrived { arrival } => self.arrived(*arrival),
            Act::Inspected { finding, text } => {
                self.add(Event::Inspected { finding: *finding })?;
                self.write_if_return(Kind::Inspected, &said(text.as_ref()))
            }
            Act::Chosen { remedy } => self.add(Event::Chosen { remedy: *remedy }),
            Act::Repaired => self.add(Event::Repaired),
            Act::Replaced => self.add(Event::Replaced),
            Act::Refunded { amount, deducted, text } => {
                self.add(Event::Refunded { amount: amount.clone(), deducted: deducted.clone() })?;
                let step = Step { amount: amount.clone(), deducted: deducted.clone(), ..said(text.as_ref()) };
                self.write(Kind::Refunded, &step)
            }
            Act::Reimbursed { amount } => self.add(Event::Reimbursed { amount: amount.clone() }),
            Act::ShipBack { tracking, service, text } => {
                let before = self.course.case.state;
                self.add(Event::ShippedBack { tracking: tracking.clone(), service: *service })?;
                let step = Step {
                    tracking: tracking.clone(),
                    repaired: before == State::Repaired,
                    replaced: before == State::Replaced,
                    ..said(text.as_ref())
                };
                self.write(Kind::ShippedBack, &step)
            }
            Act::Release => match self.course.case.state {
                State::SafetyHold => self.add(Event::HandedToStaff),
                state => Err(Impossible(format!("the case is {}: there is no danger to release", state.code()))),
            },
            Act::Send => match self.course.case.drafts.is_empty() {
                true => Err(Impossible(format!("case {} has no draft to send", self.course.case.id))),
                false => self.release(|_| true),
            },
            Act::Drop => self.drop_all(),
            Act::Handled => self.add(Event::Handled),
            Act::Correct { correction } => self.correct(correction, known),
            Act::Assign { to } => self.add(Event::Assigned { to: to.clone() }),
            Act::Snooze { until } => self.snooze(*until),
            Act::Note { text } => self.add(Event::Noted { text: text.clone() }),
            Act::Withdraw => self.add(Event::Withdrawn),
            Act::Close => self.add(Event::Closed),
            Act::Reopen => {
                self.add(Event::Reopened)?;
                self.add(Event::HandedToStaff)
            }
            Act::Split { .. } => self.split(known),
            Act::Merge { into } => self.add(Event::Merged { into: into.clone() }),
        }
    }

    fn release(&mut self, is_meant: impl Fn(&Draft) -> bool) -> Result<(), Impossible> {
        let meant: Vec<Draft> = self.course.case.drafts.iter().filter(|draft| is_meant(draft)).cloned().collect();
        meant.into_iter().try_for_each(|Draft { message_id, .. }| self.add(Event::DraftReleased { message_id }))
    }

    fn drop_all(&mut self) -> Result<(), Impossible> {
        let drafts = self.course.case.drafts.clone();
        if drafts.is_empty() {
            return Err(Impossible(format!("case {} has no draft to drop", self.course.case.id)));
        }
        drafts.into_iter().try_for_each(|Draft { message_id, .. }| self.add(Event::DraftDropped { message_id }))
    }

    /// Once staff have moved a case, older drafts that only say how it stood are overtaken; of a case that another one
    /// goes on with, all are.
    fn overtake(&mut self, before: &Case) -> Result<(), Impossible> {
        let state = self.course.case.state;
        let overtaken = |draft: &Draft| {
            before.drafts.contains(draft)
                && (state == State::Merged || state != before.state && draft.kind.is_passing())
        };
        let dropped = self.course.drop_drafts("staff have gone on with the case", self.now, overtaken);
        dropped.map_err(|illegal| Impossible(illegal.to_string()))
    }

    /// What is not given is taken from the case.
    fn approve(
        &mut self,
        track: Option<Track>,
        order_number: &Option<OrderNumber>,
        sku: &Option<Sku>,
        fresh_rma: &RmaNumber,
    ) -> Result<(), Impossible> {
        let facts = &self.course.case.facts;
        let lacking = |what: &str, how: &str| Impossible(format!("the case has no {what}: {how}"));
        let order_number = order_number.clone().or_else(|| facts.order_number.as_ref().map(|f| f.value.clone()));
        let sku = sku.clone().or_else(|| facts.sku.as_ref().map(|f| f.value.clone()));
        let track = track.or_else(|| self.course.case.decision.as_ref().and_then(|d| d.checklist.track));
        let track = track.ok_or_else(|| lacking("track", "write approve doa, unopened_refund or repair"))?;
        let order_number = order_number.ok_or_else(|| lacking("order number", "write approve order=NUMBER"))?;
        let sku = sku.ok_or_else(|| lacking("SKU", "write approve sku=CODE"))?;
        self.issue(track, order_number, sku, fresh_rma)?;
        self.write(Kind::Rma, &Step::default())
    }

    fn issue(
        &mut self,
        track: Track,
        order_number: OrderNumber,
        sku: Sku,
        fresh_rma: &RmaNumber,
    ) -> Result<(), Impossible> {
        let issued_on = self.terms.deadlines.hours.day(self.now);
        let days = i64::from(self.terms.held(&self.course.case).rma_valid_days).days();
        let rma = Rma {
            number: fresh_rma.clone(),
            track,
            order_number,
            sku,
            issued_on,
            valid_until: issued_on.saturating_add(days),
            return_shipping: Some(self.terms.policy.return_shipping.of(track)),
        };
        self.add(Event::RmaIssued { rma })
    }

    fn ask(&mut self, items: &[Item]) -> Result<(), Impossible> {
        if items.is_empty() {
            return Err(Impossible("say what to ask for, for example: photo sku".to_owned()));
        }
        let mut decision = self.decision();
        decision.action = Action::Ask;
        decision.reasons.clear();
        decision.ask = items.to_vec();
        decision.ask.sort_unstable();
        decision.ask.dedup();
        // What is asked for is open, whatever was thought of it before.
        for item in &decision.ask {
            decision.checklist.items.retain(|(known, _)| known != item);
            decision.checklist.items.push((*item, crate::domain::warranty::Status::Missing));
        }
        decision.checklist.items.sort_unstable_by_key(|(item, _)| *item);
        self.write_decided(Kind::Ask, &decision, &Step::default())?;
        self.add(Event::Asked { items: decision.ask })
    }

    fn snooze(&mut self, until: Date) -> Result<(), Impossible> {
        let until = self.terms.deadlines.hours.opening(until);
        if until <= self.now {
            return Err(Impossible("that day is over, or has begun: give one that is still to come".to_owned()));
        }
        if self.course.case.attention.is_none() {
            return Err(Impossible("the case waits for nobody: there is nothing to put off".to_owned()));
        }
        self.add(Event::Snoozed { until })
    }

    fn arrived(&mut self, arrival: Arrival) -> Result<(), Impossible> {
        if arrival == Arrival::AsAuthorised && self.course.case.rma.is_none() {
            return Err(Impossible(
                "the case has no RMA, so that the parcel can't be as authorised: say unauthorised, wrong_item or empty"
                    .to_owned(),
            ));
        }
        self.add(Event::Arrived { arrival })?;
        match arrival {
            Arrival::AsAuthorised => self.write(Kind::Received, &Step::default()),
            // Clause `rma.breach`: a person decides what to write.
            Arrival::Unauthorised | Arrival::WrongItem | Arrival::Empty => Ok(()),
        }
    }

    fn add(&mut self, event: Event) -> Result<(), Impossible> {
        let state = self.course.case.state;
        let event = CaseEvent::new(event, self.by.clone(), self.now).because(self.why.clone());
        self.course.add(event).map_err(|illegal| {
            Impossible(format!("that can't be done with a case that is {} ({illegal})", state.code()))
        })
    }

    /// Writes a letter of the clock and does what comes with it. The cap of a case holds for these letters too; beyond it
    /// a person goes on.
    fn write_or_hand_over(&mut self, kind: Kind, step: &Step, then: Event) -> Result<(), Impossible> {
        let case = &self.course.case;
        if case.replies_out() as usize >= self.terms.caps.per_case || self.terms.is_of_the_desk(&case.customer.address)
        {
            self.tell_staff = Some(format!("case {} gets no further automatic letter ({})", case.id, kind.folder()));
            return self.add(Event::HandedToStaff);
        }
        self.write(kind, step)?;
        self.add(then)
    }

    fn write_if_return(&mut self, kind: Kind, step: &Step) -> Result<(), Impossible> {
        if self.course.case.rma.is_some() { self.write(kind, step) } else { Ok(()) }
    }

    fn write(&mut self, kind: Kind, step: &Step) -> Result<(), Impossible> {
        self.write_decided(kind, &self.decision(), step)
    }

    fn write_decided(&mut self, kind: Kind, decision: &Decision, step: &Step) -> Result<(), Impossible> {
        let reply = self.course.write(kind, decision, None, step, self.terms, self.now).map_err(Impossible)?;
        self.reply = Some(reply);
        Ok(())
    }

    /// The latest decision, which says what is still open.
    fn decision(&self) -> Decision {
        let known = self.course.case.decision.clone();
        let mut decision = known.unwrap_or_else(|| bare(Action::Staff, Vec::new(), self.terms));
        if decision.ask.is_empty() {
            decision.ask = decision.checklist.missing();
        }
        decision
    }
}

fn said(text: Option<&String>) -> Step {
    Step { message: text.cloned(), ..Step::default() }
}
