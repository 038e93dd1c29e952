//! The stylesheet and the script: in the program, under names that change with what is in them, so that a browser may
//! keep them for ever.

use std::sync::OnceLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::page::Problem;

pub static STYLE: Static = Static {
    ending: "css",
    kind: "text/css; charset=utf-8",
    content: include_bytes!("../../templates/console/desk.css"),
    path: OnceLock::new(),
};
pub static SCRIPT: Static = Static {
    ending: "js",
    kind: "text/javascript; charset=utf-8",
    content: include_bytes!("../../templates/console/desk.js"),
    path: OnceLock::new(),
};

pub static ICON: Static = Static {
    ending: "svg",
    kind: "image/svg+xml",
    content: include_bytes!("../../templates/console/desk.svg"),
    path: OnceLock::new(),
};

/// A file that is the same for everybody.
pub struct Static {
    ending: &'static str,
    kind: &'static str,
    content: &'static [u8],
    path: OnceLock<String>,
}

impl Static {
    /// Where it is served.
    pub fn path(&'static self) -> &'static str {
        self.path.get_or_init(|| {
            let digest: String = Sha256::digest(self.content).iter().take(8).map(|b| format!("{b:02x}")).collect();
            format!("/static/desk-{digest}.{}", self.ending)
        })
    }
}

pub async fn file(Path(name): Path<String>) -> Response {
    let wanted = format!("/static/{name}");
    match [&STYLE, &SCRIPT, &ICON].into_iter().find(|file| file.path() == wanted) {
        Some(file) => {
            let headers = [(CONTENT_TYPE, file.kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
            (headers, file.content).into_response()
        }
        None => Problem::NotFound("There is no such file.".to_owned()).into_response(),
    }
}
