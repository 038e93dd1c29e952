//! Days named in a text, in every form a language has for them: `22.07.2026`, `3 Nov`, `November 3rd`, `yesterday`,
//! `vor zwei Wochen`, a weekday. What can't be pinned to one day ("in spring", "beginning of October") gives none.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use regex::{Captures, Regex};

use crate::pipeline::fold::{self, Folded, Span};
use crate::pipeline::lexicon::{DateWords, Lexicon};

/// A day found in a folded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub date: Date,
    pub span: Span,
    pub rule: &'static str,
}

/// The date forms of one language, compiled.
#[derive(Debug)]
pub struct Dates {
    numeric: Regex,
    iso: Regex,
    day_month: Regex,
    month_day: Regex,
    words: Regex,
    ago: Regex,
    weekday: Regex,
    month_of: BTreeMap<String, i8>,
    weekday_of: BTreeMap<String, i8>,
    days_of: BTreeMap<String, i64>,
    number_of: BTreeMap<String, i64>,
    unit_of: BTreeMap<String, Unit>,
    month_first: bool,
    /// How many forms `ago` has; each has groups of its own.
    ago_forms: usize,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Day,
    Week,
    Month,
    Year,
}

impl Dates {
    pub fn new(lexicon: &Lexicon) -> Result<Self, regex::Error> {
        let words = &lexicon.dates;
        let folded = |list: &[String]| list.iter().flat_map(|w| spellings(lexicon, w)).collect::<Vec<_>>();
        let names = |lists: &[Vec<String>]| {
            (1i8..).zip(lists).flat_map(|(n, names)| folded(names).into_iter().map(move |name| (name, n))).collect()
        };
        let month_of: BTreeMap<String, i8> = names(&words.months);
        let weekday_of: BTreeMap<String, i8> = names(&words.weekdays);
        let counts = |map: &BTreeMap<String, i64>| -> BTreeMap<String, i64> {
            map.iter().flat_map(|(w, n)| spellings(lexicon, w).into_iter().map(|w| (w, *n))).collect()
        };
        let mut days_of = counts(&words.days_ago);
        days_of.extend(counts(&words.spans_ago));
        let number_of = counts(&words.numbers);
        let unit_of = units(words, &folded);
        let months = alternatives(month_of.keys());
        let fillers = alternatives(folded(&words.fillers).iter());
        let ordinals = alternatives(folded(&words.ordinals).iter());
        let year = format!(r"(?: ?,?(?: (?:{fillers}))? (?P<y>20\d\d)\b)?");
        // A day written out: "il tre settembre"; one is left out, for it is an article as well.
        let spelled = alternatives(number_of.iter().filter(|(_, n)| (2..=31).contains(*n)).map(|(word, _)| word));
        let day = format!(r"(?P<d>\d{{1,2}}|{spelled})(?:{ordinals})?");
        let span =
            format!("(?P<n>\\d{{1,3}}|{}) (?P<u>{})", alternatives(number_of.keys()), alternatives(unit_of.keys()));
        let ago = words.ago.iter().map(|form| fold::phrase(&form.replace("{}", "xspanx")));
        let ago: Vec<String> = ago.enumerate().map(|(n, form)| form.replace("xspanx", &numbered(&span, n))).collect();
        Ok(Self {
            numeric: Regex::new(r" (?P<a>\d{1,2})[./-](?P<b>\d{1,2})(?:[./-](?P<y>20\d\d|\d\d)\b|(?P<dot>\.)|\b)")?,
            iso: Regex::new(r" (?P<y>20\d\d)[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})\b")?,
            day_month: Regex::new(&format!(r" {day} (?:(?:{fillers}) )?(?P<m>{months})\b{year}"))?,
            month_day: Regex::new(&format!(r" (?P<m>{months}) (?:(?:{fillers}) )?{day}\b{year}"))?,
            words: Regex::new(&format!(r" (?P<w>{})\b", alternatives(days_of.keys())))?,
            ago: Regex::new(&format!(r" (?:{})\b", ago.join("|")))?,
            weekday: Regex::new(&format!(r" (?P<w>{})\b", alternatives(weekday_of.keys())))?,
            month_of,
            weekday_of,
            days_of,
            number_of,
            unit_of,
            month_first: words.month_first,
            ago_forms: ago.len(),
        })
    }

