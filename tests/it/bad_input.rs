//! Bad input is normal input: one clear line on standard error that names the file, key or row, and the exit code that
//! says what to do about it; never a panic.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use aftersalesd::ports::Security;

use crate::support::dovecot::Dovecot;
use crate::support::program::{Installation, Told, keys, program, run, sample};
use crate::support::smtpd::Smtpd;
use crate::support::{free_port, is_root, letter};

const EX_TEMPFAIL: i32 = 75;
const EX_CONFIG: i32 = 78;

/// One line that starts with our name and has these words in it, and this exit code.
#[track_caller]
fn complains(told: &Told, code: i32, words: &[&str]) {
    assert_eq!(told.code, Some(code), "{told:?}");
    let complaints = told.complaints();
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    assert!(complaints[0].starts_with("aftersalesd: "), "{complaints:?}");
    for word in words {
        assert!(complaints[0].contains(word), "{word:?} is not in {:?}", complaints[0]);
    }
    assert!(!told.err.contains("panicked"), "{}", told.err);
}

fn is_config_fault(here: &Installation, words: &[&str]) {
    for command in [&["check", "--offline"][..], &["once"], &["run"]] {
        complains(&here.run(command), EX_CONFIG, words);
    }
}

// --- the configuration --------------------------------------------------------------------------------------------

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    let here = Installation::of_maildirs();
    here.replace("path = \"store\"", "path = \"store\"\npaht = 1");
    is_config_fault(&here, &["config.toml", "paht", "path"]);
}

#[test]
fn a_wrong_type_names_its_key_and_line() {
    let here = Installation::of_maildirs();
    here.replace("[store]", "[limits]\nreplies_per_hour = \"many\"\n[store]");
    is_config_fault(&here, &["config.toml: line 9", "replies_per_hour"]);
}

#[test]
fn text_that_is_no_toml_names_its_line() {
    let here = Installation::of_maildirs();
    here.replace("[store]", "[store");
    is_config_fault(&here, &["config.toml: line 8"]);
    here.write("config.toml", b"\xff\xfe\x00");
    is_config_fault(&here, &["config.toml", "UTF-8"]);
}

#[test]
fn a_missing_file_is_named() {
    let here = Installation::of_maildirs();
    fs::remove_file(here.path("config.toml")).unwrap();
    is_config_fault(&here, &["config.toml", "No such file"]);
    complains(&here.run(&["cases", "list"]), EX_CONFIG, &["config.toml"]);
    complains(&here.run(&["export"]), EX_CONFIG, &["config.toml"]);
    complains(&here.run(&["triage", "/dev/null"]), EX_CONFIG, &["config.toml"]);
}

#[test]
fn a_missing_table_is_named() {
    let here = Installation::of_maildirs();
    here.replace("[store]\npath = \"store\"\n", "");
    is_config_fault(&here, &["config.toml", "store", "is missing"]);
}

#[test]
fn several_problems_are_a_line_each() {
    let here = Installation::of_maildirs();
    here.replace("path = \"store\"", "path = 5\nwhatever = 1");
    here.replace("file = \"products.csv\"", "fiel = \"products.csv\"");
    let told = here.run(&["once"]);
    assert_eq!(told.code, Some(EX_CONFIG));
    let complaints = told.complaints();
    assert!(complaints.len() >= 3, "{complaints:#?}");
    assert!(
        complaints.iter().all(|line| line.starts_with("aftersalesd: ") && line.contains("config.toml")),
        "{complaints:#?}"
    );
}

#[test]
fn a_password_file_that_is_not_there_is_named() {
    let here = Installation::of_maildirs();
    let mailbox = "kind = \"imap\"\nhost = \"localhost\"\nuser = \"claims\"\npassword_file = \"secrets/imap\"";
    here.configure(mailbox, "kind = \"maildir\"\npath = \"replies\"", "");
    is_config_fault(&here, &["config.toml:", "password_file", "secrets/imap"]);
}

#[test]
fn a_bad_row_is_named_by_file_and_line() {
    let here = Installation::of_maildirs();
    let orders = fs::read_to_string(here.path("orders.csv")).unwrap();
    here.write("orders.csv", format!("{orders}KS50003,jo@example.net,KP-MG5-SV,31.12.2026\n"));
    is_config_fault(&here, &["orders.csv", "line 4", "31.12.2026"]);
    here.write("orders.csv", &orders);
    here.write("products.csv", "sku,product,aliases,ean,warranty_months\nKP-1,One,,,12\nKP-2,Two,,,soon\n");
    is_config_fault(&here, &["products.csv", "line 3", "soon"]);
    here.write("products.csv", "sku,product,aliases,ean\n");
    is_config_fault(&here, &["products.csv", "warranty_months"]);
    fs::remove_file(here.path("products.csv")).unwrap();
    is_config_fault(&here, &["products.csv", "No such file"]);
}

