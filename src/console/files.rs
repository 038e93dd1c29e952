//! What came with a letter: pictures without what they tell besides what they show, videos to play, everything else to
//! download, and a letter's own HTML without anything that acts or loads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RANGE,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};

use super::door::Session;
use super::page::Problem;
use super::{Console, trace};
use crate::domain::account::Deed;
use crate::domain::ids::{CaseId, LetterId};
use crate::domain::letter::{Body as Text, FileKind, Letter};
use crate::fail_point;
use crate::pipeline::bare::bare;
use crate::pipeline::extract::photos::{Room, as_jpeg, thumbnail};
use crate::pipeline::parse;
use crate::ports::BEGINNING;
use crate::store::Store;
use crate::worker::{Office, budget};

/// The longer side of a small picture, twice what it takes on the page.
const SMALL: u32 = 360;
/// Letters whose files, and bytes of small pictures, that are remembered.
const LETTERS: usize = 2000;
const BYTES: usize = 8 << 20;
/// What a customer sent may do nothing.
pub const SANDBOX: &str = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// The same, shown in a frame of ours with the style it has in itself.
const FRAMED: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'; \
                      base-uri 'none'; form-action 'none'";

/// A file of a letter, by what is known without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub index: usize,
    pub name: String,
    /// `picture`, `video`, `other`.
    pub kind: &'static str,
    pub size: String,
    pub bytes: usize,
}

/// What was worked out lately.
#[derive(Default)]
pub struct Pictures {
    listed: Mutex<HashMap<LetterId, Vec<Listed>>>,
    small: Mutex<Small>,
}

/// Small pictures by letter and place, and how many bytes they are.
#[derive(Default)]
struct Small {
    bytes: usize,
    pictures: HashMap<(LetterId, usize), Arc<Vec<u8>>>,
}

/// The files of a letter; none if its mail was erased.
pub fn listed(store: &Store, pictures: &Pictures, id: &LetterId) -> Result<Vec<Listed>, Problem> {
    let known = || pictures.listed.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(files) = known().get(id) {
        return Ok(files.clone());
    }
    let files = match read(store, id) {
        Ok(letter) => letter.map(|letter| letter.files().into_iter().enumerate().map(of).collect()),
        // Whoever opens the letter is told why it can't be read.
        Err(Problem::Bad(_)) => None,
        Err(problem) => return Err(problem),
    };
    let files: Vec<Listed> = files.unwrap_or_default();
    let mut known = known();
    if known.len() >= LETTERS {
        known.clear();
    }
    known.insert(id.clone(), files.clone());
    Ok(files)
}

fn of((index, file): (usize, &crate::domain::letter::Attachment)) -> Listed {
    let kind = match file.kind {
        FileKind::Picture | FileKind::HeicPicture => "picture",
        FileKind::Video if video_type(&file.data).is_some() => "video",
        _ => "other",
    };
    let size = match file.data.len() {
        size if size >= 1 << 20 => format!("{:.1} MB", size as f64 / f64::from(1 << 20)),
        size => format!("{} kB", size.div_ceil(1 << 10)),
    };
    Listed { index, name: file.name.clone(), kind, size, bytes: file.data.len() }
}

/// A letter as it came, parsed within the time that a letter may take.
pub fn read(store: &Store, id: &LetterId) -> Result<Option<Letter>, Problem> {
    let Some(raw) = store.raw(id)? else { return Ok(None) };
    let parsed = budget::step("reading it", move || {
        fail_point::handling("console", &raw);
        parse::letter(&raw, raw.len() as u64 == BEGINNING)
    });
    parsed.map(Some).map_err(Problem::Bad)
}

/// That the case names the letter: nobody reads letters by their ids alone.
pub fn of_case(office: &Office, case: &CaseId, letter: &LetterId) -> Result<(), Problem> {
    match office.store.named_letters(case)?.contains(letter) {
        true => Ok(()),
        false => Err(Problem::NotFound(format!("Case {case} has no such letter."))),
    }
}

pub fn ids(case: &str, letter: &str) -> Result<(CaseId, LetterId), Problem> {
    let unknown = |_| Problem::NotFound("There is no such letter.".to_owned());
    Ok((CaseId::new(case).map_err(unknown)?, LetterId::new(letter).map_err(unknown)?))
}

