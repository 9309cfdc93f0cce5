//! The problem for unknown paths, with a hint at common mistakes.

use super::problem::Problem;
use axum::{
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use ok2cry_protocol::{code::Code, rpc::Refusal};

/// Answers requests whose path no route has, and `OPTIONS *`.
pub(super) async fn answer(method: Method, uri: Uri) -> Response {
    // RFC 9110 §9.3.7: `OPTIONS *` addresses the server as a whole, and serves as a ping.
    if method == Method::OPTIONS && uri.path() == "*" {
        return (StatusCode::NO_CONTENT, [(header::ALLOW, "GET,HEAD,POST,DELETE")]).into_response();
    }
    let problem = match hint(uri.path()) {
        Some(hint) => Problem(Refusal::with_detail(Code::NotFound, hint)),
        None => Problem::from(Code::NotFound),
    };
    problem.into_response()
}

fn hint(path: &str) -> Option<&'static str> {
    let begins = |prefix: &str| path.strip_prefix(prefix).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    if begins("/v1/v1") {
        return Some("path: begins with /v1/v1; the base URL must not end in /v1");
    }
    if path.starts_with("//") {
        return Some("path: begins with two slashes; the base URL must not end in a slash");
    }
    if path.len() > 1 && path.ends_with('/') {
        return Some("path: ends in a slash, and no path here does");
    }
    if ["/keys", "/attestation", "/release"].into_iter().any(begins) {
        return Some("path: calls are under /v1");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_common_mistake_gets_a_hint() {
        for (path, expected) in [
            ("/v1/v1", "/v1/v1"),
            ("/v1/v1/keys", "/v1/v1"),
            ("/v1/v1/keys/", "/v1/v1"),
            ("//v1/keys", "two slashes"),
            ("/v1/keys/", "ends in a slash"),
            ("/keys", "under /v1"),
            ("/keys/AAAA/open", "under /v1"),
            ("/attestation", "under /v1"),
        ] {
            assert!(hint(path).is_some_and(|hint| hint.contains(expected)), "{path}");
        }
        for path in ["/", "/v1", "/v2/keys", "/keysx", "/v1/v1x", "*", ""] {
            assert_eq!(hint(path), None, "{path}");
        }
    }
}
