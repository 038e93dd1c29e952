pub(crate) mod print;

use super::barcodes::{code128, qr};
use super::typeface::{Weight, fitting, lines, printable, width};
use super::*;

fn page(inside: &str) -> String {
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100pt\" height=\"50pt\">{inside}</svg>")
}

#[test]
fn the_typeface_writes_the_languages_of_europe() {
    for text in [
        "Ąęłńóśźż",
        "ÄÖÜßẞ",
        "çœÿ«»",
        "ñ¿¡",
        "ĳ",
        "ãõ",
        "ăâîșț",
        "čěřšžů",
        "őű",
        "ğışİ",
        "ðþ",
        "„“”‘’–—…€§№",
        "Ωώ",
        "Щюїґ",
    ] {
        assert_eq!(printable(text), text);
    }
    for weight in [Weight::Regular, Weight::Bold] {
        assert!(weight.face().is_some());
        assert!(width("mm", 10.0, weight) > width("ii", 10.0, weight));
    }
    assert_eq!(lines("c\u{202f}: d", 14.0, 8.0, Weight::Regular, 3), ["c\u{a0}:", "d"]);
    assert_eq!(printable("e\u{301} \u{1f600}\u{1f600}王 b"), "é … b");
    assert_eq!(printable("a\u{ffff}\u{fffe}\0b"), "a…b");
}

#[test]
fn lines_break_at_words_and_are_cut() {
    let text = "the screen stays black while it charges";
    assert_eq!(lines(text, 1000.0, 8.0, Weight::Regular, 3), [text]);
    let two = lines(text, 80.0, 8.0, Weight::Regular, 2);
    assert_eq!(two.len(), 2);
    assert!(two[1].ends_with('…') && text.starts_with(&two[0]), "{two:?}");
    let whole = lines(text, 80.0, 8.0, Weight::Regular, 9);
    assert_eq!(whole.join(" "), text);
    let long = lines(&"x".repeat(10_000), 80.0, 8.0, Weight::Regular, 3);
    assert!(long.len() == 3 && long[2].ends_with('…'), "{long:?}");
    assert!(lines("", 80.0, 8.0, Weight::Regular, 3).is_empty());
    assert_eq!(lines("word", 0.0, 8.0, Weight::Regular, 0), Vec::<String>::new());
}

#[test]
fn a_line_can_be_made_to_fit() {
    assert_eq!(fitting("short", 500.0, 12.0, Weight::Bold), 12.0);
    let size = fitting("a long line of an address", 50.0, 12.0, Weight::Bold);
    assert!(size < 12.0 && (width("a long line of an address", size, Weight::Bold) - 50.0).abs() < 0.01);
}

#[test]
fn barcodes_know_their_bounds() {
    let bars = code128("KR-2611-4Q9TXC").unwrap();
    // Start, 14 characters, check and stop, by eleven modules and two more.
    assert!(bars.height == 1 && bars.width <= 17 * 11 + 2 && bars.path.starts_with("M0 0h"), "{bars:?}");
    assert_eq!(qr("KR-2611-4Q9TXC").map(|square| (square.width, square.height)), Some((21, 21)));
    for text in ["", "Żółw", &"x".repeat(400)] {
        assert_eq!(code128(text), None, "{text}");
    }
    assert_eq!(qr(""), None);
}

#[test]
fn the_same_page_gives_the_same_bytes() {
    let shapes = page(
        "<g transform='translate(1 2) scale(.5)' fill='#336699' stroke='none'><path d='M0 0q5 5 10 0a3 3 0 0 1 6 6z'/>\
         <rect width='9' height='4' rx='1' style='fill:none;stroke:red;stroke-dasharray:2,1'/><circle cx='4' cy='4' r='2'/></g>\
         <text x='50' y='20' text-anchor='middle' font-size='8'>Grüße <tspan font-weight='bold'>aus Łódź</tspan></text>",
    );
    let first = pdf(&shapes, "a title", "de").unwrap();
    assert!(first.starts_with(b"%PDF-1.7"));
    assert_eq!(first, pdf(&shapes, "a title", "de").unwrap());
    assert!(faults(&shapes).unwrap().is_empty());
}

