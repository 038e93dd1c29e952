//! Identifiers, checked on creation. A value of one of these types has the right form; what it names may not exist.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::check;

/// A text that is not what it should be: which kind of identifier was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a valid {}", self.0)
    }
}

impl std::error::Error for Malformed {}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text, in its canonical spelling.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The content id of a letter: SHA-256 of its raw bytes as 64 lower-case hex digits.
    LetterId
}

impl LetterId {
    /// Takes the digest of the raw mail.
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        Self(digest.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// Reads the hex form back.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let hex = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hex { Ok(Self(text.to_owned())) } else { Err(Malformed("letter id")) }
    }
}

text_id! {
    /// The id of a case, as staff and customers see it: `AS-` and eight characters, the last of them a check character.
    ///
    /// Derived from the letter that opened the case, so that the same mail opens the same case on every replay,
    /// and not countable, so that nobody can guess a neighbour's.
    CaseId
}

impl CaseId {
    const PREFIX: &'static str = "AS";

    /// The id of the case that `letter` opens. `attempt` counts up from 0 while the id is taken by another case.
    pub fn derive(letter: &LetterId, attempt: u8) -> Self {
        // Walk over the digest until a body has a check character; each start has a 31 in 37 chance.
        let bytes = letter.as_str().as_bytes();
        let mut seed: u64 = u64::from(attempt);
        loop {
            let mut body = String::from(Self::PREFIX);
            let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed; // FNV-1a: spreads the digest, needs no strength of its own
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
            for shift in 0..7 {
                body.push(check::letter((hash >> (shift * 8)) as u8));
            }
            if let Some(check) = check::character(&body) {
                return Self(format!("{}-{}{check}", Self::PREFIX, body.strip_prefix(Self::PREFIX).unwrap_or(&body)));
            }
            seed += 256;
        }
    }

    /// Reads an id in any case, with or without its hyphen; the check character must hold.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let squeezed = squeeze(text);
        let tail = squeezed.strip_prefix(Self::PREFIX).unwrap_or_default().to_owned();
        // Earlier versions left out what repeats the prefix, one case in a thousand: `AS-` and six characters.
        let squeezed = if tail.len() == 6 { format!("{}{squeezed}", Self::PREFIX) } else { squeezed };
        let ours = matches!(tail.len(), 6 | 8)
            && tail.bytes().all(|b| check::ALPHABET.contains(&b))
            && check::holds(&squeezed);
        if ours { Ok(Self(format!("{}-{tail}", Self::PREFIX))) } else { Err(Malformed("case id")) }
    }
}

text_id! {
    /// A `Message-ID` (RFC 5322 section 3.6.4) without its angle brackets.
    MessageId
}

impl MessageId {
    /// Takes the text between the brackets; refuses what could break a header (blanks, control characters, brackets).
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let text = text.trim().trim_start_matches('<').trim_end_matches('>');
        let sound = !text.is_empty()
            && text.len() <= 900
            && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>'));
        if sound { Ok(Self(text.to_owned())) } else { Err(Malformed("message id")) }
    }

    /// The id of reply number `number` of a case: fixed before the first try, the same on every repetition.
    pub fn of_reply(case: &CaseId, number: u32, domain: &str) -> Self {
        Self(format!("{}.r{number}@{domain}", case.as_str().to_lowercase()))
    }

    /// Whether it looks like one of ours, from `domain`; there may be no such reply and no such case.
    pub fn is_like_a_reply(&self, domain: &str) -> bool {
        let of_case = |case: &str| {
            case.strip_prefix("as-").is_some_and(|id| id.len() == 8 && id.bytes().all(|b| b.is_ascii_alphanumeric()))
        };
        let id = self.0.to_lowercase();
        let Some((local, at)) = id.rsplit_once('@') else { return false };
        let Some((case, number)) = local.split_once(".r") else { return false };
        at == domain && of_case(case) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    }
}

text_id! {
    /// The address of a mailbox (RFC 5321 section 4.1.2), lower case.
    Address
}

impl Address {
    /// Checks that there is one `@` with something sound on both sides.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let text = text.trim();
        let sound = text.len() <= 254
            && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';'))
            && text.rsplit_once('@').is_some_and(|(local, domain)| {
                !local.is_empty()
                    && local.len() <= 64
                    && !domain.is_empty()
                    && !domain.starts_with('.')
                    && !domain.ends_with('.')
            });
        if sound { Ok(Self(text.chars().flat_map(lower).collect())) } else { Err(Malformed("e-mail address")) }
    }

    /// The part before the last `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The part behind the last `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The address without a tag (`jo+7@example.com` is `jo@example.com`): what machines number their senders with.
    pub fn untagged(&self) -> Self {
        match self.local_part().split_once('+') {
            Some((local, _)) if !local.is_empty() => Self(format!("{local}@{}", self.domain())),
            _ => self.clone(),
        }
    }

    /// The address as it may stand in a log: `a…@example.com`.
    pub fn masked(&self) -> String {
        let first = self.0.chars().next().unwrap_or('?');
        format!("{first}…@{}", self.domain())
    }
}

