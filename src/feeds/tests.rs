use jiff::civil::date;
use tempfile::TempDir;

use super::*;

const PRODUCTS: &str = "sku,product,aliases,ean,warranty_months\n";
const ORDERS: &str = "order_number,email,sku,delivered_on\n";

fn file(name: &str, text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn products(text: impl AsRef<[u8]>) -> Result<Catalogue, String> {
    let (folder, path) = file("products.csv", text);
    catalogue(&path).map_err(|e| e.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn order_feed(text: impl AsRef<[u8]>) -> Result<Orders, String> {
    let (folder, path) = file("orders.csv", text);
    orders(&path).map_err(|e| e.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn number(text: &str) -> OrderNumber {
    OrderNumber::new(text).unwrap()
}

#[test]
fn products_are_read_with_their_aliases() {
    let text = format!("{PRODUCTS}KP-1,\"One, black\",One; The first ;,6973014171018,12\nkp-2,Two,One,,\n");
    let products = products(text).unwrap().products;
    assert_eq!(products.len(), 2);
    assert_eq!(products[0].name, "One, black");
    assert_eq!(products[0].aliases, ["One", "The first"]);
    assert_eq!(products[0].ean.as_ref().map(ItemCode::as_str), Some("6973014171018"));
    assert_eq!(products[0].warranty_months, Some(12));
    assert_eq!(products[1].sku.as_str(), "KP-2");
    assert_eq!((&products[1].ean, products[1].warranty_months), (&None, None));
}

#[test]
fn a_byte_order_mark_crlf_blank_lines_and_columns_in_any_order_and_case_are_fine() {
    let text = "\u{feff}EAN, SKU ,Product,WARRANTY_MONTHS,aliases\r\n\r\n,KP-1,One,,\r\n , , , , \r\n,KP-2,Two,24,\r\n";
    assert_eq!(products(text).unwrap().products.len(), 2);
}

#[test]
fn every_bad_row_is_named_by_line_and_column() {
    let text = format!(
        "{PRODUCTS}KP-1,One,,6973014171018,12\n\nKP-1,Two,,6973014171018,ten\n?,,,x,\nKP-4,Four\n\"KP-5\",\"Fi\nve\",,,12\nKP-6,Six,,-,\n"
    );
    assert_eq!(
        products(text).unwrap_err(),
        "products.csv: line 4: column warranty_months: \"ten\" is not a valid number of months\n\
         products.csv: line 4: column sku: KP-1 stands in line 2 already\n\
         products.csv: line 4: column ean: 6973014171018 stands in line 2 already\n\
         products.csv: line 5: column sku: \"?\" is not a valid SKU\n\
         products.csv: line 5: column ean: \"x\" is not a valid item code\n\
         products.csv: line 5: column product: is empty\n\
         products.csv: line 6: has 2 fields, the header has 5\n\
         products.csv: line 9: column ean: \"-\" is not a valid item code"
    );
}

#[test]
fn a_wrong_header_is_named() {
    let text = "sku,name,aliases,ean,ean\n";
    assert_eq!(
        products(text).unwrap_err(),
        "products.csv: line 1: unknown column \"name\"; known are sku,product,aliases,ean,warranty_months\n\
         products.csv: line 1: column ean stands there twice\n\
         products.csv: line 1: column product is missing\n\
         products.csv: line 1: column warranty_months is missing"
    );
    assert!(products("").unwrap_err().contains("line 1: the header is missing: sku,product"));
}

#[test]
fn after_twenty_faults_the_others_are_counted() {
    let text = format!("{PRODUCTS}{}", "?,Name,,,\n".repeat(50));
    let said = products(text).unwrap_err();
    assert_eq!(said.lines().count(), 21);
    assert!(said.ends_with("products.csv: and 30 more"), "{said}");
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_named() {
    let missing = catalogue(Path::new("/nowhere/products.csv")).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/products.csv: can't be read: "), "{missing}");
    let latin = [PRODUCTS.as_bytes(), b"KP-1,Gr\xfcn,,,\n"].concat();
    assert_eq!(products(latin).unwrap_err(), "products.csv: line 2: is not UTF-8 text");
}

#[test]
fn an_order_answers_with_its_lines_in_the_order_of_the_file() {
    let text = format!(
        "{ORDERS}KS2,b@example.net,KP-2,\nKS1,A@example.net,KP-2,2026-11-02\nKS10,b@example.net,KP-1,2026-01-31\n#ks 1,a@example.net,KP-1,2026-11-03\n"
    );
    let orders = order_feed(text).unwrap();
    assert_eq!(orders.len(), 4);
    let OrderAnswer::Lines(lines) = orders.answer(&number("KS1")) else { panic!("known") };
    assert_eq!(lines.iter().map(|l| l.sku.as_str()).collect::<Vec<_>>(), ["KP-2", "KP-1"]);
    assert_eq!(lines[0].email.as_str(), "a@example.net");
    assert_eq!(lines[1].delivered_on, Some(date(2026, 11, 3)));
    assert_eq!(orders.answer(&number("KS2")).lines()[0].delivered_on, None);
    assert_eq!(orders.answer(&number("KS3")), OrderAnswer::Unknown);
    let of = |address| orders.of_customer(&Address::new(address).unwrap());
    assert_eq!(of("a@example.net"), [number("KS1")]);
    assert_eq!(of("b@example.net"), [number("KS10"), number("KS2")]);
    assert_eq!(of("c@example.net"), []);
}

#[test]
fn the_day_of_purchase_and_the_country_may_be_told() {
    let orders = order_feed(ORDERS).unwrap();
    assert!(!orders.has_bought_on && !orders.has_country);
    let text = "country,order_number,email,sku,delivered_on,bought_on\nde,KS1,a@b.example,KP-1,2026-11-02,2026-10-30\n\
                ,KS2,a@b.example,KP-1,,\nGB,KS3,a@b.example,KP-1,,\n";
    let orders = order_feed(text).unwrap();
    assert!(orders.has_bought_on && orders.has_country);
    let line = |order: &str| orders.answer(&number(order)).lines()[0].clone();
    assert_eq!((line("KS1").bought_on, line("KS1").country), (Some(date(2026, 10, 30)), Country::new("DE").ok()));
    assert_eq!((line("KS2").bought_on, line("KS2").country), (None, None));
    assert_eq!(line("KS3").country, Country::new("GB").ok());
    let wrong = text.replace("GB", "Britain").replace("2026-10-30", "30.10.2026");
    assert_eq!(
        order_feed(wrong).unwrap_err(),
        "orders.csv: line 2: column bought_on: \"30.10.2026\" is not a valid date (YYYY-MM-DD)\n\
         orders.csv: line 4: column country: \"Britain\" is not a valid country (two letters, as DE)"
    );
}

#[test]
fn bad_dates_addresses_and_numbers_are_named() {
    let text =
        format!("{ORDERS}KS1,nobody,KP-1,02.11.2026\nnone,a@b.example,,2026-02-30\nKS1,a@b.example,KP-1,20261102\n");
    assert_eq!(
        order_feed(text).unwrap_err(),
        "orders.csv: line 2: column email: \"nobody\" is not a valid e-mail address\n\
         orders.csv: line 2: column delivered_on: \"02.11.2026\" is not a valid date (YYYY-MM-DD)\n\
         orders.csv: line 3: column order_number: \"none\" is not a valid order number\n\
         orders.csv: line 3: column sku: is empty\n\
         orders.csv: line 3: column delivered_on: \"2026-02-30\" is not a valid date (YYYY-MM-DD)\n\
         orders.csv: line 4: column delivered_on: \"20261102\" is not a valid date (YYYY-MM-DD)"
    );
}

#[test]
fn a_large_feed_is_kept_small() {
    let rows = (0..20_000).map(|n| format!("KS{n:07},customer{}@example.net,KP-{},2026-10-01\n", n / 3, n % 40));
    let orders = order_feed(format!("{ORDERS}{}", rows.collect::<String>())).unwrap();
    let bytes = orders.text.capacity() + orders.lines.len() * size_of::<Line>() + orders.by_email.len() * 4;
    assert!(bytes / orders.len() < 80, "{} bytes a line", bytes / orders.len());
    assert_eq!(orders.skus.len(), 40);
    assert_eq!(orders.of_customer(&Address::new("customer77@example.net").unwrap()).len(), 3);
    assert_eq!(orders.answer(&number("KS0019999")).lines().len(), 1);
}

#[test]
fn the_files_of_the_evaluation_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/eval");
    if folder.exists() {
        assert_eq!(catalogue(&folder.join("products.csv")).unwrap().products.len(), 16);
        assert_eq!(orders(&folder.join("cases/orders.csv")).unwrap().len(), 20);
    }
}
