//! What holds for every request and every answer: where a form comes from, and what a browser may do with a page.

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::page::Problem;
use super::{Console, api};

/// Nothing but what we serve ourselves; no script in a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";

/// The middleware.
pub async fn guard(State(console): State<Console>, request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    // The API knows no cookie: nobody's browser can be led to act there.
    let is_form = changes && !request.uri().path().starts_with(api::ROOT);
    let mut response = match is_form && !is_from_here(request.headers(), request.uri()) {
        true => Problem::Forged.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    let mut unless_set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    // What a customer sent says more strictly what it may do.
    unless_set(CONTENT_SECURITY_POLICY, POLICY);
    unless_set(CACHE_CONTROL, "no-store");
    unless_set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    unless_set(REFERRER_POLICY, "no-referrer");
    unless_set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    );
    unless_set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    unless_set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if console.0.settings.behind_tls_proxy {
        unless_set(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

/// Whether a form was sent from a page of ours. Browsers say so; whoever says nothing is none.
fn is_from_here(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(&HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let host = text(&HOST).or_else(|| uri.authority().map(|authority| authority.as_str()));
    let origin = text(&ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_send_forms() {
        let is = |pairs: &[(&'static str, &'static str)]| {
            let headers =
                pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            is_from_here(&headers.collect(), &Uri::from_static("/login"))
        };
        assert!(is(&[("sec-fetch-site", "same-origin")]));
        assert!(is(&[("origin", "https://desk.example.com"), ("host", "desk.example.com")]));
        assert!(!is(&[("sec-fetch-site", "same-site"), ("origin", "http://a:1"), ("host", "a:1")]));
        assert!(!is(&[("sec-fetch-site", "cross-site")]));
        assert!(!is(&[("origin", "https://evil.example"), ("host", "desk.example.com")]));
        assert!(!is(&[("origin", "null"), ("host", "desk.example.com")]));
        assert!(!is(&[("host", "desk.example.com")]));
    }
}