    /// Every day named in `sentence`, in order. `today` is the day the letter arrived.
    pub fn find(&self, folded: &Folded, sentence: Span, today: Date) -> Vec<Found> {
        let text = folded.slice(sentence);
        let mut found: Vec<Found> = Vec::new();
        let mut add = |regex: &Regex, rule: &'static str, read: &dyn Fn(&Captures<'_>) -> Option<Date>| {
            for captures in regex.captures_iter(text) {
                let Some(whole) = captures.get(0) else { continue };
                let span = Span { start: sentence.start + whole.start() + 1, end: sentence.start + whole.end() };
                // A day of the month before or behind is part of a longer date that an earlier rule has read.
                let taken = found.iter().any(|f| f.span.start < span.end && span.start < f.span.end);
                if let Some(date) = read(&captures)
                    && !taken
                {
                    found.push(Found { date, span, rule });
                }
            }
        };
        add(&self.iso, "date.iso", &|c| date(number(c, "y")?, number(c, "m")?, number(c, "d")?));
        add(&self.day_month, "date.named", &|c| self.named(c, today));
        add(&self.month_day, "date.named", &|c| self.named(c, today));
        add(&self.numeric, "date.numeric", &|c| {
            // 1.2.3 is a version.
            let end = c.get(0)?.end();
            let goes_on = text
                .get(end..)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '/')));
            self.numbers(c, today).filter(|_| !goes_on)
        });
        // Idioms first: "acht Tage" are seven days.
        add(&self.words, "date.word", &|c| back(today, *self.days_of.get(c.name("w")?.as_str())?));
        add(&self.ago, "date.ago", &|c| self.span_ago(c, today));
        add(&self.weekday, "date.weekday", &|c| {
            let day = *self.weekday_of.get(c.name("w")?.as_str())?;
            let gone = (i64::from(today.weekday().to_monday_one_offset()) - i64::from(day) + 6).rem_euclid(7) + 1;
            back(today, gone)
        });
        found.sort_by_key(|f| f.span.start);
        found
    }

    fn named(&self, captures: &Captures<'_>, today: Date) -> Option<Date> {
        let month = i64::from(*self.month_of.get(captures.name("m")?.as_str())?);
        let written = captures.name("d")?.as_str();
        let day = written.parse().ok().or_else(|| self.number_of.get(written).copied())?;
        match number(captures, "y") {
            Some(year) => date(year, month, day),
            None => latest(month, day, today),
        }
    }

    fn numbers(&self, captures: &Captures<'_>, today: Date) -> Option<Date> {
        let (a, b) = (number(captures, "a")?, number(captures, "b")?);
        let year = number(captures, "y").map(|y| if y < 100 { 2000 + y } else { y });
        let read = |day, month| match year {
            Some(year) => date(year, month, day),
            // Two numbers alone are a date only in the form that nothing else has: 3.9. with both stops.
            None => captures.name("dot").and_then(|_| latest(month, day, today)),
        };
        let day_first = read(a, b);
        let month_first = if self.month_first { read(b, a) } else { None };
        match (day_first, month_first) {
            (Some(day_first), Some(month_first)) if day_first > today => Some(month_first),
            (day_first, month_first) => day_first.or(month_first),
        }
    }

    fn span_ago(&self, captures: &Captures<'_>, today: Date) -> Option<Date> {
        let group =
            |prefix: &str| (0..self.ago_forms).find_map(|n| captures.name(&format!("{prefix}{n}"))).map(|m| m.as_str());
        let count = group("n")?;
        let count = count.parse().ok().or_else(|| self.number_of.get(count).copied())?;
        match self.unit_of.get(group("u")?)? {
            Unit::Day => back(today, count),
            Unit::Week => back(today, count * 7),
            Unit::Month => today.checked_sub(count.months()).ok(),
            Unit::Year => today.checked_sub(count.years()).ok(),
        }
    }
}

