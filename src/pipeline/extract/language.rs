//! The language of the words a customer wrote now.

use std::collections::BTreeSet;

use whatlang::Lang;

use crate::pipeline::fold::Folded;
use crate::pipeline::lexicon::{Lexicon, Lexicons};

/// The two-letter code of the language of `text`, or `None` if there is too little to tell.
///
/// The share of a lexicon's frequent words decides where it is clear, which also holds for a few short sentences;
/// letter statistics decide the rest, and tell languages that have no lexicon. Codes and names are left out of account.
pub fn detect(text: &str, lexicons: &Lexicons) -> Option<String> {
    let folded = Folded::new(text, &[]);
    let words = words(&folded);
    let letters: usize = words.iter().map(|w| w.chars().count()).sum();
    let shares = shares(&words, lexicons);
    let (best, next) = first_two(&shares);
    // A third of frequent words is what plain prose of a language has; a related one shares about a tenth.
    if best.0 >= 0.3 && best.0 >= next + 0.1 {
        return Some(best.1.to_owned());
    }
    // Letter statistics say little of a line; more of its words are in the one lexicon than in the others.
    if words.len() <= LINE
        && let Some(likely) = likeliest(&words, lexicons)
    {
        return Some(likely);
    }
    let info = (letters >= 12).then(|| whatlang::detect(text)).flatten();
    let guessed = info.and_then(|i| code(i.lang()).map(|code| (code, i.is_reliable())));
    let tied = |code: &str| shares.iter().take_while(|(s, _)| *s == best.0).any(|(_, l)| *l == code);
    match guessed {
        // "Ciao, das Display bleibt schwarz": a greeting of one language, a sentence of another.
        Some((code, _)) if best.0 >= 0.12 && best.0 == next && tied(code) => Some(code.to_owned()),
        // Short texts are easily taken for a neighbour (Dutch for Afrikaans): a language with a lexicon goes before.
        Some((code, true)) if lexicons.of(code).is_some() || best.0 < 0.2 => Some(code.to_owned()),
        // An unsure guess stands only against a lexicon that says next to nothing.
        _ if best.0 >= 0.12 && best.0 > next => Some(best.1.to_owned()),
        Some((code, false)) if letters >= 40 => Some(code.to_owned()),
        _ => None,
    }
}

/// The likeliest language with a lexicon, for a line of words that [`detect`] can't tell.
pub fn guess(text: &str, lexicons: &Lexicons) -> Option<String> {
    const LETTERS: usize = 20;
    let folded = Folded::new(text, &[]);
    let words = words(&folded);
    let letters = words.iter().map(|w| w.chars().count()).sum();
    if let Some(likely) = likeliest(&words, lexicons) {
        return Some(likely);
    }
    let ours = whatlang::Lang::all().iter().copied().filter(|l| code(*l).is_some_and(|c| lexicons.of(c).is_some()));
    let detector = whatlang::Detector::with_allowlist(ours.collect());
    let lang = (LETTERS <= letters).then(|| detector.detect_lang(text)).flatten()?;
    code(lang).map(str::to_owned)
}

/// Whether the writer of a text, who has written in `before` until now, has changed to `now`: in doubt he has not, and
/// a handful of words is always a doubt ("Merci!", "OK super").
pub fn has_changed(text: &str, before: &str, now: &str, lexicons: &Lexicons) -> bool {
    const FEW: usize = 4;
    let folded = Folded::new(text, &[]);
    let words = words(&folded);
    if words.iter().filter(|w| w.len() > 1).count() < FEW {
        return false;
    }
    let shares = shares(&words, lexicons);
    let share = |language: &str| shares.iter().find(|(_, l)| *l == language).map_or(0.0, |(s, _)| *s);
    match lexicons.of(now) {
        Some(_) if words.len() <= LINE => {
            share(now) >= 0.25
                && share(now) >= share(before) + 0.2
                && likeliest(&words, lexicons).is_some_and(|likely| likely == now)
        }
        Some(_) => share(now) > share(before),
        None => words.len() > LINE && share(before) < 0.15,
    }
}

/// Up to so many words are a line rather than a text.
const LINE: usize = 20;

fn words(folded: &Folded) -> Vec<&str> {
    let all = || folded.text.split(' ').filter(|w| w.chars().all(char::is_alphabetic) && !w.is_empty());
    // In a line, an article that stands in it four times must not outvote the rest.
    if all().count() <= LINE { all().collect::<BTreeSet<_>>().into_iter().collect() } else { all().collect() }
}

/// The share of each lexicon's frequent words, highest first.
fn shares<'l>(words: &[&str], lexicons: &'l Lexicons) -> Vec<(f64, &'l str)> {
    let share = |count: usize| count as f64 / words.len().max(1) as f64;
    let shared = lexicons.shared(words.iter().copied());
    let mut shares: Vec<(f64, &str)> =
        lexicons.all.iter().zip(shared).map(|(l, count)| (share(count), l.language.as_str())).collect();
    shares.sort_by(|a, b| b.0.total_cmp(&a.0));
    shares
}

