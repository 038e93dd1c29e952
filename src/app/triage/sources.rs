//! Where a dry run finds mail: an .eml file, an mbox, a Maildir, a folder of .eml files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::app::Failure;

/// The name under which a letter is reported, and its bytes.
pub type Named = (String, Vec<u8>);

/// The letters of `path`, in order: of an mbox as they stand, of a Maildir and a folder by name.
pub fn letters(path: &Path) -> Result<Box<dyn Iterator<Item = Result<Named, Failure>>>, Failure> {
    if path.is_dir() {
        let files = files(path)?;
        return Ok(Box::new(files.into_iter().map(|file| Ok((file.display().to_string(), read(&file)?)))));
    }
    let raw = read(path)?;
    let name = path.display().to_string();
    if !raw.starts_with(b"From ") {
        return Ok(Box::new(std::iter::once(Ok((name, raw)))));
    }
    Ok(Box::new(
        messages(&raw).into_iter().enumerate().map(move |(n, message)| Ok((format!("{name}#{}", n + 1), message))),
    ))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|e| Failure::Other(format!("{}: {e}", path.display())))
}

/// The mail files of a folder: of a Maildir those in `new` and `cur`, else those that end in `.eml`.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let maildir = ["new", "cur"].map(|sub| folder.join(sub));
    let is_maildir = maildir.iter().all(|sub| sub.is_dir());
    let folders = if is_maildir { maildir.to_vec() } else { vec![folder.to_owned()] };
    let mut files = Vec::new();
    for folder in &folders {
        let named = |e: std::io::Error| Failure::Other(format!("{}: {e}", folder.display()));
        for entry in fs::read_dir(folder).map_err(named)? {
            let path = entry.map_err(named)?.path();
            if path.is_file() && (is_maildir || path.extension().is_some_and(|e| e == "eml")) {
                files.push(path);
            }
        }
    }
    files.sort_by_key(|path| path.file_name().map(std::ffi::OsStr::to_owned));
    if files.is_empty() {
        return Err(Failure::Other(format!(
            "{}: no mail here (a Maildir, or files that end in .eml)",
            folder.display()
        )));
    }
    Ok(files)
}

/// The messages of an mbox (RFC 4155, "mboxrd" quoting): each begins behind a line `From …` at the start or after an
/// empty line.
fn messages(mbox: &[u8]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    let mut after_blank = true;
    for line in mbox.split_inclusive(|b| *b == b'\n') {
        let blank = line.iter().all(|b| matches!(b, b'\r' | b'\n'));
        if after_blank && line.starts_with(b"From ") {
            messages.push(Vec::new());
        } else if let Some(message) = messages.last_mut() {
            let quoted = line.iter().position(|b| *b != b'>').filter(|n| *n > 0);
            let unquoted = match quoted {
                Some(n) if line.get(n..).is_some_and(|rest| rest.starts_with(b"From ")) => {
                    line.get(1..).unwrap_or(line)
                }
                _ => line,
            };
            message.extend_from_slice(unquoted);
        }
        after_blank = blank;
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mbox_is_split_at_its_from_lines_only() {
        let mbox = b"From a@b Mon\nSubject: 1\n\nHello\nFrom here on\n>From quoted\n\nFrom c@d Tue\r\nSubject: 2\r\n\r\nBye\r\n";
        let split = messages(mbox);
        assert_eq!(split.len(), 2);
        assert_eq!(split[0], b"Subject: 1\n\nHello\nFrom here on\nFrom quoted\n\n");
        assert_eq!(split[1], b"Subject: 2\r\n\r\nBye\r\n");
    }
}
