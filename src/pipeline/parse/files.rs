//! What an attachment is: by its first bytes and, where these say nothing, by its name. Declared types are not believed.

use super::text::is_invisible;
use crate::domain::letter::FileKind;

/// Longest file name kept, in characters; file systems allow 255 bytes.
const MAX_NAME: usize = 120;

/// The name without folders, control characters and characters that turn the direction of reading or can't be seen
/// (they hide endings).
pub(super) fn name(raw: &str) -> String {
    let last = raw.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !c.is_control() && !is_invisible(*c)).collect();
    // The end is kept, as it says what the file is.
    let skip = name.trim_end().chars().count().saturating_sub(MAX_NAME);
    let end: String = name.trim_end().chars().skip(skip).collect();
    end.trim_start_matches(|c: char| c == '.' || c.is_whitespace()).to_owned()
}

/// Programs and scripts are told by name even where the bytes look harmless: a script is text, an archive can run.
///
/// An HTML file is none: shops' order pages are saved and sent as such, and nothing here opens it.
pub(super) fn kind(data: &[u8], name: &str, declared: &str) -> FileKind {
    // Windows takes no notice of what stands behind the ending.
    let whole = name.trim_end_matches(['.', ' ']);
    let extension = whole.rsplit_once('.').map(|(_, e)| e.trim().to_lowercase()).unwrap_or_default();
    let kind = by_bytes(data);
    // A `.com` may as well be the end of an address; as a program its bytes mean nothing in particular.
    let is_web_address = extension == "com" && kind.is_some();
    if PROGRAMS.contains(&extension.as_str()) && !is_web_address {
        return FileKind::Program;
    }
    match kind {
        Some(kind) => kind,
        None if extension == "ics" || declared == "text/calendar" && data.starts_with(b"BEGIN:") => FileKind::Calendar,
        None if declared.starts_with("text/") || declared.starts_with("message/") || extension == "txt" => {
            FileKind::Text
        }
        None => FileKind::Other,
    }
}

/// Endings that Windows, macOS, Android or Office run or mount when double-clicked.
const PROGRAMS: &[&str] = &[
    "accda",
    "accde",
    "accdr",
    "ade",
    "adp",
    "apk",
    "app",
    "appimage",
    "application",
    "appref-ms",
    "appx",
    "appxbundle",
    "bas",
    "bat",
    "chm",
    "cmd",
    "com",
    "command",
    "cpl",
    "csh",
    "deb",
    "desktop",
    "diagcab",
    "dll",
    "dmg",
    "docm",
    "dotm",
    "exe",
    "gadget",
    "hlp",
    "hta",
    "htc",
    "img",
    "inf",
    "ins",
    "ipa",
    "iqy",
    "iso",
    "isp",
    "jar",
    "jnlp",
    "js",
    "jse",
    "ksh",
    "library-ms",
    "lnk",
    "mam",
    "mde",
    "mjs",
    "msc",
    "msh",
    "msi",
    "msix",
    "msixbundle",
    "msp",
    "mst",
    "ocx",
    "osd",
    "pif",
    "pkg",
    "potm",
    "ppam",
    "ppsm",
    "pptm",
    "ps1",
    "ps2",
    "psc1",
    "psd1",
    "psm1",
    "py",
    "pyc",
    "pyw",
    "pyz",
    "reg",
    "rpm",
    "scf",
    "scr",
    "sct",
    "search-ms",
    "settingcontent-ms",
    "sh",
    "shb",
    "shs",
    "slk",
    "sldm",
    "sys",
    "udl",
    "url",
    "vb",
    "vbe",
    "vbs",
    "vbscript",
    "vhd",
    "vhdx",
    "website",
    "wll",
    "workflow",
    "ws",
    "wsc",
    "wsf",
    "wsh",
    "xbap",
    "xla",
    "xlam",
    "xlsb",
    "xlsm",
    "xll",
    "xltm",
];

fn by_bytes(data: &[u8]) -> Option<FileKind> {
    let at = |offset: usize, magic: &[u8]| data.get(offset..).is_some_and(|d| d.starts_with(magic));
    let holds = |what: &[u8]| data.windows(what.len()).any(|w| w == what);
    let kind = if at(0, b"\xFF\xD8\xFF") || at(0, b"\x89PNG\r\n\x1A\n") || at(0, b"GIF87a") || at(0, b"GIF89a") {
        FileKind::Picture
    } else if at(0, b"RIFF") {
        match data.get(8..12)? {
            b"WEBP" => FileKind::Picture,
            b"AVI " => FileKind::Video,
            _ => return None,
        }
    } else if at(4, b"ftyp") {
        match data.get(8..12)? {
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" | b"avif" | b"avis" => {
                FileKind::HeicPicture
            }
            b"M4A " | b"M4B " => return None,
            _ => FileKind::Video,
        }
    } else if [&b"moov"[..], b"mdat", b"wide", b"free", b"skip"].iter().any(|atom| at(4, atom)) // QuickTime without `ftyp`
        || at(0, b"\x1A\x45\xDF\xA3") || at(0, b"\x00\x00\x01\xBA") || at(0, b"\x30\x26\xB2\x75\x8E\x66\xCF\x11")
    {
        // Matroska and WebM, MPEG-PS, ASF
        FileKind::Video
    } else if RUNS.iter().any(|(offset, magic)| at(*offset, magic)) || is_mach_o(data) {
        FileKind::Program
    } else if data.get(..1024).unwrap_or(data).windows(5).any(|w| w == b"%PDF-") {
        FileKind::Pdf
    } else if at(0, b"\x78\x9F\x3E\x22") {
        FileKind::Tnef
    } else if at(0, b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") {
        // Word and Excel before 2007, Outlook's messages; the macros have a storage of this name (MS-OVBA 2.2.1).
        if holds(b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0") { FileKind::Program } else { return None }
    } else if at(0, b"PK\x03\x04") {
        // Office files, Android's and Java's programs are archives; these names are fixed in them.
        let runs =
            [&b"vbaProject.bin"[..], b"AndroidManifest.xml", b"META-INF/MANIFEST.MF"].iter().any(|name| holds(name));
        if runs { FileKind::Program } else { FileKind::Archive }
    } else if at(0, b"PK\x05\x06")
        || at(0, b"7z\xBC\xAF\x27\x1C")
        || at(0, b"Rar!\x1A\x07")
        || at(0, b"\x1F\x8B\x08")
        || at(257, b"ustar")
    {
        FileKind::Archive
    } else {
        return None;
    };
    Some(kind)
}