/// A file: a picture or a video as it is shown, anything else to download.
pub async fn file(
    State(console): State<Console>,
    session: Session,
    Path((case, letter, index)): Path<(String, String, usize)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (case, letter) = ids(&case, &letter)?;
    let (kind, data) = console
        .ask(move |office| {
            of_case(office, &case, &letter)?;
            trace(office, &session, Deed::SawFile, Some(&case), Some(format!("{letter} {index}")))?;
            shown(&office.store, &letter, index)
        })
        .await?;
    Ok(match kind {
        Some(kind) if kind.starts_with("video/") => {
            ranged(kind, data, headers.get(RANGE).and_then(|r| r.to_str().ok()))
        }
        Some(kind) => ([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, SANDBOX)], data).into_response(),
        None => {
            // Names of files are the customer's words: ours says nothing and starts nothing.
            let disposition = format!("attachment; filename=\"file-{}.bin\"", index + 1);
            let headers = [
                (CONTENT_TYPE, "application/octet-stream".to_owned()),
                (CONTENT_SECURITY_POLICY, SANDBOX.to_owned()),
                (CONTENT_DISPOSITION, disposition),
            ];
            (headers, data).into_response()
        }
    })
}

/// The type and the bytes of a file; a picture without what it tells besides what it shows.
pub fn shown(store: &Store, letter: &LetterId, index: usize) -> Result<(Option<&'static str>, Vec<u8>), Problem> {
    let gone = || Problem::NotFound("The file is not there; its mail may have been erased.".to_owned());
    let letter = read(store, letter)?.ok_or_else(gone)?;
    let file = letter.files().get(index).copied().cloned().ok_or_else(gone)?;
    Ok(match file.kind {
        FileKind::Picture | FileKind::HeicPicture => match bare(&file.data).or_else(|| as_jpeg(&file.data)) {
            Some(picture) => (Some(picture_type(&picture)), picture),
            None => (None, file.data),
        },
        FileKind::Video => (video_type(&file.data), file.data),
        _ => (None, file.data),
    })
}

/// A picture, small and painted anew.
pub async fn small(
    State(console): State<Console>,
    _session: Session,
    Path((case, letter, index)): Path<(String, String, usize)>,
) -> Result<Response, Problem> {
    let (case, letter) = ids(&case, &letter)?;
    let known = Arc::clone(&console.0);
    let small = console
        .ask(move |office| {
            of_case(office, &case, &letter)?;
            let key = (letter, index);
            let remembered = || known.pictures.small.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(small) = remembered().pictures.get(&key) {
                return Ok(Some(Arc::clone(small)));
            }
            let Some(letter) = read(&office.store, &key.0)? else { return Ok(None) };
            let Some(file) = letter.files().get(index).copied().cloned() else { return Ok(None) };
            let painted = budget::step("making it small", move || thumbnail(&file.data, SMALL, &mut Room::default()));
            let Some(small) = painted.map_err(Problem::Bad)?.map(Arc::new) else { return Ok(None) };
            let mut remembered = remembered();
            if remembered.bytes + small.len() > BYTES {
                *remembered = Small::default();
            }
            remembered.bytes += small.len();
            remembered.pictures.insert(key, Arc::clone(&small));
            Ok(Some(small))
        })
        .await?;
    let small = small.ok_or_else(|| Problem::NotFound("It can't be made small.".to_owned()))?;
    let headers = [(CONTENT_TYPE, "image/jpeg"), (CONTENT_SECURITY_POLICY, SANDBOX)];
    Ok((headers, small.as_slice().to_vec()).into_response())
}

#[derive(Template)]
#[template(path = "console/frame.html")]
struct Framed {
    /// Cleaned: the only HTML of others that is put into a page.
    bodies: Vec<String>,
}

/// The letter's own HTML for a frame in which nothing acts and nothing is loaded.
pub async fn html(
    State(console): State<Console>,
    session: Session,
    Path((case, letter)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (case, letter) = ids(&case, &letter)?;
    let bodies = console
        .ask(move |office| {
            of_case(office, &case, &letter)?;
            trace(office, &session, Deed::SawLetter, Some(&case), Some(letter.to_string()))?;
            let letter = read(&office.store, &letter)?;
            let bodies = letter.map(|letter| letter.bodies).unwrap_or_default();
            let cleaned = budget::step("cleaning it", move || {
                let html = |body: &Text| match body {
                    Text::Html(html) => Some(clean(html)),
                    Text::Plain(_) => None,
                };
                bodies.iter().filter_map(html).collect()
            });
            cleaned.map_err(Problem::Bad)
        })
        .await?;
    let page = Framed { bodies }.render().map_err(|e| Problem::Broken(e.to_string()))?;
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, FRAMED)];
    // Sandboxed it has an origin of its own.
    let own = [(HeaderName::from_static("cross-origin-resource-policy"), "same-origin")];
    Ok((headers, own, page).into_response())
}

