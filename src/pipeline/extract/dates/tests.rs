//! Every form of a day, language by language, read on a Wednesday in November.

use super::*;
use crate::pipeline::lexicon::Lexicons;

fn read(language: &str, text: &str) -> Vec<String> {
    let lexicons = Lexicons::embedded().unwrap();
    let lexicon = lexicons.of(language).unwrap();
    read_with(&Dates::new(lexicon).unwrap(), lexicon, text)
}

fn read_with(dates: &Dates, lexicon: &Lexicon, text: &str) -> Vec<String> {
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

#[test]
fn a_weekday_of_a_week() {
    for (language, text) in [
        ("en", "last week Tuesday"),
        ("en", "on Tuesday of last week"),
        ("de", "letzte Woche Dienstag"),
        ("de", "am Dienstag letzter Woche"),
        ("fr", "mardi de la semaine dernière"),
        ("es", "el martes de la semana pasada"),
        ("it", "martedì della settimana scorsa"),
        ("nl", "vorige week dinsdag"),
        ("pl", "we wtorek w zeszłym tygodniu"),
        ("pt", "na terça-feira da semana passada"),
    ] {
        assert_eq!(read(language, text), ["2026-10-27"], "{text}");
    }
    assert!(read("en", "Friday this week").is_empty(), "it is yet to come");
}

#[test]
fn days_written_out() {
    for (language, text, expected) in [
        ("en", "the third of November", "2026-11-03"),
        ("de", "am dritten November", "2026-11-03"),
        ("fr", "le 1er novembre", "2026-11-01"),
        ("fr", "le quinze août", "2026-08-15"),
        ("es", "el uno de noviembre", "2026-11-01"),
        ("it", "il primo novembre", "2026-11-01"),
        ("nl", "op drie november", "2026-11-03"),
        ("pl", "pierwszego listopada", "2026-11-01"),
        ("pt", "no dia primeiro de novembro", "2026-11-01"),
    ] {
        assert_eq!(read(language, text), [expected], "{text}");
    }
}

#[test]
fn spans_before_now() {
    for (language, text, expected) in [
        ("en", "three weeks and two days ago", "2026-10-12"),
        ("en", "twenty-five days ago", "2026-10-10"),
        ("en", "half a year ago", "2026-05-04"),
        ("en", "a year and a half ago", "2025-05-04"),
        ("de", "vor drei Wochen und zwei Tagen", "2026-10-12"),
        ("de", "vor fünfundzwanzig Tagen", "2026-10-10"),
        ("de", "vor einem halben Jahr", "2026-05-04"),
        ("de", "vor gut zwei Wochen", "2026-10-21"),
        ("fr", "il y a quinze jours", "2026-10-21"),
        ("fr", "il y a quinze mois", "2025-08-04"),
        ("fr", "il y a huit jours", "2026-10-28"),
        ("it", "quindici mesi fa", "2025-08-04"),
        ("pt", "há quinze dias", "2026-10-21"),
        ("pl", "miesiąc temu", "2026-10-04"),
        ("pl", "rok temu", "2025-11-04"),
        ("en", "today exactly four weeks ago", "2026-10-07"),
        ("de", "heute vor vier Wochen", "2026-10-07"),
        ("de", "heute vor acht Tagen", "2026-10-28"),
        ("fr", "il y a aujourd'hui quatre semaines", "2026-10-07"),
        ("es", "hace hoy exactamente cuatro semanas", "2026-10-07"),
        ("it", "oggi quattro settimane fa", "2026-10-07"),
        ("nl", "vandaag precies vier weken geleden", "2026-10-07"),
        ("pl", "dziś równo cztery tygodnie temu", "2026-10-07"),
        ("pt", "faz hoje quatro semanas", "2026-10-07"),
        ("pt", "há exatamente quatro semanas", "2026-10-07"),
    ] {
        assert_eq!(read(language, text), [expected], "{text}");
    }
    let lexicons = Lexicons::embedded().unwrap();
    for lexicon in &lexicons.all {
        let (words, dates) = (&lexicon.dates, Dates::new(lexicon).unwrap());
        for (about, ago) in words.about.iter().flat_map(|about| words.ago.iter().map(move |ago| (about, ago))) {
            let text = ago.replace("{}", &format!("{about} 3 {}", words.week[0]));
            assert_eq!(read_with(&dates, lexicon, &text), ["2026-10-14"], "{text}");
        }
    }
    for (language, text) in
        [("en", "a month and a half ago"), ("es", "hace un mes y medio"), ("nl", "anderhalve maand geleden")]
    {
        assert!(read(language, text).is_empty(), "{text}");
    }
}

#[test]
fn two_numbers_are_a_day_where_a_word_or_their_place_says_so() {
    assert_eq!(read("en", "received on 3/9 and it"), ["2026-09-03"]);
    assert_eq!(read("en", "Received: 10/25"), ["2026-10-25"]);
    assert_eq!(read("it", "ricevuto il 3/11"), ["2026-11-03"]);
    assert!(read("en", "it works 24/7, on firmware 3.9 it took 1/2 hour").is_empty());
}

#[test]
fn a_day_of_the_month_by_itself() {
    for (language, text) in [
        ("en", "it came on the 28th and"),
        ("en", "Tuesday, the 28th"),
        ("de", "am 28. bei der Post"),
        ("de", "Montag, den 28."),
        ("fr", "reçue le 28, elle"),
        ("es", "me llegó el 28"),
        ("es", "el veintiocho"),
        ("it", "il 28 è arrivato"),
        ("nl", "de 28e bij mij"),
        ("pl", "dnia 28, odebrany"),
        ("pt", "no dia 28, e"),
    ] {
        assert_eq!(read(language, text), ["2026-10-28"], "{text}");
    }
    for (language, text) in [
        ("en", "the 2nd attempt"),
        ("en", "the first came broken"),
        ("de", "am 3. Tag"),
        ("de", "den 2 Uhren"),
        ("fr", "le 3 jours"),
        ("es", "el 2 de los relojes"),
        ("nl", "de 2e keer"),
    ] {
        assert!(read(language, text).is_empty(), "{text}");
    }
}
