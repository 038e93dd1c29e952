//! The stories that the tests have letters written for.

use jiff::civil::date;

use super::*;
use crate::domain::case::Rma;
use crate::domain::catalogue::Product;
use crate::domain::decision::Action;
use crate::domain::event::{CaseEvent, Event};
use crate::domain::facts::{Photo, Request};
use crate::domain::ids::{Address, CaseId, ItemCode, LetterId, OrderNumber, RmaNumber, Sku};
use crate::domain::letter::Defect;
use crate::domain::policy::Required;
use crate::domain::returns::{Finding, Money, Outlay, Remedy};
use crate::domain::warranty::{Checklist, Status, Track};
use crate::pipeline::compose::matter::tells_of_return;

/// A story: what a customer wrote, what was decided, and the reply that comes of it.
pub(super) struct Story {
    pub(super) kind: Kind,
    pub(super) customer: Person,
    pub(super) letter: Letter,
    pub(super) said: Facts,
    pub(super) request: Request,
    /// `None`: everything.
    pub(super) open: Vec<Item>,
    pub(super) reasons: Vec<Reason>,
    pub(super) asks: u32,
    pub(super) not_found: Option<&'static str>,
    pub(super) meant: Option<&'static str>,
    pub(super) track: Track,
    pub(super) written: Option<&'static str>,
    pub(super) step: Step,
    pub(super) finding: Option<Finding>,
    pub(super) remedy: Option<Remedy>,
    pub(super) outlays: Vec<Outlay>,
}

impl Story {
    pub(super) fn new(kind: Kind, language: &'static str) -> Self {
        let words = match language {
            "de" => ["Das Display bleibt schwarz", "seit Montag", "sobald ich lade", "Ich habe sie neu gestartet"],
            _ => ["The screen stays black", "since Monday", "as soon as I charge it", "I restarted it twice"],
        };
        let subject = if language == "de" { "AW: Uhr lädt nicht" } else { "RE: Watch does not charge" };
        let said = Facts {
            request: Some(fact(Request::Defect, "")),
            order_number: Some(fact(OrderNumber::new("KS10442").unwrap(), "KS10442")),
            sku: Some(fact(Sku::new("KP-TKT3-BK").unwrap(), "T3 black")),
            item_code: Some(fact(ItemCode::new("6973014171018").unwrap(), "6973014171018")),
            received_on: Some(fact(date(2026, 11, 3), "3 November")),
            problem_what: Some(evidence(words[0])),
            problem_when: Some(evidence(words[1])),
            problem_how: Some(evidence(words[2])),
            steps_taken: Some(evidence(words[3])),
            photos: vec![photo("IMG_2201.jpg", Judgement::Usable), photo("IMG_2202.jpg", Judgement::Usable)],
            ..Facts::default()
        };
        Self {
            kind,
            customer: Person {
                name: Some("Maria Schmidt".to_owned()),
                address: Address::new("maria@example.net").unwrap(),
            },
            letter: letter(subject),
            said,
            request: Request::Defect,
            open: Vec::new(),
            reasons: Vec::new(),
            asks: 0,
            not_found: None,
            meant: None,
            track: Track::Repair,
            written: Some(language),
            step: Step::default(),
            finding: None,
            remedy: None,
            outlays: Vec::new(),
        }
    }

    /// Takes away what is open.
    pub(super) fn open(mut self, items: &[Item]) -> Self {
        for item in items {
            match item {
                Item::OrderNumber => {}
                Item::Sku => self.said.sku = None,
                Item::ItemCode => self.said.item_code = None,
                Item::ReceivedOn => self.said.received_on = None,
                Item::ProblemWhat => self.said.problem_what = None,
                Item::ProblemWhen => self.said.problem_when = None,
                Item::ProblemHow => self.said.problem_how = None,
                Item::StepsTaken => self.said.steps_taken = None,
                Item::Photo => self.said.photos.clear(),
                Item::PackagingPhoto => self.said.packaging_shown = None,
                Item::Unopened => self.said.unopened = None,
            }
        }
        self.open = items.to_vec();
        self
    }

