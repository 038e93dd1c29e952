//! A text as the lexicons see it: lower case, without accents, one blank between words, punctuation as words of its
//! own, cut into sentences and clauses. Every byte remembers where it stood in the original.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A folded text. It begins and ends with a blank, so that ` word ` finds whole words.
#[derive(Debug, Default)]
pub struct Folded {
    pub text: String,
    /// For each byte of `text`, the byte of the original it came from; one more for the end.
    origin: Vec<usize>,
    /// Sentences as ranges of `text`, each beginning with the blank before its first word.
    pub sentences: Vec<Span>,
}

/// A range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn contains(&self, other: Span) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

impl Folded {
    /// Folds `original`. A full stop behind one of `abbreviations` (folded, without the stop) ends no sentence.
    pub fn new(original: &str, abbreviations: &[String]) -> Self {
        let mut folded = Self { text: String::with_capacity(original.len() + 16), ..Self::default() };
        folded.push(' ', 0);
        let mut sentence = 0;
        let mut word = String::new();
        let mut chars = original.char_indices().peekable();
        while let Some((at, char)) = chars.next() {
            let next = chars.peek().map(|(_, c)| *c);
            match char {
                // Apostrophes part words ("l'écran", "won't"); lexicon entries are folded in the same way.
                '\'' | '’' | '‘' | '`' | '´' => folded.blank(at),
                _ if char.is_alphanumeric() => {
                    if folded.ends_word() {
                        word.clear();
                    }
                    if char.is_ascii() {
                        folded.push(char.to_ascii_lowercase(), at);
                        word.push(char.to_ascii_lowercase());
                        continue;
                    }
                    for plain in fold_char(char) {
                        folded.push(plain, at);
                        word.push(plain);
                    }
                }
                // Inside a number or a code: 22.07.2026, 10:30, KP-TKT4-BK.
                '.' | ',' | ':' | '/' | '-' | '_' if !folded.ends_word() && joins(&word, char, next) => {
                    folded.push(char, at);
                    word.push(char);
                }
                // A day and a month without a year: 3.9.
                '.' if is_day_and_month(&word) && !folded.ends_word() => {
                    folded.push('.', at);
                    folded.blank(at);
                }
                '.' if next.is_some_and(char::is_alphanumeric) && word.len() <= 2 => folded.blank(at), // z.B., e.g.
                '.' if word.chars().count() == 1 || is_ordinal(&word) || abbreviations.contains(&word) => {
                    folded.blank(at)
                }
                '.' | '!' | '?' | '\n' | '…' => {
                    let mark = match char {
                        '…' => '.',
                        '\n' => '\n',
                        other => other,
                    };
                    let wrapped = mark == '\n' && !ends_line(original, at);
                    if wrapped {
                        folded.blank(at);
                    } else {
                        folded.mark(mark, at);
                        sentence = folded.close(sentence);
                    }
                }
                ',' | ';' | ':' | '(' | ')' | '[' | ']' | '\t' | '|' | '–' | '—' => folded.mark(',', at),
                '-' if next.is_none_or(char::is_whitespace) => folded.mark(',', at),
                '%' => folded.mark('%', at),
                _ => folded.blank(at),
            }
            if folded.is_long(sentence) {
                sentence = folded.close(sentence);
            }
        }
        folded.blank(original.len());
        folded.close(sentence);
        folded.origin.push(original.len());
        folded
    }

    /// The range of the original that `span` came from.
    pub fn original(&self, span: Span) -> Span {
        let start = self.origin.get(span.start).copied().unwrap_or(0);
        // The end of the last folded byte's character is where the next one starts.
        let last = span.end.saturating_sub(1);
        let at = self.origin.get(last).copied().unwrap_or(start);
        let end = self.origin.iter().skip(span.end).copied().find(|o| *o > at).unwrap_or(at);
        Span { start, end: end.max(start) }
    }

    /// The folded place of the byte `at` of the original.
    pub fn folded_at(&self, at: usize) -> usize {
        self.origin.partition_point(|o| *o < at)
    }

