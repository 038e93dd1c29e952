//! Days named in a text, in every form a language has for them: `22.07.2026`, `3 Nov`, `November 3rd`, `yesterday`,
//! `vor zwei Wochen`, a weekday. What can't be pinned to one day ("in spring", "beginning of October") gives none.

mod words;

use std::collections::{BTreeMap, HashSet};

use jiff::civil::Date;
use jiff::{Span as Time, ToSpan};
use regex::{Captures, Regex, RegexBuilder};

use self::words::{alternatives, counts, folded, one_of, spelled_days, units};
use crate::pipeline::fold::{self, Folded, Span};
use crate::pipeline::lexicon::Lexicon;

/// A day found in a folded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub date: Date,
    pub span: Span,
    pub rule: &'static str,
    /// Day and month might be the other way round: "3/4/2026" in a language that is written in both.
    pub either_way: bool,
}

/// The date forms of one language, compiled.
#[derive(Debug)]
pub struct Dates {
    numeric: Regex,
    iso: Regex,
    day_month: Regex,
    month_day: Regex,
    day_of_month: Regex,
    day_alone: Regex,
    spans: Regex,
    ago: Vec<Regex>,
    words: Regex,
    weekday_of_week: Regex,
    weekday: Regex,
    /// Short frequent words: behind one of them a number counts nothing.
    particles: HashSet<String>,
    month_of: BTreeMap<String, i8>,
    weekday_of: BTreeMap<String, i8>,
    weeks_of: BTreeMap<String, i64>,
    months_of: BTreeMap<String, i64>,
    days_of: BTreeMap<String, i64>,
    spans_of: BTreeMap<String, i64>,
    day_of: BTreeMap<String, i64>,
    number_of: BTreeMap<String, i64>,
    /// Number words that mean another count with the unit day.
    days_meant: BTreeMap<String, i64>,
    halves: Vec<String>,
    unit_of: BTreeMap<String, Unit>,
    before_day: Vec<String>,
    arriving: Vec<String>,
    month_first: bool,
}

/// The days that a text names, found once.
#[derive(Debug)]
pub struct Days<'d> {
    dates: &'d [&'d Dates],
    /// The day the letter arrived.
    pub today: Date,
    found: Vec<Found>,
}

impl<'d> Days<'d> {
    /// Looks for days in the forms of each of the letter's languages.
    pub fn of(folded: &Folded, dates: &'d [&'d Dates], today: Date) -> Self {
        let sentences = folded.sentences.iter().copied();
        let found = sentences.flat_map(|sentence| dates.iter().flat_map(move |d| d.find(folded, sentence, today)));
        Self { dates, today, found: found.collect() }
    }

    /// The days whose words begin in a sentence or in a part of one.
    pub fn beginning_in(&self, part: Span) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(move |day| part.start <= day.span.start && day.span.start < part.end)
    }

    /// See [`Dates::arrives`].
    pub fn arrives(&self, folded: &Folded, sentence: Span, day: Span) -> bool {
        self.dates.iter().any(|d| d.arrives(folded, sentence, day))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Day,
    Week,
    Month,
    Year,
}

