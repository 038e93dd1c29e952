//! The form that goes with an RMA letter, printed and read back.

use super::*;
use crate::domain::warranty::Track;
use crate::pipeline::papers::tests::print::{Code, Sheet, about, words};
use stories::fact;

const TRACKS: [Track; 3] = [Track::Doa, Track::UnopenedRefund, Track::Repair];

/// Where on the sheet the codes are: left, top, right, bottom.
const NUMBER: [f32; 4] = [0.0, 0.12, 0.5, 0.24];
const SQUARE: [f32; 4] = [0.7, 0.05, 1.0, 0.26];
const LABEL: [f32; 4] = [0.4, 0.85, 1.0, 0.97];

fn rma(language: &'static str, track: Track) -> Story {
    Story { track, ..Story::new(Kind::Rma, language) }
}

fn form(story: &Story) -> Vec<u8> {
    let mut files = story.reply().files;
    assert_eq!(files.len(), 1);
    let file = files.remove(0);
    assert_eq!(file.content_type, "application/pdf");
    assert_eq!(file.name, format!("RMA-{}.pdf", story.case().rma.unwrap().number));
    file.data
}

#[test]
fn every_form_says_what_its_letter_says() {
    for language in LETTERS.languages() {
        let language: &'static str = language.to_owned().leak();
        for track in TRACKS {
            let story = rma(language, track);
            let (reply, pdf) = (story.reply(), form(&story));
            assert!(about(&pdf).lines().any(|line| line.split_whitespace().eq(["Pages:", "1"])));
            let printed = words(&pdf);
            let number = story.case().rma.unwrap().number.to_string();
            assert_eq!(printed.matches(&number).count(), 2, "at the top and on the label: {printed}");
            let address = ["Example Returns", "1 Sample Street", "10115 Berlin", "Germany"];
            for said in
                ["KS10442", "TANK T3 black", "KP-TKT3-BK", "6973014171018", "maria@example.net", "Maria Schmidt"]
                    .iter()
                    .chain(&address)
            {
                assert!(printed.contains(said), "{language} {track:?}: {said} in {printed}");
            }
            // The clauses are those of the letter, word by word; a paragraph of the letter is one of the form.
            let body: Vec<String> = reply
                .text
                .lines()
                .map(|l| l.trim_start_matches(|c: char| c.is_ascii_digit()))
                .map(|l| l.trim_start_matches(". ").to_owned())
                .collect();
            let shared = body.iter().filter(|line| line.len() > 60 && printed.contains(line.as_str())).count();
            assert!(shared >= 4, "{language} {track:?}: {shared} of\n{}\nin\n{printed}", reply.text);
            assert_eq!(form(&story), pdf, "the same bytes each time");
        }
    }
}

#[test]
fn it_prints_on_both_papers_and_its_codes_are_read_back() {
    for (n, language) in LETTERS.languages().enumerate() {
        let story = rma(language.to_owned().leak(), TRACKS[n % 3]);
        let (number, pdf) = (story.case().rma.unwrap().number.to_string(), form(&story));
        for (paper, size) in [("A4", (210, 297)), ("letter", (216, 279))] {
            let sheet = Sheet::print(&pdf, paper);
            assert_eq!(sheet.millimetres(), size);
            assert!(sheet.margin() > 8.0, "{paper}: {} mm", sheet.margin());
            for (part, code) in [(NUMBER, Code::Bars), (SQUARE, Code::Square), (LABEL, Code::Bars)] {
                assert_eq!(sheet.codes(part, code), std::slice::from_ref(&number), "{language} {paper} {part:?}");
            }
        }
    }
}

