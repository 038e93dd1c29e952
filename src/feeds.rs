//! Floor 2: the shop's two CSV files, the product catalogue and the order feed, as values of the domain.
//!
//! A file is taken whole or not at all: everything that is wrong with it is said at once, by line and column. A UTF-8
//! byte order mark, CRLF line ends, blank lines and columns in any order and case are fine.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, Trim};
use jiff::civil::Date;

use crate::domain::catalogue::{Catalogue, OrderAnswer, OrderLine, Product};
use crate::domain::ids::{Address, Country, ItemCode, Malformed, OrderNumber, Sku};

/// Why a feed can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("{}: can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// One line a fault: `products.csv: line 7: column ean: …`.
    #[error("{0}")]
    Faulty(Faults),
}

/// What is wrong with a file; the first twenty faults are kept, the others counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    path: PathBuf,
    said: Vec<String>,
    more: usize,
}

/// Reads the product file: `sku,product,aliases,ean,warranty_months`, aliases separated by `;`.
///
/// An alias may stand for several products: then the customer is asked which.
pub fn catalogue(path: &Path) -> Result<Catalogue, FeedError> {
    let mut products = Vec::new();
    let (mut skus, mut eans) = (HashMap::new(), HashMap::new());
    read(path, ["sku", "product", "aliases", "ean", "warranty_months"], 5, |row, faults| {
        let [sku, name, aliases, ean, months] = row.fields;
        let sku = row.parse(faults, "sku", sku, Sku::new);
        let ean = row.parse_unless_empty(faults, "ean", ean, ItemCode::new);
        let months = row.parse_unless_empty(faults, "warranty_months", months, months_of_warranty);
        if name.is_empty() {
            faults.add(row.line, "product", "is empty");
        }
        if let Some(sku) = &sku {
            row.expect_new(faults, "sku", &mut skus, sku.as_str());
        }
        if let Some(Some(ean)) = &ean {
            row.expect_new(faults, "ean", &mut eans, ean.as_str());
        }
        if let (Some(sku), Some(ean), Some(warranty_months)) = (sku, ean, months) {
            let aliases = aliases.split(';').map(str::trim).filter(|a| !a.is_empty()).map(str::to_owned).collect();
            products.push(Product { sku, name: name.to_owned(), aliases, ean, warranty_months });
        }
    })?;
    Ok(Catalogue { products })
}

/// Reads the order feed: `order_number,email,sku,delivered_on`, one row a line item, the date ISO 8601 or empty. The
/// columns `bought_on` and `country` (ISO 3166, two letters) may be there, and empty.
pub fn orders(path: &Path) -> Result<Orders, FeedError> {
    let mut orders = Orders::default();
    let (mut skus, mut countries) = (HashMap::new(), HashMap::new());
    let columns = ["order_number", "email", "sku", "delivered_on", "bought_on", "country"];
    let [.., has_bought_on, has_country] = read(path, columns, 4, |row, faults| {
        let [number, email, sku, delivered_on, bought_on, country] = row.fields;
        let number = row.parse(faults, "order_number", number, OrderNumber::new);
        let email = row.parse(faults, "email", email, Address::new);
        let sku = row.parse(faults, "sku", sku, Sku::new);
        let delivered_on = row.parse_unless_empty(faults, "delivered_on", delivered_on, iso_date);
        let bought_on = row.parse_unless_empty(faults, "bought_on", bought_on, iso_date);
        let country = row.parse_unless_empty(faults, "country", country, Country::new);
        if let (Some(number), Some(email), Some(sku)) = (number, email, sku)
            && let (Some(delivered_on), Some(bought_on), Some(country)) = (delivered_on, bought_on, country)
        {
            let sku = place_of(sku, &mut skus, &mut orders.skus);
            let country = country.map(|country| place_of(country, &mut countries, &mut orders.countries));
            orders.push(&number, &email, |line| Line { sku, delivered_on, bought_on, country, ..line });
        }
    })?;
    (orders.has_bought_on, orders.has_country) = (has_bought_on, has_country);
    orders.sort();
    Ok(orders)
}

/// The place of a value among those that are there already, or behind them.
fn place_of<T: Clone + Eq + Hash>(value: T, places: &mut HashMap<T, u32>, values: &mut Vec<T>) -> u32 {
    // No file has so many lines.
    let next = u32::try_from(values.len()).unwrap_or(u32::MAX);
    *places.entry(value).or_insert_with_key(|value| {
        values.push(value.clone());
        next
    })
}

/// All lines of the order feed, about 80 bytes a line.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// The number and the address of each line, one after the other.
    text: String,
    skus: Vec<Sku>,
    countries: Vec<Country>,
    /// Whether the file has these columns.
    pub has_bought_on: bool,
    pub has_country: bool,
    /// Sorted by order number; the lines of an order in the order of the file.
    lines: Vec<Line>,
    /// Places in `lines`, sorted by address.
    by_email: Vec<u32>,
}