impl Dates {
    pub fn new(lexicon: &Lexicon) -> Result<Self, regex::Error> {
        let words = &lexicon.dates;
        let names = |lists: &[Vec<String>]| {
            (1i8..)
                .zip(lists)
                .flat_map(|(n, names)| folded(lexicon, names).into_iter().map(move |name| (name, n)))
                .collect()
        };
        let month_of: BTreeMap<String, i8> = names(&words.months);
        let weekday_of: BTreeMap<String, i8> = names(&words.weekdays);
        let days_of = counts(lexicon, &words.days_ago);
        let spans_of = counts(lexicon, &words.spans_ago);
        let number_of = counts(lexicon, &words.numbers);
        let day_of = spelled_days(lexicon, &number_of);
        let weeks_of = counts(lexicon, &words.weeks_back);
        let months_of = counts(lexicon, &words.months_back);
        let which_month = one_of(&months_of.keys().cloned().collect::<Vec<_>>());
        let unit_of = units(lexicon);
        let months = alternatives(month_of.keys());
        let fillers = one_of(&folded(lexicon, &words.fillers));
        let ordinals = one_of(&folded(lexicon, &words.ordinals));
        // Two digits are a year only where nothing else follows that they could count.
        let year = format!(r"(?: ?,?(?: {fillers})? (?:(?P<y>20\d\d)\b|(?P<yy>2\d)(?: [.,!?\n]|\s*$)))?");
        let day = format!(r"(?P<d>\d{{1,2}}|{})(?:{ordinals})?", alternatives(day_of.keys()));
        let ago = words::ago_forms(lexicon, &number_of, &unit_of);
        let weekdays = alternatives(weekday_of.keys());
        let weeks = one_of(&weeks_of.keys().cloned().collect::<Vec<_>>());
        let last = one_of(&folded(lexicon, &words.last));
        let leads = |words: &[String]| one_of(&folded(lexicon, words));
        let number = r"(?P<d>\d{1,2})";
        let (plain, ordinal) = (leads(&words.day_leads), leads(&words.ordinal_leads));
        let day_word = one_of(&day_of.iter().filter(|(_, n)| **n > SECOND).map(|(w, _)| w.clone()).collect::<Vec<_>>());
        let day_alone = format!(
            r" (?:(?:{weekdays}) (?:, )?)?(?:{plain} (?:{number}(?:-?{ordinals})?|(?P<w>{day_word}))|{ordinal} (?:(?P<d2>\d{{1,2}})-?{ordinals}|(?P<w2>{day_word})))\b"
        );
        Ok(Self {
            day_alone: pattern(&day_alone)?,
            particles: particles(lexicon, &unit_of),
            numeric: pattern(
                r" (?P<a>\d{1,2})(?P<sep>[./-])(?P<b>\d{1,2})(?:[./-](?P<y>20\d\d|\d\d)\b|(?P<dot>\.)|\b)",
            )?,
            iso: pattern(r" (?P<y>20\d\d)[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})\b")?,
            day_month: pattern(&format!(r" {day} (?:{fillers} )?(?P<m>{months})\b{year}"))?,
            month_day: pattern(&format!(r" (?P<m>{months}) (?:{fillers} )?{day}\b{year}"))?,
            day_of_month: pattern(&format!(r" {day} (?P<k>{which_month})\b"))?,
            spans: pattern(&words::span_words(lexicon, &spans_of))?,
            words: pattern(&format!(r" (?P<w>{})\b", alternatives(days_of.keys())))?,
            ago: ago.iter().map(|form| pattern(form)).collect::<Result<_, _>>()?,
            weekday_of_week: pattern(&format!(
                r" (?:(?P<k>{weeks}) (?:, )?(?:{last} )?(?P<w>{weekdays})|(?P<w2>{weekdays}) (?:, )?(?P<k2>{weeks}))\b"
            ))?,
            weekday: pattern(&format!(r" (?P<w>{weekdays})\b"))?,
            month_of,
            weekday_of,
            weeks_of,
            months_of,
            days_of,
            spans_of,
            day_of,
            days_meant: counts(lexicon, &words.days_meant),
            number_of,
            halves: folded(lexicon, &words.half),
            unit_of,
            before_day: folded(lexicon, &words.before_day),
            arriving: folded(lexicon, &words.arriving),
            month_first: words.month_first,
        })
    }

