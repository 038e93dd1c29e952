//! What a symptom is about, in coarse classes that are the same in every language: for the books, never for a decision.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The class of a symptom that no list knows.
pub const OTHER: &str = "other";
/// The class of a claim that tells no symptom.
pub const NONE: &str = "none";

/// The class of a symptom in the customer's words. The name of a class is of that class: it is what stays of the words
/// once they are erased.
pub fn class(language: Option<&str>, said: &str) -> String {
    if said.is_empty() {
        return NONE.to_owned();
    }
    if said == OTHER || said == NONE || LISTS.values().flatten().any(|(class, _)| class == said) {
        return said.to_owned();
    }
    // Products and their parts are often named in English.
    let lists = language.and_then(|language| LISTS.get(language)).or_else(|| LISTS.get("en"));
    let folded: String = said.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    // These two have no marks to lose.
    let folded = folded.replace('ł', "l").replace('ß', "ss");
    let words: Vec<&str> = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let hits = |stems: &Vec<String>| {
        words.iter().filter(|word| stems.iter().any(|stem| word.starts_with(stem.as_str()))).count()
    };
    let mut best = (0, OTHER);
    for (class, stems) in lists.into_iter().flatten() {
        let found = hits(stems);
        if found > best.0 {
            best = (found, class);
        }
    }
    best.1.to_owned()
}

/// The classes of a language in the order of the file, each with the beginnings of its words.
type Classes = Vec<(String, Vec<String>)>;

static LISTS: LazyLock<BTreeMap<String, Classes>> = LazyLock::new(|| read(include_str!("symptoms.toml")));

/// In the file's order, which a map would lose.
const ORDER: [&str; 9] = ["power", "crash", "screen", "touch", "connection", "sensor", "sound", "water", "body"];

fn read(text: &str) -> BTreeMap<String, Classes> {
    let lists: BTreeMap<String, BTreeMap<String, Vec<String>>> = toml::from_str(text).unwrap_or_default();
    let ordered = |mut classes: BTreeMap<String, Vec<String>>| {
        ORDER.iter().filter_map(|class| classes.remove_entry(*class)).collect()
    };
    lists.into_iter().map(|(language, classes)| (language, ordered(classes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_every_class_in_folded_words() {
        let of_the_lexicons = ["de", "en", "es", "fr", "it", "nl", "pl", "pt"];
        assert_eq!(LISTS.keys().map(String::as_str).collect::<Vec<_>>(), of_the_lexicons);
        let named: BTreeMap<String, toml::Table> = toml::from_str(include_str!("symptoms.toml")).unwrap();
        for (language, classes) in &*LISTS {
            assert_eq!(classes.iter().map(|(class, _)| class.as_str()).collect::<Vec<_>>(), ORDER, "{language}");
            assert_eq!(named[language].len(), ORDER.len(), "{language} has a class that has no place");
            for stem in classes.iter().flat_map(|(_, stems)| stems) {
                assert!(stem.bytes().all(|b| b.is_ascii_lowercase()), "{language}: {stem:?} never fits a folded word");
            }
        }
    }

    #[test]
    fn symptoms_are_told_apart_in_every_language() {
        for (language, said, is) in [
            ("en", "It does not charge and the battery drains within an hour", "power"),
            ("en", "the display shows green lines", "screen"),
            ("de", "Die Uhr lädt nicht mehr, der Akku ist tot", "power"),
            ("fr", "L'écran reste noir", "screen"),
            ("es", "No se conecta por Bluetooth", "connection"),
            ("it", "I passi e il battito sono sbagliati, il sensore non misura", "sensor"),
            ("nl", "De knop aan de kroon zit vast", "touch"),
            ("pl", "Nie ładuje się, bateria pada", "power"),
            ("pt", "Entrou água e está embaciado", "water"),
            ("xx", "the speaker crackles", "sound"),
            ("en", "it smells", OTHER),
            ("en", "", NONE),
        ] {
            assert_eq!(class(Some(language), said), is, "{said}");
            assert_eq!(class(Some("de"), is), is, "the class of a class");
        }
    }
}
