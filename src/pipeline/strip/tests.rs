use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::pipeline::parse;

static STRIPPER: LazyLock<Stripper> = LazyLock::new(|| Stripper::new(&Lexicons::embedded().unwrap()));

fn read(subject: &str, kind: &str, body: &str) -> Words {
    let mail = format!(
        "From: Jo <jo@example.net>\nTo: after-sales@example.com\nSubject: {subject}\n\
         Content-Type: text/{kind}; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}"
    );
    STRIPPER.words(&parse::letter(mail.as_bytes(), false))
}

fn plain(body: &str) -> Words {
    read("Re: My watch", "plain", body)
}

fn html(body: &str) -> Words {
    read("Re: My watch", "html", body)
}

/// Compared without regard to white space.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of `got` that stand in both, in order, as a share of the longer one.
fn likeness(got: &str, expected: &str) -> f64 {
    const ENOUGH: usize = 2_000; // words: the comparison takes quadratic time
    let words = |text| -> Vec<&str> { str::split_whitespace(text).take(ENOUGH).collect() };
    let (a, b) = (words(got), words(expected));
    let mut row = vec![0_usize; b.len() + 1];
    for x in &a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    if a.is_empty() && b.is_empty() { 1.0 } else { row[b.len()] as f64 / a.len().max(b.len()) as f64 }
}

#[test]
fn real_replies_are_found() {
    let root = Path::new("../shared/corpora"); // cargo runs tests in the project root
    let Ok(pairs) = fs::read_to_string(root.join("quote_pairs.tsv")) else { return };
    let mut table: BTreeMap<(String, String), (usize, usize, usize)> = BTreeMap::new();
    for line in pairs.lines().skip(1) {
        let [corpus, _, email, expected, kind, _] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let raw = fs::read(root.join(email)).unwrap();
        let expected = String::from_utf8_lossy(&fs::read(root.join(expected)).unwrap()).into_owned();
        let letter = if email.ends_with(".eml") || corpus == "quagga-enron" {
            parse::letter(&raw, false)
        } else {
            let kind = if email.ends_with(".html") { "html" } else { "plain" };
            let head = format!("From: a@example.net\nContent-Type: text/{kind}; charset=utf-8\n\n");
            parse::letter(&[head.as_bytes(), &raw].concat(), false)
        };
        let words = STRIPPER.words(&letter);
        let got = match kind {
            "reply" | "no-signature" => words.text.clone(),
            "reply+sig" => format!("{}\n{}", words.text, words.signature),
            _ => continue,
        };
        let (got, expected) = (squeeze(&got), squeeze(&expected));
        let like = likeness(&got, &expected);
        let entry = table.entry((corpus.to_owned(), kind.to_owned())).or_default();
        entry.0 += 1;
        entry.1 += usize::from(got == expected);
        entry.2 += usize::from(like >= 0.9);
        if got != expected {
            println!("--- {kind} {email} {like:.2}\ngot:      {:.600}\nexpected: {:.600}", got, expected);
        }
    }
    let mut near = (0, 0);
    for ((corpus, kind), (all, exact, like)) in &table {
        println!("{corpus:22} {kind:13} {all:4} exact {exact:4} near {like:4}");
        if kind.starts_with("reply") {
            near = (near.0 + like, near.1 + all);
        }
    }
    println!("near: {} of {}", near.0, near.1);
    assert!(near.0 * 100 >= near.1 * 83, "{near:?}");
}

#[test]
fn marked_quotes_go_and_answers_between_them_stay() {
    let words = plain(
        "On 3 Nov 2026, at 19:22, KOSPET <after-sales@example.com> wrote:\n\n> 1. Your order number?\n\nKS10234\n\n> 2. A photo?\n\nis attached\n",
    );
    assert_eq!(words.text, "KS10234\n\nis attached");
    assert!(words.quoted.contains("wrote:") && words.quoted.contains("A photo?"));
    let words = plain("> Which order?\n\nKS10234, bottom posted\n\n-- \nJo\n");
    assert_eq!((words.text.as_str(), words.signature.as_str()), ("KS10234, bottom posted", "--\nJo"));
}