#[test]
fn a_broken_template_is_named() {
    let here = Installation::of_maildirs();
    for (name, text) in templates() {
        here.write(&format!("templates/{name}"), text);
    }
    here.replace("[store]", "[templates]\npath = \"templates\"\n[store]");
    here.ok(&["check", "--offline"]);
    let ask = fs::read_to_string(here.path("templates/ask/en.txt")).unwrap();
    here.write("templates/ask/en.txt", format!("{ask}\n{{% if %}}\n"));
    is_config_fault(&here, &["templates", "ask/en.txt:", "syntax"]);
    fs::remove_file(here.path("templates/ask/en.txt")).unwrap();
    is_config_fault(&here, &["templates", "\"en\" lacks ask/en.txt"]);
    fs::remove_dir_all(here.path("templates")).unwrap();
    is_config_fault(&here, &["templates", "not a folder"]);
}

/// The built-in templates, by their paths.
pub fn templates() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/mail");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

// --- servers ------------------------------------------------------------------------------------------------------

#[test]
fn a_server_that_nobody_answers_for_is_a_passing_fault() {
    let dovecot = Dovecot::start();
    let smtpd = Smtpd::start(Security::None, &[]);
    let mut imap = dovecot.server(Security::Tls);
    let mut smtp = smtpd.server(None);
    imap.port = free_port();
    let here = Installation::new(&keys("imap", &imap), &keys("smtp", &smtp), "");
    let port = format!(":{}", imap.port);
    complains(&here.run(&["check"]), EX_TEMPFAIL, &["127.0.0.1", &port]);
    complains(&here.run(&["once"]), EX_TEMPFAIL, &["127.0.0.1", &port]);
    smtp.port = free_port();
    here.configure(&keys("imap", &dovecot.server(Security::Tls)), &keys("smtp", &smtp), "");
    complains(&here.run(&["check"]), EX_TEMPFAIL, &["127.0.0.1", &format!(":{}", smtp.port)]);
}

#[test]
fn a_refused_login_and_an_absent_folder_are_faults_of_the_configuration() {
    let dovecot = Dovecot::start();
    let smtpd = Smtpd::start(Security::Starttls, &["--login", "claims:secret"]);
    let imap = keys("imap", &dovecot.server(Security::Starttls));
    let smtp = keys("smtp", &smtpd.server(Some(("claims", "secret"))));
    let here = Installation::new(&imap, &smtp, "");
    assert_eq!(here.run(&["check"]).code, Some(0), "{:?}", here.run(&["check"]));
    here.replace("password = \"secret\"", "password = \"not this one\"");
    complains(&here.run(&["check"]), EX_CONFIG, &["claims", "login"]);
    assert!(!here.run(&["check"]).err.contains("not this one"));
    here.configure(&format!("{imap}folder = \"Claims\""), &smtp, "");
    for command in ["check", "once"] {
        complains(&here.run(&[command]), EX_CONFIG, &["Claims", "INBOX"]);
    }
    here.configure(&imap.replace("secret \\\"", "wrong \\\""), &smtp, "");
    for command in ["check", "once"] {
        let told = here.run(&[command]);
        complains(&told, EX_CONFIG, &["claims@example.com", "login"]);
        assert!(!told.err.contains("quotes"), "no password is shown: {}", told.err);
    }
}

#[test]
fn a_mailbox_that_is_no_maildir_is_named() {
    let here = Installation::of_maildirs();
    fs::remove_dir_all(here.path("inbox")).unwrap();
    complains(&here.run(&["check"]), EX_CONFIG, &["inbox"]);
    complains(&here.run(&["once"]), EX_CONFIG, &["inbox"]);
}

// --- the store ----------------------------------------------------------------------------------------------------

#[test]
fn a_store_in_use_is_told_and_left_alone() {
    let here = Installation::of_maildirs();
    let mut daemon = here.start();
    complains(&here.run(&["once"]), EX_TEMPFAIL, &["store", "in use"]);
    complains(&here.run(&["run"]), EX_TEMPFAIL, &["store", "in use"]);
    complains(&here.run(&["verify", "--repair"]), EX_TEMPFAIL, &["store", "in use"]);
    here.ok(&["export"]);
    complains(&here.run(&["import", "/dev/null"]), EX_TEMPFAIL, &["store", "in use"]);
    assert!(daemon.is_running());
    assert_eq!(daemon.terminate(), Some(0));
    here.ok(&["once"]);
}

