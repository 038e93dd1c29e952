//! What a trusted server found out about the sender: `Authentication-Results` (RFC 8601).

use crate::domain::letter::{Defect, Letter};

/// The verdict on the domain in `From` (DMARC, RFC 7489 section 11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dmarc {
    Pass,
    /// Whatever the domain's policy asks to do about it.
    Fail,
    /// Nobody we trust said either.
    None,
}

/// The verdict of the topmost header that a trusted server signs. Whatever a forger wrote stands below it, and other
/// servers' headers may stand anywhere.
pub fn dmarc(letter: &Letter, trusted: &[String]) -> Dmarc {
    let fields: Vec<Vec<String>> = letter.headers("authentication-results").map(statements).collect();
    let said = fields.iter().find_map(|field| results(field, trusted)).unwrap_or_default();
    let verdicts = || said.iter().filter_map(|statement| result(statement, "dmarc"));
    // Two results of one method contradict each other: the graver one counts.
    match verdicts().any(|verdict| verdict == "fail") {
        true => Dmarc::Fail,
        false if verdicts().any(|verdict| verdict == "pass") => Dmarc::Pass,
        false => Dmarc::None,
    }
}

/// Whether a trusted server stands for the author's domain: the topmost of all these headers is a trusted server's, says
/// that DMARC passed, and says it of that domain if it names one.
pub fn is_vouched_for(letter: &Letter, trusted: &[String]) -> bool {
    let topmost = letter.headers("authentication-results").next().map(statements).unwrap_or_default();
    let by_trusted = results(&topmost, trusted).is_some();
    let Some(author) = &letter.from else { return false };
    let mut named = topmost
        .iter()
        .filter(|statement| result(statement, "dmarc").is_some())
        .flat_map(|statement| statement.split_whitespace())
        .filter_map(|word| word.strip_prefix("header.from="));
    by_trusted
        && !letter.defects.contains(&Defect::SeveralSenders)
        && dmarc(letter, trusted) == Dmarc::Pass
        && named.all(|domain| domain == author.address.domain())
}

/// The name by which a server is trusted whose fields name none, as those of Microsoft 365 do: they begin with a result.
const UNNAMED: &str = "unnamed";

/// The results of a field, if a trusted server signs it.
fn results<'a>(field: &'a [String], trusted: &[String]) -> Option<&'a [String]> {
    let (first, rest) = field.split_first()?;
    match first.contains('=') {
        true => trusted.iter().any(|t| t == UNNAMED).then_some(field),
        false => trusted.iter().any(|t| t != UNNAMED && is_id(first, t)).then_some(rest),
    }
}

/// The field's parts between semicolons, without comments and quotes, in lower case.
fn statements(value: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let (mut depth, mut quoted) = (0_usize, false);
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        let literal = match c {
            // A quoted pair stands for its second character, wherever it is allowed.
            '\\' if quoted || depth > 0 => rest.next().filter(|_| depth == 0),
            '"' if depth == 0 => {
                quoted = !quoted;
                None
            }
            '(' if !quoted => {
                depth += 1;
                // A comment parts words.
                Some(' ').filter(|_| depth == 1)
            }
            ')' if !quoted && depth > 0 => {
                depth -= 1;
                None
            }
            ';' if !quoted && depth == 0 => {
                statements.push(String::new());
                None
            }
            c => Some(c).filter(|_| depth == 0),
        };
        if let (Some(c), Some(statement)) = (literal, statements.last_mut()) {
            statement.extend(c.to_lowercase());
        }
    }
    statements
}

/// Whether a field begins with this authserv-id; the number of the version may follow it (section 2.2).
fn is_id(first: &str, trusted: &str) -> bool {
    let mut words = first.split_whitespace();
    let version = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
    words.next() == Some(trusted.trim().to_lowercase().as_str()) && words.all(version)
}