#[test]
fn a_wrapped_attribution_takes_no_word_of_the_customer() {
    for attribution in [
        "On Tue, Nov 3, 2026 at 7:22 PM KOSPET After-Sales Department\n<after-sales@example.com> wrote:",
        "Am Di., 3. Nov. 2026 um 19:22 Uhr schrieb KOSPET After-Sales <\nafter-sales@example.com>:",
        "Am 03.11.2026 um 19:22 schrieb KOSPET <after-sales@example.com\n>:",
        "Am 03.11.26 um 19:22 schrieb KOSPET:",
        "Þann 03.11.2026 kl. 19:22, KOSPET skrifaði:", // a language without lexicon
    ] {
        let words = plain(&format!("It is dead.\nSince Monday\n\n{attribution}\n\n> Which order?\n"));
        assert_eq!(words.text, "It is dead.\nSince Monday", "{attribution}");
    }
}

#[test]
fn without_marks_a_quote_runs_to_the_end() {
    for head in [
        "________________________________\nVon: KOSPET <after-sales@example.com>\nGesendet: Dienstag, 3. November 2026 19:22\nAn: Jo <jo@example.net>\nBetreff: Uhr",
        "-----Original Message-----\nFrom: KOSPET <after-sales@example.com>\nSent: Tuesday\nTo: Jo\nSubject: Watch",
        "    On Tuesday, November 3, 2026 at 07:22:11 PM GMT+1, KOSPET <after-sales@example.com> wrote:  ",
        // Labels of a language without lexicon, below Outlook's rule.
        "________________________________\nFrá: KOSPET <after-sales@example.com>\nSent þann: 3. nóvember\nTil: Jo\nEfni: Úr",
    ] {
        let words = plain(&format!("It is dead.\n\n{head}\n\nYour order number, for example KS55555\n\nKOSPET"));
        assert_eq!(words.text, "It is dead.", "{head}");
        assert!(words.quoted.contains("KS55555"));
    }
}

#[test]
fn html_marks_are_known() {
    for quote in [
        r#"<div class="gmail_quote"><div dir="ltr" class="gmail_attr">Þann þri., 3. nóv. 2026 kl. 19:22 skrifaði KOSPET &lt;<a href="mailto:x">after-sales@example.com</a>&gt;:<br></div><blockquote class="gmail_quote">KS55555</blockquote></div>"#,
        r#"<blockquote type="cite">Þann 3. nóv. skrifaði KOSPET:<br><br></blockquote><blockquote type="cite"><div>KS55555</div></blockquote>"#,
        r#"<div id="yahoo_quoted_1" class="yahoo_quoted"><div>Þann 3.11.2026 kl. 19:22 skrifaði KOSPET &lt;after-sales@example.com&gt;:</div><div>KS55555</div></div>"#,
        r#"<div><div style="border:none;border-top:solid #E1E1E1 1.0pt"><p class=MsoNormal><b>From:</b> KOSPET &lt;after-sales@example.com&gt;<br><b>Sent:</b> Tuesday<br><b>To:</b> Jo<br><b>Subject:</b> x</p></div></div><p>KS55555</p>"#,
        r#"<div id="appendonsend"></div><hr><div id="divRplyFwdMsg"><b>Frá:</b> KOSPET &lt;after-sales@example.com&gt;<br><b>Sent:</b> 3. nóv<br><b>Til:</b> Jo<br><b>Efni:</b> x</div><div>KS55555</div>"#,
        r#"<div name="quote" style="border-left:2px solid #C3D9E5"><div>Von: KOSPET</div><div name="quoted-content">KS55555</div></div>"#,
        r#"<div class="moz-cite-prefix">Þann 3. nóv. skrifaði KOSPET:<br></div><blockquote type="cite"><pre>KS55555</pre></blockquote>"#,
    ] {
        let words = html(&format!(
            "<html><head><style>p{{}}</style></head><body><div>It is dead.</div><div><br></div>{quote}</body></html>"
        ));
        assert_eq!(words.text, "It is dead.", "{quote}");
        assert!(words.quoted.contains("KS55555"), "{quote}");
    }
}

