//! Makes the weights of the sentence model from the labelled sentences: `cargo run --release --example train`.
//!
//! `--check` only says whether the weights in the repository are what the sentences give. `--measure` trains without a
//! fifth of the sentences and reports how well those are read.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a command of the repository that reports to its user"
)]

use std::error::Error;
use std::fs;
use std::path::Path;

use aftersalesd::domain::catalogue::Catalogue;
use aftersalesd::domain::facts::{Request, VoidSignal};
use aftersalesd::domain::ids::LetterId;
use aftersalesd::pipeline::extract::Extractor;
use aftersalesd::pipeline::extract::meaning::letter::{LetterModel, WISHES};
use aftersalesd::pipeline::extract::meaning::train::{Example, FOLDS, LabelledLetter, train, train_letters};
use aftersalesd::pipeline::extract::meaning::{MEANINGS, Meaning, Model};
use aftersalesd::pipeline::extract::zone::{Kind, Zone};
use aftersalesd::pipeline::lexicon::Lexicons;
use aftersalesd::pipeline::parse;
use aftersalesd::pipeline::strip::Words;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pipeline/extract");
    let lexicons = Lexicons::embedded()?;
    let (mut examples, mut letters) = (Vec::new(), Vec::new());
    for lexicon in &lexicons.all {
        let path = root.join("lexicon").join(format!("{}.tsv", lexicon.language));
        let file = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        examples.extend(Example::parse(&lexicon.language, &file).map_err(|e| format!("{}: {e}", path.display()))?);
        let path = path.with_extension("letters");
        let file = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        letters
            .extend(LabelledLetter::parse(&lexicon.language, &file).map_err(|e| format!("{}: {e}", path.display()))?);
    }
    let made = || {
        let model = train(&examples, &lexicons);
        let letters = train_letters(&letters, &model, &lexicons);
        model.with_letters(letters)
    };
    let weights = root.join("meaning/weights.bin");
    match std::env::args().nth(1).as_deref() {
        None => fs::write(&weights, made().to_bytes())?,
        Some("--check") if fs::read(&weights)? == made().to_bytes() => {}
        Some("--check") => {
            return Err("weights.bin is not what the sentences give: run `cargo run --release --example train`".into());
        }
        Some("--measure") => {
            measure(&examples, &lexicons)?;
            measure_letters(&letters, &made(), &lexicons)?;
        }
        Some("--read") => read(&lexicons)?,
        Some(other) => return Err(format!("{other}: there is --check, --measure and --read LANGUAGE TEXT").into()),
    }
    Ok(())
}

/// What the built-in weights make of a text, sentence by sentence, and why.
fn read(lexicons: &Lexicons) -> Result<(), Box<dyn Error>> {
    let model = Model::embedded()?;
    let (language, text) = (std::env::args().nth(2).unwrap_or_default(), std::env::args().nth(3).unwrap_or_default());
    let lexicon = lexicons.of(&language).ok_or("the first word behind --read is a language")?;
    let id = LetterId::from_digest(&[0; 32]);
    let zone = Zone::new(&id, Kind::Text, &text, &[lexicon]).scored(Some(&model));
    for sentence in &zone.folded.sentences {
        println!("{}", zone.folded.slice(*sentence).trim());
        for meaning in Meaning::ALL {
            let score = zone.score(*sentence, meaning).unwrap_or_default();
            if score > -0.7 {
                println!("    {score:5.2} {meaning:?} {:?}", zone.reasons(*sentence, meaning, &model));
            }
        }
    }
    Ok(())
}

/// The meanings that show as a fact of their own.
const FACTS: [Meaning; 20] = [
    Meaning::What,
    Meaning::Broken,
    Meaning::When,
    Meaning::How,
    Meaning::Tried,
    Meaning::Safety,
    Meaning::Misuse,
    Meaning::Opened,
    Meaning::Flashed,
    Meaning::Modified,
    Meaning::Continued,
    Meaning::Sealed,
    Meaning::Used,
    Meaning::Return,
    Meaning::Shipping,
    Meaning::Parts,
    Meaning::Order,
    Meaning::Status,
    Meaning::Question,
    Meaning::Closing,
];