    /// Every day named in `sentence`, in order. `today` is the day the letter arrived.
    pub fn find(&self, folded: &Folded, sentence: Span, today: Date) -> Vec<Found> {
        let text = folded.slice(sentence);
        let mut found: Vec<Found> = Vec::new();
        let mut taken: Vec<Span> = Vec::new();
        let mut add = |regex: &Regex, rule: &'static str, read: &dyn Fn(&Captures<'_>) -> Option<Date>| {
            for captures in regex.captures_iter(text) {
                let Some(whole) = captures.get(0) else { continue };
                let span = Span { start: sentence.start + whole.start() + 1, end: sentence.start + whole.end() };
                // A day of the month before or behind is part of a longer date that an earlier rule has read.
                if taken.iter().any(|t| t.start < span.end && span.start < t.end) {
                    continue;
                }
                if let Some(date) = read(&captures) {
                    let either_way = rule == NUMERIC && self.month_first && swapped(date).is_some_and(|d| d <= today);
                    found.push(Found { date, span, rule, either_way });
                    taken.push(span);
                } else if matches!(rule, "date.ago" | "date.weekday_of_week") {
                    // "A month and a half ago" and a Friday to come are no days, and neither is what stands in them.
                    taken.push(span);
                }
            }
        };
        add(&self.iso, "date.iso", &|c| date(number(c, "y")?, number(c, "m")?, number(c, "d")?));
        add(&self.day_month, "date.named", &|c| self.named(c, today));
        add(&self.month_day, "date.named", &|c| self.named(c, today));
        add(&self.day_of_month, "date.day_of_month", &|c| self.of_month(c, today));
        add(&self.numeric, NUMERIC, &|c| self.numbers(c, text, today));
        // The pattern is the costliest of all, and few sentences name any number.
        if text.split(' ').any(|w| w.starts_with(|c: char| c.is_ascii_digit()) || self.day_of.contains_key(w)) {
            add(&self.day_alone, DAY_ALONE, &|c| self.alone(c, text, today));
        }
        add(&self.weekday_of_week, "date.weekday_of_week", &|c| {
            let weeks = *self.weeks_of.get(c.name("k").or_else(|| c.name("k2"))?.as_str())?;
            let day = *self.weekday_of.get(c.name("w").or_else(|| c.name("w2"))?.as_str())?;
            let since_monday = i64::from(today.weekday().to_monday_zero_offset());
            back(today, since_monday + 7 * weeks - i64::from(day) + 1).filter(|d| *d <= today)
        });
        // Idioms first: "acht Tage" are seven days.
        add(&self.spans, "date.word", &|c| back(today, *self.spans_of.get(c.name("w")?.as_str())?));
        for form in &self.ago {
            add(form, "date.ago", &|c| self.span_ago(c, today));
        }
        add(&self.words, "date.word", &|c| back(today, *self.days_of.get(c.name("w")?.as_str())?));
        add(&self.weekday, "date.weekday", &|c| {
            let day = *self.weekday_of.get(c.name("w")?.as_str())?;
            let gone = (i64::from(today.weekday().to_monday_one_offset()) - i64::from(day) + 6).rem_euclid(7) + 1;
            back(today, gone)
        });
        // Beside a whole date a bare number is rather something else: "the 2nd, received yesterday".
        if found.iter().any(|f| f.rule != DAY_ALONE) {
            found.retain(|f| f.rule != DAY_ALONE);
        }
        found.sort_by_key(|f| f.span.start);
        found
    }

    /// The latest day of that number, if nothing follows that the number could count.
    fn alone(&self, captures: &Captures<'_>, text: &str, today: Date) -> Option<Date> {
        let written = ["d", "d2", "w", "w2"].iter().find_map(|name| captures.name(name))?;
        let next = text.get(captures.get(0)?.end()..)?.split_whitespace().next();
        let counts = next.is_some_and(|word| word.contains(char::is_alphanumeric) && !self.particles.contains(word));
        let day = self.day(written.as_str())?;
        let last_month = || today.first_of_month().checked_sub(1.months()).ok();
        let of = |month: Date| date(i64::from(month.year()), i64::from(month.month()), day);
        if counts { None } else { of(today).filter(|d| *d <= today).or_else(|| of(last_month()?)) }
    }

    fn named(&self, captures: &Captures<'_>, today: Date) -> Option<Date> {
        let month = i64::from(*self.month_of.get(captures.name("m")?.as_str())?);
        let day = self.day(captures.name("d")?.as_str())?;
        match number(captures, "y").or_else(|| number(captures, "yy").map(|y| 2000 + y)) {
            Some(year) => date(year, month, day),
            None => latest(month, day, today),
        }
    }

    fn of_month(&self, captures: &Captures<'_>, today: Date) -> Option<Date> {
        let back = *self.months_of.get(captures.name("k")?.as_str())?;
        let month = today.first_of_month().checked_sub(back.months()).ok()?;
        let day = self.day(captures.name("d")?.as_str())?;
        date(i64::from(month.year()), i64::from(month.month()), day).filter(|d| *d <= today)
    }

    fn day(&self, written: &str) -> Option<i64> {
        written.parse().ok().or_else(|| self.day_of.get(written).copied())
    }

    /// Whether a word of arriving stands right beside `day`, at most one word that leads to a day between them.
    pub fn arrives(&self, folded: &Folded, sentence: Span, day: Span) -> bool {
        let is_lead = |word: &str| self.before_day.iter().any(|w| w == word);
        let arriving = |word: Option<&str>| word.is_some_and(|word| self.arriving.iter().any(|w| w == word));
        let before = folded.slice(Span { start: sentence.start, end: day.start });
        let behind = folded.slice(Span { start: day.end, end: sentence.end });
        let mut before = before.split_whitespace().rev().skip_while(|w| is_lead(w));
        arriving(before.next()) || arriving(behind.split_whitespace().next())
    }

    fn numbers(&self, captures: &Captures<'_>, text: &str, today: Date) -> Option<Date> {
        let (a, b) = (number(captures, "a")?, number(captures, "b")?);
        let whole = captures.get(0)?;
        let rest = text.get(whole.end()..)?;
        // 1.2.3 is a version.
        if rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '/')) {
            return None;
        }
        let year = number(captures, "y").map(|y| if y < 100 { 2000 + y } else { y });
        // Two numbers alone are a date in the form that nothing else has (3.9. with both stops), behind a word that
        // stands before days ("on 3/9"), or where they are all that is said.
        let before = text.get(..whole.start())?.trim_end().rsplit(' ').next()?;
        let led = self.before_day.iter().any(|word| word == before);
        let ends = rest.trim_start().is_empty() || rest.trim_start().starts_with(['.', ',', '!', '\n']);
        let is_day = match captures.name("sep")?.as_str() {
            "/" => led || ends && matches!(before, "" | ","),
            "." => captures.name("dot").is_some() || led && !self.month_first,
            _ => false,
        };
        let read = |day, month| match year {
            Some(year) => date(year, month, day),
            None => is_day.then(|| latest(month, day, today))?,
        };
        let day_first = read(a, b);
        let month_first = if self.month_first { read(b, a) } else { None };
        match (day_first, month_first) {
            (Some(day_first), Some(month_first)) if day_first > today => Some(month_first),
            (day_first, month_first) => day_first.or(month_first),
        }
    }

    fn span_ago(&self, captures: &Captures<'_>, today: Date) -> Option<Date> {
        if let Some(one) = captures.name("one") {
            return today.checked_sub(of_unit(1, *self.unit_of.get(one.as_str())?)).ok();
        }
        let unit = *self.unit_of.get(captures.name("u")?.as_str())?;
        let counted = captures.name("n")?.as_str();
        let time = match (self.halves.iter().any(|h| h == counted), captures.name("half").is_some(), unit) {
            (true, false, Unit::Year) => 6.months(),
            (false, true, Unit::Year) => (self.count(counted, unit)? * 12 + 6).months(),
            (false, false, _) => of_unit(self.count(counted, unit)?, unit),
            // Half a month is no number of days.
            _ => return None,
        };
        let day = today.checked_sub(time).ok()?;
        let Some(more) = captures.name("u2") else { return Some(day) };
        let unit = *self.unit_of.get(more.as_str())?;
        day.checked_sub(of_unit(self.count(captures.name("n2")?.as_str(), unit)?, unit)).ok()
    }

    fn count(&self, written: &str, unit: Unit) -> Option<i64> {
        let meant = || self.days_meant.get(written).filter(|_| unit == Unit::Day);
        written.parse().ok().or_else(|| meant().or_else(|| self.number_of.get(written)).copied())
    }
}

