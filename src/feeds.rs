//! Floor 2: the shop's two CSV files, the product catalogue and the order feed, as values of the domain.
//!
//! A file is taken whole or not at all: everything that is wrong with it is said at once, by line and column. A UTF-8
//! byte order mark, CRLF line ends, blank lines and columns in any order and case are fine.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::hash::Hash;
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

#[derive(Debug, Clone, Copy, Default)]
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
mod tests {
    use jiff::civil::date;
    use tempfile::TempDir;

    use super::*;

    const PRODUCTS: &str = "sku,product,aliases,ean,warranty_months\n";
    const ORDERS: &str = "order_number,email,sku,delivered_on\n";

    fn file(name: &str, text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn products(text: impl AsRef<[u8]>) -> Result<Catalogue, String> {
        let (folder, path) = file("products.csv", text);
        catalogue(&path).map_err(|e| e.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    fn order_feed(text: impl AsRef<[u8]>) -> Result<Orders, String> {
        let (folder, path) = file("orders.csv", text);
        orders(&path).map_err(|e| e.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    fn number(text: &str) -> OrderNumber {
        OrderNumber::new(text).unwrap()
    }

    #[test]
    fn products_are_read_with_their_aliases() {
        let text = format!("{PRODUCTS}KP-1,\"One, black\",One; The first ;,6973014171018,12\nkp-2,Two,One,,\n");
        let products = products(text).unwrap().products;
        assert_eq!(products.len(), 2);
        assert_eq!(products[0].name, "One, black");
        assert_eq!(products[0].aliases, ["One", "The first"]);
        assert_eq!(products[0].ean.as_ref().map(ItemCode::as_str), Some("6973014171018"));
        assert_eq!(products[0].warranty_months, Some(12));
        assert_eq!(products[1].sku.as_str(), "KP-2");
        assert_eq!((&products[1].ean, products[1].warranty_months), (&None, None));
    }

    #[test]
    fn a_byte_order_mark_crlf_blank_lines_and_columns_in_any_order_and_case_are_fine() {
        let text =
            "\u{feff}EAN, SKU ,Product,WARRANTY_MONTHS,aliases\r\n\r\n,KP-1,One,,\r\n , , , , \r\n,KP-2,Two,24,\r\n";
        assert_eq!(products(text).unwrap().products.len(), 2);
    }

    #[test]
    fn every_bad_row_is_named_by_line_and_column() {
        let text = format!(
            "{PRODUCTS}KP-1,One,,6973014171018,12\n\nKP-1,Two,,6973014171018,ten\n?,,,x,\nKP-4,Four\n\"KP-5\",\"Fi\nve\",,,12\nKP-6,Six,,-,\n"
        );
        assert_eq!(
            products(text).unwrap_err(),
            "products.csv: line 4: column warranty_months: \"ten\" is not a valid number of months\n\
             products.csv: line 4: column sku: KP-1 stands in line 2 already\n\
             products.csv: line 4: column ean: 6973014171018 stands in line 2 already\n\
             products.csv: line 5: column sku: \"?\" is not a valid SKU\n\
             products.csv: line 5: column ean: \"x\" is not a valid item code\n\
             products.csv: line 5: column product: is empty\n\
             products.csv: line 6: has 2 fields, the header has 5\n\
             products.csv: line 9: column ean: \"-\" is not a valid item code"
        );
    }

    #[test]
    fn a_wrong_header_is_named() {
        let text = "sku,name,aliases,ean,ean\n";
        assert_eq!(
            products(text).unwrap_err(),
            "products.csv: line 1: unknown column \"name\"; known are sku,product,aliases,ean,warranty_months\n\
             products.csv: line 1: column ean stands there twice\n\
             products.csv: line 1: column product is missing\n\
             products.csv: line 1: column warranty_months is missing"
        );
        assert!(products("").unwrap_err().contains("line 1: the header is missing: sku,product"));
    }

    #[test]
    fn after_twenty_faults_the_others_are_counted() {
        let text = format!("{PRODUCTS}{}", "?,Name,,,\n".repeat(50));
        let said = products(text).unwrap_err();
        assert_eq!(said.lines().count(), 21);
        assert!(said.ends_with("products.csv: and 30 more"), "{said}");
    }

    #[test]
    fn a_file_that_is_not_there_or_not_text_is_named() {
        let missing = catalogue(Path::new("/nowhere/products.csv")).unwrap_err().to_string();
        assert!(missing.starts_with("/nowhere/products.csv: can't be read: "), "{missing}");
        let latin = [PRODUCTS.as_bytes(), b"KP-1,Gr\xfcn,,,\n"].concat();
        assert_eq!(products(latin).unwrap_err(), "products.csv: line 2: is not UTF-8 text");
    }

    #[test]
    fn an_order_answers_with_its_lines_in_the_order_of_the_file() {
        let text = format!(
            "{ORDERS}KS2,b@example.net,KP-2,\nKS1,A@example.net,KP-2,2026-11-02\nKS10,b@example.net,KP-1,2026-01-31\n#ks 1,a@example.net,KP-1,2026-11-03\n"
        );
        let orders = order_feed(text).unwrap();
        assert_eq!(orders.len(), 4);
        let OrderAnswer::Lines(lines) = orders.answer(&number("KS1")) else { panic!("known") };
        assert_eq!(lines.iter().map(|l| l.sku.as_str()).collect::<Vec<_>>(), ["KP-2", "KP-1"]);
        assert_eq!(lines[0].email.as_str(), "a@example.net");
        assert_eq!(lines[1].delivered_on, Some(date(2026, 11, 3)));
        assert_eq!(orders.answer(&number("KS2")).lines()[0].delivered_on, None);
        assert_eq!(orders.answer(&number("KS3")), OrderAnswer::Unknown);
        let of = |address| orders.of_customer(&Address::new(address).unwrap());
        assert_eq!(of("a@example.net"), [number("KS1")]);
        assert_eq!(of("b@example.net"), [number("KS10"), number("KS2")]);
        assert_eq!(of("c@example.net"), []);
    }

    #[test]
    fn the_day_of_purchase_and_the_country_may_be_told() {
        let orders = order_feed(ORDERS).unwrap();
        assert!(!orders.has_bought_on && !orders.has_country);
        let text = "country,order_number,email,sku,delivered_on,bought_on\nde,KS1,a@b.example,KP-1,2026-11-02,2026-10-30\n\
                    ,KS2,a@b.example,KP-1,,\nGB,KS3,a@b.example,KP-1,,\n";
        let orders = order_feed(text).unwrap();
        assert!(orders.has_bought_on && orders.has_country);
        let line = |order: &str| orders.answer(&number(order)).lines()[0].clone();
        assert_eq!((line("KS1").bought_on, line("KS1").country), (Some(date(2026, 10, 30)), Country::new("DE").ok()));
        assert_eq!((line("KS2").bought_on, line("KS2").country), (None, None));
        assert_eq!(line("KS3").country, Country::new("GB").ok());
        let wrong = text.replace("GB", "Britain").replace("2026-10-30", "30.10.2026");
        assert_eq!(
            order_feed(wrong).unwrap_err(),
            "orders.csv: line 2: column bought_on: \"30.10.2026\" is not a valid date (YYYY-MM-DD)\n\
             orders.csv: line 4: column country: \"Britain\" is not a valid country (two letters, as DE)"
        );
    }

    #[test]
    fn bad_dates_addresses_and_numbers_are_named() {
        let text = format!(
            "{ORDERS}KS1,nobody,KP-1,02.11.2026\nnone,a@b.example,,2026-02-30\nKS1,a@b.example,KP-1,20261102\n"
        );
        assert_eq!(
            order_feed(text).unwrap_err(),
            "orders.csv: line 2: column email: \"nobody\" is not a valid e-mail address\n\
             orders.csv: line 2: column delivered_on: \"02.11.2026\" is not a valid date (YYYY-MM-DD)\n\
             orders.csv: line 3: column order_number: \"none\" is not a valid order number\n\
             orders.csv: line 3: column sku: is empty\n\
             orders.csv: line 3: column delivered_on: \"2026-02-30\" is not a valid date (YYYY-MM-DD)\n\
             orders.csv: line 4: column delivered_on: \"20261102\" is not a valid date (YYYY-MM-DD)"
        );
    }

    #[test]
    fn a_large_feed_is_kept_small() {
        let rows = (0..20_000).map(|n| format!("KS{n:07},customer{}@example.net,KP-{},2026-10-01\n", n / 3, n % 40));
        let orders = order_feed(format!("{ORDERS}{}", rows.collect::<String>())).unwrap();
        let bytes = orders.text.capacity() + orders.lines.len() * size_of::<Line>() + orders.by_email.len() * 4;
        assert!(bytes / orders.len() < 80, "{} bytes a line", bytes / orders.len());
        assert_eq!(orders.skus.len(), 40);
        assert_eq!(orders.of_customer(&Address::new("customer77@example.net").unwrap()).len(), 3);
        assert_eq!(orders.answer(&number("KS0019999")).lines().len(), 1);
    }

    #[test]
    fn the_files_of_the_evaluation_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/eval");
        if folder.exists() {
            assert_eq!(catalogue(&folder.join("products.csv")).unwrap().products.len(), 16);
            assert_eq!(orders(&folder.join("cases/orders.csv")).unwrap().len(), 20);
        }
    }
}
