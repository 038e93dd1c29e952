//! A picture without what it tells besides what it shows: where it was taken, with what, by whom (Exif, XMP, IPTC,
//! comments, text). How it has to be turned stays. The pixels are not touched; what can't be taken apart with certainty
//! is given as nothing, never as it is.

/// The same picture without metadata. `None`: no JPEG, PNG, WebP or GIF, or damaged before its pixels.
pub fn bare(data: &[u8]) -> Option<Vec<u8>> {
    if data.starts_with(b"\xff\xd8") {
        jpeg(data)
    } else if data.starts_with(PNG) {
        png(data)
    } else if data.starts_with(b"RIFF") && data.get(8..12) == Some(b"WEBP") {
        webp(data)
    } else if data.starts_with(b"GIF8") {
        gif(data)
    } else {
        None
    }
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// ITU-T T.81 annex B: segments with their length up to the first scan. Of the application segments, only JFIF's (APP0)
/// and Adobe's (APP14), which say what the colours mean, stay; of Exif the orientation. What stands behind the first
/// scan's pixels (a second picture, a video) is cut off.
fn jpeg(data: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0xff, 0xd8];
    let mut at = 2;
    let mut turned = None;
    loop {
        // Fill bytes may stand before a marker.
        while data.get(at..at + 2)? == [0xff, 0xff] {
            at += 1;
        }
        let [0xff, marker] = *data.get(at..at + 2)? else { return None };
        match marker {
            0xd9 => return None,
            0x01 | 0xd0..=0xd7 => {
                at += 2;
                continue;
            }
            0xda => break,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(data.get(at + 2..at + 4)?.try_into().ok()?));
        let segment = data.get(at..at + 2 + length)?;
        let body = segment.get(4..)?;
        match marker {
            0xe1 => turned = turned.or_else(|| body.strip_prefix(b"Exif\0\0").and_then(orientation)),
            0xe0 if body.starts_with(b"JFIF\0") => out.extend(jfif(body)?),
            0xee if body.starts_with(b"Adobe") => out.extend(segment),
            0xe0..=0xef | 0xfe => {}
            _ => out.extend(segment),
        }
        at += 2 + length;
    }
    if let Some(turned) = turned.filter(|turned| (2..=8).contains(turned)) {
        let exif = oriented(turned);
        out.splice(2..2, exif);
    }
    out.extend(scans(data.get(at..)?));
    Some(out)
}

/// JFIF's segment without its thumbnail, which may show what was cut off the picture.
fn jfif(body: &[u8]) -> Option<Vec<u8>> {
    let mut segment = vec![0xff, 0xe0, 0, 16];
    segment.extend(body.get(..12)?);
    segment.extend([0, 0]);
    Some(segment)
}

/// From the first scan to the end of this picture. Progressive pictures have tables between their scans, and those may
/// hold comments.
fn scans(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some(place) = rest.windows(2).position(|pair| matches!(pair, [0xff, 1..=0xcf | 0xd8..=0xfe])) {
        let (before, from) = rest.split_at(place);
        out.extend(before);
        let marker = from.get(1).copied().unwrap_or(0xd9);
        let length = from.get(2..4).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes);
        let segment = length.and_then(|length| from.split_at_checked(2 + usize::from(length)));
        match (marker, segment) {
            (0xd8 | 0xd9, _) | (_, None) => {
                out.extend([0xff, 0xd9]);
                return out;
            }
            (0xe0..=0xef | 0xfe, Some((_, behind))) => rest = behind,
            (_, Some((segment, behind))) => {
                out.extend(segment);
                rest = behind;
            }
        }
    }
    // Cut short: phones on a bad line send the beginning of a photo.
    out.extend(rest);
    out
}

/// The orientation (tag 0x0112 of the first directory; TIFF 6.0 section 2).
fn orientation(tiff: &[u8]) -> Option<u16> {
    let little = match tiff.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let bytes = tiff.get(4..8)?.try_into().ok()?;
    let first = if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
    let first = usize::try_from(first).ok()?;
    let entries = usize::from(short(first)?);
    let entry = (0..entries).map(|n| first + 2 + n * 12).find(|at| short(*at) == Some(0x0112))?;
    short(entry + 8)
}