    /// The folded text of `span`.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// The clauses of a sentence: its parts between commas.
    pub fn clauses(&self, sentence: Span) -> Vec<Span> {
        let mut clauses = Vec::new();
        let mut start = sentence.start;
        for (at, _) in self.slice(sentence).match_indices(" , ") {
            clauses.push(Span { start, end: sentence.start + at + 1 });
            start = sentence.start + at + 2;
        }
        clauses.push(Span { start, end: sentence.end });
        clauses
    }

    /// Whether the sentence ends with a question mark.
    pub fn is_question(&self, sentence: Span) -> bool {
        self.slice(sentence).trim_end().ends_with('?')
    }

    fn push(&mut self, char: char, at: usize) {
        self.text.push(char);
        self.origin.extend(std::iter::repeat_n(at, char.len_utf8()));
    }

    fn blank(&mut self, at: usize) {
        if !self.ends_word() {
            self.push(' ', at);
        }
    }

    fn mark(&mut self, mark: char, at: usize) {
        self.blank(at);
        self.push(mark, at);
        self.push(' ', at);
    }

    fn ends_word(&self) -> bool {
        self.text.ends_with(' ')
    }

    /// Whether the sentence that began at `start` may end here although nothing says so: the steps compare the words
    /// of a sentence with each other, and a text without full stops must not make that take for ever.
    fn is_long(&self, start: usize) -> bool {
        const AT_A_COMMA: usize = 600;
        const AT_A_BLANK: usize = 900;
        let length = self.text.len() - start;
        length > AT_A_COMMA && self.text.ends_with(" , ") || length > AT_A_BLANK && self.ends_word()
    }

    /// Ends the sentence that began at `start`, if there are words in it; the next one begins at the returned place.
    fn close(&mut self, start: usize) -> usize {
        let end = self.text.len();
        if self.text.get(start..end).is_some_and(|s| s.chars().any(char::is_alphanumeric)) {
            self.sentences.push(Span { start, end });
        }
        // The blank between two sentences belongs to both.
        end.saturating_sub(1)
    }
}

/// Folds a lexicon entry or a catalogue name: the same folding as for texts, without the outer blanks.
pub fn phrase(text: &str) -> String {
    Folded::new(text, &[]).text.trim().to_owned()
}

/// Where whole words first stand in a folded text.
pub fn place_of_words(text: &str, words: &str) -> Option<usize> {
    let is_whole = |at: &usize| {
        let before = text.get(..*at).unwrap_or_default();
        let behind = text.get(at + words.len()..).unwrap_or_default();
        before.ends_with(' ') && behind.starts_with(' ')
    };
    text.match_indices(words).map(|(at, _)| at).find(is_whole)
}

/// Whether whole words stand in a folded text.
pub fn contains_words(text: &str, words: &str) -> bool {
    place_of_words(text, words).is_some()
}

/// A letter without accents and in lower case, ligatures and the like spelled out.
pub fn fold_char(char: char) -> impl Iterator<Item = char> {
    let spelled: &[char] = match char {
        'ß' => &['s', 's'],
        'æ' | 'Æ' => &['a', 'e'],
        'œ' | 'Œ' => &['o', 'e'],
        'ø' | 'Ø' => &['o'],
        'ł' | 'Ł' => &['l'],
        'đ' | 'Đ' => &['d'],
        'ı' | 'İ' => &['i'],
        _ => &[],
    };
    let plain = spelled.is_empty().then(|| char.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase));
    spelled.iter().copied().chain(plain.into_iter().flatten())
}

/// Whether a word is another with one slip of the pen: one letter wrong, missing, too many, or two neighbours swapped.
pub fn is_slip(word: &str, right: &str) -> bool {
    let (a, b) = (word.as_bytes(), right.as_bytes());
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(same..).unwrap_or_default(), b.get(same..).unwrap_or_default());
    match (a, b) {
        ([], []) => false,
        ([x, y, rest @ ..], [p, q, end @ ..]) if x == q && y == p && rest == end => true,
        ([_, rest @ ..], [_, end @ ..]) if rest == end => true,
        ([_, rest @ ..], _) if rest == b => true,
        (_, [_, end @ ..]) => a == end,
        _ => false,
    }
}