/// A letter beyond ASCII stays one: the Kelvin sign is no `k`, and who writes it is somebody else.
fn lower(c: char) -> impl Iterator<Item = char> {
    let stays = !c.is_ascii() && c.to_lowercase().any(|lower| lower.is_ascii());
    let lowered = (!stays).then(|| c.to_lowercase()).into_iter().flatten();
    lowered.chain(stays.then_some(c))
}

/// A text of others as it may stand in a log: each address in it as [`Address::masked`].
pub fn masked(text: &str) -> String {
    let of_address = |c: char| c.is_alphanumeric() || matches!(c, '@' | '.' | '-' | '_' | '+' | '=' | '\'' | '%' | '&');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(of_address) {
        let (before, word) = rest.split_at(start);
        let (word, after) = word.split_at(word.find(|c| !of_address(c)).unwrap_or(word.len()));
        out.push_str(before);
        match Address::new(word.trim_end_matches('.')) {
            Ok(address) => out.push_str(&address.masked()),
            Err(_) => out.push_str(word),
        }
        rest = after;
    }
    out + rest
}

text_id! {
    /// The number of an order: upper case, without blanks and a leading `#`.
    OrderNumber
}

impl OrderNumber {
    /// Takes 3 to 40 letters, digits and hyphens with at least one digit.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let text: String = text
            .trim()
            .trim_start_matches('#')
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect::<String>()
            .to_uppercase();
        let sound = (3..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && text.bytes().any(|b| b.is_ascii_digit());
        if sound { Ok(Self(text)) } else { Err(Malformed("order number")) }
    }
}

text_id! {
    /// A stock keeping unit: the catalogue's code of one product variant, upper case.
    Sku
}

impl Sku {
    /// Takes 2 to 40 letters, digits, `-`, `_`, `.` or `/`.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let text = text.trim().to_uppercase();
        let sound = (2..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'));
        if sound { Ok(Self(text)) } else { Err(Malformed("SKU")) }
    }
}

text_id! {
    /// The item code on the outer packaging: upper case, without blanks.
    ItemCode
}

impl ItemCode {
    /// Takes 4 to 40 letters, digits and hyphens with at least one digit.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_uppercase();
        let sound = (4..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && text.bytes().any(|b| b.is_ascii_digit());
        if sound { Ok(Self(text)) } else { Err(Malformed("item code")) }
    }
}

text_id! {
    /// A country: the two letters of ISO 3166, upper case.
    Country
}

impl Country {
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let text = text.trim().to_ascii_uppercase();
        let sound = text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
        if sound { Ok(Self(text)) } else { Err(Malformed("country (two letters, as DE)")) }
    }
}

text_id! {
    /// The number of a return merchandise authorisation: `KR-2611-4Q9TXC` is the prefix, year and month, five random
    /// characters and a check character ([`check`]). Accepted without case, blanks or hyphens.
    RmaNumber
}

impl RmaNumber {
    /// Makes a number of `random` bytes, or `None` if these have no check character (6 in 37): draw again.
    ///
    /// `prefix` must be 1 to 4 letters A to Z; the configuration checks that.
    pub fn make(prefix: &str, issued: Date, random: [u8; 5]) -> Option<Self> {
        let month = format!("{:02}{:02}", issued.year().rem_euclid(100), issued.month());
        let drawn: String = random.iter().map(|b| check::letter(*b)).collect();
        let check = check::character(&format!("{prefix}{month}{drawn}"))?;
        Some(Self(format!("{prefix}-{month}-{drawn}{check}")))
    }

    /// Reads a number in any spelling; the check character must hold.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let squeezed = squeeze(text);
        let letters = squeezed.bytes().take_while(u8::is_ascii_uppercase).count();
        let (prefix, rest) = squeezed.split_at(letters);
        let sound = (1..=4).contains(&letters)
            && rest.len() == 10
            && rest.bytes().take(4).all(|b| b.is_ascii_digit())
            && rest.bytes().skip(4).all(|b| check::ALPHABET.contains(&b))
            && check::holds(&squeezed);
        match rest.split_at_checked(4) {
            Some((month, drawn)) if sound => Ok(Self(format!("{prefix}-{month}-{drawn}"))),
            _ => Err(Malformed("RMA number")),
        }
    }
}