/// An Exif segment that tells the orientation and nothing else.
fn oriented(turned: u16) -> Vec<u8> {
    let mut segment = b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    segment.extend(turned.to_be_bytes());
    segment.extend([0; 6]);
    segment
}

/// PNG (third edition) section 5: of the chunks that need not be understood, those that change how it looks stay.
fn png(data: &[u8]) -> Option<Vec<u8>> {
    const STAY: [&[u8; 4]; 11] =
        [b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT"];
    let mut out = PNG.to_vec();
    let mut rest = data.get(PNG.len()..)?;
    let mut pixels = false;
    while let Some(length) = rest.get(..4) {
        let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
        let kind = rest.get(4..8)?;
        let Some((chunk, behind)) = rest.split_at_checked(length.checked_add(12)?) else { break };
        let critical = kind.first()?.is_ascii_uppercase();
        if critical || STAY.iter().any(|stays| *stays == kind) {
            out.extend(chunk);
        }
        pixels |= kind == b"IDAT";
        if kind == b"IEND" {
            break;
        }
        rest = behind;
    }
    pixels.then_some(out)
}

/// RFC 9649 section 2: chunks of a RIFF file; the bits of `VP8X` tell which there are.
fn webp(data: &[u8]) -> Option<Vec<u8>> {
    const EXIF_AND_XMP: u8 = 0b0000_1100;
    const STAY: [&[u8; 4]; 7] = [b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"];
    let mut body = b"WEBP".to_vec();
    let mut rest = data.get(12..)?;
    while let Some(length) = rest.get(4..8) {
        let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
        let padded = length.checked_add(length % 2)?.checked_add(8)?;
        let Some((chunk, behind)) = rest.split_at_checked(padded) else { break };
        let kind = chunk.get(..4)?;
        if STAY.iter().any(|stays| *stays == kind) {
            let start = body.len();
            body.extend(chunk);
            if kind == b"VP8X"
                && let Some(flags) = body.get_mut(start + 8)
            {
                *flags &= !EXIF_AND_XMP;
            }
        }
        rest = behind;
    }
    let mut out = b"RIFF".to_vec();
    out.extend(u32::try_from(body.len()).ok()?.to_le_bytes());
    out.extend(&body);
    (body.len() > 4).then_some(out)
}

/// GIF89a sections 15 to 26: comments and applications' blocks go, but for the one that tells how often to repeat.
fn gif(data: &[u8]) -> Option<Vec<u8>> {
    let colours = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3usize << ((flags & 7) + 1) };
    let mut at = 13 + colours(*data.get(10)?);
    let mut out = data.get(..at)?.to_vec();
    let blocks_from = |mut at: usize| {
        while let Some(size) = data.get(at).filter(|size| **size > 0) {
            at += 1 + usize::from(*size);
        }
        at + 1
    };
    let mut pixels = false;
    loop {
        let start = at;
        match *data.get(at)? {
            0x2c => {
                at = blocks_from(at + 11 + colours(*data.get(at + 9)?));
                pixels = true;
            }
            0x21 => {
                let label = *data.get(at + 1)?;
                at = blocks_from(at + 2);
                let repeats = data.get(start + 3..start + 14) == Some(b"NETSCAPE2.0");
                if matches!(label, 0xfe | 0x01) || label == 0xff && !repeats {
                    continue;
                }
            }
            _ => break,
        }
        out.extend(data.get(start..at.min(data.len()))?);
    }
    out.push(0x3b);
    pixels.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TURNED: &[u8] = include_bytes!("extract/photos/samples/turned-by-exif.jpg");
    const SAMPLES: [(&str, &[u8]); 6] = [
        ("turned", TURNED),
        ("cmyk", include_bytes!("extract/photos/samples/cmyk.jpg")),
        ("progressive", include_bytes!("extract/photos/samples/progressive.jpg")),
        ("png", include_bytes!("extract/photos/samples/one-bit.png")),
        ("gif", include_bytes!("extract/photos/samples/moving.gif")),
        ("webp", include_bytes!("extract/photos/samples/moving.webp")),
    ];

    /// A place as cameras write it.
    fn with_place(jpeg: &[u8]) -> Vec<u8> {
        let mut tiff = b"MM\0*\0\0\0\x08\0\x02".to_vec();
        tiff.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0");
        tiff.extend(b"\x88\x25\0\x04\0\0\0\x01\0\0\0\x26\0\0\0\0");
        tiff.extend(b"\0\x01\0\x01\0\x02\0\0\0\x02N\0\0\0SECRETPLACE 48.2082N");
        let mut segment = b"\xff\xe1".to_vec();
        segment.extend(u16::try_from(tiff.len() + 8).unwrap().to_be_bytes());
        segment.extend(b"Exif\0\0");
        segment.extend(&tiff);
        let xmp = b"http://ns.adobe.com/xap/1.0/\0<exif:GPSLatitude>SECRETPLACE</exif:GPSLatitude>";
        segment.extend(b"\xff\xe1");
        segment.extend(u16::try_from(xmp.len() + 2).unwrap().to_be_bytes());
        segment.extend(xmp);
        segment.extend(b"\xff\xfe\0\x0dSECRETPLACE");
        let mut out = jpeg[..2].to_vec();
        out.extend(segment);
        out.extend(&jpeg[2..]);
        out
    }

    fn pixels(data: &[u8]) -> image::DynamicImage {
        image::load_from_memory(data).unwrap()
    }

    #[test]
    fn where_a_photo_was_taken_goes_and_how_it_is_turned_stays() {
        let placed = with_place(SAMPLES[2].1);
        let out = bare(&placed).unwrap();
        assert!(!out.windows(6).any(|w| w == b"SECRET"));
        let exif = out.windows(6).position(|w| w == b"Exif\0\0").unwrap();
        assert_eq!(orientation(&out[exif + 6..]), Some(6));
        assert_eq!(pixels(&out), pixels(&placed));
        assert_eq!(bare(&out), Some(out.clone()), "it is bare already");
    }

    #[test]
    fn what_is_shown_stays_as_it_is() {
        for (name, sample) in SAMPLES {
            let out = bare(sample).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(pixels(&out), pixels(sample), "{name}");
            assert!(out.len() <= sample.len() + 40, "{name}");
        }
    }

    #[test]
    fn text_in_other_formats_goes() {
        let mut png = SAMPLES[3].1.to_vec();
        let text = b"\0\0\0\x13tEXtComment\0SECRETPLACEXXXX";
        png.splice(33..33, text.iter().copied());
        let out = bare(&png).unwrap();
        assert!(!out.windows(6).any(|w| w == b"SECRET"));
        let mut gif = SAMPLES[4].1.to_vec();
        let end = gif.len() - 1;
        gif.splice(end..end, b"\x21\xfe\x0bSECRETPLACE\0".iter().copied());
        assert!(!bare(&gif).unwrap().windows(6).any(|w| w == b"SECRET"));
        let mut webp = SAMPLES[5].1.to_vec();
        webp.extend(b"EXIF\x0c\0\0\0SECRETPLACE\0");
        assert!(!bare(&webp).unwrap().windows(6).any(|w| w == b"SECRET"));
    }

    #[test]
    fn behind_a_picture_nothing_stays() {
        let mut moving = SAMPLES[0].1.to_vec();
        moving.extend(b"\0\0\0\x18ftypmp42SECRETPLACE");
        assert!(!bare(&moving).unwrap().windows(6).any(|w| w == b"SECRET"));
    }

    proptest! {
        #[test]
        fn damage_makes_nothing_panic(which in 0usize..6, cut in 0usize..3000, at in 0usize..3000, byte: u8) {
            let mut data = SAMPLES[which].1.to_vec();
            let place = at % data.len();
            data[place] = byte;
            data.truncate(cut.max(4));
            let _ = bare(&data);
        }
    }
}