    pub(super) fn case(&self) -> Case {
        let id = CaseId::derive(&self.letter.id, 0);
        let at = at();
        let mut events = vec![
            Event::Opened { case: id, customer: self.customer.clone(), opened_on: date(2026, 11, 22) },
            Event::LetterTaken {
                letter: self.letter.id.clone(),
                message_id: self.letter.message_id.clone(),
                from: self.letter.from.clone(),
                subject: self.letter.subject.clone(),
                language: self.written.map(str::to_owned),
                words: String::new(),
                facts: Box::new(Facts { request: Some(fact(self.request, "")), ..self.said.clone() }),
                defects: Vec::new(),
            },
        ];
        events.extend((0..self.asks).map(|_| Event::Asked { items: Vec::new() }));
        let number = |number| OrderNumber::new(number).unwrap();
        let meant = self.meant.map(number);
        events.extend(self.not_found.map(|n| Event::OrderNotFound { order_number: number(n), meant }));
        if tells_of_return(self.kind) || matches!(self.kind, Kind::Refunded | Kind::ShippedBack) {
            let rma = Rma {
                number: (0..=255).find_map(|n| RmaNumber::make("KR", date(2026, 11, 22), [n, 11, 99, 130, 4])).unwrap(),
                track: self.track,
                order_number: OrderNumber::new("KS10442").unwrap(),
                sku: Sku::new("KP-TKT3-BK").unwrap(),
                issued_on: date(2026, 11, 22),
                valid_until: date(2026, 12, 7),
                return_shipping: None,
            };
            events.push(Event::RmaIssued { rma });
        }
        let events: Vec<_> = events.into_iter().map(|event| CaseEvent::daemon(event, at)).collect();
        let mut case = Case::replay(&events).unwrap().unwrap();
        case.finding = self.finding;
        case.remedy = self.remedy;
        case.outlays.clone_from(&self.outlays);
        case
    }

    pub(super) fn decision(&self) -> Decision {
        let required = Required::default();
        let items = required.of(self.request, Some(self.track)).iter();
        let status = |item| if self.open.contains(item) { Status::Missing } else { Status::Given };
        Decision {
            action: match self.kind {
                Kind::Ask => Action::Ask,
                Kind::Rma => Action::IssueRma,
                _ => Action::Staff,
            },
            track: (self.kind == Kind::Rma).then_some(self.track),
            reasons: self.reasons.clone(),
            checklist: Checklist { track: None, items: items.map(|item| (*item, status(item))).collect() },
            ask: self.open.clone(),
            terms: "test".to_owned(),
            held: None,
        }
    }

    pub(super) fn reply(&self) -> Reply {
        let (case, decision) = (self.case(), self.decision());
        let occasion = Occasion {
            kind: self.kind,
            case: &case,
            decision: &decision,
            letter: Some((&self.letter, &self.said)),
            step: &self.step,
            at: at(),
        };
        LETTERS.reply(&occasion, &frame(), &catalogue(), &LEXICONS).unwrap()
    }
}

pub(super) fn at() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

pub(super) fn evidence(quote: &str) -> Evidence {
    Evidence::new(Some(LetterId::from_digest(&[7; 32])), Source::Text { start: 0, end: 0 }, quote, "test")
}

pub(super) fn fact<T>(value: T, quote: &str) -> Fact<T> {
    Fact { value, evidence: evidence(quote) }
}

pub(super) fn photo(name: &str, judgement: Judgement) -> Photo {
    Photo { index: 0, name: name.to_owned(), judgement, codes: Vec::new() }
}

