//! What the domain of our letters says of itself: do answers come, and will others take our letters for ours.

use std::io;

use super::Chart;
use crate::dns::Resolver;
use crate::domain::ids::Address;
use crate::ports::Fault;

/// Looks at MX, SPF, DMARC and DKIM of the sender's domain.
pub(super) async fn look(
    resolver: Result<Resolver, Fault>,
    from: &Address,
    selector: Option<&str>,
    chart: &mut Chart<'_>,
) -> io::Result<()> {
    let domain = from.domain();
    let looked = match resolver {
        Ok(resolver) => Records::of(&resolver, domain, selector).await,
        Err(fault) => Err(fault),
    };
    match looked {
        // Mail can go through a relay that has names, from a machine that has none.
        Err(fault) => {
            let remedy = "ask another with --resolver ADDRESS:PORT, or run doctor where there is one";
            chart.warn("dns", format!("of {domain} nothing is known: {}", fault.what), remedy)
        }
        Ok(records) => records.tell(domain, selector, chart),
    }
}

/// What was found.
struct Records {
    exchangers: Vec<String>,
    has_address: bool,
    texts: Vec<String>,
    /// The name that DMARC's record was found under, and it.
    dmarc: Option<(String, Vec<String>)>,
    /// None: no selector is known.
    dkim: Option<Vec<String>>,
}

impl Records {
    async fn of(resolver: &Resolver, domain: &str, selector: Option<&str>) -> Result<Self, Fault> {
        let exchangers = resolver.exchangers(domain).await?;
        let has_address = exchangers.is_empty() && !resolver.addresses(domain).await?.is_empty();
        let texts = resolver.texts(domain).await?;
        let dmarc = dmarc(domain, async |name| resolver.texts(name).await).await?;
        let dkim = match selector {
            Some(selector) => Some(resolver.texts(&format!("{selector}._domainkey.{domain}")).await?),
            None => None,
        };
        Ok(Self { exchangers, has_address, texts, dmarc, dkim })
    }

    fn tell(&self, domain: &str, selector: Option<&str>, chart: &mut Chart<'_>) -> io::Result<()> {
        self.tell_exchangers(domain, chart)?;
        let spf: Vec<&str> = self.texts.iter().map(String::as_str).filter(|text| is_spf(text)).collect();
        judged_spf(&spf).tell("spf", chart)?;
        judged_dmarc(domain, self.dmarc.as_ref()).tell("dmarc", chart)?;
        match (selector, &self.dkim) {
            (Some(selector), Some(texts)) => {
                judged_dkim(&format!("{selector}._domainkey.{domain}"), texts).tell("dkim", chart)
            }
            _ => {
                let what = "under which name the mail server's key stands is not known, so that it was not looked at";
                let remedy = "send a mail to yourself and give s= of its DKIM-Signature as [doctor] dkim_selector";
                chart.warn("dkim", what, remedy)
            }
        }
    }

    fn tell_exchangers(&self, domain: &str, chart: &mut Chart<'_>) -> io::Result<()> {
        let remedy = "publish MX records that lead to your mailbox, else no customer's answer comes";
        match self.exchangers.as_slice() {
            [] if self.has_address => {
                chart.warn("mx", format!("{domain} has no MX record; mail goes to its own address"), remedy)
            }
            [] => {
                chart.fail("mx", format!("{domain} has neither an MX record nor an address: it gets no mail"), remedy)
            }
            [none] if none.is_empty() => {
                chart.fail("mx", format!("{domain} says that it takes no mail (null MX, RFC 7505)"), remedy)
            }
            some => chart.ok("mx", format!("answers to {domain} go to {}", some.join(", "))),
        }
    }
}