#[test]
fn html_reads_like_what_is_seen() {
    let words = html(
        "<p>Gr&uuml;&szlig;e &amp; more<br>a second\nline</p><ul><li>one</li><li>two</li></ul>\
         <table><tr><td><p>Order</p></td><td>KS1</td></tr><tr><td>SKU</td><td>KP-1</td></tr></table>\
         <p>1 < 2 <a href='https://drive.example.com/x'>my video</a> <a href='https://a.example/'>a.example</a></p>\
         <div style='display: none'>hidden</div><script>var a = '<p>no</p>';</script>",
    );
    assert_eq!(
        words.text,
        "Grüße & more\na second line\n\n- one\n- two\n\nOrder\tKS1\nSKU\tKP-1\n\n\
         1 < 2 my video <https://drive.example.com/x> a.example"
    );
    assert_eq!(words.quoted, "hidden");
}

#[test]
fn a_forward_is_passed_on_and_our_own_mail_is_not() {
    let block = |from: &str| {
        format!(
            "Please see below.\n\n---------- Forwarded message ---------\nFrom: {from}\nDate: Sat, Oct 24, 2026\nSubject: Order KS14730\nTo: <jo@example.net>\n\nThank you for your order.\n"
        )
    };
    let words = read("Fwd: Order KS14730", "plain", &block("Shop <orders@shop.example>"));
    assert_eq!((words.text.as_str(), words.forwarded.len()), ("Please see below.", 1));
    assert!(words.forwarded[0].contains("KS14730") && words.forwarded[0].ends_with("order."));
    let ours = read("Fwd: Order KS14730", "plain", &block("KOSPET <after-sales@example.com>"));
    assert_eq!((ours.text.as_str(), ours.forwarded.len()), ("Please see below.", 0));
    assert!(ours.quoted.contains("KS14730"));
    let apple = read(
        "Fwd: Order",
        "html",
        "<div>See this</div><blockquote type=cite><div>Begin forwarded message:</div><div><b>From: </b>orders@shop.example</div><div>KS14730</div></blockquote>",
    );
    assert_eq!(apple.text, "See this");
    assert!(apple.forwarded.concat().contains("KS14730"), "{apple:?}");
}

#[test]
fn signatures_go_and_prose_below_them_stays() {
    for (body, text, signature) in [
        (
            "It is dead.\n\nKind regards\nJo Miller\nOrder KS10234",
            "It is dead.",
            "Kind regards\nJo Miller\nOrder KS10234",
        ),
        ("Kaputt.\n\nViele Grüße, Hatice", "Kaputt.", "Viele Grüße, Hatice"),
        (
            "It is dead.\n\nThanks\nJo\n\nP.S. The order is KS10234",
            "It is dead.\n\nP.S. The order is KS10234",
            "Thanks\nJo",
        ),
        ("It is dead.\n\nSent from my iPhone", "It is dead.", "Sent from my iPhone"),
        ("Es geht nicht.\n\nVon meinem/meiner Galaxy gesendet", "Es geht nicht.", "Von meinem/meiner Galaxy gesendet"),
        ("Thanks!", "Thanks!", ""),
        ("Thank you for the answer.\nIt works.", "Thank you for the answer.\nIt works.", ""),
        (
            "Dead.\n\nThis e-mail and any attachments are confidential.",
            "Dead.",
            "This e-mail and any attachments are confidential.",
        ),
    ] {
        let words = plain(body);
        assert_eq!((words.text.as_str(), words.signature.as_str()), (text, signature), "{body}");
    }
    let words = html(
        "<div>Dead.</div><span class=gmail_signature_prefix>-- </span><br><div class=gmail_signature>Jo<br>ACME</div>",
    );
    assert_eq!((words.text.as_str(), words.signature.as_str()), ("Dead.", "--\nJo\nACME"));
}