#[derive(Debug, Clone, Copy, Default, Hash)]
struct Line {
    /// Where in the text its number begins; the address follows.
    start: usize,
    number: u8,
    email: u8,
    sku: u32,
    delivered_on: Option<Date>,
    bought_on: Option<Date>,
    country: Option<u32>,
}

impl Orders {
    /// What the feed knows of an order.
    pub fn answer(&self, number: &OrderNumber) -> OrderAnswer {
        let number = number.as_str();
        let from = self.lines.partition_point(|l| self.number(l) < number);
        let lines = self.lines.iter().skip(from).take_while(|l| self.number(l) == number);
        let lines: Vec<OrderLine> = lines.filter_map(|l| self.order_line(l)).collect();
        if lines.is_empty() { OrderAnswer::Unknown } else { OrderAnswer::Lines(lines) }
    }

    /// The orders of a customer, each once, in ascending order.
    pub fn of_customer(&self, customer: &Address) -> Vec<OrderNumber> {
        let email = |place: &u32| self.lines.get(*place as usize).map_or("", |l| self.email(l));
        let from = self.by_email.partition_point(|p| email(p) < customer.as_str());
        let places = self.by_email.iter().skip(from).take_while(|p| email(p) == customer.as_str());
        let lines = places.filter_map(|p| self.lines.get(*p as usize));
        let mut numbers: Vec<OrderNumber> = lines.filter_map(|l| OrderNumber::new(self.number(l)).ok()).collect();
        numbers.dedup();
        numbers
    }

    /// The number of line items.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Identifies what the feed tells; another version of the program may give another mark.
    pub fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.text, &self.skus, &self.countries, &self.lines).hash(&mut hasher);
        hasher.finish()
    }

    fn push(&mut self, number: &OrderNumber, email: &Address, filled: impl Fn(Line) -> Line) {
        let (number, email) = (number.as_str(), email.as_str());
        let start = self.text.len();
        self.text.push_str(number);
        self.text.push_str(email);
        // The identifiers' own bounds (40 and 254 bytes) keep the lengths below 256.
        let (number, email) = (number.len() as u8, email.len() as u8);
        self.lines.push(filled(Line { start, number, email, ..Line::default() }));
    }

    fn sort(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.sort_by(|a, b| self.number(a).cmp(self.number(b)));
        self.lines = lines;
        let mut by_email: Vec<u32> = (0..self.lines.len() as u32).collect();
        let email = |place: &u32| self.lines.get(*place as usize).map_or("", |l| self.email(l));
        by_email.sort_by(|a, b| email(a).cmp(email(b)));
        self.by_email = by_email;
        self.text.shrink_to_fit();
    }

    fn number(&self, line: &Line) -> &str {
        self.text.get(line.start..line.start + usize::from(line.number)).unwrap_or_default()
    }

    fn email(&self, line: &Line) -> &str {
        let start = line.start + usize::from(line.number);
        self.text.get(start..start + usize::from(line.email)).unwrap_or_default()
    }

    /// Always `Some`: identifiers read back from their own spelling.
    fn order_line(&self, line: &Line) -> Option<OrderLine> {
        Some(OrderLine {
            order_number: OrderNumber::new(self.number(line)).ok()?,
            email: Address::new(self.email(line)).ok()?,
            sku: self.skus.get(line.sku as usize)?.clone(),
            delivered_on: line.delivered_on,
            day_unknown: false,
            bought_on: line.bought_on,
            country: line.country.and_then(|place| self.countries.get(place as usize)).cloned(),
        })
    }
}

fn months_of_warranty(text: &str) -> Result<u32, Malformed> {
    text.parse().ok().filter(|months| *months <= 600).ok_or(Malformed("number of months"))
}

fn iso_date(text: &str) -> Result<Date, Malformed> {
    // The parser takes dates with a time of day and without hyphens too; a feed that holds these means something else.
    let date = (text.len() == 10).then(|| text.parse().ok()).flatten();
    date.ok_or(Malformed("date (YYYY-MM-DD)"))
}

/// A row of a file, its fields in the order asked for.
struct Row<'a, const N: usize> {
    line: u64,
    fields: [&'a str; N],
}

