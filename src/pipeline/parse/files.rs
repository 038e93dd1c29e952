//! What an attachment is: by its first bytes and, where these say nothing, by its name. Declared types are not believed.

use crate::domain::letter::FileKind;

/// Longest file name kept, in characters; file systems allow 255 bytes.
const MAX_NAME: usize = 120;

/// The name without folders, control characters and characters that turn the direction of reading (they hide endings).
pub(super) fn name(raw: &str) -> String {
    let last = raw.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last
        .chars()
        .filter(|c| {
            !c.is_control() && !matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        })
        .collect();
    let name = name.trim().trim_start_matches('.');
    let skip = name.chars().count().saturating_sub(MAX_NAME);
    name.chars().skip(skip).collect()
}

/// Programs and scripts are told by name even where the bytes look harmless: a script is text, an archive can run.
pub(super) fn kind(data: &[u8], name: &str, declared: &str) -> FileKind {
    let extension = name.rsplit_once('.').map(|(_, e)| e.trim().to_lowercase()).unwrap_or_default();
    if PROGRAMS.contains(&extension.as_str()) {
        return FileKind::Program;
    }
    match by_bytes(data) {
        Some(kind) => kind,
        None if extension == "ics" || declared == "text/calendar" && data.starts_with(b"BEGIN:") => FileKind::Calendar,
        None if declared.starts_with("text/") || declared.starts_with("message/") || extension == "txt" => {
            FileKind::Text
        }
        None => FileKind::Other,
    }
}

/// Endings that Windows, macOS or Office run when double-clicked.
const PROGRAMS: &[&str] = &[
    "ade", "adp", "apk", "app", "appx", "bat", "chm", "cmd", "com", "cpl", "dll", "dmg", "docm", "dotm", "exe",
    "gadget", "hta", "inf", "ins", "ipa", "iqy", "isp", "jar", "jnlp", "js", "jse", "lnk", "mde", "msc", "msh", "msi",
    "msix", "msp", "mst", "pif", "potm", "ppam", "ppsm", "pptm", "ps1", "psm1", "py", "pyw", "reg", "scf", "scr",
    "sct", "sh", "shb", "shs", "slk", "sldm", "sys", "url", "vb", "vbe", "vbs", "vbscript", "wll", "ws", "wsc", "wsf",
    "wsh", "xbap", "xla", "xlam", "xlsb", "xlsm", "xll", "xltm",
];

fn by_bytes(data: &[u8]) -> Option<FileKind> {
    let at = |offset: usize, magic: &[u8]| data.get(offset..).is_some_and(|d| d.starts_with(magic));
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
    } else if data.get(..1024).unwrap_or(data).windows(5).any(|w| w == b"%PDF-") {
        FileKind::Pdf
    } else if at(0, b"\x78\x9F\x3E\x22") {
        FileKind::Tnef
    } else if at(0, b"MZ") || at(0, b"\x7FELF") || at(0, b"#!") || is_mach_o(data) {
        FileKind::Program
    } else if at(0, b"PK\x03\x04") {
        // Office files are archives; a macro's project has a fixed name in it.
        if data.windows(14).any(|w| w == b"vbaProject.bin") { FileKind::Program } else { FileKind::Archive }
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

fn is_mach_o(data: &[u8]) -> bool {
    matches!(data, [0xFE, 0xED, 0xFA, 0xCE | 0xCF, ..] | [0xCE | 0xCF, 0xFA, 0xED, 0xFE, ..])
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
    }
}