/// The DMARC records that speak for a domain, and of whom they are: its own, else those of its organisation or of who
/// gives out names there (RFC 9989 section 4.10.1).
async fn dmarc(
    domain: &str,
    texts: impl AsyncFn(&str) -> Result<Vec<String>, Fault>,
) -> Result<Option<(String, Vec<String>)>, Fault> {
    let records = async |name: &str| {
        let found = texts(&format!("_dmarc.{name}")).await?;
        Ok(found.into_iter().filter(|text| is_of(text, "DMARC1")).collect::<Vec<_>>())
    };
    let own = records(domain).await?;
    if !own.is_empty() {
        return Ok(Some((domain.to_owned(), own)));
    }
    let mut found: Vec<(&str, Vec<String>)> = Vec::new();
    for name in above(domain) {
        let several = records(name).await?;
        // Of several none counts (section 4.10).
        let [record] = several.as_slice() else { continue };
        let public = tag(record, "psd").map(|told| told.to_ascii_lowercase());
        // One label below who gives out the names is the organisation: if that has no record, theirs counts.
        let is_next = |(below, _): &(&str, _)| below.split_once('.').is_some_and(|(_, rest)| rest == name);
        if public.as_deref() != Some("y") || !found.last().is_some_and(is_next) {
            found.push((name, several));
        }
        if matches!(public.as_deref(), Some("y" | "n")) {
            break;
        }
    }
    // Of the others, the organisation's is the one with the fewest labels (section 4.10.2), which was found last.
    Ok(found.pop().map(|(name, records)| (name.to_owned(), records)))
}

/// The domains above one, up to the top: seven at most (RFC 9989 section 4.10).
fn above(domain: &str) -> Vec<&str> {
    let ends = domain.match_indices('.').filter_map(|(dot, _)| domain.get(dot + 1..));
    let above: Vec<&str> = ends.collect();
    above.iter().rev().take(7).rev().copied().collect()
}

/// A judgement on one kind of record.
#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    Good(String),
    /// What is so, and what to do.
    Doubtful(String, String),
    Bad(String, String),
}

use Judgement::{Bad, Doubtful, Good};

impl Judgement {
    fn tell(self, check: &str, chart: &mut Chart<'_>) -> io::Result<()> {
        match self {
            Good(what) => chart.ok(check, what),
            Doubtful(what, remedy) => chart.warn(check, what, &remedy),
            Bad(what, remedy) => chart.fail(check, what, &remedy),
        }
    }
}

fn is_spf(text: &str) -> bool {
    let version = text.split(' ').next().unwrap_or_default();
    version.eq_ignore_ascii_case("v=spf1")
}

/// RFC 7208.
fn judged_spf(records: &[&str]) -> Judgement {
    /// Terms that are looked up; more is an error for whoever checks (section 4.6.4).
    const LOOKUPS: usize = 10;
    let record = match records {
        [] => {
            let remedy = "publish a TXT record as \"v=spf1 include:YOUR-MAIL-PROVIDER -all\"";
            return Doubtful("the domain has no SPF record".to_owned(), remedy.to_owned());
        }
        [record] => record,
        several => {
            let what = format!(
                "the domain has {} SPF records, which counts as an error (RFC 7208 section 4.5)",
                several.len()
            );
            return Bad(what, "put them together into one".to_owned());
        }
    };
    let terms: Vec<String> = record.split_whitespace().skip(1).map(str::to_ascii_lowercase).collect();
    let bare = |term: &str| term.trim_start_matches(['+', '-', '~', '?']).to_owned();
    let is_looked_up = |term: &&String| {
        let term = bare(term);
        let name = term.split([':', '=', '/']).next().unwrap_or_default();
        ["include", "a", "mx", "ptr", "exists", "redirect"].contains(&name)
    };
    let included: Vec<String> = terms
        .iter()
        .filter_map(|term| {
            bare(term).strip_prefix("include:").map(str::to_owned).or(term.strip_prefix("redirect=").map(str::to_owned))
        })
        .collect();
    let from = if included.is_empty() { String::new() } else { format!(", with {}", included.join(", ")) };
    let lookups = terms.iter().filter(is_looked_up).count();
    if lookups > LOOKUPS {
        let what =
            format!("the SPF record has {lookups} terms to look up, of {LOOKUPS} at most (RFC 7208 section 4.6.4)");
        return Bad(what, "remove what is not needed any more; write addresses as ip4: and ip6:".to_owned());
    }
    let all = terms.iter().find(|term| bare(term) == "all").map(String::as_str);
    let is_redirected = terms.iter().any(|term| term.starts_with("redirect="));
    match all {
        Some("-all" | "~all") => Good(format!("one SPF record, {}{from}: is your mail server among them?", record)),
        Some("all" | "+all") => {
            let what = format!("the SPF record lets everybody send in your name: {record}");
            Bad(what, "end it with -all".to_owned())
        }
        None if is_redirected => Good(format!("one SPF record, {record}{from}")),
        _ => {
            let what = format!("the SPF record says nothing of others: {record}");
            Doubtful(what, "end it with ~all, and with -all once DMARC reports are clean".to_owned())
        }
    }
}