/// The folded forms of a word: as it stands, and with the language's other spellings.
fn spellings(lexicon: &Lexicon, word: &str) -> Vec<String> {
    let other =
        lexicon.writing.spellings.iter().fold(word.to_owned(), |w, (letter, other)| w.replace(letter.as_str(), other));
    let mut all = vec![fold::phrase(word), fold::phrase(&other)];
    all.dedup();
    all
}

fn units(words: &DateWords, folded: &dyn Fn(&[String]) -> Vec<String>) -> BTreeMap<String, Unit> {
    let lists =
        [(Unit::Day, &words.day), (Unit::Week, &words.week), (Unit::Month, &words.month), (Unit::Year, &words.year)];
    lists.into_iter().flat_map(|(unit, list)| folded(list).into_iter().map(move |w| (w, unit))).collect()
}

/// An alternation that tries longer words first.
fn alternatives<'a>(words: impl Iterator<Item = &'a String>) -> String {
    let mut words: Vec<String> = words.map(|w| regex::escape(w)).collect();
    words.sort_by_key(|w| (std::cmp::Reverse(w.len()), w.clone()));
    words.join("|")
}

/// The span pattern with its group names made unique by `n`.
fn numbered(span: &str, n: usize) -> String {
    span.replace("?P<n>", &format!("?P<n{n}>")).replace("?P<u>", &format!("?P<u{n}>"))
}

fn number(captures: &Captures<'_>, group: &str) -> Option<i64> {
    captures.name(group)?.as_str().parse().ok()
}

fn date(year: i64, month: i64, day: i64) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
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
mod tests {
    use super::*;
    use crate::pipeline::lexicon::Lexicons;

    fn read(language: &str, text: &str) -> Vec<String> {
        let lexicons = Lexicons::embedded().unwrap();
        let lexicon = lexicons.of(language).unwrap();
        let dates = Dates::new(lexicon).unwrap();
        let folded = Folded::new(text, &lexicon.writing.abbreviations);
        let today = Date::constant(2026, 11, 4); // a Wednesday
        folded.sentences.iter().flat_map(|s| dates.find(&folded, *s, today)).map(|f| f.date.to_string()).collect()
    }

    #[test]
    fn english_forms() {
        for (text, expected) in [
            ("delivered on 2 September 2026", "2026-09-02"),
            ("on September 14th", "2026-09-14"),
            ("the 25th of August 2026", "2026-08-25"),
            ("Nov 3rd, 2025 it came", "2025-11-03"),
            ("03/10/2026", "2026-10-03"),
            ("10/25/2026", "2026-10-25"),
            ("12/10/2026", "2026-10-12"),
            ("06/12/2026", "2026-06-12"),
            ("2026-09-15", "2026-09-15"),
            ("came monday and died", "2026-11-02"),
            ("on Wednesday", "2026-10-28"),
            ("yesterday", "2026-11-03"),
            ("two weeks ago", "2026-10-21"),
            ("a month ago", "2026-10-04"),
            ("10 days ago", "2026-10-25"),
            ("December 24", "2025-12-24"),
        ] {
            assert_eq!(read("en", text), [expected], "{text}");
        }
        assert!(read("en", "at the beginning of October, firmware 1.2.3, 3 times, in spring").is_empty());
    }

    #[test]
    fn german_forms() {
        for (text, expected) in [
            ("am 22.07.2026 bekommen", "2026-07-22"),
            ("am 3. September", "2026-09-03"),
            ("am 2.9. bekommen", "2026-09-02"),
            ("am 14 august 2026", "2026-08-14"),
            ("vor zwei Wochen", "2026-10-21"),
            ("vor vierzehn Tagen", "2026-10-21"),
            ("vor acht Tagen", "2026-10-28"),
            ("vor 8 Tagen", "2026-10-27"),
            ("vorgestern", "2026-11-02"),
            ("letzten Freitag", "2026-10-30"),
            ("5. Maerz 2026", "2026-03-05"),
        ] {
            assert_eq!(read("de", text), [expected], "{text}");
        }
        assert!(read("de", "Anfang Oktober, Version 1.2, so ging es").is_empty());
    }
}