#[test]
fn a_logo_is_drawn() {
    use base64::Engine;
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbaImage::from_pixel(3, 2, image::Rgba([200, 30, 40, 128]))
        .write_to(&mut png, image::ImageFormat::Png)
        .unwrap();
    let data = base64::engine::general_purpose::STANDARD.encode(png.into_inner());
    let drawn = pdf(&page(&format!("<image width='30' height='20' href='data:image/png;base64,{data}'/>")), "", "en");
    let drawn = String::from_utf8_lossy(&drawn.unwrap()).into_owned();
    assert!(drawn.contains("/SMask") && drawn.contains("/Width 3"), "{drawn}");
}

#[test]
fn what_is_not_drawn_is_named() {
    for (inside, expected) in [
        ("<ellipse/>", "<ellipse> is not drawn here"),
        ("<rect fill='url(#a)' width='1' height='1'/>", "fill=\"url(#a)\" can't be drawn"),
        ("<rect opacity='0.5' width='1' height='1'/>", "opacity"),
        ("<rect style='mask:url(#a)' width='1' height='1'/>", "mask"),
        ("<rect width='wide' height='1'/>", "width=\"wide\" is no number"),
        ("<path d='M0 0 K 3'/>", "<path> d:"),
        ("<g transform='turn(3)'/>", "<g> transform:"),
        ("<image href='https://example.com/logo.png' width='1' height='1'/>", "<image> names a file"),
        ("<image href='data:image/png;base64,AAAA' width='1' height='1'/>", "<image> href:"),
        ("<text class='a'>x</text>", "style sheets are not read"),
        ("<text>x<a>y</a></text>", "<a> can't stand in text"),
        ("<text>x", "it is no XML"),
    ] {
        let told = pdf(&page(inside), "", "en").unwrap_err().to_string();
        assert!(told.contains(expected), "{inside}: {told}");
    }
    assert!(pdf("<svg width='1pt'/>", "", "en").unwrap_err().to_string().contains("width and height"));
    assert!(pdf(&page(&"<g>".repeat(60)).replace("</svg>", &("</g>".repeat(60) + "</svg>")), "", "en").is_err());
}

#[test]
fn text_that_nobody_could_read_is_a_fault() {
    let over = faults(&page("<text x='80' y='20' font-size='10'>beyond the edge</text>")).unwrap();
    assert!(over.len() == 1 && over[0].contains("edge of the page"), "{over:?}");
    let upon = faults(&page("<text y='20' font-size='10'>one</text><text y='24' font-size='10'>two</text>")).unwrap();
    assert!(upon.len() == 1 && upon[0].contains("upon each other"), "{upon:?}");
}

proptest::proptest! {
    #[test]
    fn any_text_is_laid_out(text in "(?s).{0,400}", wide in 0.0..300.0_f64, most in 0..5_usize) {
        let laid = lines(&text, wide, 8.0, Weight::Regular, most);
        proptest::prop_assert!(laid.len() <= most);
        proptest::prop_assert!(laid.iter().all(|line| printable(line) == *line));
        // A single letter may be wider than the line.
        proptest::prop_assert!(wide < 20.0 || laid.iter().all(|line| width(line, 8.0, Weight::Regular) <= wide + 0.01));
    }

    #[test]
    fn no_svg_brings_it_down(inside in "(<(g|path|text|rect|image|tspan)( (d|x|width|style|transform)='[-0-9a-zA-Z:;,.() ]{0,30}'){0,3}/?>|[a-z&;]{0,5}){0,8}") {
        let _ = pdf(&page(&inside), "", "en");
        let _ = faults(&page(&inside));
    }
}