/// RFC 9989, before it RFC 7489.
fn judged_dmarc(domain: &str, found: Option<&(String, Vec<String>)>) -> Judgement {
    let Some((name, records)) = found else {
        let what = "the domain has no DMARC record: large providers refuse or hide mail without one".to_owned();
        return Doubtful(
            what,
            format!("publish TXT at _dmarc.{domain}: \"v=DMARC1; p=none; rua=mailto:…\", then tighten it"),
        );
    };
    let [record] = records.as_slice() else {
        let what = format!("there are {} DMARC records at _dmarc.{name}: none of them counts", records.len());
        return Bad(what, "leave one".to_owned());
    };
    let told = |key: &str| tag(record, key).map(|policy| policy.to_ascii_lowercase());
    let policy = if name == domain { told("p") } else { told("sp").or(told("p")) };
    let strict = |key: &str| tag(record, key).is_some_and(|value| value.eq_ignore_ascii_case("s"));
    // Our replies have the null sender, so that SPF speaks of the mail server's name, seldom of this domain.
    let aligned = match strict("adkim") {
        true => format!("DKIM has to sign with d={domain} exactly"),
        false => format!("DKIM has to sign with d={domain}, or a domain of the same organisation"),
    };
    let is_mail = |uri: &str| uri.trim().to_ascii_lowercase().starts_with("mailto:");
    let reports = tag(record, "rua").is_some_and(|all| all.split(',').any(is_mail));
    let is_known = |policy: &String| ["none", "quarantine", "reject"].contains(&policy.as_str());
    // RFC 9989 section 4.10.1, before it RFC 7489 section 6.6.3.
    if !told("p").as_ref().is_some_and(is_known)
        || !["sp", "np"].iter().filter_map(|key| told(key)).all(|it| is_known(&it))
    {
        let what =
            format!("the DMARC record at _dmarc.{name} lacks p, or p, sp or np is none that DMARC knows: {record}");
        let remedy = "set p to none, quarantine or reject".to_owned();
        return match reports {
            true => Doubtful(format!("{what}; it counts as p=none, some take it for none at all"), remedy),
            false => Bad(format!("{what}; it counts for nothing"), remedy),
        };
    }
    let policy = policy.unwrap_or_default();
    let what = format!("p={policy} at _dmarc.{name}; {aligned}");
    match (policy.as_str(), reports) {
        ("none", true) => {
            Doubtful(what, "it only watches: once the reports are clean, p=quarantine, then p=reject".to_owned())
        }
        ("none", false) => Doubtful(what, "it watches and nobody hears of it: add rua=mailto:…".to_owned()),
        (_, true) => Good(what),
        (_, false) => Doubtful(what, "add rua=mailto:… to hear of mail that fails".to_owned()),
    }
}