fn letter(subject: &str) -> Letter {
    Letter {
        id: LetterId::from_digest(&[7; 32]),
        content: LetterId::from_digest(&[8; 32]),
        message_id: Some(MessageId::new("first@example.net").unwrap()),
        from: None,
        reply_to: None,
        subject: subject.to_owned(),
        written: None,
        received: None,
        in_reply_to: Vec::new(),
        references: Vec::new(),
        headers: Vec::new(),
        bodies: Vec::new(),
        attachments: Vec::new(),
        forwarded: Vec::new(),
        defects: Vec::new(),
    }
}

pub(super) fn frame() -> Frame {
    Frame {
        brand: "Example".to_owned(),
        from: Person {
            name: Some("Example After-Sales".to_owned()),
            address: Address::new("after-sales@example.com").unwrap(),
        },
        return_address: ["Example Returns", "1 Sample Street", "10115 Berlin", "Germany"].map(str::to_owned).to_vec(),
        destinations: Vec::new(),
        mail_megabytes: 35,
    }
}

pub(super) fn catalogue() -> Catalogue {
    let product = |sku: &str, name: &str| Product {
        sku: Sku::new(sku).unwrap(),
        name: name.to_owned(),
        aliases: Vec::new(),
        ean: None,
        warranty_months: None,
    };
    let products = [("KP-TKT3-BK", "TANK T3 black"), ("KP-TKT3-SV", "TANK T3 silver"), ("KP-M4", "MAGIC 4 & Co")];
    Catalogue { products: products.map(|(sku, name)| product(sku, name)).to_vec() }
}

/// The stories whose letters lie under `tests/letters/out/`.
pub(super) fn stories() -> Vec<(String, Story)> {
    use Item::*;
    let mut stories = Vec::new();
    for language in ["en", "de", "es", "fr", "it", "nl", "pl", "pt"] {
        let mut tell = |name: &str, story: Story| stories.push((format!("{language}-{name}"), story));
        let ask = || Story::new(Kind::Ask, language);
        tell("little-missing", ask().open(&[ItemCode]));
        tell(
            "all-missing",
            Story { said: Facts::default(), customer: nameless(), ..ask() }.open(&Required::default().defect),
        );
        tell("first-days", ask().open(&[ProblemWhen, ProblemHow, PackagingPhoto]));
        let mut dark = ask().open(&[Photo, ItemCode]);
        dark.said.photos = vec![photo("IMG_2201.jpg", Judgement::TooDark), photo("IMG_2202.jpg", Judgement::Blurred)];
        tell("useless-photos", Story { asks: 1, ..dark });
        let mut doubtful = Story { not_found: Some("KS99999"), ..ask().open(&[OrderNumber, Sku]) };
        doubtful.said.order_number = Some(fact(self::OrderNumber::new("KS99999").unwrap(), "KS99999"));
        doubtful.said.sku_candidates =
            ["KP-TKT3-BK", "KP-TKT3-SV"].map(|s| fact(self::Sku::new(s).unwrap(), "T3")).to_vec();
        tell("doubtful", doubtful);
        let mut half_heard = Story { not_found: Some("KS10424"), meant: Some("KS10442"), ..ask().open(&[OrderNumber]) };
        half_heard.said.order_number = Some(fact(self::OrderNumber::new("KS10424").unwrap(), "KS10424"));
        for evidence in [&mut half_heard.said.problem_how, &mut half_heard.said.steps_taken].into_iter().flatten() {
            evidence.unclear = true;
        }
        half_heard.said.received_on.as_mut().unwrap().evidence.unclear = true;
        tell("half-heard", half_heard);
        let mut asked_back = Story { asks: 2, ..ask().open(&[ItemCode, StepsTaken]) };
        asked_back.said.where_to_find = vec![ItemCode];
        asked_back.said.not_available = vec![fact(PackagingPhoto, "the box is gone")];
        tell("asks-where", asked_back);
        let mut unused = Story { request: Request::ReturnUnused, ..ask() }.open(&[Unopened, ReceivedOn]);
        unused.said =
            Facts { unopened: None, received_on: None, order_number: unused.said.order_number, ..Facts::default() };
        unused.letter.defects = vec![Defect::Oversize];
        tell("unused-return", unused);
        for track in [Track::Doa, Track::UnopenedRefund, Track::Repair] {
            tell(&track.code(), Story { track, ..Story::new(Kind::Rma, language) });
        }
        let acknowledge = |reason| Story { reasons: vec![reason], ..Story::new(Kind::Acknowledgement, language) };
        tell("conflict", acknowledge(Reason::Conflict));
        tell("safety", acknowledge(Reason::Safety));
        tell("stranger", acknowledge(Reason::SenderMismatch));
    }
    for language in ["en", "de", "es", "fr", "it", "nl", "pl", "pt"] {
        lives(language, &mut stories);
    }
    let finnish = Story { written: Some("fi"), ..Story::new(Kind::Acknowledgement, "en") };
    stories.push(("en-other-language".to_owned(), finnish));
    stories
}

