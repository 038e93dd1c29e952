//! Letters of a line or two, in English and German, and what each finder makes of them.

use jiff::tz::Offset;

use super::*;
use crate::domain::catalogue::Product;
use crate::domain::facts::{Request, VoidSignal};
use crate::domain::ids::{ItemCode, Sku};
use crate::domain::warranty::Item;
use crate::pipeline::parse;
use crate::pipeline::strip::Stripper;

fn product(sku: &str, name: &str, aliases: &[&str], ean: &str) -> Product {
    Product {
        sku: Sku::new(sku).unwrap(),
        name: name.to_owned(),
        aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
        ean: ItemCode::new(ean).ok(),
        warranty_months: Some(12),
    }
}

fn catalogue() -> Catalogue {
    let products = vec![
        product("RX-ROAM5-BK", "ROAM 5 black", &["Roam 5 black"], "4006381333931"),
        product("RX-ROAM5-SV", "ROAM 5 silver", &["Roam 5 silver"], "4006381333948"),
        product("RX-ROAM5P-BK", "ROAM 5 Pro black", &["Roam 5 Pro"], "4006381333955"),
        product("RX-DUNE-GD", "DUNE gold", &["Dune"], "4006381333962"),
        product("RX-CHG", "ROAM charging cable", &["charging cable"], "4006381333979"),
    ];
    Catalogue { products }
}

struct Reader {
    lexicons: Lexicons,
    stripper: Stripper,
    extractor: Extractor,
    catalogue: Catalogue,
}

impl Reader {
    fn new() -> Self {
        let lexicons = Lexicons::embedded().unwrap();
        let catalogue = catalogue();
        let extractor = Extractor::new(&[r"KS\d{4,8}".to_owned()], &catalogue, &lexicons).unwrap();
        Self { stripper: Stripper::new(&lexicons), lexicons, extractor, catalogue }
    }

