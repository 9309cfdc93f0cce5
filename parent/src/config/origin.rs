//! Web origins as browsers send them.
//!
//! `Origin` is compared byte by byte, so an origin in another spelling would never match. The error names the
//! spelling that browsers send (RFC 6454 §6.2, and the WHATWG's URL standard for hosts).

use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

/// Returns the origin if browsers send it in this spelling.
///
/// # Errors
/// The violated rule, as the end of a sentence that begins with the setting's name.
pub(super) fn check(text: &str) -> Result<&str, String> {
    if text.trim() == "null" {
        return Err(
            "contains \"null\", which every sandboxed frame and local file sends: it is not an origin"
                .to_owned(),
        );
    }
    if text.contains('@') {
        // Do not repeat the value: it may be a password.
        return Err("contains an origin with a user name or password, which browsers never send".to_owned());
    }
    let canonical = canonical(text.trim()).map_err(|rule| format!("contains {text:?}: {rule}"))?;
    if canonical != text {
        return Err(format!("contains {text:?}, which browsers send as {canonical:?}: use that spelling"));
    }
    Ok(text)
}

fn canonical(text: &str) -> Result<String, String> {
    let (scheme, rest) =
        text.split_once("://").ok_or("an origin is a scheme and a host, as in https://example.com")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let (host, port) = split_port(authority)?;
    let (host, default_port) = match scheme.as_str() {
        "https" => (web_host(host)?, Some(443)),
        "http" => (web_host(host)?, Some(80)),
        _ => (app_host(&scheme, host)?, None),
    };
    let mut origin = format!("{scheme}://{host}");
    if let Some(port) = port.filter(|port| Some(*port) != default_port) {
        // Writing to a String cannot fail.
        let _ = write!(origin, ":{port}");
    }
    Ok(origin)
}

/// Splits the host, with its brackets if it has any, from the port.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let after_brackets = authority.rfind(']').map_or(0, |at| at + 1);
    let colon = authority.get(after_brackets..).and_then(|rest| rest.find(':')).map(|at| after_brackets + at);
    let Some((host, port)) = colon.and_then(|at| authority.split_at_checked(at)) else {
        return Ok((authority, None));
    };
    let digits = port.strip_prefix(':').unwrap_or_default();
    if digits.is_empty() {
        return Ok((host, None));
    }
    let port = digits.parse().ok().filter(|port| *port > 0 && digits.bytes().all(|b| b.is_ascii_digit()));
    port.map(|port| (host, Some(port))).ok_or_else(|| "the port must be from 1 to 65535".to_owned())
}

/// A host of http or https: a name in ASCII, or an address.
fn web_host(host: &str) -> Result<String, String> {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|address| address.parse().ok());
        return address.map(ipv6).ok_or_else(|| "the text in brackets is not an IPv6 address".to_owned());
    }
    if !host.is_ascii() {
        return Err("the host must be in ASCII, as browsers send it (xn--…)".to_owned());
    }
    if host.contains('*') {
        return Err(
            "wildcards in a host are not supported: name each origin, or \"*\" alone for all origins"
                .to_owned(),
        );
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    // The URL standard parses such hosts as IPv4 addresses, in any notation.
    if last.bytes().all(|b| b.is_ascii_digit()) && !last.is_empty() || last.starts_with("0x") {
        let address = host
            .parse::<Ipv4Addr>()
            .map_err(|_| "an IPv4 address has four decimal numbers, as in 192.0.2.1")?;
        return Ok(address.to_string());
    }
    let is_label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err("the host must be a name of letters, digits, '-', '_' and '.', or an address".to_owned());
    }
    Ok(host)
}

// RFC 5952. Unlike it, the URL standard has no dotted form for addresses that embed an IPv4 address.
fn ipv6(address: Ipv6Addr) -> String {
    let text = match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => format!("::ffff:{high:x}:{low:x}"),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => format!("::{high:x}:{low:x}"),
        _ => address.to_string(),
    };
    format!("[{text}]")
}