#[test]
fn a_name_and_address_without_farewell_are_a_signature() {
    let signed = |name: &str, body: &str| {
        let mail = format!("From: {name} <x@example.net>\nContent-Type: text/plain; charset=utf-8\n\n{body}");
        STRIPPER.words(&parse::letter(mail.as_bytes(), false))
    };
    for (name, body, text) in [
        ("Teresa Longo", "Non si accende.\n\nTeresa Longo", "Non si accende."),
        ("Teresa Longo", "Non si accende.\nTeresa", "Non si accende."),
        ("Teresa Longo", "Non si accende.\n\nT. Longo\n\nSent from my iPhone", "Non si accende."),
        ("Teresa Longo", "Non si accende.\n\nTeresa Longo\nForno Longo e Figli", "Non si accende."),
        (
            "x",
            "It is dead.\n\nCarol St. Clair\nACME Holding\nStreet 12\n713-853-3989 (Phone)\nc@example.net",
            "It is dead.",
        ),
    ] {
        assert_eq!(signed(name, body).text, text, "{body}");
    }
    // Facts, labels, sentences, other people's names and products stay.
    for body in [
        "Here is what you asked for:\n\nTANK T4\nKS10234\n2000400001018",
        "The data:\n\nMaya Lindqvist\nOrder: KS10234\nDisplay flickers",
        "The data:\n\nMaya Lindqvist\nKS10234\n+49 170 1234567",
        "It was bought by\n\nPeter Pan",
        "It was bought by\nMaya Lindqvist",
        "My watch is a\n\nTank Ultra\n\nSince Monday",
        "Maya Lindqvist",
        "Name\nMaya Lindqvist\nProduct\nTank",
    ] {
        assert_eq!(signed("Maya Lindqvist", body).text, body);
    }
}

#[test]
fn several_bodies_are_read_in_order() {
    let mail = b"From: jo@example.net\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nbefore\n--b\nContent-Type: image/png\n\nx\n--b\nContent-Type: text/plain\n\nafter\n--b--\n";
    assert_eq!(STRIPPER.words(&parse::letter(mail, false)).text, "before\n\nafter");
}

/// The letters and digits of a text, sorted: what must not get lost.
fn ink<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<char> {
    let mut ink: Vec<char> = texts.into_iter().flat_map(|t| t.chars()).filter(|c| c.is_alphanumeric()).collect();
    ink.sort_unstable();
    ink
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_word_of_a_plain_body_is_lost(lines in proptest::collection::vec(
        "(> ?){0,2}(From: a@b\\.c|Sent: x|To: y|Subject: z|On 3 Nov 2026 19:22 A <a@b\\.c> wrote:|-- |Thanks|Sent from my x|_{9}|[a-z0-9 ]{0,30}|)", 0..25,
    )) {
        let body = lines.join("\n");
        let words = plain(&body);
        let mut out = vec![words.text, words.quoted, words.signature];
        out.extend(words.forwarded);
        prop_assert_eq!(ink(&out), ink([&body]));
    }

    #[test]
    fn no_html_makes_it_panic_or_grow(body in "(<(/)?(p|div|b|blockquote|td|tr|li|pre|a href='http://x.y'|div class=gmail_attr|!--|style)( x=\"|>)?|[ -~]{0,9}|&[a-z#0-9]{1,6};|\\PC){0,60}") {
        let words = html(&body);
        let all = words.text.len() + words.quoted.len() + words.signature.len();
        prop_assert!(all <= body.len() * 4 + 16, "{} of {}", all, body.len());
    }
}

#[test]
fn hostile_bodies_end_quickly() {
    let n = 60_000;
    for body in [
        "<div>".repeat(n),
        "<b><p>x".repeat(n),
        "<table><tr><td>".repeat(n / 2),
        "<a href=\"".repeat(n / 2),
        "</div".repeat(n),
        "<!--".repeat(n),
        "&".repeat(n),
        "<td>a".repeat(n),
    ] {
        let start = std::time::Instant::now();
        html(&body);
        assert!(start.elapsed().as_secs() < 5, "{:.20}", body);
    }
    for line in
        ["a:\n", "> \n", "On 3.11.2026 19:22 a@b wrote:\n", "From: a\n", "-- \n", "Thanks\n", "____________\n", "\n"]
    {
        let start = std::time::Instant::now();
        plain(&line.repeat(n / 2));
        assert!(start.elapsed().as_secs() < 5, "{line}");
    }
}