#[test]
fn a_store_that_can_t_be_written_is_named() {
    let here = Installation::of_maildirs();
    here.write("file", "");
    here.replace("path = \"store\"", "path = \"file/store\"");
    // systemd does not try again what ends with 78: it is of no use.
    for command in [&["once"][..], &["run"]] {
        complains(&here.run(command), EX_CONFIG, &["file/store", "ReadWritePaths="]);
    }
    if !is_root() {
        fs::create_dir(here.path("closed")).unwrap();
        fs::set_permissions(here.path("closed"), fs::Permissions::from_mode(0o500)).unwrap();
        here.replace("path = \"file/store\"", "path = \"closed/store\"");
        complains(&here.run(&["once"]), EX_CONFIG, &["closed/store", "ermission denied"]);
    }
}

#[test]
fn a_store_whose_cases_are_lost_is_not_begun_anew() {
    let here = Installation::of_maildirs();
    here.deliver("1.a", letter(1, 1000).as_bytes());
    here.ok(&["once"]);
    for lost in [&b""[..], &[0x55; 4096]] {
        here.write("store/cases/db", lost);
        complains(&here.run(&["once"]), 1, &["store/cases", "the cases are gone"]);
    }
}

#[test]
fn a_socket_left_by_a_killed_daemon_is_in_nobody_s_way() {
    let here = Installation::of_maildirs();
    here.deliver("1.a", letter(1, 1000).as_bytes());
    let mut daemon = here.start();
    daemon.await_log("mailbox drained");
    daemon.kill();
    assert!(here.path("store/control.sock").exists());
    assert_eq!(here.json(&["cases", "list", "--json"]).len(), 1);
    let mut next = here.start();
    assert_eq!(here.json(&["cases", "list", "--json"]).len(), 1);
    assert_eq!(next.terminate(), Some(0));
    assert!(!here.path("store/control.sock").exists());
}

#[test]
fn a_socket_that_nobody_reads_from_is_told() {
    let here = Installation::of_maildirs();
    here.ok(&["once"]);
    let socket = UnixListener::bind(here.path("store/control.sock")).unwrap();
    let answers = std::thread::spawn(move || drop(socket.accept().unwrap()));
    complains(&here.run(&["cases", "list"]), EX_TEMPFAIL, &["daemon"]);
    answers.join().unwrap();
}

// --- commands -----------------------------------------------------------------------------------------------------

#[test]
fn an_unknown_case_is_told() {
    let here = Installation::of_maildirs();
    for name in ["AS-NOTTHERE", "", "Ünknown 🦀"] {
        complains(&here.run(&["cases", "show", name]), 1, &["no case", name]);
    }
    assert_eq!(here.ok(&["cases", "list", "--json"]).out, "");
    assert_eq!(here.ok(&["cases", "quarantine", "--json"]).out, "");
}

#[test]
fn garbage_is_not_imported() {
    let here = Installation::of_maildirs();
    here.write("garbage", b"\x00\xff{not json\n");
    here.write("other", "{\"name\": \"of another program\"}\n");
    let import = |name: &str| here.run(&["import", here.path(name).to_str().unwrap()]);
    complains(&import("garbage"), 1, &["garbage: line 1"]);
    complains(&import("other"), 1, &["other: line 1"]);
    complains(&import("absent"), 1, &["absent", "No such file"]);
    assert_eq!(here.ok(&["cases", "list", "--json"]).out, "", "nothing of it is kept");
}

#[test]
fn an_import_never_mixes_into_a_store_in_use() {
    let here = Installation::of_maildirs();
    here.deliver("1.a", letter(1, 1000).as_bytes());
    here.ok(&["once"]);
    let export = here.ok(&["export"]).out;
    here.write("export", &export);
    complains(&here.run(&["import", here.path("export").to_str().unwrap()]), 1, &["store is not empty"]);
    assert_eq!(here.ok(&["export"]).out, export);
}