/// RFC 6376 section 3.6.1.
fn judged_dkim(name: &str, records: &[String]) -> Judgement {
    /// Base64 characters of an RSA key of 1024 bits, with some to spare: one of 2048 has 392.
    const SHORT: usize = 250;
    let record = match records {
        [] => {
            let what = format!("there is no DKIM key at {name}");
            return Bad(what, "publish it as your mail server says, or give the selector it signs with".to_owned());
        }
        [record] => record,
        several => {
            let what = format!("there are {} records at {name}: which one counts is anybody's guess", several.len());
            return Bad(what, "leave one".to_owned());
        }
    };
    let key = tag(record, "p").unwrap_or_default().replace(char::is_whitespace, "");
    let is_rsa = tag(record, "k").is_none_or(|kind| kind.eq_ignore_ascii_case("rsa"));
    let is_test = tag(record, "t").is_some_and(|flags| flags.split(':').any(|flag| flag.trim() == "y"));
    match key.len() {
        0 => Bad(
            format!("the DKIM key at {name} is revoked (p is empty)"),
            "sign with another, or publish it anew".to_owned(),
        ),
        1..SHORT if is_rsa => Doubtful(
            format!("the DKIM key at {name} is short"),
            "make one of 2048 bits: some take 1024 for none".to_owned(),
        ),
        _ if is_test => Doubtful(
            format!("the DKIM key at {name} says t=y, so that it counts for nothing"),
            "take t=y out".to_owned(),
        ),
        _ => Good(format!("there is a DKIM key at {name}")),
    }
}

fn is_of(record: &str, version: &str) -> bool {
    // The version is case-sensitive, and first.
    record
        .split(';')
        .next()
        .and_then(|first| first.split_once('='))
        .is_some_and(|(v, is)| v.trim() == "v" && is.trim() == version)
}

