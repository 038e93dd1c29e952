//! Charts as shapes and as tables of the same numbers. `templates/console/charts.html` makes SVG of them: colours are
//! classes of the stylesheet, as no style may stand in a page.

use jiff::civil::Date;

use super::tally::{Numbers, Week};
use crate::console::page::Frame;
use crate::console::queues::age;
use crate::domain::catalogue::Catalogue;
use crate::domain::queue::WAITS;

/// A drawing is as wide as a small phone, so that nothing in it is scaled down.
const WIDTH: f64 = 360.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
/// Where the values begin, the names of days or weeks below.
const GROUND: f64 = 160.0;
const HEIGHT: f64 = 182.0;
/// Room for the names of products, of items, and for one of their letters.
const NAMES: f64 = 132.0;
const ITEMS: f64 = 150.0;
const LETTER: f64 = 6.6;
const ROW: f64 = 24.0;
/// Products with a row of their own.
const PRODUCTS: usize = 10;

/// A chart.
#[derive(Debug)]
pub struct Chart {
    /// Its title and what it tells are the words of this code.
    pub code: &'static str,
    pub height: f64,
    pub shapes: Vec<Shape>,
    /// Class and meaning of each colour.
    pub legend: Vec<(&'static str, String)>,
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// There is nothing to draw.
    pub is_empty: bool,
}

#[derive(Debug)]
pub enum Shape {
    Box { x: f64, y: f64, width: f64, height: f64, class: &'static str, tip: String },
    Text { x: f64, y: f64, anchor: &'static str, class: &'static str, text: String },
    Line { points: String, class: &'static str },
    Dot { x: f64, y: f64, class: &'static str, tip: String },
}

/// All charts, in the order of the page.
pub fn charts(numbers: &Numbers, frame: &Frame, catalogue: &Catalogue) -> Vec<Chart> {
    vec![
        letters(numbers, frame),
        queues(numbers, frame),
        hours(numbers, frame),
        missing(numbers, frame),
        defects(numbers, frame, catalogue),
    ]
}

/// Letters a day, stacked by what was done about them.
fn letters(numbers: &Numbers, frame: &Frame) -> Chart {
    const PARTS: [(&str, &str); 4] = [("c1", "authorised"), ("c2", "asked"), ("c3", "staff"), ("c4", "unanswered")];
    let most = numbers.days.iter().map(|(_, day)| day.letters.max(day.authorised + day.asked + day.staff)).max();
    let scale = Scale::to(most.unwrap_or_default() as f64);
    let mut shapes = scale.rules(|value| value.to_string());
    let width = (WIDTH - LEFT - RIGHT) / numbers.days.len().max(1) as f64;
    let mut rows = Vec::new();
    for (n, (date, day)) in numbers.days.iter().enumerate() {
        let counts = [day.authorised, day.asked, day.staff, day.unanswered()];
        let x = LEFT + n as f64 * width;
        let mut below = 0;
        for ((class, code), count) in PARTS.iter().zip(counts).filter(|(_, count)| *count > 0) {
            let (bottom, top) = (scale.y(below as f64), scale.y((below + count) as f64));
            let tip = format!("{}: {count} {}", short(*date), frame.word("chart", code));
            shapes.push(Shape::Box { x: x + 1.0, y: top, width: width - 2.0, height: bottom - top, class, tip });
            below += count;
        }
        if n % 7 == 0 {
            shapes.push(under(x + width / 2.0, *date));
        }
        rows.push([short(*date)].into_iter().chain(counts.map(|count| count.to_string())).collect());
    }
    let named = |(class, code): &(&'static str, &str)| (*class, frame.word("chart", code));
    let legend: Vec<_> = PARTS.iter().map(named).collect();
    let head = head(frame, "day", legend.iter().map(|(_, word)| word.clone()));
    Chart { code: "letters", height: HEIGHT, shapes, legend, head, rows, is_empty: most.unwrap_or_default() == 0 }
}

/// Which of a week's two numbers a line is of.
type Of = fn(&(f64, f64)) -> f64;

/// Hours to the RMA by week.
fn hours(numbers: &Numbers, frame: &Frame) -> Chart {
    let longest = numbers.weeks.iter().filter_map(|(_, week)| week.hours).map(|(_, ninety)| ninety);
    let longest = longest.fold(0.0, f64::max);
    let is_in_days = longest > 96.0;
    let scale = Scale::to(if is_in_days { longest / 24.0 } else { longest });
    let mut shapes = scale.rules(|value| format!("{value} {}", if is_in_days { "d" } else { "h" }));
    let width = (WIDTH - LEFT - RIGHT) / numbers.weeks.len().max(1) as f64;
    let middle = |n: usize| LEFT + (n as f64 + 0.5) * width;
    let in_words = |hours: f64| age((hours * 3600.0) as i64);
    let lines: [(&'static str, &str, Of); 2] =
        [("l1", "median", |(median, _)| *median), ("l2", "ninety", |(_, ninety)| *ninety)];
    for (class, code, of) in lines {
        let value = |week: &Week| week.hours.as_ref().map(of);
        // A week without an RMA interrupts the line.
        for stretch in numbers.weeks.iter().enumerate().collect::<Vec<_>>().split(|(_, (_, w))| w.hours.is_none()) {
            let (mut points, mut dots) = (Vec::new(), Vec::new());
            for (n, (monday, week)) in stretch {
                let Some(hours) = value(week) else { continue };
                let (x, y) = (middle(*n), scale.y(if is_in_days { hours / 24.0 } else { hours }));
                points.push(format!("{x:.1},{y:.1}"));
                let tip = format!("{}: {} {}", short(*monday), frame.word("chart", code), in_words(hours));
                dots.push(Shape::Dot { x, y, class, tip });
            }
            shapes.push(Shape::Line { points: points.join(" "), class });
            shapes.append(&mut dots);
        }
    }
    for (n, (monday, _)) in numbers.weeks.iter().enumerate().filter(|(n, _)| n % 3 == 0) {
        shapes.push(under(middle(n), *monday));
    }
    let row = |(monday, week): &(Date, Week)| {
        let (median, ninety) = week
            .hours
            .map_or(("–".to_owned(), "–".to_owned()), |(median, ninety)| (in_words(median), in_words(ninety)));
        vec![short(*monday), week.issued.to_string(), median, ninety]
    };
    let legend: Vec<_> = lines.iter().map(|(class, code, _)| (*class, frame.word("chart", code))).collect();
    let issued = frame.word("chart", "issued");
    let head = head(frame, "week", [issued].into_iter().chain(legend.iter().map(|(_, word)| word.clone())));
    let rows = numbers.weeks.iter().map(row).collect();
    Chart { code: "hours", height: HEIGHT, shapes, legend, head, rows, is_empty: longest == 0.0 }
}

/// What was asked for, the most frequent on top.
fn missing(numbers: &Numbers, frame: &Frame) -> Chart {
    let most = numbers.missing.iter().map(|(_, count)| *count).max().unwrap_or_default();
    let (mut shapes, mut rows) = (Vec::new(), Vec::new());
    for (n, (code, count)) in numbers.missing.iter().enumerate() {
        let (y, name) = (TOP + n as f64 * ROW, frame.word("item", code));
        // Room for the number behind it.
        let width = (WIDTH - ITEMS - 48.0) * *count as f64 / most.max(1) as f64;
        shapes.push(before_row(ITEMS, y + 15.0, &name));
        let tip = format!("{name}: {count}");
        shapes.push(Shape::Box { x: ITEMS, y: y + 3.0, width, height: ROW - 8.0, class: "c2", tip });
        shapes.push(text(ITEMS + width + 5.0, y + 15.0, "start", "", count.to_string()));
        rows.push(vec![name, count.to_string()]);
    }
    let height = 2.0 * TOP + numbers.missing.len() as f64 * ROW;
    let head = head(frame, "item", [frame.word("chart", "times")]);
    Chart { code: "missing", height, shapes, legend: Vec::new(), head, rows, is_empty: most == 0 }
}

/// Returns for a defect by product and week: the darker, the more.
fn defects(numbers: &Numbers, frame: &Frame, catalogue: &Catalogue) -> Chart {
    const SHADES: [&str; 5] = ["h0", "h1", "h2", "h3", "h4"];
    let mut products: Vec<(String, Vec<u64>)> = Vec::new();
    for (sku, counts) in numbers.defects.iter().take(PRODUCTS) {
        let name = catalogue.by_sku(sku).map_or_else(|| sku.to_string(), |product| product.name.clone());
        products.push((name, counts.clone()));
    }
    let others = numbers.defects.get(PRODUCTS..).unwrap_or_default();
    if !others.is_empty() {
        let of_week = |week: usize| others.iter().filter_map(|(_, counts)| counts.get(week)).sum();
        products.push((frame.word("chart", "others"), (0..numbers.weeks.len()).map(of_week).collect()));
    }
    let most = products.iter().flat_map(|(_, counts)| counts).copied().max().unwrap_or_default();
    let width = (WIDTH - NAMES - RIGHT) / numbers.weeks.len().max(1) as f64;
    let mut shapes = Vec::new();
    for (row, (name, counts)) in products.iter().enumerate() {
        let y = TOP + row as f64 * ROW;
        shapes.push(before_row(NAMES, y + 15.0, name));
        for (n, (count, (monday, _))) in counts.iter().zip(&numbers.weeks).enumerate() {
            let x = NAMES + n as f64 * width;
            let shade = (count * 4).div_ceil(most.max(1)) as usize;
            let class = SHADES.get(shade).copied().unwrap_or("h4");
            let tip = format!("{name}, {}: {count}", short(*monday));
            shapes.push(Shape::Box { x: x + 0.5, y: y + 0.5, width: width - 1.0, height: ROW - 1.0, class, tip });
            if *count > 0 {
                let class = match (class == "h4", *count < 100) {
                    (true, true) => "on",
                    (true, false) => "on small",
                    (false, true) => "",
                    (false, false) => "small",
                };
                shapes.push(text(x + width / 2.0, y + 16.0, "middle", class, brief(*count)));
            }
        }
    }
    let end = TOP + products.len() as f64 * ROW;
    for (n, (monday, _)) in numbers.weeks.iter().enumerate().filter(|(n, _)| n % 3 == 1) {
        shapes.push(text(NAMES + (n as f64 + 0.5) * width, end + 16.0, "middle", "quiet", short(*monday)));
    }
    let head = head(frame, "product", numbers.weeks.iter().map(|(monday, _)| short(*monday)));
    let row = |(name, counts): &(String, Vec<u64>)| {
        [name.clone()].into_iter().chain(counts.iter().map(u64::to_string)).collect()
    };
    let rows = products.iter().map(row).collect();
    Chart { code: "defects", height: end + 24.0, shapes, legend: Vec::new(), head, rows, is_empty: most == 0 }
}

/// Open cases by queue and by how long they wait.
fn queues(numbers: &Numbers, frame: &Frame) -> Chart {
    const SHADES: [&str; 5] = ["a0", "a1", "a2", "a3", "a4"];
    const HIGH: f64 = 42.0;
    let most = numbers.queues.iter().map(|(_, counts)| counts.iter().sum()).max().unwrap_or(0_u64);
    let ages = WAITS.map(|age| frame.word("waits", age));
    let (mut shapes, mut rows) = (Vec::new(), Vec::new());
    for (n, (queue, counts)) in numbers.queues.iter().enumerate() {
        let (y, name) = (TOP + n as f64 * HIGH, frame.word("queue", queue.code()));
        let all: u64 = counts.iter().sum();
        shapes.push(text(RIGHT, y + 10.0, "start", "", format!("{name}: {all}")));
        let mut x = RIGHT;
        for ((count, class), age) in counts.iter().zip(SHADES).zip(&ages).filter(|((count, _), _)| **count > 0) {
            let width = (WIDTH - 2.0 * RIGHT) * *count as f64 / most.max(1) as f64;
            let tip = format!("{name}, {age}: {count}");
            shapes.push(Shape::Box { x, y: y + 16.0, width, height: 16.0, class, tip });
            x += width;
        }
        let counts = counts.iter().map(u64::to_string);
        rows.push([name].into_iter().chain(counts).collect());
    }
    let height = 2.0 * TOP + numbers.queues.len() as f64 * HIGH;
    let head = head(frame, "queue", ages.clone());
    let legend = SHADES.into_iter().zip(ages).collect();
    Chart { code: "queues", height, shapes, legend, head, rows, is_empty: most == 0 }
}

/// Values from 0 to a round number above the greatest.
struct Scale {
    step: f64,
    top: f64,
}

impl Scale {
    fn to(most: f64) -> Self {
        let rough = (most / 4.0).max(1.0);
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        Self { step, top: (most / step).ceil().max(1.0) * step }
    }

    fn y(&self, value: f64) -> f64 {
        GROUND - (GROUND - TOP) * value / self.top
    }

    /// A line at each step, with its value before it.
    fn rules(&self, name: impl Fn(u64) -> String) -> Vec<Shape> {
        let steps = (self.top / self.step).round() as u64;
        let rule = |n: u64| {
            let value = n as f64 * self.step;
            let y = self.y(value);
            let points = format!("{LEFT},{y:.1} {:.1},{y:.1}", WIDTH - RIGHT);
            let name = text(LEFT - 5.0, y + 4.0, "end", "quiet", name(value.round() as u64));
            [Shape::Line { points, class: "rule" }, name]
        };
        (0..=steps).flat_map(rule).collect()
    }
}

fn text(x: f64, y: f64, anchor: &'static str, class: &'static str, text: String) -> Shape {
    Shape::Text { x, y, anchor, class, text }
}

/// A day below the ground.
fn under(x: f64, date: Date) -> Shape {
    text(x, GROUND + 16.0, "middle", "quiet", short(date))
}

/// The name of a row, as much of it as there is room for.
fn before_row(room: f64, y: f64, name: &str) -> Shape {
    let most = (room / LETTER) as usize - 1;
    let fits = name.chars().count() <= most;
    let shown = if fits { name.to_owned() } else { name.chars().take(most - 1).chain(['…']).collect() };
    text(room - 6.0, y, "end", "", shown)
}

fn head(frame: &Frame, first: &str, further: impl IntoIterator<Item = String>) -> Vec<String> {
    [frame.word("chart", first)].into_iter().chain(further).collect()
}

fn short(date: Date) -> String {
    date.strftime("%-d %b").to_string()
}

/// A number in a cell.
fn brief(count: u64) -> String {
    match count {
        ..1000 => count.to_string(),
        _ => format!("{}k", count / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_a_round_number_that_holds_the_greatest() {
        let of = |most: f64| {
            let scale = Scale::to(most);
            (scale.step, scale.top)
        };
        assert_eq!(of(0.0), (1.0, 1.0));
        assert_eq!(of(3.0), (1.0, 3.0));
        assert_eq!(of(37.0), (10.0, 40.0));
        assert_eq!(of(1234.0), (500.0, 1500.0));
        for most in 1..5000 {
            let (step, top) = of(f64::from(most));
            assert!(top >= f64::from(most) && (1.0..=5.0).contains(&(top / step)), "{most}: {step} {top}");
        }
    }
}
