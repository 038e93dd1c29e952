//! What monitors ask for: numbers for Prometheus (text format 0.0.4), which tell of nobody.
//!
//! `METRICS` is all of them. `src/guide/metrics.md` tells an operator what each means, `src/guide/alerts.yml` when to
//! act; the tests below hold both against this table.

use std::fmt::{self, Write};
use std::path::Path;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::Console;
use super::page::Problem;
use super::server::Peer;
use crate::domain::queue::Queue;
use crate::store::{StoreError, room, size};
use crate::worker::Office;
use crate::worker::counters::{self, BOUNDS, Counted, Spread};
use crate::worker::health::{OrderLookUps, Status};

/// A number, or one for each value of its label.
#[derive(Debug)]
struct Metric {
    name: &'static str,
    kind: Kind,
    /// `none` of what is only counted.
    unit: &'static str,
    help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        })
    }
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident, $unit:literal, $help:literal;)*) => {
        $(static $constant: Metric = Metric { name: $name, kind: Kind::$kind, unit: $unit, help: $help };)*
        /// Every metric there is.
        #[cfg(test)]
        static METRICS: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    BUILD = "aftersalesd_build_info", Gauge, "none", "Always 1; the label is the version.";
    STORE_OPEN = "aftersalesd_store_open", Gauge, "none", "Whether the store is open.";
    INTAKE = "aftersalesd_intake_runs", Gauge, "none", "Whether letters are taken in.";
    RELOAD = "aftersalesd_reload_refused", Gauge, "none", "Whether new terms were refused when they were read last.";
    LETTERS = "aftersalesd_letters_total", Counter, "none", "Letters taken in.";
    CASES = "aftersalesd_cases_total", Counter, "none", "Cases opened.";
    REPLIES = "aftersalesd_replies_total", Counter, "none", "Replies written.";
    OUTBOX = "aftersalesd_outbox", Gauge, "none", "Replies that wait to be sent.";
    OLDEST = "aftersalesd_outbox_oldest_seconds", Gauge, "seconds", "Age of the oldest reply that waits to be sent.";
    DRAFTS = "aftersalesd_drafts", Gauge, "none", "Letters that are held back for a person.";
    QUARANTINE = "aftersalesd_quarantine", Gauge, "none", "Letters that could not be handled.";
    QUEUE = "aftersalesd_queue", Gauge, "none", "Cases in a queue.";
    DECISIONS = "aftersalesd_decisions_total", Counter, "none", "Decisions on letters since the start.";
    TRIES = "aftersalesd_delivery_tries_total", Counter, "none", "Tries to send a letter since the start.";
    ANSWERING = "aftersalesd_answer_seconds", Histogram, "seconds", "From a letter's arrival until its reply was written.";
    DELIVERING = "aftersalesd_delivery_seconds", Histogram, "seconds", "From a reply's writing until a server took it.";
    FAULTS = "aftersalesd_faults_total", Counter, "none", "Faults of a server or the line to it since the start.";
    LINES = "aftersalesd_log_lines_total", Counter, "none", "Lines of the log since the start.";
    LAST_LETTER = "aftersalesd_last_letter_seconds", Gauge, "seconds", "When the last letter was taken in.";
    MAILBOX = "aftersalesd_mailbox_success_seconds", Gauge, "seconds", "When the mailbox answered last.";
    DELIVERY = "aftersalesd_delivery_success_seconds", Gauge, "seconds", "When the mail server took a reply last.";
    GRANT = "aftersalesd_oauth2_grant_holds", Gauge, "none", "Whether access tokens for the mail servers can be had.";
    GRANT_DAYS = "aftersalesd_oauth2_grant_left_days", Gauge, "days", "Until the grant or its client secret ends.";
    LOOK_UPS = "aftersalesd_order_look_ups_total", Counter, "none", "Orders looked up at the shop since the start.";
    LOOKING_UP = "aftersalesd_order_look_up_seconds_total", Counter, "seconds", "How long that took in all.";
    PAUSED = "aftersalesd_order_look_ups_paused", Gauge, "none", "Whether the shop is not asked, after failures in a row.";
    WEBHOOK_WAITING = "aftersalesd_webhook_waiting", Gauge, "none", "Messages that wait for a webhook.";
    WEBHOOK_FAILED = "aftersalesd_webhook_failed", Gauge, "none", "Messages that a webhook did not take for days.";
    SEARCH = "aftersalesd_search_runs", Gauge, "none", "Whether the search follows the cases.";
    STORE_SIZE = "aftersalesd_store_size_bytes", Gauge, "bytes", "Size of the files of the store.";
    DISK = "aftersalesd_disk_free_bytes", Gauge, "bytes", "Room on the disk of the store.";
    INODES = "aftersalesd_disk_free_inodes", Gauge, "none", "Files that the disk of the store has room for.";
    STARTED = "process_start_time_seconds", Gauge, "seconds", "When the daemon started.";
    MEMORY = "process_resident_memory_bytes", Gauge, "bytes", "Memory that the daemon holds.";
    CPU = "process_cpu_seconds_total", Counter, "seconds", "Time of processors that the daemon has used.";
    FILES = "process_open_fds", Gauge, "none", "Files and connections that the daemon has open.";
    MOST_FILES = "process_max_fds", Gauge, "none", "Files and connections that it may have open.";
}