/// What programs, and the files that start one or hold a whole disk, begin with.
const RUNS: &[(usize, &[u8])] = &[
    (0, b"MZ"),
    (0, b"\x7FELF"),
    (0, b"#!"),
    (0, b"\x4C\x00\x00\x00\x01\x14\x02\x00"), // a Windows shortcut
    (0, b"dex\n"),
    (0, b"ITSF"),       // compiled help
    (32_769, b"CD001"), // ISO 9660
];

fn is_mach_o(data: &[u8]) -> bool {
    // The last is also how Java's classes begin.
    matches!(
        data,
        [0xFE, 0xED, 0xFA, 0xCE | 0xCF, ..] | [0xCE | 0xCF, 0xFA, 0xED, 0xFE, ..] | [0xCA, 0xFE, 0xBA, 0xBE, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_before_names_and_names_before_declared_types() {
        for (data, name, declared, expected) in [
            (&b"\xFF\xD8\xFF\xE0"[..], "x.pdf", "application/pdf", FileKind::Picture),
            (b"\x00\x00\x00\x18ftypheic", "IMG.jpg", "image/jpeg", FileKind::HeicPicture),
            (b"\x00\x00\x00\x18ftypqt  ", "a", "", FileKind::Video),
            (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "a", "", FileKind::Picture),
            (b"\x78\x9F\x3E\x22\x01\x00", "winmail.dat", "application/ms-tnef", FileKind::Tnef),
            (b"MZ\x90", "photo.jpg", "image/jpeg", FileKind::Program),
            (b"PK\x03\x04....word/vbaProject.bin", "a.docx", "", FileKind::Program),
            (b"PK\x03\x04", "photos.zip", "", FileKind::Archive),
            (b"PK\x03\x04", "invoice.jar", "", FileKind::Program),
            (b"WScript.Echo 1", "a.jpg.vbs", "image/jpeg", FileKind::Program),
            (b"BEGIN:VCALENDAR", "", "text/calendar", FileKind::Calendar),
            (b"hello", "notes.txt", "application/octet-stream", FileKind::Text),
            (b"hello", "photo.jpg", "image/jpeg", FileKind::Other),
            (b"\xFF\xD8\xFF\xE0", "photo.jpg.exe", "image/jpeg", FileKind::Program),
            (b"\xFF\xD8\xFF\xE0", "photo.jpg.scr. ", "image/jpeg", FileKind::Program),
            (b"\xFF\xD8\xFF\xE0", "order at shop.example.com", "image/jpeg", FileKind::Picture),
            (b"\xEB\x10", "game.com", "", FileKind::Program),
            (b"[InternetShortcut]", "photos.url", "", FileKind::Program),
            (b"\x4C\x00\x00\x00\x01\x14\x02\x00", "invoice.pdf", "application/pdf", FileKind::Program),
            (b"PK\x03\x04....AndroidManifest.xml", "a.zip", "", FileKind::Program),
            (
                b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1..._\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0",
                "a.doc",
                "",
                FileKind::Program,
            ),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "a.doc", "", FileKind::Other),
            (b"%PDF-1.7", "invoice.pdf", "", FileKind::Pdf),
            (b"BEGIN:VCARD", "jo.vcf", "text/x-vcard", FileKind::Text),
            (b"-----BEGIN PGP SIGNATURE-----", "signature.asc", "application/pgp-signature", FileKind::Other),
            (b"\x30\x82\x10\x00", "smime.p7s", "application/pkcs7-signature", FileKind::Other),
            (b"<html>", "order.html", "text/html", FileKind::Text),
        ] {
            assert_eq!(kind(data, name, declared), expected, "{name} {declared}");
        }
    }

    #[test]
    fn names_lose_folders_and_tricks() {
        assert_eq!(name("../../etc/passwd"), "passwd");
        assert_eq!(name("C:\\Users\\jo\\IMG 1.jpg"), "IMG 1.jpg");
        assert_eq!(name("photo\u{202E}gpj.exe\r\n"), "photogpj.exe");
        assert_eq!(name(".."), "");
        assert_eq!(name(&format!("{}.{}", "a".repeat(50), "b".repeat(119))), "b".repeat(119));
    }
}