impl<const N: usize> Row<'_, N> {
    fn parse<T>(
        &self,
        faults: &mut Faults,
        column: &str,
        text: &str,
        new: impl Fn(&str) -> Result<T, Malformed>,
    ) -> Option<T> {
        new(text)
            .map_err(|wrong| {
                let shown: String = text.chars().take(60).collect();
                faults.add(
                    self.line,
                    column,
                    &if text.is_empty() { "is empty".into() } else { format!("{shown:?} is {wrong}") },
                );
            })
            .ok()
    }

    /// `Some(None)` for an empty field, `None` for a wrong one.
    fn parse_unless_empty<T>(
        &self,
        faults: &mut Faults,
        column: &str,
        text: &str,
        new: impl Fn(&str) -> Result<T, Malformed>,
    ) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { self.parse(faults, column, text, new).map(Some) }
    }

    fn expect_new(&self, faults: &mut Faults, column: &str, seen: &mut HashMap<String, u64>, value: &str) {
        if let Some(first) = seen.get(value) {
            faults.add(self.line, column, &format!("{value} stands in line {first} already"));
        } else {
            seen.insert(value.to_owned(), self.line);
        }
    }
}

/// Hands each row of a file to `each`; fails if the file, its header or any row is wrong. All but the first `required`
/// columns may be absent, and are empty then; gives which are there.
fn read<const N: usize>(
    path: &Path,
    columns: [&str; N],
    required: usize,
    mut each: impl FnMut(&Row<N>, &mut Faults),
) -> Result<[bool; N], FeedError> {
    let data = fs::read(path).map_err(|source| FeedError::Unreadable { path: path.to_owned(), source })?;
    let mut faults = Faults { path: path.to_owned(), said: Vec::new(), more: 0 };
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(data.as_slice());
    let mut record = ByteRecord::new();
    let mut places = None;
    // Reading from memory, with fields of any number and bytes, the reader has no error left to report.
    while reader.read_byte_record(&mut record).map_err(|e| unreadable(path, e))? {
        let line = line_of(&record, &data);
        let Some(fields) = record.iter().map(|f| str::from_utf8(f).ok()).collect::<Option<Vec<&str>>>() else {
            faults.add_row(line, "is not UTF-8 text");
            continue;
        };
        if fields.iter().all(|f| f.is_empty()) {
            continue;
        }
        let Some((width, places)) = places else {
            match header(&fields, columns, required, line, &mut faults) {
                Some(found) => places = Some((fields.len(), found)),
                None => return Err(FeedError::Faulty(faults)),
            }
            continue;
        };
        if fields.len() != width {
            faults.add_row(line, &format!("has {} fields, the header has {width}", fields.len()));
            continue;
        }
        let field = |place: Option<usize>| place.and_then(|place| fields.get(place)).copied().unwrap_or_default();
        let fields = places.map(field);
        each(&Row { line, fields }, &mut faults);
    }
    if places.is_none() {
        faults.add_row(1, &format!("the header is missing: {}", columns.join(",")));
    }
    let there = places.map(|(_, places)| places.map(|place| place.is_some())).unwrap_or([false; N]);
    if faults.said.is_empty() { Ok(there) } else { Err(FeedError::Faulty(faults)) }
}

/// Where each column stands.
fn header<const N: usize>(
    fields: &[&str],
    columns: [&str; N],
    required: usize,
    line: u64,
    faults: &mut Faults,
) -> Option<[Option<usize>; N]> {
    let names: Vec<String> = fields.iter().map(|f| f.to_lowercase()).collect();
    for (n, name) in names.iter().enumerate() {
        if !columns.contains(&name.as_str()) {
            faults.add_row(line, &format!("unknown column {name:?}; known are {}", columns.join(",")));
        } else if names.iter().take(n).any(|before| before == name) {
            faults.add_row(line, &format!("column {name} stands there twice"));
        }
    }
    let places = columns.map(|column| names.iter().position(|name| name == column));
    for (column, _) in columns.iter().zip(&places).take(required).filter(|(_, place)| place.is_none()) {
        faults.add_row(line, &format!("column {column} is missing"));
    }
    faults.said.is_empty().then_some(places)
}

/// The line a record begins in: the reader counts blank lines before it as part of it.
fn line_of(record: &ByteRecord, data: &[u8]) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let rest = data.get(position.byte() as usize..).unwrap_or_default();
    let blank = rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).filter(|b| **b == b'\n').count();
    position.line() + blank as u64
}

fn unreadable(path: &Path, error: csv::Error) -> FeedError {
    FeedError::Unreadable { path: path.to_owned(), source: error.into() }
}

const MOST_FAULTS: usize = 20;

impl Faults {
    fn add(&mut self, line: u64, column: &str, what: &str) {
        self.add_row(line, &format!("column {column}: {what}"));
    }

    fn add_row(&mut self, line: u64, what: &str) {
        if self.said.len() < MOST_FAULTS {
            self.said.push(format!("line {line}: {what}"));
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        for (n, fault) in self.said.iter().enumerate() {
            let end = if n == 0 { "" } else { "\n" };
            write!(f, "{end}{path}: {fault}")?;
        }
        if self.more > 0 {
            write!(f, "\n{path}: and {} more", self.more)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