    fn read(&self, subject: &str, text: &str) -> Extract {
        let raw = format!(
            "From: Jo <jo@example.net>\r\nSubject: {subject}\r\nDate: Wed, 4 Nov 2026 10:00:00 +0100\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n"
        );
        let letter = parse::letter(raw.as_bytes(), false);
        let words = self.stripper.words(&letter);
        let arrived = letter.arrived(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(arrived.offset, Offset::constant(1));
        self.extractor.extract(&letter, &words, arrived, &self.catalogue, &self.lexicons)
    }

    fn facts(&self, text: &str) -> Facts {
        self.read("Help", text).facts
    }
}

#[test]
fn order_numbers_and_what_only_looks_like_one() {
    let reader = Reader::new();
    let of = |text: &str| reader.facts(text).order_number.map(|f| f.value.to_string());
    for (text, expected) in [
        ("My order is #KS10877, thanks for looking into it.", "KS10877"),
        ("Die Bestellung ks 12904 ist von Ihnen.", "KS12904"),
        ("Ordered on Amazon, 205-6641930-9982317, in May.", "205-6641930-9982317"),
        ("Number of order: 8192334455667788, track number RS0912345678Y.", "8192334455667788"),
        ("Order number\tWEB-2026-4471", "WEB-2026-4471"),
        ("Bestellt über AliExpress, 8190 4471 2260 3815, kam gestern.", "8190447122603815"),
        ("Ma montre (AliExpress 8190002213347718) ne marche plus.", "8190002213347718"),
        ("Customer number 40028811, but the order was KS55123.", "KS55123"),
        ("KS20001 is wrong, the order number is KS20002.", "KS20002"),
        ("Not KS20001 but KS20002 is my order.", "KS20002"),
        ("Przepraszam, to nie KS20001, tylko KS20002.", "KS20002"),
        ("My Amazon order is 205 6641930 9982317.", "205-6641930-9982317"),
        ("Bestellnummer: 205.6641930.9982317, die Uhr ist defekt.", "205-6641930-9982317"),
        ("Order-No.KS20001, please help.", "KS20001"),
    ] {
        assert_eq!(of(text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "You can ring me on 07700 900461 or +49 171 4471882.",
        "The tracking number is 1Z999AA10123456784 and LP00612345678901.",
        "IMEI 356938035643809, firmware 1.2.3456, I paid 119.99 on 12-10-2026.",
        "Firmware 205.6641930.9982317, card 4111 1111 1111 1111.",
        "Order number: unknown\nOrder: n/a\nOrder no.: -",
        "PayPal transaction 4RT88213KJ559013L, invoice 2026-00417.",
        "The code on the box is 4006381333931.",
    ] {
        assert_eq!(of(text), None, "{text}");
    }
}

#[test]
fn products_by_code_name_and_colour() {
    let reader = Reader::new();
    let of = |text: &str| reader.facts(text).sku.map(|f| f.value.to_string());
    for (text, expected) in [
        ("The SKU is rx-roam5-sv.", "RX-ROAM5-SV"),
        ("My silver Roam 5 restarts.", "RX-ROAM5-SV"),
        ("Die Roam 5 in schwarz startet nicht.", "RX-ROAM5-BK"),
        ("Meine schwarze Roam 5 lädt nicht.", "RX-ROAM5-BK"),
        ("The ROAM-5 Pro is dead.", "RX-ROAM5P-BK"),
        ("My Dune goes black after a minute.", "RX-DUNE-GD"),
        ("My charging cable is broken at the plug.", "RX-CHG"),
        ("My roam5 pro is dead.", "RX-ROAM5P-BK"),
        ("My RX–ROAM5–SV is dead.", "RX-ROAM5-SV"),
        ("Roam 5, silver, since Monday it restarts by itself.", "RX-ROAM5-SV"),
        ("Es uno negro, el Roam 5, y no carga.", "RX-ROAM5-BK"),
        ("My black watch, a Roam 5 that I love, restarts by itself.", "RX-ROAM5-BK"),
        ("La mia Roam 5 si riavvia da sola. È un orologio nero.", "RX-ROAM5-BK"),
    ] {
        assert_eq!(of(text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "My Roam 5 has a black screen.",
        "The watch does not charge, another charging cable changes nothing.",
        "The strap is black, the Roam 5 does not charge.",
        "Everything is black, the Roam 5 is dead.",
        "Der Bildschirm ist schwarz, die Roam 5 lädt nicht.",
        "La pantalla del reloj negra, el Roam 5 no arranca.",
    ] {
        assert_eq!(of(text), None, "{text}");
    }
    let candidates: Vec<String> =
        reader.facts("My Roam 5 has a black screen.").sku_candidates.iter().map(|f| f.value.to_string()).collect();
    assert_eq!(candidates, ["RX-ROAM5-BK", "RX-ROAM5-SV"]);
}

#[test]
fn item_codes_in_any_spelling() {
    let reader = Reader::new();
    let of = |text: &str| reader.facts(text).item_code.map(|f| f.value.to_string());
    assert_eq!(of("Under the barcode it says 4 006381 333931.").as_deref(), Some("4006381333931"));
    assert_eq!(of("Auf dem Karton steht 4006381333948").as_deref(), Some("4006381333948"));
    assert_eq!(of("Item code: AB-44821-X").as_deref(), Some("AB-44821-X"));
    assert_eq!(of("My phone is 4915112345678."), None);
    assert_eq!(of("I have looked for the item code but found none on 2026-10-12."), None);
}

#[test]
fn the_day_of_receipt_and_no_other_day() {
    let reader = Reader::new();
    let of = |text: &str| reader.facts(text).received_on.map(|f| f.value.to_string());
    for (text, expected) in [
        ("I ordered it on 20 September and received it on 25 September 2026.", "2026-09-25"),
        ("It was delivered two weeks ago.", "2026-10-21"),
        ("The parcel arrived yesterday.", "2026-11-03"),
        ("Erhalten habe ich sie am 1. Juli 2026.", "2026-07-01"),
        ("Bestellt am 3.10.2026, angekommen am 9.10.2026.", "2026-10-09"),
        ("Received: 1 August 2026", "2026-08-01"),
        ("Ordinato il 25 ottobre arrivato a casa il 30 ottobre.", "2026-10-30"),
        ("Me lo hanno portato il primo settembre.", "2026-09-01"),
        ("Il pacco è venuto a casa nostra giorno 2 settembre 2026.", "2026-09-02"),
        ("La montre est reçue le 2 de ce mois.", "2026-11-02"),
        ("Die Uhr kam am 28. letzten Monats.", "2026-10-28"),
        ("hilft nix bestellnr ks16022 angekommen am 28.9.26 auf der schachtel", "2026-09-28"),
        ("Ordered from you, it arrived on 2 November.", "2026-11-02"),
        ("Since I received it on 3 November the screen flickers.", "2026-11-03"),
        ("It does not charge since it arrived yesterday.", "2026-11-03"),
        ("Roam 5, order KS15071, came 15 September, box number 4006381333931.", "2026-09-15"),
        ("bestellung KS22107 roam vorgestern gekommen gleich am ersten abend ging das bild aus", "2026-11-02"),
        ("je vous ecrit pour montre commande KS20951 je lai recu 4 septembre 2026.", "2026-09-04"),
        ("De Roam (KS15524) is woensdag gekomen.", "2026-10-28"),
        (
            "My order was KS15071 and the neighbour put it into my hand on 17 October 2026, I know because it was the \
             day of the fair and she was in a hurry.",
            "2026-10-17",
        ),
        ("e aí galera, chegou anteontem meu roam pedido KS16410", "2026-11-02"),
    ] {
        assert_eq!(of(text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "I bought it on 3 May 2026.",
        "Since 12 October it restarts.",
        "I received it in spring.",
        "It has not arrived until today.",
        "Die Uhr ist bis heute nicht angekommen.",
        "La montre n'est pas arrivée jusqu'à hier.",
        "I have received no answer since Monday.",
        "My watch KS15071 never came on 15 September.",
        "Op 2 november kreeg de app een update.",
        "El 2 de noviembre vino la actualización.",
        "I sent my watch back on 1 November and it was delivered to you on 3 November.",
        "Vi ho spedito il mio orologio il 1 novembre e risulta consegnato da voi il 3 novembre.",
    ] {
        assert_eq!(of(text), None, "{text}");
    }
}

#[test]
fn a_day_that_may_be_read_either_way_is_unclear() {
    let reader = Reader::new();
    let unclear = |text: &str| reader.facts(text).received_on.map(|f| f.evidence.unclear);
    // The fourth of March or the third of April; in German it can only be one.
    assert_eq!(unclear("It arrived on 3/4/2026."), Some(true));
    assert_eq!(unclear("It arrived on 25/4/2026."), Some(false));
    assert_eq!(unclear("It arrived on 4 March 2026."), Some(false));
    assert_eq!(unclear("Die Uhr ist am 3.4.2026 angekommen."), Some(false));
}

#[test]
fn what_when_how_and_what_was_tried() {
    let reader = Reader::new();
    let told = |text: &str| {
        let facts = reader.facts(text);
        [facts.problem_what, facts.problem_when, facts.problem_how, facts.steps_taken]
            .map(|e| if e.is_some() { 'x' } else { '-' })
            .iter()
            .collect::<String>()
    };
    for (text, expected) in [
        ("My watch is broken, please help.", "----"),
        ("The watch does not charge.", "x---"),
        ("Since Monday the display flickers as soon as I open the menu.", "xxx-"),
        ("It does not switch on. I have restarted it and tried another cable.", "x--x"),
        ("The speaker crackles. I have not tried anything yet.", "x--x"),
        ("Die Uhr lädt nicht mehr.", "x---"),
        ("Seit gestern startet sie ständig neu, wenn eine Nachricht kommt.", "xxx-"),
        ("Received: 3 Nov\nThe display stays black.", "x---"),
        ("Empfangen am: 03.11.\nDas Display bleibt schwarz.", "x---"),
        ("Seit ich sie am 3. November bekommen habe, flackert das Display.", "xx--"),
        ("Gestern bekommen, das Display flackert.", "x---"),
        ("Problem: Screen flickers\nWhen: since Monday", "xx--"),
        ("Das GPS findet kein Signal. Neustart und Reset habe ich gemacht.", "x--x"),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn void_signals_told_denied_and_imagined() {
    let reader = Reader::new();
    let of = |text: &str| reader.facts(text).void_signals.iter().map(|f| f.value).collect::<Vec<_>>();
    assert_eq!(of("I dropped it on the kitchen floor and now the glass is cracked."), [VoidSignal::Misuse]);
    assert_eq!(of("I flashed a custom ROM and now it does not boot."), [VoidSignal::Flashed]);
    assert_eq!(
        of("Ich habe das Gehäuse aufgeschraubt und den Akku getauscht."),
        [VoidSignal::Opened, VoidSignal::Modified]
    );
    for text in [
        "I have never dropped it, never opened the housing and never flashed anything.",
        "Should I open the case myself to look at the battery?",
        "Sie ist mir nie runtergefallen und ich habe sie nicht geöffnet.",
        "My old watch fell down the stairs, this one did not.",
        "My phone is rooted, the watch runs what you sent.",
        "Mein Handy ist gerootet, die Uhr nicht.",
        "Mon propre téléphone est rooté, la montre est d'origine.",
        "Mi móvil está rooteado, el reloj no.",
        "Il mio telefono è rootato, l'orologio no.",
        "O meu telemóvel tem root feito, o relógio não.",
        "Mijn telefoon is geroot, het horloge niet.",
        "Mój telefon jest zrootowany, zegarek nie.",
    ] {
        assert!(of(text).is_empty(), "{text}");
    }
    let flashed = of("From my phone I flashed the watch with a custom ROM.");
    assert_eq!(flashed, [VoidSignal::Flashed]);
}

#[test]
fn safety_reports_and_what_only_sounds_like_one() {
    let reader = Reader::new();
    let of = |text: &str| reader.facts(text).safety.is_some();
    for text in [
        "The charger caught fire.",
        "My laptop has marks of the fire.",
        "The battery is swollen and pushes the screen out.",
        "It became so hot that it burned my wrist.",
        "There was smoke when I charged it.",
        "Der Akku ist aufgebläht.",
        "Die Uhr wird beim Laden extrem heiß.",
    ] {
        assert!(of(text), "{text}");
    }
    for text in [
        "The display has burn-in. No heat, no smoke, nothing dangerous.",
        "It counts the calories burned wrongly.",
        "Die Schrift hat sich eingebrannt.",
        "The alarm came late and my toast was burnt.",
        "Der Wecker ging zu spät, und mir ist der Kuchen verbrannt.",
    ] {
        assert!(!of(text), "{text}");
    }
}

#[test]
fn a_step_that_dates_the_problem_was_not_done_to_solve_it() {
    let reader = Reader::new();
    let tried = |text: &str| reader.facts(text).steps_taken.is_some();
    assert!(!tried("Desde que lo actualicé el martes no vibra."));
    assert!(tried("No vibra desde el martes. Lo he reiniciado dos veces y lo he vuelto a vincular."));
}

#[test]
fn sealed_as_it_was_brought_is_not_opened() {
    let reader = Reader::new();
    let unopened = |text: &str| reader.facts(text).unopened.map(|fact| fact.value);
    let sealed = "Está sin abrir, con el precinto puesto, tal cual me lo dejó el mensajero el jueves.";
    assert_eq!(unopened(sealed), Some(true));
    assert_eq!(unopened("Lo he abierto y me lo he puesto una vez."), Some(false));
    assert_eq!(unopened("Non ho neanche aperto la scatola, è ancora sigillata."), Some(true));
}

#[test]
fn requests() {
    let reader = Reader::new();
    let of = |text: &str| reader.facts(text).request.map(|f| f.value);
    for (text, expected) in [
        ("The watch is broken.", Request::Defect),
        ("I would like to return the watch, it is still sealed.", Request::ReturnUnused),
        ("I want to return it, I wore it twice and it does not suit me.", Request::ReturnOpened),
        ("Please refund the return shipping costs, the receipt is attached.", Request::ShippingReimbursement),
        ("Do you sell the strap separately?", Request::SpareParts),
        ("My parcel has not arrived, where is my order?", Request::OrderIssue),
        ("Any news about my claim?", Request::Status),
        ("I am thinking of buying the Dune, is it waterproof?", Request::Question),
        ("It works again, thank you!", Request::Closing),
        ("Bitte senden Sie mir die Rechnung zu.", Request::OrderIssue),
        ("Ich möchte die Uhr zurückgeben, sie ist noch originalverpackt.", Request::ReturnUnused),
        ("Hat sich erledigt, danke.", Request::Closing),
        ("Potete chiudere la pratica, era il telefono, grazie mille.", Request::Closing),
        ("The screen stays black since Monday. Many thanks in advance for your help.", Request::Defect),
        ("Wie stelle ich die Uhrzeit um?", Request::Question),
        ("I don't want the watch, it is unopened. How do I return it?", Request::ReturnUnused),
    ] {
        assert_eq!(of(text), Some(expected), "{text}");
    }
}

#[test]
fn what_is_shown_and_what_cannot_be() {
    let reader = Reader::new();
    let facts =
        reader.facts("The video is here: https://drive.google.com/file/d/1xQ9/view, my page is https://example.org.");
    assert_eq!(facts.links, ["https://drive.google.com/file/d/1xQ9/view"]);
    let gone = |text: &str| reader.facts(text).not_available.iter().map(|f| f.value).collect::<Vec<_>>();
    assert_eq!(gone("I threw the box away."), [Item::ItemCode, Item::PackagingPhoto]);
    assert_eq!(gone("Der Karton ist im Altpapier."), [Item::ItemCode, Item::PackagingPhoto]);
    assert!(gone("The box arrived in good order.").is_empty());
    assert!(gone("Order number: KS10001\nItem code:\nPhoto:\n").is_empty());
    assert_eq!(reader.facts("Where do I find the item code?").where_to_find, [Item::ItemCode]);
}

#[test]
fn every_piece_of_evidence_points_at_its_words() {
    let reader = Reader::new();
    let text = "Größe M.\n\nBestellung KS12904, die Roam 5 silber flackert seit Freitag.";
    let facts = reader.facts(text);
    let order = facts.order_number.unwrap().evidence;
    let Source::Text { start, end } = order.source else { panic!("read from the text") };
    assert_eq!(text.get(start..end), Some("KS12904"));
    assert_eq!(order.quote, "KS12904");
    assert_eq!(order.rule, "order_number.own");
}

#[test]
fn the_subject_fills_gaps_only() {
    let reader = Reader::new();
    let facts = reader.read("Re: Order KS10001", "Sorry, it is KS10002.").facts;
    assert_eq!(facts.order_number.unwrap().value.as_str(), "KS10002");
    let facts = reader.read("Order KS10001", "The screen stays black.").facts;
    assert_eq!(facts.order_number.unwrap().evidence.source, Source::Subject);
}

#[test]
fn what_is_passed_on_counts_as_said() {
    let reader = Reader::new();
    let mail = "---------- Forwarded message ---------\nFrom: Jo <jo@example.net>\nDate: Mon, 2 Nov 2026 at 10:00\n\
                Subject: My watch\nTo: shop <shop@example.com>\n\nThe back swelled and it burned my wrist. I dropped it on \
                the stairs and the display stays black.";
    let facts = reader.read("Fwd: My watch", &format!("see below please\n\n{mail}")).facts;
    let safety = facts.safety.unwrap();
    assert_eq!(safety.source, Source::Forwarded);
    assert!(facts.void_signals.iter().any(|s| s.value == VoidSignal::Misuse), "{:?}", facts.void_signals);
    assert!(facts.problem_what.is_some());
}

#[test]
fn a_doubt_is_only_what_is_not_told_plainly() {
    let reader = Reader::new();
    let told = reader.read("", "I dropped it on the stairs and the display stays black.").facts;
    assert!(!told.void_signals.is_empty() && told.doubt.is_none());
    let plain = reader.read("", "The display stays black since Monday. I restarted it twice.").facts;
    assert!(plain.void_signals.is_empty() && plain.doubt.is_none());
    // Begins as what is the matter with somebody else's, and is not.
    let neighbour =
        "Mijn buurman heeft met een mesje het achterkantje eraf gewipt om te kijken of er een draadje los zat.";
    let told = reader.read("", neighbour).facts;
    assert!(!told.void_signals.is_empty() || told.doubt.is_some());
}
