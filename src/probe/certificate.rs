//! Until when a certificate holds (RFC 5280 section 4.1). rustls has found it to be right and tells no more of it; for two
//! dates of a form that is fixed, a reader of the whole of X.509 would bring a dozen crates.

use jiff::Timestamp;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when until when a certificate in DER holds.
pub(super) fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (certificate, _) = inside(der, SEQUENCE)?;
    let (mut fields, _) = inside(certificate, SEQUENCE)?;
    if let Some((_, rest)) = inside(fields, VERSION) {
        fields = rest;
    }
    let (_serial, fields) = inside(fields, INTEGER)?;
    let (_signature, fields) = inside(fields, SEQUENCE)?;
    let (_issuer, fields) = inside(fields, SEQUENCE)?;
    let (validity, _) = inside(fields, SEQUENCE)?;
    let (from, rest) = time(validity)?;
    let (until, _) = time(rest)?;
    Some((from, until))
}

/// What the first element holds if it has this tag, and what stands behind it.
fn inside(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*length) {
        short @ 0..0x80 => (short, rest),
        long => {
            // In DER a length says how many bytes it has itself; four are more than any certificate needs.
            let (bytes, rest) =
                rest.split_at_checked(long - 0x80).filter(|(bytes, _)| (1..=4).contains(&bytes.len()))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    rest.split_at_checked(length).filter(|_| *first == tag)
}

fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (text, rest, century) = match inside(der, UTC_TIME) {
        Some((text, rest)) => (text, rest, true),
        None => inside(der, GENERALIZED_TIME).map(|(text, rest)| (text, rest, false))?,
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match century {
        // Years from 50 on are of the last century (RFC 5280 section 4.1.2.5.1).
        true if text.as_bytes().first()? >= &b'5' => format!("19{text}"),
        true => format!("20{text}"),
        false => text.to_owned(),
    };
    Some((Timestamp::strptime("%Y%m%d%H%M%S %z", format!("{text} +0000")).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let head =
            if length < 0x80 { vec![tag, length as u8] } else { vec![tag, 0x82, (length >> 8) as u8, length as u8] };
        [head, content.to_vec()].concat()
    }

    fn certificate(from: (u8, &str), until: (u8, &str)) -> Vec<u8> {
        let times = [element(from.0, from.1.as_bytes()), element(until.0, until.1.as_bytes())].concat();
        let fields = [
            element(VERSION, &[2, 1, 2]),
            element(INTEGER, &[7; 20]),
            element(SEQUENCE, &[0; 10]),
            element(SEQUENCE, &[0; 300]),
            element(SEQUENCE, &times),
            element(SEQUENCE, &[0; 300]),
        ];
        element(SEQUENCE, &element(SEQUENCE, &fields.concat()))
    }

    #[test]
    fn both_forms_of_a_time_are_read() {
        let der = certificate((UTC_TIME, "990102030405Z"), (GENERALIZED_TIME, "20500102030405Z"));
        let (from, until) = validity(&der).unwrap();
        assert_eq!(
            (from.to_string(), until.to_string()),
            ("1999-01-02T03:04:05Z".into(), "2050-01-02T03:04:05Z".into())
        );
    }

    #[test]
    fn what_is_cut_or_no_certificate_tells_no_time() {
        let der = certificate((UTC_TIME, "260102030405Z"), (UTC_TIME, "270102030405Z"));
        assert!(validity(&der).is_some());
        for length in 0..der.len() {
            assert_eq!(validity(&der[..length]), None, "{length}");
        }
        assert_eq!(validity(&certificate((UTC_TIME, "2601"), (UTC_TIME, "x"))), None);
        assert_eq!(validity(&[SEQUENCE, 0x88, 255, 255, 255, 255, 255, 255, 255, 255]), None);
    }
}