/// Tells all, on this machine only: not through a proxy either.
pub async fn metrics(
    State(console): State<Console>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !peer.ip().is_loopback() || headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded") {
        return Err(Problem::NotFound("There is no such page.".to_owned()));
    }
    let written = tokio::task::spawn_blocking(move || page(&console)).await;
    let page = written.map_err(|e| Problem::Broken(e.to_string()))?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.0).into_response())
}

fn page(console: &Console) -> Page {
    let premises = &console.0.premises;
    let known = premises.office().map(|office| Known::of(&office));
    let status = premises.status();
    let mut page = Page(String::new());
    page.one(&BUILD, &label("version", env!("AFTERSALESD_VERSION")), 1);
    page.one(&STORE_OPEN, "", u64::from(matches!(known, Some(Ok(_)))));
    page.one(&INTAKE, "", u64::from(status.intake.runs));
    let refused = status.reload.as_ref().is_some_and(|reload| reload.refused.is_some());
    page.one(&RELOAD, "", u64::from(refused));
    match known {
        Some(Ok(known)) => known.tell(&mut page),
        // What can't be read is not told; the store is not open then.
        Some(Err(e)) => tracing::error!(error = %e, "the store does not answer a monitor"),
        None => {}
    }
    tell_counted(&premises.counted(), &mut page);
    tell_times(&status, &mut page);
    if let Some(grant) = &status.grant {
        page.one(&GRANT, "", u64::from(grant.holds));
        page.add(&GRANT_DAYS, grant.days_left.map(|days| (String::new(), days)));
    }
    if let Some(orders) = &status.orders {
        tell_look_ups(orders, &mut page);
    }
    tell_disk(&console.0.settings.store, &mut page);
    tell_process(&mut page);
    page
}

/// What the store knows.
struct Known {
    counts: crate::store::Counts,
    queues: [u64; 5],
    oldest: Option<Timestamp>,
    webhooks: Vec<(String, u64, u64)>,
    search: bool,
}

impl Known {
    fn of(office: &Office) -> Result<Self, StoreError> {
        let store = &office.store;
        let webhooks = store.webhooks()?.into_iter();
        Ok(Self {
            counts: store.counts()?,
            queues: store.queue_counts()?,
            oldest: store.outbox_oldest()?,
            webhooks: webhooks.map(|(name, it)| (name, it.waiting, it.failed.len() as u64)).collect(),
            search: store.search_state()?.failure.is_none(),
        })
    }

    fn tell(&self, page: &mut Page) {
        let Self { counts, queues, oldest, webhooks, search } = self;
        page.add(&LETTERS, counts.letters.iter().map(|(class, n)| (label("class", class), *n)));
        page.one(&CASES, "", counts.cases);
        page.one(&REPLIES, "", counts.replies);
        page.one(&OUTBOX, "", counts.waiting);
        let age = oldest.map_or(0.0, |at| Timestamp::now().duration_since(at).as_secs_f64().max(0.0));
        page.one(&OLDEST, "", age);
        page.one(&DRAFTS, "", counts.drafts);
        page.one(&QUARANTINE, "", counts.quarantined);
        page.add(&QUEUE, Queue::ALL.iter().zip(queues).map(|(queue, n)| (label("queue", queue.code()), *n)));
        page.add(&WEBHOOK_WAITING, webhooks.iter().map(|(name, waiting, _)| (label("webhook", name), *waiting)));
        page.add(&WEBHOOK_FAILED, webhooks.iter().map(|(name, _, failed)| (label("webhook", name), *failed)));
        page.one(&SEARCH, "", u64::from(*search));
    }
}