/// What one reading takes from a sentence.
fn taken(extractor: &Extractor, example: &Example, lexicons: &Lexicons) -> Vec<Meaning> {
    let raw = format!(
        "From: a@example.net\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}\r\n",
        example.sentence
    );
    let letter = parse::letter(raw.as_bytes(), false);
    let words = Words { text: example.sentence.clone(), ..Words::default() };
    let now = letter.arrived("2026-11-01T10:00:00Z".parse().unwrap_or_default());
    let facts =
        extractor.facts(&letter, &words, now, &Catalogue::default(), &Vec::from_iter(lexicons.of(&example.language)));
    let request = facts.request.as_ref().map(|r| r.value);
    let sealed = facts.unopened.as_ref().map(|f| f.value);
    let void = |signal| facts.void_signals.iter().any(|s| s.value == signal);
    let taken = [
        (facts.problem_what.is_some(), Meaning::What),
        (facts.problem_when.is_some(), Meaning::When),
        (facts.problem_how.is_some(), Meaning::How),
        (facts.steps_taken.is_some(), Meaning::Tried),
        (facts.safety.is_some(), Meaning::Safety),
        (void(VoidSignal::Misuse), Meaning::Misuse),
        (void(VoidSignal::Opened), Meaning::Opened),
        (void(VoidSignal::Flashed), Meaning::Flashed),
        (void(VoidSignal::Modified), Meaning::Modified),
        (void(VoidSignal::ContinuedUse), Meaning::Continued),
        (sealed == Some(true), Meaning::Sealed),
        (sealed == Some(false), Meaning::Used),
        (matches!(request, Some(Request::ReturnUnused | Request::ReturnOpened)), Meaning::Return),
        (request == Some(Request::Defect), Meaning::Broken),
        (request == Some(Request::ShippingReimbursement), Meaning::Shipping),
        (request == Some(Request::SpareParts), Meaning::Parts),
        (request == Some(Request::OrderIssue), Meaning::Order),
        (request == Some(Request::Status), Meaning::Status),
        (request == Some(Request::Question), Meaning::Question),
        (request == Some(Request::Closing), Meaning::Closing),
    ];
    taken.into_iter().filter(|(is, _)| *is).map(|(_, meaning)| meaning).collect()
}

/// The labels of a sentence in the terms of what is taken from it.
fn wanted(example: &Example) -> Vec<Meaning> {
    let mut wanted = example.meanings.clone();
    if wanted.contains(&Meaning::Untried) {
        wanted.push(Meaning::Tried);
    }
    if wanted.contains(&Meaning::What) {
        wanted.push(Meaning::Broken);
    }
    wanted
}

