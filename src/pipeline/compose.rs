//! Step 8, compose: what was decided → the reply, with everything that makes its bytes fixed.
//!
//! The letters are templates, one text and one HTML file a kind and language; a new language is new files only. Loading
//! renders every letter in every language with samples of all it can have to say, so that a mistake in a template shows
//! when the program starts and not when a customer waits. The form that goes into a parcel is a template too, of SVG. What a customer wrote is a value, never a template: cut,
//! cleaned (`plain`) and, in HTML, escaped.

mod files;

mod form;

mod from_text;

mod handover;

mod known;

mod layout;

mod matter;

mod plain;

mod samples;

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use jiff::civil::Date;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

use crate::domain::case::Case;
use crate::domain::catalogue::Catalogue;
use crate::domain::decision::Decision;
use crate::domain::facts::Facts;
use crate::domain::ids::{Country, MessageId};
use crate::domain::letter::{Letter, Person};
use crate::domain::reply::{Enclosure, Kind, Reply};
use crate::domain::returns::{Destination, Money};
use crate::pipeline::lexicon::Lexicons;

use files::Files;
pub use handover::Page;
use matter::Matter;

/// The embedded templates: path below `templates/mail/` and text.
static TEMPLATES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// The language of a letter to somebody whose language has no templates.
const FALLBACK: &str = "en";

/// Steps of the template engine one rendering may take; the longest letter takes less than 4,000.
const FUEL: u64 = 50_000;

/// All letters in all languages, compiled once.
#[derive(Debug)]
pub struct Letters {
    environment: Environment<'static>,
    languages: Vec<String>,
    no_names: BTreeSet<String>,
    version: String,
}

/// What the letters print of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub brand: String,
    /// The desk: its address is the sender, its name signs; without a name the brand does.
    pub from: Person,
    /// The lines of the address that returns go to. Printed in RMA letters only; if there are none, these say that the
    /// address follows from staff.
    pub return_address: Vec<String>,
    /// Where those of some countries go instead.
    pub destinations: Vec<Destination>,
    /// The largest mail that is taken in, in MiB; the unit is a word of the language.
    pub mail_megabytes: u64,
}

impl Frame {
    /// The lines of the address that returns from `country` go to.
    pub fn return_address_for(&self, country: Option<&Country>) -> &[String] {
        let own = self.destinations.iter().find(|d| country.is_some_and(|country| d.countries.contains(country)));
        own.map_or(&self.return_address, |destination| &destination.lines)
    }
}

/// What a reply answers.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    pub kind: Kind,
    /// The case with the letter and, for [`Kind::Rma`], the RMA applied, but not yet [`Asked`] and [`ReplyQueued`].
    ///
    /// [`Asked`]: crate::domain::event::Event::Asked
    /// [`ReplyQueued`]: crate::domain::event::Event::ReplyQueued
    pub case: &'a Case,
    pub decision: &'a Decision,
    /// The letter that is answered, and what it alone says; `None` when staff or a timer writes.
    pub letter: Option<(&'a Letter, &'a Facts)>,
    /// What has just been done or is about to be.
    pub step: &'a Step,
    /// The reply's `Date`.
    pub at: Timestamp,
}

/// What a letter tells of a step in the life of a case, as far as the case itself does not know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// Until when the customer may answer before the case is closed; in the last reminder only.
    pub until: Option<Date>,
    pub amount: Option<Money>,
    /// What was kept back of it; clause `customs`.
    pub deducted: Option<Money>,
    pub tracking: Option<String>,
    /// What goes back to the customer was repaired.
    pub repaired: bool,
    /// It is a new item.
    pub replaced: bool,
    /// Where it was bought.
    pub channel: Option<String>,
    /// Words of staff.
    pub message: Option<String>,
}

/// A letter with its values filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rendered {
    subject: String,
    text: String,
    html: String,
}

/// A letter that can't be written: which and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncomposed(String);

impl fmt::Display for Uncomposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Uncomposed {}

impl Letters {
    /// The letters built into the binary. A test has them written with every sample, so that not every start has to.
    pub fn embedded() -> Result<Self, Vec<String>> {
        Self::compile(TEMPLATES.iter().copied())
    }

    /// The operator's letters instead of the embedded ones: all files of a folder as (path below it, text).
    ///
    /// Every error says which file, which line and what to do.
    pub fn from_folder(files: &[(String, String)]) -> Result<Self, Vec<String>> {
        Self::load(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
    }

    /// The paths of the built-in templates, each with its text.
    pub fn built_in() -> impl Iterator<Item = (&'static str, &'static str)> {
        TEMPLATES.iter().copied()
    }

    /// The languages in which every kind of letter can be written.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.iter().map(String::as_str)
    }