fn tell_counted(counted: &Counted, page: &mut Page) {
    page.add(&DECISIONS, counted.decisions.iter().map(|(decision, n)| (label("decision", decision), *n)));
    let tries = [("sent", counted.sent), ("put_off", counted.put_off), ("refused", counted.refused)];
    page.add(&TRIES, tries.map(|(outcome, n)| (label("outcome", outcome), n)));
    page.spread(&ANSWERING, &counted.answering);
    page.spread(&DELIVERING, &counted.delivering);
    let faults = [("mailbox", counted.mailbox_faults), ("delivery", counted.delivery_faults)];
    page.add(&FAULTS, faults.map(|(server, n)| (label("server", server), n)));
    page.add(&LINES, counters::lines().map(|(level, n)| (label("level", level), n)));
}

fn tell_times(status: &Status, page: &mut Page) {
    for (metric, at) in [
        (&LAST_LETTER, status.last_letter_at),
        (&MAILBOX, status.mailbox.last_success_at),
        (&DELIVERY, status.delivery.last_success_at),
        (&STARTED, status.started_at),
    ] {
        if let Some(at) = at {
            page.one(metric, "", at.as_second());
        }
    }
}

fn tell_look_ups(orders: &OrderLookUps, page: &mut Page) {
    let outcomes = [
        ("known", orders.known),
        ("unknown", orders.unknown),
        ("unclear", orders.unclear),
        ("failed", orders.failed),
        ("not_asked", orders.not_asked),
    ];
    page.add(&LOOK_UPS, outcomes.map(|(outcome, n)| (label("outcome", outcome), n)));
    page.one(&LOOKING_UP, "", orders.milliseconds as f64 / 1000.0);
    page.one(&PAUSED, "", u64::from(orders.paused));
}

/// The parts of a store by their folders.
const PARTS: [&str; 3] = ["cases", "raw", "search"];

fn tell_disk(folder: &Path, page: &mut Page) {
    let parts = PARTS.iter().filter(|part| folder.join(part).is_dir());
    page.add(&STORE_SIZE, parts.filter_map(|part| Some((label("part", part), size(&folder.join(part)).ok()?))));
    if let Ok(room) = room(folder) {
        page.one(&DISK, "", room.free);
        page.add(&INODES, room.files.map(|files| (String::new(), files)));
    }
}

/// What Linux tells of this process; elsewhere nothing.
fn tell_process(page: &mut Page) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    if let Some(kib) = number_behind(&read("status"), "VmRSS:") {
        page.one(&MEMORY, "", kib * 1024);
    }
    // The name of the program, which may hold anything, stands in brackets; behind it, user and system time are the
    // 12th and the 13th, in hundredths of a second whatever the kernel's own clock is (proc_pid_stat(5), USER_HZ).
    let stat = read("stat");
    let times = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
    let times: Vec<u64> = times.into_iter().flatten().flat_map(str::parse).collect();
    if times.len() == 2 {
        page.one(&CPU, "", times.iter().sum::<u64>() as f64 / 100.0);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        page.one(&FILES, "", files.count() as u64);
    }
    if let Some(most) = number_behind(&read("limits"), "Max open files") {
        page.one(&MOST_FILES, "", most);
    }
}

