//! The OpenAPI description, and the page that is rendered from it.
//!
//! The page contains no scripts, fonts or external resources, and its Content-Security-Policy forbids them.
//! Documentation must not become an attack on the API's origin.

mod page;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use base64ct::{Base64, Encoding};
use page::{STYLE, render};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

pub(super) const OPENAPI: &str = include_str!("../../openapi.json");

static PAGE: LazyLock<String> = LazyLock::new(|| render(&serde_json::from_str(OPENAPI).unwrap_or_default()));

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = Base64::encode_string(&Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// `GET /openapi.json`.
pub(super) async fn openapi() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, OPENAPI).into_response()
}

/// `GET /docs`.
pub(super) async fn docs() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, PAGE.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_page_is_self_contained_and_every_link_resolves() {
        for part in ["<script", "src=", "http://", "https://", "@import", "url("] {
            assert!(!PAGE.contains(part), "{part}");
        }
        for link in PAGE.split("href=\"#").skip(1) {
            let target = link.split('"').next().unwrap();
            assert!(PAGE.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }

    #[test]
    fn text_is_escaped() {
        let openapi = serde_json::json!({ "info": { "title": "<b>\"&'" } });
        assert!(render(&openapi).contains("<h1>&lt;b&gt;&quot;&amp;&#39;"));
    }

    #[test]
    fn references_in_the_description_resolve() {
        let openapi: Value = serde_json::from_str(OPENAPI).unwrap();
        for reference in OPENAPI.split("\"$ref\": \"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(openapi.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
