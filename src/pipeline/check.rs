//! Step 6: the facts of a case against the four steps of the warranty process (policy clauses `process.1` to `process.4`).

use jiff::civil::Date;

use crate::domain::facts::{Facts, Request};
use crate::domain::policy::{Held, Required};
use crate::domain::warranty::{self, Checklist, Item, Status, Track};

/// The checklist of a case. `opened_on` is C of the policy; `order_unknown` says that the feed doesn't know the number.
pub fn checklist(
    facts: &Facts,
    request: Request,
    opened_on: Date,
    (required, held): (&Required, &Held),
    order_unknown: bool,
) -> Checklist {
    let track = track(facts, request, opened_on, held);
    let items = required.of(request, track).iter();
    Checklist { track, items: items.map(|item| (*item, status(facts, *item, order_unknown))).collect() }
}

/// The track that the dates lead to; `None` while the day of receipt is unknown.
fn track(facts: &Facts, request: Request, opened_on: Date, held: &Held) -> Option<Track> {
    let received = facts.received_on.as_ref()?.value;
    let days = warranty::days_between(received, opened_on);
    match request {
        Request::Defect if days <= i64::from(held.doa_days) => Some(Track::Doa),
        Request::Defect => Some(Track::Repair),
        Request::ReturnUnused => Some(Track::UnopenedRefund),
        _ => None,
    }
}

fn status(facts: &Facts, item: Item, order_unknown: bool) -> Status {
    let given = match item {
        Item::OrderNumber if order_unknown => return Status::Unclear,
        Item::Sku if facts.sku.is_none() && !facts.sku_candidates.is_empty() => return Status::Unclear,
        Item::Photo if !has_evidence(facts) && !facts.photos.is_empty() => return Status::Unclear,
        Item::OrderNumber => facts.order_number.is_some(),
        Item::Sku => facts.sku.is_some(),
        Item::ItemCode => facts.item_code.is_some(),
        Item::ReceivedOn => facts.received_on.is_some(),
        Item::ProblemWhat => facts.problem_what.is_some(),
        Item::ProblemWhen => facts.problem_when.is_some(),
        Item::ProblemHow => facts.problem_how.is_some(),
        Item::StepsTaken => facts.steps_taken.is_some(),
        Item::Photo => has_evidence(facts),
        Item::PackagingPhoto => facts.packaging_shown.is_some(),
        Item::Unopened => facts.unopened.as_ref().is_some_and(|f| f.value),
    };
    if given { Status::Given } else { Status::Missing }
}

/// A usable photo, a video, or a link to one.
fn has_evidence(facts: &Facts) -> bool {
    facts.usable_photos() > 0 || !facts.videos.is_empty() || !facts.links.is_empty() || facts.evidence_seen.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalogue::Catalogue;
    use crate::domain::facts::{Evidence, Fact, Source};
    use crate::domain::policy::{Policy, Purchase};
    use jiff::civil::date;

    fn evidence() -> Evidence {
        Evidence::new(None, Source::OrderFeed, "", "test")
    }

    fn received(day: Date) -> Facts {
        Facts { received_on: Some(Fact { value: day, evidence: evidence() }), ..Facts::default() }
    }

    fn missing(facts: &Facts, request: Request) -> Vec<Item> {
        let policy = Policy::default();
        let held = policy.held(&Purchase::default(), &Catalogue::default());
        checklist(facts, request, date(2026, 11, 20), (&policy.required, &held), false).missing()
    }

    #[test]
    fn doa_window_asks_for_the_packaging_and_repair_does_not() {
        assert!(missing(&received(date(2026, 11, 13)), Request::Defect).contains(&Item::PackagingPhoto));
        assert!(!missing(&received(date(2026, 11, 12)), Request::Defect).contains(&Item::PackagingPhoto));
        assert!(!missing(&Facts::default(), Request::Defect).contains(&Item::PackagingPhoto));
    }

    #[test]
    fn a_return_needs_neither_problem_nor_photo() {
        let expected = [Item::OrderNumber, Item::Sku, Item::ItemCode, Item::Unopened];
        assert_eq!(missing(&received(date(2026, 11, 12)), Request::ReturnUnused), expected);
    }

    #[test]
    fn requests_for_a_person_need_nothing() {
        assert!(missing(&Facts::default(), Request::SpareParts).is_empty());
    }

    #[test]
    fn a_link_or_a_video_stands_for_the_photo() {
        let facts = Facts { links: vec!["https://example.org/a.jpg".to_owned()], ..Facts::default() };
        assert!(!missing(&facts, Request::Defect).contains(&Item::Photo));
        let facts = Facts { videos: vec!["a.mp4".to_owned()], ..Facts::default() };
        assert!(!missing(&facts, Request::Defect).contains(&Item::Photo));
    }
}