#[test]
fn a_cut_export_is_told_by_its_line() {
    let here = Installation::of_maildirs();
    here.deliver("1.a", letter(1, 1000).as_bytes());
    here.ok(&["once"]);
    let export = here.ok(&["export"]).out;
    let lines = export.lines().count();
    let there = Installation::of_maildirs();
    there.write("cut", &export[..export.len() - 5]);
    complains(&there.run(&["import", there.path("cut").to_str().unwrap()]), 1, &[&format!("line {lines}")]);
    there.write("cut", export.lines().take(lines - 1).collect::<Vec<_>>().join("\n"));
    complains(&there.run(&["import", there.path("cut").to_str().unwrap()]), 1, &["cut: line"]);
    assert_eq!(there.ok(&["cases", "list", "--json"]).out, "", "nothing of it is kept");
}

#[test]
fn wrong_words_are_explained() {
    for words in [&["fly"][..], &["run"], &["triage"], &["cases"], &["cases", "show"]] {
        let mut command = program();
        command.args(words);
        let told = run(command);
        assert_eq!(told.code, Some(2), "{words:?}");
        assert!(told.err.contains("Usage") || told.err.contains("usage"), "{}", told.err);
    }
}

// --- triage -------------------------------------------------------------------------------------------------------

fn triage(path: &str) -> Told {
    let mut command = program();
    command.args(["triage", "--json", path]);
    run(command)
}

#[test]
fn triage_names_a_path_without_mail() {
    let dir = tempfile::tempdir().unwrap();
    complains(&triage("/absent/mail.eml"), 1, &["/absent/mail.eml", "No such file"]);
    complains(&triage(dir.path().to_str().unwrap()), 1, &[dir.path().to_str().unwrap(), "no mail"]);
    let mut command = program();
    command.args(["triage", "--json"]).arg(sample("mail/04-newsletter.eml")).arg("/absent/mail.eml");
    let told = run(command);
    complains(&told, 1, &["/absent/mail.eml"]);
    assert_eq!(told.json().len(), 1, "what came before is told");
}

#[test]
fn triage_takes_garbage_for_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let contents: [&[u8]; 6] = [
        b"",
        b"\0",
        &noise,
        b"\r\n\r\n\r\n",
        b"From: \xff\xfe\nContent-Type: multipart/mixed; boundary=\"\"\n\n--",
        b"::::\n",
    ];
    for (number, content) in contents.iter().enumerate() {
        let file = dir.path().join(format!("{number}.eml"));
        fs::write(&file, content).unwrap();
        let told = triage(file.to_str().unwrap());
        assert_eq!(told.code, Some(0), "{number}: {told:?}");
        let lines = told.json();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["reply"], serde_json::Value::Null, "{number}: nobody to reply to: {}", lines[0]);
    }
}

#[test]
fn triage_reads_a_file_a_folder_an_mbox_and_a_maildir() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (one, two) = (letter(1, 900), letter(2, 900));
    for folder in ["eml", "maildir/cur", "maildir/new", "maildir/tmp"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    for (name, content) in [
        ("eml/a.eml", one.clone()),
        ("eml/b.eml", two.clone()),
        ("eml/notes.txt", "no mail".into()),
        ("maildir/cur/1.x:2,S", one.clone()),
        ("maildir/new/2.x", two.clone()),
        ("maildir/tmp/3.x", "half a ma".into()),
        ("mbox", format!("From jo Sun Nov 22 10:00:00 2026\r\n{one}\r\nFrom jo Sun Nov 22 10:00:01 2026\r\n{two}\r\n")),
    ] {
        fs::write(at(name), content).unwrap();
    }
    let files = |path: &str| -> Vec<(String, String)> {
        let told = triage(at(path).to_str().unwrap());
        assert_eq!((told.code, told.err.as_str()), (Some(0), ""));
        let pair = |line: &serde_json::Value| {
            let file = line["file"].as_str().unwrap().strip_prefix(dir.path().to_str().unwrap()).unwrap().to_owned();
            (file, line["message_id"].as_str().unwrap().to_owned())
        };
        told.json().iter().map(pair).collect()
    };
    let expected = |first: &str, second: &str| {
        [(first.to_owned(), "1@example.net".to_owned()), (second.to_owned(), "2@example.net".to_owned())]
    };
    assert_eq!(files("eml/a.eml"), expected("/eml/a.eml", "")[..1]);
    assert_eq!(files("eml"), expected("/eml/a.eml", "/eml/b.eml"));
    assert_eq!(files("mbox"), expected("/mbox#1", "/mbox#2"));
    assert_eq!(files("maildir"), expected("/maildir/cur/1.x:2,S", "/maildir/new/2.x"));
}