/// The first number behind a word.
fn number_behind(text: &str, word: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What is told, as Prometheus reads it.
struct Page(String);

impl Page {
    fn add(&mut self, metric: &Metric, values: impl IntoIterator<Item = (String, impl fmt::Display)>) {
        self.begin(metric);
        for (labels, value) in values {
            self.write(metric.name, &labels, value);
        }
    }

    fn one(&mut self, metric: &Metric, labels: &str, value: impl fmt::Display) {
        self.add(metric, [(labels.to_owned(), value)]);
    }

    fn spread(&mut self, metric: &Metric, spread: &Spread) {
        self.begin(metric);
        let bucket = format!("{}_bucket", metric.name);
        for (bound, within) in BOUNDS.iter().zip(spread.within) {
            self.write(&bucket, &label("le", &bound.to_string()), within);
        }
        self.write(&bucket, &label("le", "+Inf"), spread.count);
        self.write(&format!("{}_sum", metric.name), "", spread.seconds);
        self.write(&format!("{}_count", metric.name), "", spread.count);
    }

    fn begin(&mut self, Metric { name, kind, unit, help }: &Metric) {
        let unit = if *unit == "none" { String::new() } else { format!(" In {unit}.") };
        // A string takes all.
        let _ = writeln!(self.0, "# HELP {name} {help}{unit}\n# TYPE {name} {kind}");
    }

    fn write(&mut self, name: &str, labels: &str, value: impl fmt::Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

fn label(name: &str, value: &str) -> String {
    format!("{{{name}=\"{}\"}}", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use regex::Regex;

    use super::*;

    const GUIDE: &str = include_str!("../guide/metrics.md");
    const ALERTS: &str = include_str!("../guide/alerts.yml");

    /// What the guide says of each metric: kind, unit, rules.
    fn told() -> BTreeMap<&'static str, [&'static str; 3]> {
        let entry = Regex::new(r"(?m)^- `(\w+)(?:\{\w+\})?`, (\w+), (\w+): (.+)\n  \S").unwrap();
        entry
            .captures_iter(GUIDE)
            .map(|found| found.extract().1)
            .map(|[name, told @ ..]: [&str; 4]| (name, told))
            .collect()
    }

    /// The metric that a series is of.
    fn metric(series: &str) -> &str {
        let histogram = METRICS.iter().filter(|metric| metric.kind == Kind::Histogram).map(|metric| metric.name);
        let part =
            |name: &&str| series.strip_prefix(name).is_some_and(|end| ["_bucket", "_sum", "_count"].contains(&end));
        histogram.into_iter().find(part).unwrap_or(series)
    }

    #[test]
    fn the_guide_tells_of_every_metric_and_of_no_other() {
        let told = told();
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        assert_eq!(told.keys().copied().collect::<BTreeSet<_>>(), names);
        for metric in METRICS {
            let row = told[metric.name];
            assert_eq!(row[..2], [metric.kind.to_string(), metric.unit.to_owned()], "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            let named = metric.name.trim_end_matches("_total").ends_with(&format!("_{}", metric.unit));
            assert_eq!(named, metric.unit != "none", "{}", metric.name);
        }
    }

    #[test]
    fn every_metric_has_its_rule_or_a_word_on_why_it_has_none() {
        let told = told();
        let rules: BTreeSet<&str> = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
        let excused: BTreeSet<&str> = ALERTS
            .lines()
            .filter_map(|line| line.strip_prefix("# No rule: ")?.split_once(": ").map(|(name, _)| name))
            .collect();
        let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let series = Regex::new(r"\b(?:aftersalesd|process)_\w+").unwrap();
        for rule in ALERTS.split("- alert: ").skip(1) {
            let expression = rule.lines().find_map(|line| line.trim().strip_prefix("expr: ")).unwrap();
            let name = rule.lines().next().unwrap();
            for found in series.find_iter(expression) {
                used.entry(metric(found.as_str())).or_default().insert(name);
            }
            for key in ["for: ", "severity: ", "summary: ", "description: "] {
                assert!(rule.contains(key), "{name} has no {key}");
            }
        }
        for metric in METRICS {
            let told = told[metric.name][2];
            let named: BTreeSet<&str> =
                rules.iter().copied().filter(|rule| told.split([' ', ',']).any(|w| w == *rule)).collect();
            assert_eq!(used.remove(metric.name).unwrap_or_default(), named, "{}: {told}", metric.name);
            assert_eq!(named.is_empty(), excused.contains(metric.name), "{}", metric.name);
            assert_eq!(named.is_empty(), told.starts_with("none: "), "{}", metric.name);
        }
        assert!(used.is_empty(), "rules for metrics that there are not: {used:?}");
        assert!(excused.iter().all(|name| METRICS.iter().any(|metric| metric.name == *name)), "{excused:?}");
    }

    #[test]
    fn labels_and_histograms_are_written_as_prometheus_reads_them() {
        let mut page = Page(String::new());
        page.one(&WEBHOOK_WAITING, &label("webhook", "a\"b\\\n"), 3);
        let mut spread = Spread::default();
        spread.note(Timestamp::UNIX_EPOCH, Timestamp::from_second(4).unwrap());
        page.spread(&ANSWERING, &spread);
        assert!(page.0.contains("aftersalesd_webhook_waiting{webhook=\"a\\\"b\\\\\\n\"} 3\n"), "{}", page.0);
        for line in ["_bucket{le=\"2\"} 0", "_bucket{le=\"5\"} 1", "_bucket{le=\"+Inf\"} 1", "_sum 4", "_count 1"] {
            assert!(page.0.contains(&format!("\naftersalesd_answer_seconds{line}\n")), "{line}\n{}", page.0);
        }
        assert!(page.0.contains("# TYPE aftersalesd_answer_seconds histogram\n"));
    }
}