fn first_two<'l>(shares: &[(f64, &'l str)]) -> ((f64, &'l str), f64) {
    (shares.first().copied().unwrap_or((0.0, "")), shares.get(1).map_or(0.0, |s| s.0))
}

/// The language whose lexicon knows clearly most of the words.
fn likeliest(words: &[&str], lexicons: &Lexicons) -> Option<String> {
    let (best, next) = first_two(&lexicons.likeness(words));
    (best.0 >= 0.2 && best.0 >= 1.5 * next + 0.05).then(|| best.1.to_owned())
}

/// The lexicons to read a text with that has no language: all for a few words, which may be of any; of a longer text,
/// which is hardly prose, the one that shares most words with it, so that garbage costs no more than a letter.
pub fn nearest<'l>(text: &str, lexicons: &'l Lexicons) -> Vec<&'l Lexicon> {
    const FEW: usize = 1000;
    if text.len() <= FEW {
        return lexicons.all.iter().collect();
    }
    let folded = Folded::new(text, &[]);
    let shared = lexicons.shared(folded.text.split(' '));
    lexicons.all.iter().zip(shared).max_by_key(|(_, count)| *count).map(|(l, _)| l).into_iter().collect()
}

/// The ISO 639-1 code of a language.
fn code(lang: Lang) -> Option<&'static str> {
    const CODES: &[(&str, &str)] = &[
        ("afr", "af"),
        ("aka", "ak"),
        ("amh", "am"),
        ("ara", "ar"),
        ("aze", "az"),
        ("bel", "be"),
        ("ben", "bn"),
        ("bul", "bg"),
        ("cat", "ca"),
        ("ces", "cs"),
        ("cmn", "zh"),
        ("dan", "da"),
        ("deu", "de"),
        ("ell", "el"),
        ("eng", "en"),
        ("epo", "eo"),
        ("est", "et"),
        ("fin", "fi"),
        ("fra", "fr"),
        ("guj", "gu"),
        ("heb", "he"),
        ("hin", "hi"),
        ("hrv", "hr"),
        ("hun", "hu"),
        ("hye", "hy"),
        ("ind", "id"),
        ("ita", "it"),
        ("jav", "jv"),
        ("jpn", "ja"),
        ("kan", "kn"),
        ("kat", "ka"),
        ("khm", "km"),
        ("kor", "ko"),
        ("lat", "la"),
        ("lav", "lv"),
        ("lit", "lt"),
        ("mal", "ml"),
        ("mar", "mr"),
        ("mkd", "mk"),
        ("mya", "my"),
        ("nep", "ne"),
        ("nld", "nl"),
        ("nob", "no"),
        ("ori", "or"),
        ("pan", "pa"),
        ("pes", "fa"),
        ("pol", "pl"),
        ("por", "pt"),
        ("ron", "ro"),
        ("rus", "ru"),
        ("sin", "si"),
        ("slk", "sk"),
        ("slv", "sl"),
        ("sna", "sn"),
        ("spa", "es"),
        ("srp", "sr"),
        ("swe", "sv"),
        ("tam", "ta"),
        ("tel", "te"),
        ("tgl", "tl"),
        ("tha", "th"),
        ("tuk", "tk"),
        ("tur", "tr"),
        ("ukr", "uk"),
        ("urd", "ur"),
        ("uzb", "uz"),
        ("cym", "cy"),
        ("vie", "vi"),
        ("yid", "yi"),
        ("zul", "zu"),
    ];
    CODES.iter().find(|(three, _)| *three == lang.code()).map(|(_, two)| *two)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_texts() {
        let lexicons = Lexicons::embedded().unwrap();
        let of = |text: &str| detect(text, &lexicons);
        assert_eq!(of("Hi my watch is broken pls help. thx").as_deref(), Some("en"));
        assert_eq!(of("uhr geht nimmer an, was nun").as_deref(), Some("de"));
        assert_eq!(
            of("Bonjour, ma montre ne s'allume plus depuis hier et je ne sais pas quoi faire.").as_deref(),
            Some("fr")
        );
        assert_eq!(
            of("Tisztelt Ügyfélszolgálat! Az órám tegnap óta nem töltődik, kérem segítsenek.").as_deref(),
            Some("hu")
        );
        assert_eq!(of("6973014177010"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn lines_of_a_few_words() {
        let lexicons = Lexicons::embedded().unwrap();
        for (language, line) in [
            ("de", "super danke das ging ja fix"),
            ("de", "Foto kommt heute Abend"),
            ("en", "screen stays black"),
            ("es", "pantalla en negro, ayuda"),
            ("fr", "Ecran noir, que faire ?"),
            ("it", "schermo nero, aiuto"),
            ("nl", "scherm blijft zwart"),
            ("pl", "aaa na kartonie i łapcie foto"),
            ("pt", "Esqueci-me de juntar a fotografia da guia, aqui vai."),
        ] {
            let said = detect(line, &lexicons).or_else(|| guess(line, &lexicons));
            assert_eq!(said.as_deref(), Some(language), "{line}");
        }
    }

    #[test]
    fn a_handful_of_words_changes_no_language() {
        let lexicons = Lexicons::embedded().unwrap();
        for line in ["Merci!", "OK super thanks", "6973014177010", "ok perfect merci à vous"] {
            let now = detect(line, &lexicons).or_else(|| guess(line, &lexicons)).unwrap_or_default();
            assert!(now == "de" || !has_changed(line, "de", &now, &lexicons), "{line}: {now}");
        }
        assert!(has_changed("Could you please write to me in English? I do not read this.", "de", "en", &lexicons));
    }

    #[test]
    fn every_code_is_known() {
        let unknown: Vec<&str> = Lang::all().iter().filter(|l| code(**l).is_none()).map(|l| l.code()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
