//! The numbers that customers put before their answers, after those of our questions.

use regex::Regex;

use crate::pipeline::fold::Span;

/// Finds the numbers that customers put before their answers.
#[derive(Debug)]
pub struct Numbering {
    /// `1.`, `2)`, `3:`, `4 -` at the beginning of a line, and `5)` anywhere.
    plain: Regex,
    /// `1. … 2. … 3. …` in one line.
    running: Regex,
    /// `number 2:`, `zu 3)` anywhere.
    worded: Regex,
}

impl Numbering {
    pub fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            plain: Regex::new(
                r"(?m)^[ \t>*•]*(?:\(\d{1,2}\)[.:]?|#?\d{1,2}(?:[).:]| ?[-–/=])+)[ \t]+|(?:^|[\s,;.(])\d{1,2}\)[.:]?[ \t]*",
            )?,
            running: Regex::new(r"(?:^|\s)\d{1,2}[.:][ \t]+")?,
            worded: Regex::new(r"(?:^|[\s,;.])\p{L}{2,}(?:\. ?|[ \t]#?)\d{1,2}[ \t]*[:=)][ \t]*")?,
        })
    }

    /// The numbered parts of `text`, each with its question's place from 0; none unless the numbers are ours.
    pub fn parts(&self, text: &str, questions: usize) -> Vec<(usize, Span)> {
        let read = |regex: &Regex, least: usize| {
            let marks: Vec<(usize, Span)> = regex
                .find_iter(text)
                .filter_map(|m| {
                    let digits: String = m.as_str().chars().filter(char::is_ascii_digit).collect();
                    Some((digits.parse().ok()?, Span { start: m.start(), end: m.end() }))
                })
                .collect();
            let ours = marks.iter().all(|(n, _)| (1..=questions).contains(n));
            let once = marks.iter().enumerate().all(|(at, (n, _))| marks.iter().skip(at + 1).all(|(m, _)| m != n));
            (marks.len() >= least && ours && once).then_some(marks)
        };
        // "1. November" is a day; "Prime 2: black" a product.
        let running = || read(&self.running, 3).filter(|m| m.is_sorted_by_key(|(n, _)| *n));
        let marks = read(&self.plain, 2).or_else(running).or_else(|| read(&self.worded, 2)).or_else(|| {
            read(&self.plain, 1)
                .filter(|m| m.iter().all(|(_, s)| text.get(s.start..s.end).is_some_and(|t| t.contains(')'))))
        });
        let marks = marks.unwrap_or_default();
        let ends = marks.iter().skip(1).map(|(_, next)| next.start).chain([text.len()]);
        marks
            .iter()
            .zip(ends)
            .map(|((number, mark), end)| {
                let part = text.get(mark.end..end).unwrap_or_default();
                // What follows a blank line is no longer the answer.
                let length = part.find("\n\n").unwrap_or(part.len());
                (number - 1, Span { start: mark.end, end: mark.end + length })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<(usize, &str)> {
        let parts = Numbering::new().unwrap().parts(text, 5);
        parts.into_iter().map(|(at, span)| (at + 1, text.get(span.start..span.end).unwrap().trim())).collect()
    }

    #[test]
    fn answers_with_their_numbers() {
        for text in ["1) a b\n4) c", "1. a b\n4. c", "1: a b\n4: c", "1/ a b\n4/ c", "1- a b\n4- c", "(1) a b (4) c"] {
            assert_eq!(parts(text), [(1, "a b"), (4, "c")], "{text}");
        }
        assert_eq!(parts("number 2: yes, it is. number 1: no"), [(2, "yes, it is."), (1, "no")]);
        assert_eq!(parts("1. a 2. b 3. c"), [(1, "a"), (2, "b"), (3, "c")]);
        assert_eq!(parts("2) a\n\nb"), [(2, "a")]);
    }

    #[test]
    fn numbers_that_are_no_answers() {
        for text in ["1. November", "Prime 2: black", "1) a\n1) b", "1) a\n9) b", "at 10:30 on 3.9. it", "3. 2026"] {
            assert!(parts(text).is_empty(), "{text}");
        }
    }
}
