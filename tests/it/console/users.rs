//! Accounts from the shell, with and without a daemon.

use std::fs::File;

use crate::support::program::{Installation, Told, run};

/// `users` with a password on standard input.
fn with_password(here: &Installation, words: &[&str], password: &str) -> Told {
    here.write("password", format!("{password}\n"));
    let mut command = here.command(words);
    command.stdin(File::open(here.path("password")).unwrap());
    run(command)
}

#[test]
fn accounts_are_made_listed_disabled_and_traced() {
    let here = Installation::of_maildirs();
    let added = with_password(&here, &["users", "add", "Kim", "--role", "lead"], "correct horse battery");
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(!added.out.contains("horse") && !added.out.contains("argon2"), "{}", added.out);
    let again = with_password(&here, &["users", "add", "kim"], "correct horse battery");
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("there is an account kim already"), "{}", again.err);
    // The daemon answers for its store.
    let mut daemon = here.start();
    here.ok(&["users", "disable", "kim"]);
    let listed = here.json(&["users", "list", "--json"]);
    assert_eq!((&listed[0]["name"], &listed[0]["role"]), (&"kim".into(), &"lead".into()));
    assert_eq!(listed[0]["disabled"], true);
    assert_eq!(with_password(&here, &["users", "password", "kim"], "another long password").code, Some(0));
    assert_eq!(here.json(&["users", "list", "--json"])[0]["disabled"], false);
    let deeds: Vec<String> =
        here.json(&["users", "trail", "--json"]).iter().map(|t| t["what"].as_str().unwrap().to_owned()).collect();
    assert_eq!(deeds, ["password_set", "account_disabled", "account_added"]);
    assert!(here.json(&["users", "trail", "--user", "nobody", "--json"]).is_empty());
    daemon.terminate();
    // A copy of the store has the accounts.
    here.ok(&["verify"]);
    here.ok(&["backup", &here.path("copy").display().to_string()]);
    here.replace("path = \"store\"", "path = \"copy\"");
    assert_eq!(here.json(&["users", "list", "--json"]).len(), 1);
}

#[test]
fn bad_names_roles_and_passwords_are_told() {
    let here = Installation::of_maildirs();
    for (words, password, told) in [
        (["users", "add", "kim", "--role=agent"], "short", "12 are the fewest"),
        (["users", "add", "kim", "--role=boss"], "correct horse battery", "there are agent, lead and admin"),
        (["users", "add", "k i m", "--role=agent"], "correct horse battery", "letters, digits"),
    ] {
        let answer = with_password(&here, &words, password);
        assert_eq!(answer.code, Some(2), "{words:?}: {answer:?}");
        assert!(answer.err.contains(told) && answer.complaints().len() == 1, "{words:?}: {}", answer.err);
    }
    let unknown = with_password(&here, &["users", "password", "kim"], "correct horse battery");
    assert!(unknown.code == Some(1) && unknown.err.contains("there is no account kim"), "{unknown:?}");
    assert_eq!(here.run(&["users", "disable", "kim"]).code, Some(1));
}