/// A value of a list of tags (RFC 6376 section 3.2), of which none is empty.
fn tag(record: &str, name: &str) -> Option<String> {
    let pairs = record.split(';').filter_map(|pair| pair.split_once('='));
    let mut named =
        pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned());
    named.next().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(judgement: &Judgement) -> &'static str {
        match judgement {
            Good(_) => "good",
            Doubtful(..) => "doubtful",
            Bad(..) => "bad",
        }
    }

    #[test]
    fn spf_records_are_judged() {
        for (records, expected) in [
            (&[][..], "doubtful"),
            (&["v=spf1 include:_spf.example.net -all"], "good"),
            (&["V=SPF1 mx ~ALL"], "good"),
            (&["v=spf1 redirect=_spf.example.net"], "good"),
            (&["v=spf1 mx"], "doubtful"),
            (&["v=spf1 mx ?all"], "doubtful"),
            (&["v=spf1 +all"], "bad"),
            (&["v=spf1 all"], "bad"),
            (&["v=spf1 mx -all", "v=spf1 a -all"], "bad"),
            (&["v=spf1 a a:b a/24 mx mx:c ptr exists:x include:1 include:2 include:3 include:4 -all"], "bad"),
            (&["v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 ip6:2001:db8::1 a:x -all"], "good"),
        ] {
            assert_eq!(kind(&judged_spf(records)), expected, "{records:?}");
        }
        assert!(is_spf("v=spf1") && is_spf("v=spf1 -all") && !is_spf("v=spf10 -all") && !is_spf("x v=spf1"));
        let Good(told) = judged_spf(&["v=spf1 include:_spf.example.net -all"]) else { panic!() };
        assert!(told.contains("with _spf.example.net"), "{told}");
    }

    #[test]
    fn dmarc_records_are_judged() {
        let at = |name: &str, records: &[&str]| {
            let found = (name.to_owned(), records.iter().map(|r| (*r).to_owned()).collect());
            judged_dmarc("shop.example.com", Some(&found))
        };
        let own = |record| at("shop.example.com", &[record]);
        assert_eq!(kind(&judged_dmarc("shop.example.com", None)), "doubtful");
        for (record, expected) in [
            ("v=DMARC1; p=reject; rua=mailto:x@example.com", "good"),
            ("v=DMARC1;p=Quarantine;rua=mailto:x@example.com;", "good"),
            ("v=DMARC1; p=reject", "doubtful"),
            ("v=DMARC1; p=none; rua=mailto:x@example.com", "doubtful"),
            ("v=DMARC1; p=none", "doubtful"),
            ("v=DMARC1; p=reject; rua=x@example.com", "doubtful"),
            ("v=DMARC1; rua=mailto:x@example.com", "doubtful"),
            ("v=DMARC1; sp=reject; rua=mailto:x@example.com", "doubtful"),
            ("v=DMARC1; p=reject; sp=refuse; rua=mailto:x@example.com", "doubtful"),
            ("v=DMARC1", "bad"),
            ("v=DMARC1; p=refuse", "bad"),
        ] {
            assert_eq!(kind(&own(record)), expected, "{record}");
        }
        assert_eq!(kind(&at("shop.example.com", &["v=DMARC1; p=none", "v=DMARC1; p=reject"])), "bad");
        // Of a domain above, its word on those below.
        let Doubtful(what, _) = at("example.com", &["v=DMARC1; p=reject; sp=none; rua=mailto:x@y; adkim=s"]) else {
            panic!()
        };
        assert!(what.contains("p=none at _dmarc.example.com") && what.contains("d=shop.example.com exactly"), "{what}");
        assert!(
            is_of("v=DMARC1; p=none", "DMARC1") && is_of("v = DMARC1", "DMARC1") && !is_of("v=spf1 -all", "DMARC1")
        );
    }

    /// The zones are the examples of RFC 9989 section 4.10.2 and what they leave out.
    #[tokio::test]
    async fn the_record_that_speaks_for_a_domain_is_its_own_or_the_organisations() {
        const PLAIN: &str = "v=DMARC1; p=reject";
        const OWNER: &str = "v=DMARC1; p=reject; psd=n";
        const PUBLIC: &str = "v=DMARC1; p=reject; psd=y";
        let deep = "a.b.c.d.e.f.g.h.i.example.com";
        for (domain, zone, speaks) in [
            ("a.mail.example.com", &[("mail.example.com", PLAIN), ("example.com", PLAIN)][..], Some("example.com")),
            ("a.mail.example.com", &[("mail.example.com", OWNER), ("example.com", PLAIN)], Some("mail.example.com")),
            ("a.mail.example.com", &[("example.com", PLAIN), ("com", PUBLIC)], Some("example.com")),
            ("a.mail.example.com", &[("mail.example.com", PLAIN), ("com", PUBLIC)], Some("com")),
            ("example.com", &[("com", PUBLIC)], Some("com")),
            ("example.com", &[("com", PLAIN)], Some("com")),
            ("a.example.com", &[("a.example.com", PLAIN), ("example.com", PLAIN)], Some("a.example.com")),
            // Of two at one name none counts, but for the domain's own: these are to be put right.
            (
                "a.b.example.com",
                &[("b.example.com", PLAIN), ("example.com", PLAIN), ("example.com", PLAIN)],
                Some("b.example.com"),
            ),
            ("example.com", &[("example.com", PLAIN), ("example.com", PLAIN)], Some("example.com")),
            ("a.example.com", &[("example.com", "v=spf1 -all")], None),
            (deep, &[("d.e.f.g.h.i.example.com", PLAIN)], None),
            (deep, &[("e.f.g.h.i.example.com", PLAIN)], Some("e.f.g.h.i.example.com")),
        ] {
            let texts = async |asked: &str| {
                let of = zone.iter().filter(|(name, _)| asked == format!("_dmarc.{name}"));
                Ok(of.map(|(_, record)| (*record).to_owned()).collect())
            };
            let found = dmarc(domain, texts).await.unwrap();
            assert_eq!(found.as_ref().map(|(name, _)| name.as_str()), speaks, "{domain} {zone:?}");
        }
    }

    #[test]
    fn dkim_records_are_judged() {
        let long = "A".repeat(392);
        let judged = |records: &[&str]| {
            let records: Vec<String> = records.iter().map(|r| r.replace("LONG", &long)).collect();
            kind(&judged_dkim("s._domainkey.example.com", &records))
        };
        assert_eq!(judged(&["v=DKIM1; k=rsa; p=LONG"]), "good");
        assert_eq!(judged(&["p=LONG"]), "good");
        assert_eq!(judged(&["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]), "good");
        assert_eq!(judged(&["v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQ"]), "doubtful");
        assert_eq!(judged(&["v=DKIM1; t=s:y; p=LONG"]), "doubtful");
        assert_eq!(judged(&["v=DKIM1; p="]), "bad");
        assert_eq!(judged(&["p=LONG", "p=LONG"]), "bad");
        assert_eq!(judged(&[]), "bad");
    }
}
