//! Each kind of mistake and the line it gets.

use proptest::prelude::*;

use super::*;

#[test]
fn an_unknown_key_names_the_nearest() {
    assert_eq!(
        changed("user = \"me\"", "prot = 993\nuser = \"me\""),
        ["config.toml: line 5: [mailbox] prot: unknown key, did you mean `port`?"]
    );
    assert_eq!(
        told(&format!("{SMALL}[store2]\n[limits]\ncolour = 1\n")),
        [
            "config.toml: line 16: [store2]: unknown table, did you mean `store`?",
            "config.toml: line 18: [limits] colour: unknown key, \
             known are: replies_per_sender, replies_per_case, replies_per_hour, mail_size"
        ]
    );
    assert_eq!(
        told(&SMALL.replace("path = \"inbox\"", "path = \"inbox\"\nfrom = \"a@b.example\"")),
        ["config.toml: line 5: [mailbox] from: unknown key, it belongs to [delivery]"]
    );
    assert_eq!(
        told(&format!("port = 3\n{SMALL}[weather]\n")),
        [
            "config.toml: line 1: port: stands in no table; known are: store, oauth2, mailbox, delivery, catalogue, hours, \
             orders, orders.http, orders.shopify, policy, policy.required, policy.return_shipping, channels, exceptions, \
             deadlines, rma, rma.addresses, brand, templates, limits, staff, retention, console, log, doctor, webhook",
            "config.toml: line 17: [weather]: unknown table, known are: store, oauth2, mailbox, delivery, catalogue, hours, \
             orders, orders.http, orders.shopify, policy, policy.required, policy.return_shipping, channels, exceptions, \
             deadlines, rma, rma.addresses, brand, templates, limits, staff, retention, console, log, doctor, webhook"
        ]
    );
}

#[test]
fn what_is_missing_is_told_with_its_table() {
    assert_eq!(
        told(""),
        [
            "config.toml: [store] path: is missing",
            "config.toml: [mailbox] kind: is missing",
            "config.toml: [delivery] kind: is missing",
            "config.toml: [delivery] from: is missing",
            "config.toml: [catalogue] file: is missing"
        ]
    );
    assert_eq!(changed("host = \"imap.example.com\"", ""), ["config.toml: line 2: [mailbox] host: is missing"]);
    assert_eq!(changed("host = \"smtp.example.com\"", ""), ["config.toml: line 8: [delivery] host: is missing"]);
    assert_eq!(changed("user = \"me\"", ""), ["config.toml: line 2: [mailbox] user: is missing"]);
    assert_eq!(
        changed("password = \"first secret\"", ""),
        ["config.toml: line 2: [mailbox] password_file: is missing \
          (or password, or the variable AFTERSALESD_MAILBOX_PASSWORD)"]
    );
    assert_eq!(told(&SMALL.replace("path = \"inbox\"\n", "")), ["config.toml: line 2: [mailbox] path: is missing"]);
    assert_eq!(
        changed("host = \"smtp.example.com\"", "host = \"smtp.example.com\"\npassword = \"x\""),
        ["config.toml: line 8: [delivery] user: is missing"]
    );
}

#[test]
fn values_of_the_wrong_kind_are_named_but_never_shown() {
    assert_eq!(
        changed("host = \"imap.example.com\"", "host = 7\nport = \"993\"\nidle = 1\nfolder = false"),
        [
            "config.toml: line 4: [mailbox] host: expected a string, found a whole number",
            "config.toml: line 5: [mailbox] port: expected a whole number from 1 to 65535, found a string",
            "config.toml: line 6: [mailbox] idle: expected true or false, found a whole number",
            "config.toml: line 7: [mailbox] folder: expected a string, found true or false"
        ]
    );
    assert_eq!(
        changed("password = \"first secret\"", "password = 271828"),
        ["config.toml: line 6: [mailbox] password: expected a string, found a whole number"]
    );
    assert_eq!(
        told(&SMALL.replace("[store]\npath = \"store\"", "[[store]]\npath = \"store\"")),
        ["config.toml: line 11: [store]: expected a table, found a list"]
    );
    assert_eq!(
        told(&format!("{SMALL}[orders]\nnumber_patterns = ['A\\d+', 3]\n")),
        ["config.toml: line 17: [orders] number_patterns: entry 2: expected a string, found a whole number"]
    );
}

