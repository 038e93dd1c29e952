//! Events as lines: text for people, JSON for collectors, priorities for the journal.
//!
//! tracing-subscriber's own formats nest the fields of spans, where collectors want them flat, and know no priorities;
//! tracing-journald would write to a socket of its own, past whoever reads standard error (a container, a redirection).

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::config::log::Format;
use crate::worker::counters;

/// The field that holds an event's words.
const MESSAGE: &str = "message";

/// Writes each event as a line to standard error.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    /// As standard error asks for.
    usual: Format,
    format: Arc<OnceLock<Format>>,
    in_colour: bool,
}

impl Lines {
    pub fn to_standard_error() -> Self {
        Self {
            usual: if is_journal() { Format::Journald } else { Format::Text },
            format: Arc::default(),
            in_colour: super::shows_colour(&io::stderr()),
        }
    }

    /// Sets the form, the first time; `None`: as standard error asks for.
    pub fn set_format(&self, format: Option<Format>) {
        self.format.get_or_init(|| format.unwrap_or(self.usual));
    }
}

/// Whether standard error is a stream of systemd's journal: `JOURNAL_STREAM` names its device and inode then
/// (systemd.exec(5)).
fn is_journal() -> bool {
    let told = std::env::var("JOURNAL_STREAM").ok();
    let told = told.as_deref().and_then(|told| told.split_once(':'));
    let named = told.and_then(|(device, inode)| device.parse::<u64>().ok().zip(inode.parse::<u64>().ok()));
    let is = rustix::fs::fstat(io::stderr()).ok().map(|file| (file.st_dev, file.st_ino));
    named.is_some() && named == is
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        counters::logged(*event.metadata().level());
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut spans = Vec::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            let of = span.extensions().get::<Fields>().cloned();
            spans.push((span.name(), of.unwrap_or_default()));
        }
        let line = Line {
            at: Timestamp::now(),
            level: *event.metadata().level(),
            target: event.metadata().target(),
            spans,
            fields,
        };
        let text = match self.format.get().copied().unwrap_or(self.usual) {
            Format::Text => line.text(self.in_colour),
            Format::Json => line.json(),
            Format::Journald => line.journald(),
        };
        // In one piece, so that lines of several threads don't mix; that nobody reads them is no reason to stop.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

struct Line<'a> {
    at: Timestamp,
    level: Level,
    target: &'a str,
    /// From the outermost.
    spans: Vec<(&'static str, Fields)>,
    fields: Fields,
}

impl Line<'_> {
    fn text(&self, in_colour: bool) -> String {
        let (faint, colour, end) = match self.level {
            _ if !in_colour => ("", "", ""),
            Level::ERROR => ("\x1b[2m", "\x1b[31m", "\x1b[0m"),
            Level::WARN => ("\x1b[2m", "\x1b[33m", "\x1b[0m"),
            _ => ("\x1b[2m", "\x1b[32m", "\x1b[0m"),
        };
        let at = self.at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
        format!("{faint}{at}{end} {colour}{:>5}{end} {}\n", self.level.as_str(), self.words())
    }

    fn journald(&self) -> String {
        let priority = match self.level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        format!("<{priority}>{}\n", self.words())
    }

    /// Spans, message, fields: `letter{case="AS-…"}: letter taken in class="customer"`.
    fn words(&self) -> String {
        let mut words = String::new();
        for (name, fields) in &self.spans {
            words += name;
            words += "{";
            fields.write_pairs(&mut words);
            words += "}: ";
        }
        if let Some(message) = self.fields.get(MESSAGE) {
            words += &message.plain();
            words += " ";
        }
        self.fields.write_pairs(&mut words);
        words.truncate(words.trim_end().len());
        words
    }

    /// One object: the fields of the spans and, before them, of the event itself; then the line's own.
    fn json(&self) -> String {
        let mut object = Map::new();
        let spans = self.spans.iter().flat_map(|(_, fields)| &fields.0);
        for (name, told) in spans.chain(&self.fields.0).filter(|(name, _)| *name != MESSAGE) {
            object.insert((*name).to_owned(), told.json());
        }
        let message = self.fields.get(MESSAGE).map(Told::json).unwrap_or_default();
        let names: Vec<&str> = self.spans.iter().map(|(name, _)| *name).collect();
        if !names.is_empty() {
            object.insert("span".to_owned(), names.join(":").into());
        }
        let own = [
            ("time", self.at.to_string().into()),
            ("level", self.level.as_str().to_ascii_lowercase().into()),
            ("target", self.target.into()),
            (MESSAGE, message),
        ];
        object.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(object).to_string() + "\n"
    }
}

