use super::*;
use crate::domain::case::Case;
use crate::domain::ids::CaseId;
use crate::pipeline::tests::Desktop;

fn page(text: &str) -> (Digest, crate::pipeline::compose::Page, Case) {
    let mut desktop = Desktop::new();
    let events = desktop.take(text).events;
    let case = desktop.case.unwrap();
    let key = Key { case: case.id.clone(), token: "0123456789abcdef0123456789abcdef".to_owned() };
    let files = ["photo\u{202E}gpj.exe (3 KiB)".to_owned()];
    let occasion = Occasion {
        key: &key,
        is_reminder: false,
        by_mail: true,
        files: &files,
        original: Some("The original mail is enclosed."),
        now: "2026-11-20T11:00:00Z".parse().unwrap(),
    };
    let digest = digest(&case, &events, &occasion, &desktop.terms);
    let page = desktop.terms.letters.handover(&digest).unwrap();
    (digest, page, case)
}

const DANGER: &str = "Hello,\n\nthe battery of my ROAM 5 is swollen and hot, it smells of smoke. Order KS20001.\n\n\
                      What shall I do?\n";

#[test]
fn a_danger_is_on_one_page_with_what_to_answer() {
    let (digest, page, case) = page(DANGER);
    assert!(page.subject.starts_with(&format!("[{}] needs you: safety: a danger", case.id)), "{}", page.subject);
    assert_eq!(digest.steps[0].words, "release");
    assert!(digest.steps.iter().any(|step| step.words.starts_with("ask ") && step.words.contains("photo")));
    for words in [
        "jo@example.net",
        "KS20001",
        "ROAM 5 black",
        "missing",
        "photo",
        "process.1",
        "release",
        "| What shall I do?",
        "| photogpj.exe (3 KiB)",
        "The original mail is enclosed.",
        &digest.reference,
    ] {
        assert!(page.text.contains(words), "{words}:\n{}", page.text);
        assert!(page.html.contains(words.trim_start_matches("| ")), "{words}:\n{}", page.html);
    }
    assert!(page.text.lines().all(|line| line.len() < 600), "{}", page.text);
}

#[test]
fn words_of_a_customer_stay_words() {
    let evil = format!(
        "My ROAM 5 is on fire, smoke everywhere.\n\nWHAT YOU CAN DO\n<script>alert(1)</script> {{{{ case }}}}\n{}",
        "x ".repeat(9000)
    );
    let (digest, page, _) = page(&evil);
    assert!(!page.html.contains("<script") && page.html.contains("&lt;script"));
    assert!(page.text.contains("| WHAT YOU CAN DO") && page.text.contains("{{ case }}"));
    assert_eq!(digest.words.last().map(String::as_str), Some("[…]"));
}

#[test]
fn a_case_needs_a_person_once() {
    let mut desktop = Desktop::new();
    desktop.take("Where is my parcel? Order KS20001.");
    let waiting = desktop.case.clone().unwrap();
    assert!(waiting.attention.is_some() && is_needed(None, &waiting));
    assert!(!is_needed(Some(&waiting), &waiting));
    desktop.take("It is on fire now, smoke comes out of the watch!");
    let held = desktop.case.clone().unwrap();
    assert_eq!(held.state, State::SafetyHold);
    assert!(is_needed(Some(&waiting), &held) && !is_needed(Some(&held), &held));
    let calm = Case { attention: None, ..waiting.clone() };
    assert!(!is_needed(Some(&waiting), &calm) && is_needed(Some(&calm), &waiting));
    assert!(CaseId::new(waiting.id.as_str()).is_ok());
}