fn squeeze(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn letter(byte: u8) -> LetterId {
        LetterId::from_digest(&[byte; 32])
    }

    #[test]
    fn every_case_id_that_is_made_is_read() {
        use sha2::{Digest, Sha256};
        let mut twice = 0;
        for n in 0..5000_u32 {
            let letter = LetterId::from_digest(&Sha256::digest(n.to_be_bytes()).into());
            let id = CaseId::derive(&letter, 0);
            assert_eq!((CaseId::new(id.as_str()), id.as_str().len()), (Ok(id.clone()), 11), "{id}");
            if let Some(rest) = id.as_str().strip_prefix("AS-AS") {
                // As earlier versions wrote it.
                twice += 1;
                let short = format!("AS-{rest}");
                assert_eq!(CaseId::new(&short).unwrap().as_str(), short);
            }
        }
        assert!(twice > 0, "none begins with the prefix: try more");
    }

    #[test]
    fn a_case_id_is_the_same_for_the_same_letter_and_reads_back() {
        let id = CaseId::derive(&letter(7), 0);
        assert_eq!(id, CaseId::derive(&letter(7), 0));
        assert_ne!(id, CaseId::derive(&letter(7), 1));
        assert_ne!(id, CaseId::derive(&letter(8), 0));
        assert_eq!(CaseId::new(&id.as_str().to_lowercase().replace('-', " ")), Ok(id));
        assert!(CaseId::new("AS-22222222").is_err() || check::holds("AS22222222"));
    }

    #[test]
    fn an_rma_number_is_read_in_any_spelling() {
        let number = (0..=255u8).find_map(|n| RmaNumber::make("KR", date(2026, 11, 22), [n, 3, 77, 130, 255])).unwrap();
        assert!(number.as_str().starts_with("KR-2611-"));
        let spelled = number.as_str().to_lowercase().replace('-', "");
        assert_eq!(RmaNumber::new(&spelled), Ok(number.clone()));
        assert_eq!(RmaNumber::new(&format!(" {} ", number.as_str().replace('-', " - "))), Ok(number));
    }

    #[test]
    fn order_numbers_lose_blanks_and_the_hash() {
        assert_eq!(OrderNumber::new("#ks 13377").unwrap().as_str(), "KS13377");
        assert!(OrderNumber::new("none").is_err());
    }

    #[test]
    fn addresses_that_could_break_a_header_are_refused() {
        assert!(Address::new("a@b\r\nBcc: x@y").is_err());
        assert!(Address::new("nobody").is_err());
        assert_eq!(Address::new(" Jo@Example.NET ").unwrap().masked(), "j…@example.net");
    }

    #[test]
    fn an_address_that_only_looks_alike_is_another() {
        let owner = Address::new("oke@example.net").unwrap();
        assert_eq!(Address::new("OKE@EXAMPLE.NET"), Ok(owner.clone()));
        for other in ["o\u{212A}e@example.net", "oke@ex\u{430}mple.net", "oke@example\u{3002}net", "o.ke@example.net"] {
            assert_ne!(Address::new(other).as_ref(), Ok(&owner), "{other}");
        }
        let untagged = |text| Address::new(text).unwrap().untagged().to_string();
        assert_eq!(untagged("jo+ticket+7@example.net"), "jo@example.net");
        assert_eq!(untagged("+7@example.net"), "+7@example.net");
    }

    #[test]
    fn addresses_in_a_text_are_masked() {
        let said = "550 5.1.1 <never.jo+7@mail.example.net>: unknown, see postmaster@x.example. (in reply to RCPT)";
        let shown = "550 5.1.1 <n…@mail.example.net>: unknown, see p…@x.example (in reply to RCPT)";
        assert_eq!(masked(said), shown);
        assert_eq!(masked("nothing, @ all"), "nothing, @ all");
    }

    #[test]
    fn a_reply_of_ours_is_known_by_its_looks() {
        let like = |id: &str| MessageId::new(id).unwrap().is_like_a_reply("example.com");
        let real = MessageId::of_reply(&CaseId::derive(&letter(7), 0), 12, "example.com");
        assert!(like(real.as_str()) && like(&real.as_str().to_uppercase()) && like("as-abcdefgh.r1@example.com"));
        for other in
            ["as-abcdefgh.r1@example.org", "as-abcdefgh.r@example.com", "as-abc.r1@example.com", "x@example.com"]
        {
            assert!(!like(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_an_id_panic(text in "\\PC{0,60}") {
            let _ = (CaseId::new(&text), RmaNumber::new(&text), MessageId::new(&text), Address::new(&text));
            let _ = (masked(&text), MessageId::new(&text).map(|id| id.is_like_a_reply("x")));
            let _ = (OrderNumber::new(&text), Sku::new(&text), ItemCode::new(&text), LetterId::new(&text));
        }
    }
}