/// What an event or a span tells, in the order in which it does.
#[derive(Debug, Clone, Default)]
struct Fields(Vec<(&'static str, Told)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&Told> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, told)| told)
    }

    fn set(&mut self, field: &Field, told: Told) {
        match self.0.iter_mut().find(|(known, _)| *known == field.name()) {
            Some((_, known)) => *known = told,
            None => self.0.push((field.name(), told)),
        }
    }

    fn write_pairs(&self, to: &mut String) {
        let pairs = self.0.iter().filter(|(name, _)| *name != MESSAGE);
        let pairs: Vec<String> = pairs.map(|(name, told)| format!("{name}={}", told.quoted())).collect();
        to.push_str(&pairs.join(" "));
    }
}

/// A value.
#[derive(Debug, Clone)]
enum Told {
    /// A string, which is quoted where it stands beside others.
    Text(String),
    /// What something shows of itself.
    Shown(String),
    Number(Value),
}

impl Told {
    /// In one line, whatever is in it.
    fn plain(&self) -> String {
        match self {
            Self::Text(text) | Self::Shown(text) => {
                let mut plain = String::with_capacity(text.len());
                for c in text.chars() {
                    // A string takes all.
                    let _ = if c.is_control() { write!(plain, "{}", c.escape_default()) } else { plain.write_char(c) };
                }
                plain
            }
            Self::Number(value) => value.to_string(),
        }
    }

    fn quoted(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            told => told.plain(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) | Self::Shown(text) => text.clone().into(),
            Self::Number(value) => value.clone(),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, Told::Text(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Told::Number(value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Told::Number(value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Told::Number(value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, Told::Number(value.into()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, Told::Shown(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<'static> {
        let fields = Fields(vec![
            (MESSAGE, Told::Shown("reply not\ndelivered \u{1b}[31m".to_owned())),
            ("why", Told::Text("450 \"busy\"\r\n<3>forged".to_owned())),
            ("attempts", Told::Number(2.into())),
        ]);
        let letter = Fields(vec![("case", Told::Text("AS-XXKFFKYN".to_owned()))]);
        let at = "2026-11-23T15:00:00.25Z".parse().unwrap();
        Line { at, level: Level::WARN, target: "aftersalesd::smtp", spans: vec![("letter", letter)], fields }
    }

    #[test]
    fn a_line_is_one_line_whatever_is_in_it() {
        let words = "letter{case=\"AS-XXKFFKYN\"}: reply not\\ndelivered \\u{1b}[31m \
                     why=\"450 \\\"busy\\\"\\r\\n<3>forged\" attempts=2\n";
        assert_eq!(line().text(false), format!("2026-11-23T15:00:00.250000Z  WARN {words}"));
        assert_eq!(line().journald(), format!("<4>{words}"));
        assert!(line().text(true).contains("\x1b[33m WARN\x1b[0m letter{"));
    }

    #[test]
    fn json_is_one_flat_object() {
        let told = line().json();
        assert_eq!(told.matches('\n').count(), 1);
        let object: Value = serde_json::from_str(&told).unwrap();
        let expected = serde_json::json!({
            "time": "2026-11-23T15:00:00.25Z", "level": "warn", "target": "aftersalesd::smtp",
            "message": "reply not\ndelivered \u{1b}[31m", "span": "letter", "case": "AS-XXKFFKYN",
            "why": "450 \"busy\"\r\n<3>forged", "attempts": 2
        });
        assert_eq!(object, expected);
    }
}
