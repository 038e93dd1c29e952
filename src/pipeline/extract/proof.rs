//! What the customer shows: links, the packaging on a picture; and what he says can't be shown or found (policy
//! clauses `process.3`, `process.4`, `doa.evidence`).

use regex::Regex;

use crate::domain::facts::{Evidence, Fact, Photo, Source};
use crate::domain::letter::{FileKind, Letter};
use crate::domain::warranty::Item;
use crate::pipeline::extract::item_code::is_ean;
use crate::pipeline::extract::meaning::Meaning;
use crate::pipeline::extract::zone::Zone;
use crate::pipeline::fold::{Folded, Span};
use crate::pipeline::lexicon::Lexicon;
use crate::pipeline::phrases::{Group, Hit};

/// Where people put pictures, videos and folders to share. Hosts, not words of a language.
const SHARES: &[&str] = &[
    "drive.google.com",
    "photos.google.com",
    "photos.app.goo.gl",
    "docs.google.com",
    "dropbox.com",
    "db.tt",
    "onedrive.live.com",
    "1drv.ms",
    "sharepoint.com",
    "icloud.com",
    "share.icloud.com",
    "wetransfer.com",
    "we.tl",
    "youtube.com",
    "youtu.be",
    "vimeo.com",
    "mega.nz",
    "mega.io",
    "box.com",
    "imgur.com",
    "flickr.com",
    "flic.kr",
    "pcloud.link",
    "pcloud.com",
    "mediafire.com",
    "smash.gg",
    "fromsmash.com",
    "swisstransfer.com",
    "transfernow.net",
    "magentacloud.de",
    "ionos.com",
    "1und1.de",
    "gmx.net",
    "web.de",
    "nextcloud.com",
    "amazon.de/photos",
    "amazon.com/photos",
    "ibb.co",
    "postimg.cc",
    "streamable.com",
    "gofile.io",
    "sendgb.com",
    "filemail.com",
    "terabox.com",
    "disk.yandex.com",
    "tiktok.com",
    "instagram.com",
    "facebook.com/share",
    "fb.watch",
    "photos.fp.com",
    "img.gg",
    "jumpshare.com",
    "loom.com",
];

/// A picture is said to show the packaging if both words stand so near, in bytes, with no code between them.
const NEAR: usize = 60;

const MEDIA: &[&str] = &[".jpg", ".jpeg", ".png", ".heic", ".webp", ".gif", ".mp4", ".mov", ".avi", ".webm", ".mkv"];

/// Finds links.
#[derive(Debug)]
pub struct Links {
    url: Regex,
}