/// The result that a statement gives of a method: `dmarc = fail reason=…`, `dmarc/1=fail`.
fn result<'a>(statement: &'a str, method: &str) -> Option<&'a str> {
    let (name, rest) = statement.split_once('=')?;
    let name = name.split_once('/').map_or(name, |(name, _)| name).trim();
    rest.split_whitespace().next().filter(|_| name == method)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::parse;
    use proptest::prelude::*;

    fn of(headers: &str) -> Dmarc {
        let mail = format!("{headers}\nFrom: jo@example.net\nSubject: x\n\nx\n");
        dmarc(&parse::letter(mail.as_bytes(), false), &["mx.example.com".to_owned(), "mx2.example.com".to_owned()])
    }

    #[test]
    fn a_trusted_server_is_believed_in_every_spelling() {
        for fail in [
            "Authentication-Results: mx.example.com; dmarc=fail",
            "authentication-results: MX.Example.COM; DMARC=FAIL",
            "Authentication-Results: mx.example.com 1; spf=pass smtp.mailfrom=x.example; dmarc=fail (p=none dis=none) \
             header.from=x.example",
            "Authentication-Results: mx2.example.com;\n\tdkim=pass (2048-bit key; unprotected) header.d=x.example;\n\t\
             dmarc=fail reason=\"no; alignment\" header.from=x.example",
            "Authentication-Results: (our own) mx.example.com (of ours) 1 ; dmarc (method) = (result) fail",
            "Authentication-Results: \"mx.example.com\"; dmarc/1=fail policy.published-domain-policy=none",
            "Authentication-Results: mx.example.com; none; spf=none; dmarc=pass; dmarc=fail",
            "Authentication-Results: mx.example.com; spf=pass (a (nested; \\) dmarc=pass) one); dmarc=fail",
        ] {
            assert_eq!(of(fail), Dmarc::Fail, "{fail}");
        }
        for (header, verdict) in [
            ("Authentication-Results: mx.example.com; dmarc=pass", Dmarc::Pass),
            ("Authentication-Results: mx.example.com; dmarc=bestguesspass", Dmarc::None),
            ("Authentication-Results: mx.example.com; dmarc=temperror", Dmarc::None),
            ("Authentication-Results: mx.example.com; none", Dmarc::None),
            ("Authentication-Results: mx.example.com", Dmarc::None),
            ("Authentication-Results: mx.example.com; spf=fail; dkim=fail", Dmarc::None),
            ("Authentication-Results:", Dmarc::None),
            ("X-Other: 1", Dmarc::None),
        ] {
            assert_eq!(of(header), verdict, "{header}");
        }
    }

    #[test]
    fn what_a_forger_writes_counts_for_nothing() {
        for (headers, verdict) in [
            ("Authentication-Results: evil.example; dmarc=fail", Dmarc::None),
            ("Authentication-Results: mx.example.com.evil.example; dmarc=fail", Dmarc::None),
            ("Authentication-Results: evil.example mx.example.com; dmarc=fail", Dmarc::None),
            ("Authentication-Results: mx.example.com evil; dmarc=fail", Dmarc::None),
            ("Authentication-Results: (mx.example.com) evil.example; dmarc=fail", Dmarc::None),
            ("Authentication-Results: mx.example.com; spf=pass (; dmarc=fail)", Dmarc::None),
            ("Authentication-Results: mx.example.com; spf=fail smtp.mailfrom=\"; dmarc=pass\"", Dmarc::None),
            ("Authentication-Results: mx.example.com; x-dmarc=fail; arc=fail; spf=fail dmarc=fail", Dmarc::None),
        ] {
            assert_eq!(of(headers), verdict, "{headers}");
        }
        let (pass, fail) = (
            "Authentication-Results: mx.example.com; dmarc=pass",
            "Authentication-Results: mx.example.com; dmarc=fail",
        );
        let other = "Authentication-Results: evil.example; dmarc=pass";
        assert_eq!(of(&format!("{pass}\n{fail}")), Dmarc::Pass, "the topmost only");
        assert_eq!(of(&format!("{fail}\n{pass}\n{pass}")), Dmarc::Fail, "the topmost only");
        assert_eq!(of(&format!("{other}\n{fail}\n{pass}")), Dmarc::Fail, "of a trusted server");
        let spf_only = "Authentication-Results: mx.example.com; spf=pass";
        assert_eq!(of(&format!("{spf_only}\n{pass}")), Dmarc::None, "the topmost only");
    }

    #[test]
    fn only_the_topmost_header_vouches_and_only_for_its_own_domain() {
        let trusted = ["mx.example.com".to_owned()];
        let pass = "Authentication-Results: mx.example.com; dmarc=pass";
        for (headers, vouched) in [
            (pass.to_owned(), true),
            (format!("{pass} (p=reject) header.from=example.net"), true),
            (format!("{pass} header.from=evil.example"), false),
            (format!("{pass}; dmarc=fail"), false),
            (format!("Authentication-Results: evil.example; dmarc=fail\n{pass}"), false),
            (format!("Authentication-Results: mx.example.com; spf=pass\n{pass}"), false),
            (format!("{pass}\nFrom: kim@example.com"), false),
            ("Authentication-Results: mx.example.com; dmarc=none".to_owned(), false),
            ("X-Other: 1".to_owned(), false),
        ] {
            let mail = format!("{headers}\nFrom: jo@example.net\nSubject: x\n\nx\n");
            assert_eq!(is_vouched_for(&parse::letter(mail.as_bytes(), false), &trusted), vouched, "{headers}");
            assert!(!is_vouched_for(&parse::letter(mail.as_bytes(), false), &[]), "nobody is trusted: {headers}");
        }
    }

    #[test]
    fn a_server_that_names_itself_nowhere_is_trusted_only_on_purpose() {
        let pass = "Authentication-Results: spf=pass (sender IP is 192.0.2.1)\n smtp.mailfrom=example.net; dkim=pass \
                    (signature was verified)\n header.d=example.net;dmarc=pass action=none\n header.from=example.net;\
                    compauth=pass reason=100";
        let forged = "Authentication-Results: unnamed; dmarc=pass header.from=example.net";
        for (headers, trusted, verdict, vouched) in [
            (pass.to_owned(), "unnamed", Dmarc::Pass, true),
            (pass.replace("dmarc=pass", "dmarc=fail"), "unnamed", Dmarc::Fail, false),
            (format!("{}\n{pass}", pass.replace("dmarc=pass", "dmarc=fail")), "unnamed", Dmarc::Fail, false),
            (pass.replace("header.from=example.net", "header.from=evil.example"), "unnamed", Dmarc::Pass, false),
            (pass.to_owned(), "mx.example.com", Dmarc::None, false),
            (forged.to_owned(), "unnamed", Dmarc::None, false),
            (format!("{forged}\n{pass}"), "unnamed", Dmarc::Pass, false),
        ] {
            let letter = parse::letter(format!("{headers}\nFrom: jo@example.net\n\nx\n").as_bytes(), false);
            let trusted = [trusted.to_owned()];
            assert_eq!(dmarc(&letter, &trusted), verdict, "{headers}");
            assert_eq!(is_vouched_for(&letter, &trusted), vouched, "{headers}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in "\\PC{0,80}") {
            of(&format!("Authentication-Results: mx.example.com;{value}"));
        }
    }
}