/// A pattern over folded text: what it looks for is ASCII, and the tables of all other letters and digits are large.
fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).unicode(false).build()
}

/// Up to here ordinals count things as often as days: "the first one came broken".
const SECOND: i64 = 3;

/// The rule of a day told in numbers.
const NUMERIC: &str = "date.numeric";

/// The rule of a day told by its number alone.
pub const DAY_ALONE: &str = "date.day_alone";

/// The short ones of a language's frequent words, without those of time, "on the 3rd day", and what leads to what is
/// counted, "the 3rd of".
fn particles(lexicon: &Lexicon, units: &BTreeMap<String, Unit>) -> HashSet<String> {
    const LONGEST: usize = 3;
    let fillers = folded(lexicon, &lexicon.dates.fillers);
    let fits = |w: &String| w.chars().count() <= LONGEST && !units.contains_key(w) && !fillers.contains(w);
    lexicon.writing.common.iter().map(|w| fold::phrase(w)).filter(fits).collect()
}

fn of_unit(count: i64, unit: Unit) -> Time {
    match unit {
        Unit::Day => count.days(),
        Unit::Week => (count * 7).days(),
        Unit::Month => count.months(),
        Unit::Year => count.years(),
    }
}

fn number(captures: &Captures<'_>, group: &str) -> Option<i64> {
    captures.name(group)?.as_str().parse().ok()
}

fn date(year: i64, month: i64, day: i64) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// The date with day and month in each other's place, if that is another one.
fn swapped(given: Date) -> Option<Date> {
    Date::new(given.year(), given.day(), given.month()).ok().filter(|other| *other != given)
}

/// The latest such day that is not after today.
fn latest(month: i64, day: i64, today: Date) -> Option<Date> {
    let this_year = date(i64::from(today.year()), month, day);
    this_year.filter(|d| *d <= today).or_else(|| date(i64::from(today.year()) - 1, month, day))
}

fn back(today: Date, days: i64) -> Option<Date> {
    today.checked_sub(days.days()).ok()
}

#[cfg(test)]
mod tests;