fn measure(examples: &[Example], lexicons: &Lexicons) -> Result<(), Box<dyn Error>> {
    let (held, seen): (Vec<Example>, Vec<Example>) = examples.iter().cloned().partition(Example::is_held_out);
    let model = train(&seen, lexicons);
    println!("{} sentences for training, {} held out", seen.len(), held.len());
    let none = Catalogue::default();
    let words = Extractor::with_model(&[], &none, lexicons, None)?;
    let both = Extractor::with_model(&[], &none, lexicons, Some(model.clone()))?;
    let mut table = [[[0_u32; 3]; 3]; MEANINGS];
    for example in &held {
        let wanted = wanted(example);
        let by_words = taken(&words, example, lexicons);
        let by_both = taken(&both, example, lexicons);
        let (text, hits) = example.seen(lexicons);
        let scores = model.read(&model.tally(&text), 0..text.len(), &hits);
        let by_model = |m: &Meaning| {
            scores.of(*m) > 0.0
                || *m == Meaning::Tried && scores.of(Meaning::Untried) > 0.0
                || *m == Meaning::Broken && scores.of(Meaning::What) > 0.0
        };
        for (meaning, counts) in Meaning::ALL.iter().zip(&mut table) {
            let truth = wanted.contains(meaning);
            let says = [by_words.contains(meaning), by_model(meaning), by_both.contains(meaning)];
            for (count, says) in counts.iter_mut().zip(says) {
                match (says, truth) {
                    (true, true) => count[0] += 1,
                    (true, false) => count[1] += 1,
                    (false, true) => count[2] += 1,
                    (false, false) => {}
                }
            }
        }
    }
    println!("{:10} {:>5} | words  P     R     F1 | model  P     R     F1 | both   P     R     F1", "", "n");
    for (meaning, counts) in Meaning::ALL.iter().zip(table) {
        print!("{:10} {:5}", format!("{meaning:?}"), counts[0][0] + counts[0][2]);
        for (column, [right, wrong, missed]) in counts.into_iter().enumerate() {
            // Some meanings only support other rules; no fact of theirs could be counted.
            if column != 1 && !FACTS.contains(meaning) {
                print!(" |      -     -     -");
                continue;
            }
            let share = |part: u32, whole: u32| 100.0 * part as f32 / whole.max(1) as f32;
            let f1 = share(2 * right, 2 * right + wrong + missed);
            print!(" | {:6.1} {:5.1} {f1:5.1}", share(right, right + wrong), share(right, right + missed));
        }
        println!();
    }
    Ok(())
}

/// How the requests of the labelled letters are read when each fifth in turn is kept from training.
fn measure_letters(letters: &[LabelledLetter], model: &Model, lexicons: &Lexicons) -> Result<(), Box<dyn Error>> {
    let none = Catalogue::default();
    let mut right = [[0_u32; 4]; WISHES.len()];
    for fold in 0..FOLDS {
        let (held, seen): (Vec<_>, Vec<_>) = letters.iter().cloned().partition(|l| l.is_held_out(fold));
        let trained = model.clone().with_letters(train_letters(&seen, model, lexicons));
        let both = Extractor::with_model(&[], &none, lexicons, Some(trained.clone()))?;
        let alone =
            Extractor::with_model(&[], &none, lexicons, Some(model.clone().with_letters(LetterModel::default())))?;
        for letter in &held {
            let by_model =
                trained.letters.read(&letter.zones(&trained, lexicons, &LetterId::from_digest(&[0; 32]))).best().0;
            let place = WISHES.iter().position(|(wish, _)| *wish == letter.wish).unwrap_or_default();
            let says = [requested(&alone, letter, lexicons), by_model, requested(&both, letter, lexicons)];
            right[place][0] += 1;
            for (count, says) in right[place][1..].iter_mut().zip(says) {
                // People answer both in the same way.
                let same = |wish| if wish == Some(Request::Other) { None } else { wish };
                *count += u32::from(same(says) == same(letter.wish));
            }
        }
    }
    println!("{:24} {:>5} | sentences alone | letters' model | both", "letters", "n");
    for ((_, name), [n, words, model, both]) in WISHES.iter().zip(right) {
        println!("{name:24} {n:5} | {words:15} | {model:14} | {both}");
    }
    let sum = |at: usize| right.iter().map(|counts| counts[at]).sum::<u32>();
    println!("{:24} {:5} | {:15} | {:14} | {}", "all", sum(0), sum(1), sum(2), sum(3));
    Ok(())
}

fn requested(extractor: &Extractor, letter: &LabelledLetter, lexicons: &Lexicons) -> Option<Request> {
    let raw = format!("From: a@example.net\r\nContent-Type: text/plain\r\n\r\n{}\r\n", letter.text);
    let mut read = parse::letter(raw.as_bytes(), false);
    read.subject.clone_from(&letter.subject);
    let words = Words { text: letter.text.clone(), ..Words::default() };
    let now = read.arrived("2026-11-01T10:00:00Z".parse().unwrap_or_default());
    let known = Vec::from_iter(lexicons.of(&letter.language));
    extractor.facts(&read, &words, now, &Catalogue::default(), &known).request.map(|r| r.value)
}