#[test]
fn what_customers_write_is_data_on_paper_too() {
    let words_of = |name: &str, fault: &str| {
        let mut story = rma("pl", Track::Repair);
        story.customer.name = Some(name.to_owned());
        story.said.problem_what = Some(evidence(fault));
        story.said.problem_how = None;
        story.said.item_code = Some(fact(crate::domain::ids::ItemCode::new("A1B2C3").unwrap(), ""));
        let pdf = form(&story);
        assert!(about(&pdf).lines().any(|line| line.split_whitespace().eq(["Pages:", "1"])));
        (words(&pdf), pdf)
    };
    let (printed, _) = words_of("Zażółć Gęślą-Jaźń", "<script>x</script> {{ brand }} & ]]> &amp; świeci „źle”");
    assert!(printed.contains("Zażółć Gęślą-Jaźń"), "{printed}");
    assert!(printed.contains("<script>x</script> {{ brand }} & ]]> &amp; świeci „źle”"), "{printed}");
    let (printed, _) =
        words_of("\u{202e}evil\u{0} \u{feff}Eve\u{ffff}", "\u{7}one\r\n\r\n\u{2028}two 王 \u{1f525}\u{1f525} three");
    assert!(printed.contains("evil Eve") && printed.contains("one two … … three"), "{printed}");
    let (long, pdf) = words_of(&"Maria ".repeat(2000), &"x".repeat(10_000));
    assert!(long.contains("Maria Maria") && long.contains("xxx…"), "{long}");
    assert!(pdf.len() < 60_000);
    // A name in letters that the typeface lacks: the address tells who it is.
    let (printed, _) = words_of("王伟", "x");
    assert!(printed.contains("Klient maria@example.net"), "{printed}");
}

#[test]
fn without_an_address_there_is_no_label() {
    let story = rma("en", Track::Doa);
    let with = |address: &[&str]| {
        let frame = Frame { return_address: address.iter().map(|line| (*line).to_owned()).collect(), ..frame() };
        let (case, decision) = (story.case(), story.decision());
        let letter = Some((&story.letter, &story.said));
        let occasion =
            Occasion { kind: Kind::Rma, case: &case, decision: &decision, letter, step: &Step::default(), at: at() };
        words(&LETTERS.reply(&occasion, &frame, &catalogue(), &LEXICONS).unwrap().files[0].data)
    };
    let none = with(&[]);
    assert!(none.contains("Please wait for it before you send the parcel") && !none.contains("Cut out"), "{none}");
    let whole: Vec<String> = (1..=12).map(|n| format!("{n}. line of an address that is as long as this one")).collect();
    let many = with(&whole.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(whole.iter().all(|line| many.contains(line)), "no line is cut: {many}");
    let foreign = with(&["深圳市", "Shenzhen"]);
    assert!(!foreign.contains("Cut out") && !foreign.contains("Shenzhen") && !foreign.contains("wait"), "{foreign}");
}

#[test]
fn a_brand_may_draw_its_own() {
    let with = |path: &str, text: &str| {
        let mut files: Vec<_> = TEMPLATES.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
        files.retain(|(name, _)| !name.starts_with("papers/"));
        if !path.is_empty() {
            files.push((path.to_owned(), text.to_owned()));
        }
        Letters::from_folder(&files)
    };
    assert_eq!(with("", "").unwrap().version(), LETTERS.version(), "a folder without papers has the embedded ones");
    let page = |inside: &str| format!("<svg width='50mm' height='50mm' viewBox='0 0 200 200'>{inside}</svg>");
    let own = "<text y='20'>{{ rma.number }}</text>{% for line in rma.address %}<text y='{{ 60 + 20 * loop.index }}'>{{ line }}</text>{% endfor %}";
    assert_ne!(with("papers/rma.svg", &page(own)).unwrap().version(), LETTERS.version());
    for (inside, expected) in [
        (own.replace("rma.number", "rma.nomber"), "papers/rma.svg:1: `rma.nomber` is undefined"),
        (own.replace("{{ line }}", "x"), "papers/rma.svg: in \"de\": the return address (rma.address) is not printed"),
        (own.replace("60 +", "5 +"), "are printed upon each other"),
        (own.replace("<text y='20'>", "<text x='190' y='20'>"), "over the edge"),
        (format!("{own}<blink/>"), "papers/rma.svg: in \"pl\": <blink> is not drawn here"),
        (format!("{own}{{{{ code128('') }}}}"), "there is no such barcode"),
        (format!("{own}{{{{ wrap('', 1, 1, boldly=true) }}}}"), "boldly"),
    ] {
        let errors = with("papers/rma.svg", &page(&inside)).unwrap_err().join("\n");
        assert!(errors.contains(expected), "{expected}: {errors}");
    }
    let errors = with("papers/de.txt", "").unwrap_err().join("\n");
    assert!(errors.contains("papers/rma.svg:") && errors.contains("`paper.title` is undefined"), "{errors}");
}

#[test]
#[ignore = "writes the forms as PDF to target/letters, to look at them"]
fn preview() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/letters");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, story) in stories().iter().filter(|(_, story)| story.kind == Kind::Rma) {
        std::fs::write(folder.join(format!("form-{name}.pdf")), form(story)).unwrap();
    }
}