/// Whether `mark` stands inside a number or a code rather than between two words.
fn joins(word: &str, mark: char, next: Option<char>) -> bool {
    let Some(next) = next else { return false };
    let in_code = matches!(mark, '-' | '_');
    let goes_on = next.is_ascii_digit() || (in_code && next.is_alphanumeric());
    let has_digits = word.bytes().any(|b| b.is_ascii_digit()) || next.is_ascii_digit() || mark == '_';
    let in_number = !matches!(mark, ':' | ',') || word.bytes().all(|b| b.is_ascii_digit());
    goes_on && has_digits && in_number
}

/// A number of one or two digits before a full stop: "3. November" is one sentence.
fn is_ordinal(word: &str) -> bool {
    (1..=2).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit())
}

fn is_day_and_month(word: &str) -> bool {
    word.split_once('.').is_some_and(|(day, month)| is_ordinal(day) && is_ordinal(month))
}

/// Whether a line break ends a sentence: not where a mail program wrapped a long line in mid-sentence.
fn ends_line(original: &str, at: usize) -> bool {
    const WRAPPED_AT: usize = 50;
    let before = original.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let next = original.get(at + 1..).unwrap_or_default();
    let continues = next.chars().next().is_some_and(|c| c.is_alphanumeric() || matches!(c, '"' | '(' | '„'));
    let next_word = next.split_whitespace().next().map_or(0, str::len);
    // A line is wrapped if its first next word would not have fitted on it.
    !(continues && line.len() >= WRAPPED_AT && line.len() + next_word >= 65)
        || line.trim_end().ends_with([':', '.', '!', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sentences(text: &str) -> Vec<String> {
        let folded = Folded::new(text, &["nr".to_owned()]);
        folded.sentences.iter().map(|s| folded.slice(*s).trim().to_owned()).collect()
    }

    #[test]
    fn dates_codes_and_abbreviations_end_no_sentence() {
        assert_eq!(
            sentences("Am 3. November, d.h. am 22.07.2026, kam KP-TKT4-BK (Nr. KS 13377). Seit gestern tot!"),
            ["am 3 november , d h am 22.07.2026 , kam kp tkt4-bk , nr ks 13377 , .", "seit gestern tot !"]
        );
        assert_eq!(sentences("Die Nr. 5 geht."), ["die nr 5 geht ."]);
    }

    #[test]
    fn wrapped_lines_go_on_and_short_lines_end() {
        let text = "The screen of my watch flickers green for a second or two and then goes\ncompletely black.\nOrder KS1\nThanks";
        assert_eq!(sentences(text).len(), 3);
    }

    #[test]
    fn spans_lead_back_to_the_original() {
        let text = "Größe: «Épée» ok";
        let folded = Folded::new(text, &[]);
        let at = folded.text.find("epee").unwrap();
        let span = folded.original(Span { start: at, end: at + 4 });
        assert_eq!(text.get(span.start..span.end).map(|t| t.trim_end_matches('»')), Some("Épée"));
    }

    #[test]
    fn one_slip_and_no_more() {
        for word in ["pirme", "prme", "primme", "prome", "primes", "rime"] {
            assert!(is_slip(word, "prime"), "{word}");
        }
        for word in ["prime", "pirem", "prim3x", "pr"] {
            assert!(!is_slip(word, "prime"), "{word}");
        }
    }

    proptest! {
        #[test]
        fn any_text_folds_and_every_span_is_on_character_bounds(text in "\\PC{0,200}") {
            let folded = Folded::new(&text, &[]);
            for sentence in &folded.sentences {
                let span = folded.original(*sentence);
                prop_assert!(text.get(span.start..span.end).is_some());
                for clause in folded.clauses(*sentence) {
                    prop_assert!(folded.text.get(clause.start..clause.end).is_some());
                }
            }
        }
    }
}