/// Words and their layout: no picture, no link that leads anywhere, nothing that runs.
fn clean(html: &str) -> String {
    let mut cleaner = ammonia::Builder::default();
    cleaner.rm_tags(["img", "map", "area"]).rm_tag_attributes("a", ["href"]).url_schemes(Default::default());
    cleaner.link_rel(None).strip_comments(true);
    cleaner.clean(html).to_string()
}

/// RFC 9110 section 14: one range, as players ask for it.
fn ranged(kind: &'static str, data: Vec<u8>, range: Option<&str>) -> Response {
    let total = data.len();
    let headers = [(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, SANDBOX), (ACCEPT_RANGES, "bytes")];
    let wanted = range.and_then(|range| range.strip_prefix("bytes=")).and_then(|range| range.split_once('-'));
    let ends = wanted.and_then(|(from, to)| match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) => Some((from, to.min(total.saturating_sub(1)))),
        (Ok(from), Err(_)) if to.is_empty() => Some((from, total.saturating_sub(1))),
        (Err(_), Ok(last)) if from.is_empty() => Some((total.saturating_sub(last), total.saturating_sub(1))),
        _ => None,
    });
    match ends.map(|(from, to)| ((from, to), data.get(from..=to).map(<[u8]>::to_vec))) {
        Some(((from, to), Some(part))) if !part.is_empty() => {
            let told = [(CONTENT_RANGE, format!("bytes {from}-{to}/{total}"))];
            (StatusCode::PARTIAL_CONTENT, headers, told, part).into_response()
        }
        Some(_) => (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, format!("bytes */{total}"))], Body::empty())
            .into_response(),
        None => (headers, data).into_response(),
    }
}

fn picture_type(picture: &[u8]) -> &'static str {
    match picture {
        [0x89, b'P', ..] => "image/png",
        [b'R', b'I', ..] => "image/webp",
        [b'G', b'I', ..] => "image/gif",
        _ => "image/jpeg",
    }
}

/// What browsers play; by the first bytes, whatever the sender says.
fn video_type(video: &[u8]) -> Option<&'static str> {
    match (video.get(..4)?, video.get(4..8)?, video.get(8..10)) {
        (_, b"ftyp", Some(b"qt")) => Some("video/mp4"),
        (_, b"ftyp", _) => Some("video/mp4"),
        ([0x1a, 0x45, 0xdf, 0xa3], ..) => Some("video/webm"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_letter_acts_or_loads() {
        let hostile = "<p onclick=\"x()\">Hi <b>there</b></p><script>alert(1)</script><img src=https://t.example/p.gif>\
                       <a href=\"javascript:x()\">here</a><iframe src=//e.example></iframe><style>@import 'x'</style>\
                       <form action=//e.example><input name=password></form><!-- --><svg onload=x()><meta http-equiv=refresh>";
        let cleaned = clean(hostile);
        assert!(cleaned.contains("<p>Hi <b>there</b></p>") && cleaned.contains("here"), "{cleaned}");
        for sign in
            ["script", "alert", "onclick", "img", "http", "//", "javascript", "iframe", "form", "input", "svg", "meta"]
        {
            assert!(!cleaned.contains(sign), "{sign}: {cleaned}");
        }
    }

    #[test]
    fn players_get_the_part_they_ask_for() {
        let get = |range| ranged("video/mp4", (0..100).collect(), range);
        assert_eq!(get(None).status(), StatusCode::OK);
        let part = get(Some("bytes=10-19"));
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.headers()[CONTENT_RANGE], "bytes 10-19/100");
        assert_eq!(get(Some("bytes=-5")).headers()[CONTENT_RANGE], "bytes 95-99/100");
        assert_eq!(get(Some("bytes=90-")).headers()[CONTENT_RANGE], "bytes 90-99/100");
        assert_eq!(get(Some("bytes=200-")).status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(get(Some("bytes=9-3")).status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(get(Some("lines=1-2")).status(), StatusCode::OK);
    }
}
