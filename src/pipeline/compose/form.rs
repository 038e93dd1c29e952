//! The form that goes into the parcel of a return: what its template sees besides the letter's matter, and the file
//! that it becomes.

use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use serde::Serialize;

use super::matter::{Day, Matter};
use super::{Frame, explain, known, plain};
use crate::domain::case::Case;
use crate::domain::reply::{Enclosure, Kind};
use crate::pipeline::papers::{self, typeface};

/// The template.
const PAGE: &str = "papers/rma.svg";

/// The longest quote of a customer's own words, in characters; the form cuts by lines.
const QUOTE: usize = 400;

/// What only the form says.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Form {
    /// The customer's name as written, if there is one that can be printed.
    pub customer: Option<String>,
    pub email: String,
    pub item_code: Option<String>,
    pub received_on: Option<Day>,
    /// The fault in the customer's words; may be empty, as may the next.
    pub problem: String,
    pub tried: String,
    /// Whether there is a return address, and the typeface has all its letters.
    pub label: bool,
}

impl Form {
    pub(super) fn of(case: &Case, frame: &Frame) -> Self {
        let facts = &case.facts;
        let name =
            case.customer.name.as_deref().map(|name| plain::line(name, 80)).map(|name| typeface::printable(&name));
        let said = [("what", &facts.problem_what), ("when", &facts.problem_when), ("how", &facts.problem_how)];
        let said = said.into_iter().filter_map(|(part, evidence)| Some((part, evidence.as_ref()?)));
        let problem: Vec<String> = known::quotes(said, QUOTE).into_iter().map(|quote| quote.words).collect();
        let prints = |line: &String| typeface::printable(line) == *line;
        Self {
            customer: name.filter(|name| name.chars().any(char::is_alphanumeric)),
            email: typeface::printable(case.customer.address.as_str()),
            item_code: facts.item_code.as_ref().map(|fact| fact.value.as_str().to_owned()),
            received_on: facts.received_on.as_ref().map(|fact| Day::of(fact.value)),
            problem: problem.join(" – "),
            tried: facts.steps_taken.as_ref().map(|e| plain::line(&e.quote, QUOTE)).unwrap_or_default(),
            label: !frame.return_address.is_empty() && frame.return_address.iter().all(prints),
        }
    }
}

/// The form as a file; the same matter gives the same bytes.
pub(super) fn enclosure(environment: &Environment<'_>, matter: &Matter) -> Result<Enclosure, String> {
    let number = matter.rma.as_ref().map(|rma| rma.number.as_str()).unwrap_or_default();
    let page = page(environment, matter)?;
    let data = papers::pdf(&page, number, &matter.language).map_err(|e| at_fault(matter, &e.to_string()))?;
    Ok(Enclosure { name: format!("RMA-{number}.pdf"), content_type: "application/pdf".to_owned(), data })
}

/// What is wrong with the form of `matter`: it can't be made, lacks what it is for, or can't be read on paper.
pub(super) fn faults(environment: &Environment<'_>, matter: &Matter) -> Vec<String> {
    let (Kind::Rma, Some(rma)) = (matter.kind, &matter.rma) else { return Vec::new() };
    let page = match page(environment, matter) {
        Ok(page) => page,
        Err(fault) => return vec![fault],
    };
    let faults = papers::faults(&page).unwrap_or_else(|undrawable| vec![undrawable.to_string()]);
    let mut faults: Vec<String> = faults.iter().map(|fault| at_fault(matter, fault)).collect();
    let address = rma.address.iter().map(|line| ("the return address (rma.address)", line));
    for (what, words) in [("the RMA number (rma.number)", &rma.number)].into_iter().chain(address) {
        if !page.contains(words.as_str()) {
            faults.push(at_fault(matter, &format!("{what} is not printed: print it")));
        }
    }
    faults
}

fn page(environment: &Environment<'_>, matter: &Matter) -> Result<String, String> {
    let values = context! { ..Value::from(Serde(&matter.form)), ..Value::from(Serde(matter)) };
    let page = environment.get_template(PAGE).and_then(|template| template.render(values));
    page.map_err(|error| explain(PAGE, &error))
}

fn at_fault(matter: &Matter, what: &str) -> String {
    format!("{PAGE}: in {:?}: {what}", matter.language)
}
