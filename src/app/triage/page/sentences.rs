//! Decisions, reasons and days in plain words.

use crate::domain::case::Case;
use crate::domain::decision::{Action, Outcome, Reason};
use crate::domain::facts::{Judgement, Request, Source};
use crate::domain::letter::FileKind;
use crate::domain::warranty::{self, Checklist, Item, Track};
use crate::pipeline::Terms;

/// What is done, and what the customer hears of it.
pub fn action(outcome: &Outcome, case: Option<&Case>) -> String {
    let decision = &outcome.decision;
    match decision.action {
        Action::Ask => {
            let items: Vec<&str> = decision.ask.iter().map(|i| item(*i)).collect();
            format!("The customer is asked for {}.", items.join(", "))
        }
        Action::IssueRma => {
            let way = decision.track.map_or("", track);
            match case.and_then(|c| c.rma.as_ref()) {
                Some(rma) => {
                    format!("The return is authorised: {}, {way}, valid until {}.", rma.number, rma.valid_until)
                }
                None => format!("The return is authorised: {way}."),
            }
        }
        Action::Staff if outcome.reply.is_some() => "A person decides; the customer is told so.".to_owned(),
        Action::Staff => "A person decides; nothing goes out.".to_owned(),
        Action::Close => "Nothing is left to do: the case is closed, nothing goes out.".to_owned(),
        Action::Ignore => "No customer's letter: it gets no answer, ever.".to_owned(),
    }
}

fn item(item: Item) -> &'static str {
    match item {
        Item::OrderNumber => "the order number",
        Item::Sku => "the product",
        Item::ItemCode => "the code on the packaging",
        Item::ReceivedOn => "the day of receipt",
        Item::ProblemWhat => "what fails",
        Item::ProblemWhen => "when it began",
        Item::ProblemHow => "how it shows",
        Item::StepsTaken => "what was tried",
        Item::Photo => "a photo or video",
        Item::PackagingPhoto => "a photo of the packaging",
        Item::Unopened => "whether it is unopened",
    }
}

fn track(track: Track) -> &'static str {
    match track {
        Track::Doa => "dead on arrival (new item or refund)",
        Track::UnopenedRefund => "refund of an unopened item",
        Track::Repair => "free repair",
    }
}

pub fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Safety => "heat, smoke, fire, a swollen battery or an injury is reported",
        Reason::Void => "something is reported that may void the warranty",
        Reason::OutOfWarranty => "the first letter came after the end of the warranty",
        Reason::ReturnWindowPassed => "the days in which an unused item may be returned are over",
        Reason::NotEligible => "an opened or used item is no unused return",
        Reason::SenderMismatch => "the sender is not the customer of the order, or of the case",
        Reason::SkuNotInOrder => "the product named is in no line of the order",
        Reason::NotDelivered => "by the order feed the item had not been delivered",
        Reason::OrderUnknown => "an order number that the feed does not know was given twice",
        Reason::OrderUnverified => "the order could not be looked up",
        Reason::EvidenceByLink => "the only pictures are behind links, which nobody has opened",
        Reason::AskLimit => "it was asked for often enough",
        Reason::Language => "the language is not one that is understood and answered",
        Reason::Request => "this kind of request is for a person",
        Reason::FollowUp => "the case is with a person already, or has its RMA",
        Reason::DuplicateRma => "the order line has an RMA in another case",
        Reason::Conflict => "what is said contradicts itself",
        Reason::UnsafeAttachment => "a program, script or macro document is attached",
        Reason::NotAvailable => "all that is missing can't be given",
        Reason::Doubt => "something that may void the warranty, or a danger, may be told in passing: please read it",
        Reason::DuplicateLetter => "the same mail was taken in before",
        Reason::Old => "it has lain in the mailbox for too long to be answered automatically",
        Reason::ReplyLimit => "this address got as many automatic letters as it may in 24 hours",
        Reason::NoReplyAddress => "there is no address that an automatic letter may go to",
        Reason::CaseLimit => "this case got as many automatic letters as it may",
        Reason::UnknownThread => "it answers a letter of ours that its writer never had",
        Reason::Channel => "it was bought in a channel whose claims a person goes on with",
        Reason::Approval => "everything is there, but this kind of return is for a person to approve",
    }
}

/// The policy's reckoning: C, D, the days between them, the windows, the track.
pub fn days(case: &Case, checklist: &Checklist, terms: &Terms) -> Vec<String> {
    let held = terms.held(case);
    let first = case.opened_on;
    let Some(fact) = &case.facts.received_on else {
        return vec![format!("C, the first letter: {first}. D, the receipt: unknown, so no window is reckoned.")];
    };
    let (received, days) = (fact.value, warranty::days_between(fact.value, first));
    let by = if fact.evidence.source == Source::OrderFeed { "order feed" } else { "as the customer says" };
    let mut lines =
        vec![format!("C, the first letter: {first}. D, the receipt: {received} ({by}). C − D = {days} days.")];
    if days < 0 {
        lines.push("The letter came before the item: no window is reckoned.".to_owned());
        return lines;
    }
    lines.extend(held.channel.map(|name| format!("The order number is one of {name} (channel).")));
    lines.extend(held.exceptions.iter().map(|name| format!("The exception “{name}” applies (exception).")));
    let side = |holds: bool| if holds { "within" } else { "beyond" };
    match case.request {
        Some(Request::Defect) => {
            let doa = days <= i64::from(held.doa_days);
            lines.push(format!("Dead on arrival, up to {} days: {} (doa.window).", held.doa_days, side(doa)));
            let months = held.warranty_months;
            let ends = warranty::warranty_ends(received, months);
            let holds = side(first <= ends);
            lines.push(format!("Warranty of {months} months, until {ends}: {holds} (repair.window)."));
        }
        Some(Request::ReturnUnused) => {
            let within = side(days <= i64::from(held.unopened_days));
            lines.push(format!("Unused return, up to {} days: {within} (unopened.window).", held.unopened_days));
        }
        _ => lines.push("This request has no window.".to_owned()),
    }
    lines.extend(checklist.track.map(|t| format!("By the days the track is {}: {}.", t.code(), track(t))));
    lines
}

pub fn judgement(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Usable => "usable",
        Judgement::NotChecked => "not looked into, counts as usable",
        Judgement::TooDark => "too dark",
        Judgement::TooBright => "too bright",
        Judgement::Blurred => "blurred",
        Judgement::TooSmall => "too small",
        Judgement::NotShown => "shows not enough, by staff",
    }
}

/// What a file is that shows no picture of the item.
pub fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Picture | FileKind::HeicPicture => "a picture that shows nothing of the item (logo, icon, signature)",
        FileKind::Video => "video, not opened",
        FileKind::Pdf => "PDF, its text is not read",
        FileKind::Archive => "archive",
        FileKind::Tnef => "winmail.dat",
        FileKind::Program => "a program, a script or a document with macros",
        FileKind::Calendar => "calendar entry",
        FileKind::Text => "text, not read",
        FileKind::Other => "not looked into",
    }
}