/// A host of an app's own scheme. Browsers do not change it, so its case matters.
fn app_host(scheme: &str, host: &str) -> Result<String, String> {
    let is_scheme = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(is_scheme) {
        return Err("an origin is a scheme and a host, as in https://example.com".to_owned());
    }
    // `htps://pay.example` would never match, without an error.
    if scheme.starts_with("ht") || scheme.starts_with("tt") {
        return Err("the scheme must be https or http, or an app's own".to_owned());
    }
    if ["about", "blob", "data", "file", "filesystem", "ftp", "javascript", "ws", "wss"].contains(&scheme) {
        return Err(format!("web pages do not have origins of the scheme {scheme}"));
    }
    let is_in = |allowed: fn(u8) -> bool| !host.is_empty() && host.bytes().all(allowed);
    match scheme {
        "chrome-extension" if host.len() != 32 || !is_in(|b| (b'a'..=b'p').contains(&b)) => {
            Err("the id of a chrome-extension must have 32 letters from a to p".to_owned())
        }
        "moz-extension" if !is_uuid(host) => {
            Err("the id of a moz-extension must be a UUID in lower case".to_owned())
        }
        _ if !is_in(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) => {
            Err("the host must consist of letters, digits, '-', '_' and '.'".to_owned())
        }
        _ => Ok(host.to_owned()),
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len).collect::<Vec<_>>();
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b == b'-';
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_as_browsers_send_them_are_accepted() {
        for origin in [
            "https://pay.example",
            "http://localhost:3000",
            "http://localhost",
            "https://pay.example:8443",
            "https://pay.example:80",
            "http://pay.example:443",
            "https://xn--bcher-kva.example",
            "http://my_app:3000",
            "http://127.0.0.1:8400",
            "http://[::1]:3000",
            "https://[2001:db8::1]",
            "http://[::ffff:7f00:1]",
            "https://tauri.localhost",
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "app://localhost",
            "app://.",
            "com.example.app://localhost",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "moz-extension://01234567-89ab-cdef-0123-456789abcdef",
            "safari-web-extension://01234567-89AB-CDEF-0123-456789ABCDEF",
        ] {
            assert_eq!(check(origin), Ok(origin));
        }
    }

    #[test]
    fn another_spelling_is_refused_with_the_right_one() {
        for (origin, canonical) in [
            ("https://pay.example:443", "https://pay.example"),
            ("http://pay.example:80", "http://pay.example"),
            ("https://pay.example:", "https://pay.example"),
            ("https://pay.example:08443", "https://pay.example:8443"),
            ("https://Pay.Example", "https://pay.example"),
            ("HTTPS://pay.example", "https://pay.example"),
            ("https://pay.example.", "https://pay.example"),
            ("https://pay.example/", "https://pay.example"),
            ("https://pay.example/checkout?x#y", "https://pay.example"),
            ("https://pay.example\\x", "https://pay.example"),
            (" https://pay.example", "https://pay.example"),
            ("https://[2001:DB8:0:0::1]", "https://[2001:db8::1]"),
            ("http://[::ffff:127.0.0.1]:80", "http://[::ffff:7f00:1]"),
            ("http://[::1]:80", "http://[::1]"),
            ("Capacitor://localhost", "capacitor://localhost"),
            ("capacitor://localhost/", "capacitor://localhost"),
        ] {
            let refused = check(origin).unwrap_err();
            assert!(refused.contains(&format!("browsers send as {canonical:?}")), "{origin}: {refused}");
            assert_eq!(check(canonical), Ok(canonical));
        }
    }

    #[test]
    fn a_text_that_is_not_an_origin_is_refused_by_rule() {
        for (origin, rule) in [
            ("", "a scheme and a host"),
            ("pay.example", "a scheme and a host"),
            ("//pay.example", "a scheme and a host"),
            ("https:pay.example", "a scheme and a host"),
            ("1app://localhost", "a scheme and a host"),
            ("https://", "the host must be"),
            ("https:///x", "the host must be"),
            ("https://pay..example", "the host must be"),
            ("https://pay example", "the host must be"),
            ("https://pay%2eexample", "the host must be"),
            ("https://pay.example:99999", "from 1 to 65535"),
            ("https://pay.example:0", "from 1 to 65535"),
            ("https://pay.example:x", "from 1 to 65535"),
            ("https://pay.example:+1", "from 1 to 65535"),
            ("https://pay.example:1:2", "from 1 to 65535"),
            ("https://::1", "from 1 to 65535"),
            ("https://[::1", "from 1 to 65535"),
            ("https://[::g]", "not an IPv6 address"),
            ("https://[::1]x", "not an IPv6 address"),
            ("https://b\u{fc}cher.example", "must be in ASCII"),
            ("https://*.pay.example", "wildcards in a host are not supported"),
            ("http://127.1", "four decimal numbers"),
            ("http://0x7f000001", "four decimal numbers"),
            ("http://127.0.0.01", "four decimal numbers"),
            ("null", "is not an origin"),
            ("htps://pay.example", "must be https or http"),
            ("file://", "of the scheme file"),
            ("wss://pay.example", "of the scheme wss"),
            ("data://x", "of the scheme data"),
            ("capacitor://", "the host must consist of letters"),
            ("chrome-extension://abc", "32 letters"),
            ("chrome-extension://ABCDEFGHIJKLMNOPABCDEFGHIJKLMNOP", "32 letters"),
            ("moz-extension://01234567-89AB-cdef-0123-456789abcdef", "a UUID"),
        ] {
            let refused = check(origin).unwrap_err();
            assert!(refused.contains(rule), "{origin}: {refused}");
        }
        let refused = check("https://user:4929@pay.example").unwrap_err();
        assert!(refused.contains("user name or password") && !refused.contains("4929"), "{refused}");
    }
}