impl Links {
    pub fn new() -> Result<Self, regex::Error> {
        Ok(Self { url: Regex::new(r#"(?i)\b(?:https?://|www\.)[^\s<>"'|\])]+"#)? })
    }

    /// Links to a picture, a video or a shared folder, each once.
    pub fn find(&self, text: &str) -> Vec<String> {
        let mut links: Vec<String> = Vec::new();
        for found in self.url.find_iter(text) {
            let link = found.as_str().trim_end_matches(['.', ',', ';', '!', '?', ')']);
            if is_share(link) && links.iter().all(|l| l != link) {
                links.push(link.to_owned());
            }
        }
        links
    }
}

fn is_share(link: &str) -> bool {
    let lower = link.to_lowercase();
    let bare = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let host = bare.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let path = bare.split(['?', '#']).next().unwrap_or_default();
    let deeper = bare.trim_end_matches('/').len() > host.len();
    let shared = SHARES.iter().any(|s| match s.split_once('/') {
        Some((site, folder)) => is_host(host, site) && path.contains(folder),
        None => is_host(host, s),
    });
    deeper && (shared || MEDIA.iter().any(|m| path.ends_with(m)))
}

fn is_host(host: &str, site: &str) -> bool {
    host == site || host.strip_suffix(site).is_some_and(|sub| sub.ends_with('.'))
}

/// Whether a usable picture or a video is said to show the packaging, or a barcode was read from a usable picture.
pub fn packaging(
    zones: &[Zone<'_>],
    photos: &[Photo],
    links: usize,
    letter: &Letter,
    lexicons: &[&Lexicon],
) -> Option<Evidence> {
    let usable: Vec<&Photo> = photos.iter().filter(|p| p.judgement.is_usable()).collect();
    let files = letter.files();
    let videos = || files.iter().enumerate().filter(|(_, file)| file.kind == FileKind::Video);
    let by_file = |source, quote: &str, rule: &str| Some(Evidence::new(Some(letter.id.clone()), source, quote, rule));
    if let Some(photo) = usable.iter().find(|p| p.codes.iter().any(|c| is_ean(c))) {
        return by_file(Source::Attachment { index: photo.index }, &photo.name, "packaging.barcode");
    }
    let named = usable.iter().map(|p| (p.index, &p.name)).chain(videos().map(|(index, file)| (index, &file.name)));
    if let Some((index, name)) = named.into_iter().find(|(_, name)| names_packaging(name, lexicons)) {
        return by_file(Source::FileName { index }, name, "packaging.file_name");
    }
    if usable.is_empty() && videos().next().is_none() && links == 0 {
        return None;
    }
    zones.iter().find_map(|zone| {
        zone.folded.sentences.iter().find_map(|sentence| {
            let shown = zone.within(*sentence, Group::PackagingWord).find(|h| {
                let clause = zone.clause_of(*sentence, h.span);
                let label = zone
                    .within(*sentence, Group::LabelItemCode)
                    .any(|l| l.span.start <= h.span.end && h.span.start <= l.span.end && l.span != h.span);
                !label && !zone.has(clause, Group::Negation) && !zone.has(clause, Group::Gone)
            })?;
            let pictured = zone.hits.iter().any(|h| {
                let between = Span { start: shown.span.end.min(h.span.end), end: shown.span.start.max(h.span.start) };
                matches!(h.group, Group::PhotoWord | Group::Attached)
                    && sentence.contains(h.span)
                    && between.end.saturating_sub(between.start) <= NEAR
                    && !zone.has_code(between)
            });
            let told = zone.judged(*sentence, Meaning::Packaging, None).filter(|_| !zone.has_code(*sentence));
            pictured.then(|| zone.evidence(shown.span, "packaging.said")).or(told)
        })
    })
}

fn names_packaging(name: &str, lexicons: &[&Lexicon]) -> bool {
    let spaced = name.replace(['_', '-', '.'], " ");
    let folded = Folded::new(&spaced, &[]);
    lexicons.iter().filter_map(|l| l.search()).any(|p| p.find(&folded).iter().any(|h| h.group == Group::PackagingWord))
}

/// What the customer says can't be given.
pub fn not_available(zone: &Zone<'_>) -> Vec<Fact<Item>> {
    let mut found: Vec<Fact<Item>> = Vec::new();
    let tells = |s: &&Span| !zone.folded.is_question(**s) && !zone.has_code(**s) && !is_label_alone(zone, **s);
    for sentence in zone.folded.sentences.iter().filter(tells) {
        let gone = zone.within(*sentence, Group::Gone).next();
        let gone = gone.map(|hit| zone.evidence(hit.span, "not_available.said"));
        let Some(evidence) = zone.judged(*sentence, Meaning::Gone, gone) else { continue };
        for item in named_items(zone, *sentence) {
            if found.iter().all(|f| f.value != item) {
                found.push(Fact { value: item, evidence: evidence.clone() });
            }
        }
    }
    found
}

/// "Order number:" in a form with nothing behind it says nothing.
fn is_label_alone(zone: &Zone<'_>, sentence: Span) -> bool {
    let text = zone.folded.slice(sentence).trim_matches([' ', ',', '.', '\n']);
    let label = |hit: Hit| zone.folded.slice(hit.span).trim() == text;
    [Group::LabelOrderNumber, Group::LabelItemCode, Group::LabelSku, Group::LabelReceivedOn, Group::PhotoWord]
        .iter()
        .any(|group| zone.within(sentence, *group).any(label))
}

/// What the customer asks us where to find.
pub fn where_to_find(zone: &Zone<'_>) -> Vec<Item> {
    let asking =
        zone.folded.sentences.iter().filter(|s| zone.says(**s, Meaning::Where, zone.has(**s, Group::WhereToFind)));
    let mut items: Vec<Item> = asking
        .flat_map(|s| named_items(zone, *s))
        .filter(|i| matches!(i, Item::OrderNumber | Item::Sku | Item::ItemCode))
        .collect();
    items.sort_unstable();
    items.dedup();
    items
}

/// The items a sentence speaks of. Without the packaging there is neither its code nor its picture.
fn named_items(zone: &Zone<'_>, sentence: Span) -> Vec<Item> {
    const WORDS: [(Group, &[Item]); 5] = [
        (Group::PackagingWord, &[Item::ItemCode, Item::PackagingPhoto]),
        (Group::LabelItemCode, &[Item::ItemCode]),
        (Group::LabelSku, &[Item::Sku]),
        (Group::LabelOrderNumber, &[Item::OrderNumber]),
        (Group::PhotoWord, &[Item::Photo]),
    ];
    WORDS.iter().filter(|(group, _)| zone.has(sentence, *group)).flat_map(|(_, items)| items.iter().copied()).collect()
}
