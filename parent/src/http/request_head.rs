//! Checks of every request's head, before routing.

use super::problem::Problem;
use axum::http::{HeaderMap, Request, Version, header};
use ok2cry_protocol::code::Code;
use std::net::Ipv6Addr;

/// Checks `Host` (RFC 9112 §3.2) and `Transfer-Encoding` (§6.1).
///
/// # Errors
/// `host_invalid`, or `body_invalid` for a transfer coding other than chunked.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    check_host(headers, request.version())?;
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => {
            Err(Problem::of_field(Code::BodyInvalid, "transfer-encoding", "must be chunked and nothing else"))
        }
    }
}

// With two hosts, a proxy and this service could choose different ones and disagree about the request.
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Problem> {
    let invalid = |rule: &str| Err(Problem::of_field(Code::HostInvalid, "host", rule));
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => invalid("is there twice"),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => invalid("is not a host, or a host and a port as in example.com:8080"),
        // HTTP/1.0 does not require Host.
        (None, None) if version < Version::HTTP_11 => Ok(()),
        (None, None) => invalid("is missing"),
    }
}

/// `uri-host [ ":" port ]` of RFC 9110 §7.2. An empty host is rejected: http URIs do not have one.
fn is_host(value: &[u8]) -> bool {
    let Ok(value) = str::from_utf8(value) else { return false };
    let (host, port) = match value.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) if address.parse::<Ipv6Addr>().is_ok() => {
                return rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
            }
            _ => return false,
        },
        None => value.split_once(':').map_or((value, None), |(host, port)| (host, Some(port))),
    };
    !host.is_empty() && is_name(host) && port.is_none_or(is_port)
}

// RFC 3986 allows an empty port after the colon.
fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// `reg-name` of RFC 3986 §3.2.2.
fn is_name(host: &str) -> bool {
    let bytes = host.as_bytes();
    let is_hex = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_hexdigit);
    bytes.iter().enumerate().all(|(i, b)| match b {
        b'%' => is_hex(i + 1) && is_hex(i + 2),
        b => b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(b),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_headers(version: Version, headers: &[(&str, &str)]) -> Result<(), String> {
        let mut request = Request::get("/healthz").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap())
            .map_err(|problem| format!("{} {}", problem.0.code, problem.0.detail))
    }

    #[test]
    fn a_request_has_exactly_one_host() {
        let missing = Err("host_invalid host: is missing".to_owned());
        let twice = Err("host_invalid host: is there twice".to_owned());
        assert_eq!(check_headers(Version::HTTP_11, &[]), missing);
        assert_eq!(check_headers(Version::HTTP_10, &[]), Ok(()));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert_eq!(check_headers(version, &[("host", "a.example")]), Ok(()));
            assert_eq!(check_headers(version, &[("host", "a.example"), ("host", "a.example")]), twice);
            assert!(check_headers(version, &[("host", "a b")]).is_err());
        }
    }

    #[test]
    fn a_host_is_a_name_or_address_with_an_optional_port() {
        for host in [
            "a.example",
            "A.example.",
            "localhost:8080",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8080",
            "my_service:1",
            "a.example:",
            "%41.example",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            &b""[..],
            b":80",
            b"a.example:x",
            b"a.example:65536",
            b"a.example:80:80",
            b"a.example:-1",
            b"::1",
            b"[::1",
            b"[::1]x",
            b"[x]:80",
            b"user@a.example",
            b"a.example/",
            b"http://a.example",
            b"a.example, b.example",
            b"a%4.example",
            b"a.example?x",
            b"\xff",
            "b\u{fc}cher.example".as_bytes(),
        ] {
            assert!(!is_host(host), "{}", host.escape_ascii());
        }
    }

    #[test]
    fn chunked_is_the_only_transfer_coding() {
        let with = |value| check_headers(Version::HTTP_11, &[("host", "x"), ("transfer-encoding", value)]);
        assert_eq!(with("chunked"), Ok(()));
        assert_eq!(with("Chunked"), Ok(()));
        for value in ["gzip, chunked", "chunked, chunked", "identity", ""] {
            let refused = "body_invalid transfer-encoding: must be chunked and nothing else";
            assert_eq!(with(value), Err(refused.to_owned()), "{value}");
        }
    }
}