    /// A short digest of all template texts.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Writes the reply, in the language of the case if there are letters in it, else in English.
    pub fn reply(
        &self,
        occasion: &Occasion<'_>,
        frame: &Frame,
        catalogue: &Catalogue,
        lexicons: &Lexicons,
    ) -> Result<Reply, Uncomposed> {
        let case = occasion.case;
        let lacks =
            |what: &str| Err(Uncomposed(format!("letter {}: case {} has no {what}", occasion.kind.folder(), case.id)));
        match occasion.kind {
            kind if matter::tells_of_return(kind) && case.rma.is_none() => return lacks("RMA"),
            Kind::Ask | Kind::Reminder if occasion.decision.ask.is_empty() => return lacks("open question"),
            Kind::Answer | Kind::Rejection if occasion.step.message.is_none() => return lacks("words of staff for it"),
            _ => {}
        }
        let language = case.language.as_deref().filter(|l| self.languages().any(|known| known == *l));
        let language = language.unwrap_or(FALLBACK);
        let matter = Matter::of(occasion, frame, catalogue, lexicons, &self.no_names, language);
        let rendered = self.render(&matter)?;
        let number = case.replies + 1;
        let answered = occasion.letter.and_then(|(letter, _)| letter.message_id.clone());
        let mut references = case.thread.clone();
        if let Some(id) = &answered {
            // RFC 5322 section 3.6.4: the letter that is answered stands last.
            references.retain(|other| other != id);
            references.push(id.clone());
        }
        Ok(Reply {
            case: case.id.clone(),
            number,
            kind: occasion.kind,
            to: case.customer.clone(),
            subject: rendered.subject,
            language: language.to_owned(),
            message_id: MessageId::of_reply(&case.id, number, frame.from.address.domain()),
            in_reply_to: answered.or_else(|| case.thread.last().cloned()),
            references,
            written: occasion.at,
            text: rendered.text,
            html: rendered.html,
            files: self.files(&matter),
            passes_on: None,
        })
    }

    /// What goes with the letter. An authorised return whose form can't be made goes out without it: the letter says
    /// what to do then, and the worker tells staff.
    fn files(&self, matter: &Matter) -> Vec<Enclosure> {
        if matter.kind != Kind::Rma {
            return Vec::new();
        }
        let made = catch_unwind(AssertUnwindSafe(|| form::enclosure(&self.environment, matter)));
        made.ok().and_then(Result::ok).into_iter().collect()
    }

    fn render(&self, matter: &Matter) -> Result<Rendered, Uncomposed> {
        let stem = format!("{}/{}", matter.kind.folder(), matter.language);
        let values = Value::from(Serde(matter));
        let text = self.fill(&format!("{stem}.txt"), &values)?;
        let own_html = format!("{stem}.html");
        let (subject, body) = text
            .split_once('\n')
            .and_then(|(first, body)| Some((first.strip_prefix("Subject: ")?, body)))
            .ok_or_else(|| Uncomposed(format!("{stem}.txt:1: begin with a line \"Subject: …\" and a blank line")))?;
        let subject = plain::line(subject, plain::SUBJECT);
        let text = plain::paragraphs(body);
        let html = match self.environment.get_template(&own_html).is_ok() {
            true => self.fill(&own_html, &values)?,
            false => self.fill(files::FROM_TEXT, &from_text::values(&text, matter))?,
        };
        Ok(Rendered { subject, text, html })
    }

    fn fill(&self, name: &str, values: &Value) -> Result<String, Uncomposed> {
        let rendered = self.environment.get_template(name).and_then(|template| template.render(values.clone()));
        rendered.map_err(|error| Uncomposed(explain(name, &error)))
    }

    fn load<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Vec<String>> {
        let letters = Self::compile(files)?;
        let errors = letters.rehearse();
        if errors.is_empty() { Ok(letters) } else { Err(errors) }
    }

    fn compile<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Vec<String>> {
        let files = Files::new(files, TEMPLATES);
        let mut environment = strict_environment().map_err(|error| vec![error.to_string()])?;
        let mut errors = files.gaps();
        errors.extend(handover::add(&mut environment));
        for (path, text) in files.templates() {
            if let Err(error) = environment.add_template_owned(path.to_owned(), text.to_owned()) {
                errors.push(explain(path, &error));
            }
        }
        let letters =
            Self { environment, languages: files.languages(), no_names: files.no_names(), version: files.version() };
        if errors.is_empty() { Ok(letters) } else { Err(errors) }
    }

    /// Writes every letter in every language for every sample; gives each mistake once.
    fn rehearse(&self) -> Vec<String> {
        let mut errors = BTreeSet::new();
        for matter in self.languages.iter().flat_map(|language| samples::all(language)) {
            match self.render(&matter) {
                Ok(rendered) => errors.extend(samples::omissions(&matter, &rendered)),
                Err(error) => _ = errors.insert(error.0),
            }
            errors.extend(form::faults(&self.environment, &matter));
        }
        errors.into_iter().collect()
    }
}

/// Refuses unknown fields and endless templates; what goes into a `.html` or `.svg` file is escaped.
fn strict_environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|name| match name.ends_with(".html") || name.ends_with(".svg") {
        true => AutoEscape::Html,
        false => AutoEscape::None,
    });
    layout::add(&mut environment);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    Ok(environment)
}

/// The innermost error: where it is, what is wrong and what to do.
fn explain(template: &str, error: &minijinja::Error) -> String {
    let mut innermost = error;
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if let Some(source) = source.downcast_ref::<minijinja::Error>() {
            innermost = source;
        }
        next = source.source();
    }
    let file = innermost.name().unwrap_or(template);
    let line = innermost.line().unwrap_or(1);
    let range = innermost.range().zip(innermost.template_source()).and_then(|(range, source)| source.get(range));
    let at = range.map(|words| format!(" at `{}`", plain::line(words, 60))).unwrap_or_default();
    let what = innermost.detail().map_or_else(|| innermost.kind().to_string(), str::to_owned);
    let advice = match innermost.kind() {
        ErrorKind::UndefinedError => "use a field or word that exists, and give every code its words",
        ErrorKind::SyntaxError => "mend the template's syntax",
        ErrorKind::TemplateNotFound => "add the file it names",
        ErrorKind::OutOfFuel => "make the template shorter: it loops too often",
        _ => "compare the line with the template that came with the program",
    };
    format!("{file}:{line}: {what}{at}: {advice}")
}

#[cfg(test)]
mod tests;