#[test]
fn bad_values_say_what_is_expected() {
    let mailbox = |line: &str| changed("user = \"me\"", &format!("{line}\nuser = \"me\"")).join("\n");
    assert_eq!(
        mailbox("port = 0"),
        "config.toml: line 5: [mailbox] port: expected a whole number from 1 to 65535, found 0"
    );
    assert_eq!(
        mailbox("port = 0x1_0000"),
        "config.toml: line 5: [mailbox] port: expected a whole number from 1 to 65535, found 0x10000"
    );
    assert_eq!(
        mailbox("poll_interval = \"often\""),
        "config.toml: line 5: [mailbox] poll_interval: \
         expected a duration such as \"60s\", \"5m\" or \"1h\", found \"often\""
    );
    assert_eq!(
        mailbox("poll_interval = 60"),
        "config.toml: line 5: [mailbox] poll_interval: \
         expected a duration such as \"60s\", \"5m\" or \"1h\", found a whole number"
    );
    assert_eq!(
        mailbox("timeout = \"0s\""),
        "config.toml: line 5: [mailbox] timeout: must be from 1s to 600s, found \"0s\""
    );
    assert_eq!(
        mailbox("security = \"ssl\""),
        "config.toml: line 5: [mailbox] security: unknown value \"ssl\", known are: tls, starttls, none"
    );
    assert_eq!(
        mailbox("security = \"none\""),
        "config.toml: line 5: [mailbox] security: \"none\" is for loopback addresses only, and imap.example.com is none"
    );
    assert_eq!(mailbox("folder = \" \""), "config.toml: line 5: [mailbox] folder: is empty");
    assert_eq!(
        mailbox("form_senders = [\"webform\"]"),
        "config.toml: line 5: [mailbox] form_senders: entry 1: expected an e-mail address, found \"webform\""
    );
    assert_eq!(
        mailbox("handled = \"delete\""),
        "config.toml: line 5: [mailbox] handled: \
         expected \"seen\", \"keyword:NAME\" or \"move:FOLDER\", found \"delete\""
    );
    assert_eq!(
        mailbox("handled = \"move:INBOX\""),
        "config.toml: line 5: [mailbox] handled: \"INBOX\" is the folder that letters come from"
    );
    assert_eq!(
        mailbox("handled = \"keyword:a b\""),
        "config.toml: line 5: [mailbox] handled: \"a b\" cannot be a keyword: letters and digits only"
    );
    assert_eq!(
        changed("kind = \"imap\"", "kind = \"pop3\""),
        ["config.toml: line 3: [mailbox] kind: unknown value \"pop3\", known are: imap, maildir"]
    );
    assert_eq!(
        changed("host = \"imap.example.com\"", "host = \"imaps://imap.example.com\""),
        ["config.toml: line 4: [mailbox] host: \
          expected the name or address of a host alone, found \"imaps://imap.example.com\""]
    );
    assert_eq!(
        changed("from = \"after-sales@example.com\"", "from = \"After Sales\""),
        ["config.toml: line 11: [delivery] from: \
          expected an address such as \"Shop <shop@example.com>\", found \"After Sales\""]
    );
    assert_eq!(
        told(&SMALL.replace("\"outbox\"", "\"inbox\"")),
        ["config.toml: line 8: [delivery] path: is the folder that letters come from"]
    );
}

#[test]
fn bad_values_of_the_tables_that_may_be_left_out() {
    let told = |lines: &str| told(&format!("{SMALL}{lines}\n")).join("\n");
    assert_eq!(
        told("[limits]\nmail_size = \"35\"\nreplies_per_hour = 0"),
        "config.toml: line 17: [limits] mail_size: expected a size such as \"35MiB\" or \"10MB\", found \"35\"\n\
         config.toml: line 18: [limits] replies_per_hour: expected a whole number from 1 to 4294967295, found 0"
    );
    assert_eq!(
        told("[limits]\nmail_size = \"1KiB\""),
        "config.toml: line 17: [limits] mail_size: must be from 64 KiB to 1024 MiB, found \"1KiB\""
    );
    assert_eq!(
        told("[console]\nlisten = \"localhost\""),
        "config.toml: line 17: [console] listen: \
         expected an address and a port such as \"127.0.0.1:8480\", found \"localhost\""
    );
    assert_eq!(
        told("[policy]\nasks = -1"),
        "config.toml: line 17: [policy] asks: expected a whole number from 0 to 100, found -1"
    );
    assert_eq!(
        told("[rma]\nprefix = \"Kospet\"\nreturn_address = []"),
        "config.toml: line 17: [rma] prefix: expected one to four letters A to Z, found \"Kospet\"\n\
         config.toml: line 18: [rma] return_address: is empty; leave it out if there is none"
    );
    assert_eq!(
        told("[orders]\nnumber_patterns = ['KS\\d+', 'KS[']"),
        "config.toml: line 17: [orders] number_patterns: entry 2: pattern \"KS[\": unclosed character class"
    );
    assert_eq!(
        told("[templates]\npath = \"nowhere\""),
        "config.toml: line 17: [templates] path: nowhere is not a folder"
    );
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = SERVERS.replace("kind = \"imap\"", "kind = \"imap\"\nprot = 1").replace("[store]", "[store]\nsize = 1");
    let text = text.replace("path = \"store\"", "path = 5").replace("file = ", "flie = ");
    assert_eq!(
        told(&text),
        [
            "config.toml: line 4: [mailbox] prot: unknown key, did you mean `port`?",
            "config.toml: line 15: [store] size: unknown key, known are: path",
            "config.toml: line 16: [store] path: expected a string, found a whole number",
            "config.toml: line 18: [catalogue] file: is missing",
            "config.toml: line 19: [catalogue] flie: unknown key, did you mean `file`?"
        ]
    );
}

proptest! {
    #[test]
    fn whatever_the_file_says_every_problem_is_one_line(
        at in 0usize..300,
        len in 0usize..40,
        text in "\\PC{0,20}|[\\[\\]={}\"'\n0-9a-z]{0,20}",
    ) {
        let mut file = SERVERS.to_owned();
        let start = at.min(file.len());
        file.replace_range(start..(start + len).min(file.len()), &text);
        let (base, connects) = (Path::new("/nowhere"), Connects::Yes);
        let surroundings = Surroundings { base, variable: &|_| None, is_open_to_all: false, connects };
        let outcome = table::Document::parse("config.toml".to_owned(), &file).and_then(|mut document| {
            let config = sections::read(&mut document, &surroundings);
            document.finish().map(|_| config)
        });
        match outcome {
            Ok(config) => prop_assert!(config.is_some(), "nothing was noted, yet something is missing"),
            Err(error) => {
                prop_assert!(!error.lines().is_empty());
                for line in error.lines() {
                    prop_assert!(line.starts_with("config.toml: ") && !line.contains(char::is_control), "{:?}", line);
                }
            }
        }
    }
}