/// The letters of a running return, and those that staff send.
fn lives(language: &'static str, stories: &mut Vec<(String, Story)>) {
    let mut tell = |name: &str, story: Story| stories.push((format!("{language}{name}"), story));
    let of = |kind| Story::new(kind, language);
    let money = || Money::parse("12.50 EUR");
    let words =
        || Step { message: Some("We have looked at the video.\n\nPlease call us.".to_owned()), ..Step::default() };
    tell("", of(Kind::Safety));
    let until = Step { until: Some(date(2026, 12, 7)), ..Step::default() };
    let open = [Item::ItemCode, Item::ProblemWhen];
    tell("-first", of(Kind::Reminder).open(&open));
    tell("-last", Story { step: until, ..of(Kind::Reminder).open(&[Item::Photo]) });
    for kind in [Kind::Unanswered, Kind::RmaReminder, Kind::RmaExtended, Kind::RmaExpired] {
        tell("", of(kind));
    }
    tell("-doa", Story { track: Track::Doa, ..of(Kind::Received) });
    tell("-repair", of(Kind::Received));
    let inspected = |track, finding, remedy| Story { track, finding: Some(finding), remedy, ..of(Kind::Inspected) };
    tell("-doa", inspected(Track::Doa, Finding::Confirmed, None));
    tell("-doa-refund", inspected(Track::Doa, Finding::Confirmed, Some(Remedy::Refund)));
    tell("-not-doa", inspected(Track::Doa, Finding::NotDoa, None));
    tell("-unopened", inspected(Track::UnopenedRefund, Finding::Confirmed, None));
    tell("-repair", inspected(Track::Repair, Finding::Confirmed, None));
    tell("-no-fault", inspected(Track::Repair, Finding::NoFaultFound, None));
    tell("-not-repairable", inspected(Track::Repair, Finding::NotRepairable, None));
    tell("-not-covered", Story { step: words(), ..inspected(Track::Repair, Finding::NotCovered, None) });
    let refund = Step { amount: Money::parse("149.00 EUR"), deducted: Money::parse("3.05 EUR"), ..Step::default() };
    tell("", Story { step: refund, ..of(Kind::Refunded) });
    let tracking = || Some("1Z999AA10123456784".to_owned());
    tell(
        "-repaired",
        Story { step: Step { repaired: true, tracking: tracking(), ..Step::default() }, ..of(Kind::ShippedBack) },
    );
    tell("-new", Story { step: Step { replaced: true, ..words() }, ..of(Kind::ShippedBack) });
    let receipt = Outlay { amount: money(), file: "receipt.pdf".to_owned() };
    tell("", Story { track: Track::Doa, outlays: vec![receipt], ..of(Kind::Receipt) });
    for kind in [Kind::Answer, Kind::Rejection, Kind::Offer] {
        tell("", Story { step: words(), ..of(kind) });
    }
    tell("", Story { step: Step { channel: Some("Example Market".to_owned()), ..Step::default() }, ..of(Kind::Route) });
}

fn nameless() -> Person {
    Person { name: Some("KOSPET-Kunde 4711".to_owned()), address: Address::new("maria@example.net").unwrap() }
}
