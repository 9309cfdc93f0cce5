//! Inputs that are exact, or refused with the field and the rule.
//!
//! What is refused names the field and never repeats its value: the value may be a secret in the wrong place, and
//! problems end in logs.

use super::{App, problem::Problem};
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ok2cry_protocol::{MAX_COUNT, code::Code, ids::KeyId};
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// A body of exactly this JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        check_type(request.headers())?;
        let bytes = read_body(request.into_body(), app.max_body_bytes, app.body_timeout).await?;
        parse(&bytes).map(Self)
    }
}

/// The key that the path names.
pub(super) struct KeyPath(pub(super) KeyId);

impl FromRequestParts<Arc<App>> for KeyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let invalid = |rule: String| Problem::of_field(Code::KeyIdInvalid, "id", rule);
        let path = Path::<String>::from_request_parts(parts, app).await;
        let Path(id) = path.map_err(|_| invalid("is not UTF-8".to_owned()))?;
        KeyId::from_base64url(&id).map(Self).map_err(|error| invalid(error.rule.to_string()))
    }
}

/// No query at all.
pub(super) struct NoQuery;

impl FromRequestParts<Arc<App>> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        let [] = read_query(parts, [])?;
        Ok(Self)
    }
}

/// The values of these parameters, each there exactly once and none beside them.
pub(super) fn read_query<const N: usize>(parts: &Parts, names: [&str; N]) -> Result<[String; N], Problem> {
    let invalid = |name: &str, rule: &str| Problem::of_field(Code::QueryInvalid, &shown(name), rule);
    let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
    let Query(pairs) = query.map_err(|_| Problem::from(Code::QueryInvalid))?;
    let mut values = [const { None }; N];
    for (name, value) in pairs {
        let slot = names.iter().position(|n| *n == name).and_then(|i| values.get_mut(i));
        let slot = slot.ok_or_else(|| invalid(&name, "there is no such parameter here"))?;
        if slot.replace(value).is_some() {
            return Err(invalid(&name, "is there twice"));
        }
    }
    let missing = names.iter().zip(&values).find(|(_, value)| value.is_none());
    match missing {
        Some((name, _)) => Err(invalid(name, "is missing")),
        None => Ok(values.map(Option::unwrap_or_default)),
    }
}

// JSON between systems is UTF-8 (RFC 8259 §8.1), and nothing here undoes a compression.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = |field: &str, rule: &str| Problem::of_field(Code::MediaTypeUnsupported, field, rule);
    if headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| !is(coding, "identity")) {
        return Err(unsupported(
            "content-encoding",
            "must be left out: a body is taken as it is, not compressed",
        ));
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let only = types.next().filter(|_| types.next().is_none()).and_then(|value| value.to_str().ok());
    let (essence, parameters) =
        only.map(|value| value.split_once(';').unwrap_or((value, ""))).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return Err(unsupported("content-type", "must be there once and be application/json"));
    }
    let charsets = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    for charset in charsets {
        if !["utf-8", "utf8"].into_iter().any(|name| charset.eq_ignore_ascii_case(name)) {
            return Err(unsupported("content-type", "must not name a charset other than utf-8"));
        }
    }
    Ok(())
}

fn is(value: &HeaderValue, text: &str) -> bool {
    value.as_bytes().trim_ascii().eq_ignore_ascii_case(text.as_bytes())
}

async fn read_body(body: Body, limit: usize, within: Duration) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let rule = format!("must not have more than {limit} bytes");
        Problem::of_field(Code::BodyTooLarge, "body", rule)
    };
    // A length that is announced need not be read to be refused.
    if http_body_size(&body) > limit as u64 {
        return Err(too_large());
    }
    let mut pieces = Limited::new(body, limit);
    // Copied, because a piece can be one byte that holds on to the buffer that it was read into.
    let whole = async {
        let mut bytes = Vec::new();
        while let Some(frame) = pieces.frame().await {
            bytes.extend_from_slice(frame?.data_ref().map_or(&[], |data| data));
        }
        Ok::<_, axum::BoxError>(bytes)
    };
    match timeout(within, whole).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::of_field(Code::BodyInvalid, "body", "did not arrive whole")),
        Err(_) => Err(Code::RequestTimeout.into()),
    }
}

fn http_body_size(body: &Body) -> u64 {
    use hyper::body::Body as _;
    body.size_hint().lower()
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if let Some(rule) = foreign(bytes) {
        return Err(Problem::of_field(Code::BodyInvalid, "body", rule));
    }
    // serde takes an array for a struct too, with the fields in order: that is not this API.
    if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(Problem::of_field(Code::BodyInvalid, "body", "must be a JSON object"));
    }
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    // Once more, for where it is wrong.
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refuse(&path, error.inner())
    })?;
    json.end().map_err(|error| refuse(".", &error))?;
    Ok(value)
}

/// What bytes are that come from another encoding than UTF-8, by how they begin.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Some("begins with a byte order mark; it must be UTF-8 without one"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..] => {
            Some("looks like UTF-16 or UTF-32; it must be UTF-8")
        }
        [0x1f, 0x8b, ..] => Some("looks like gzip; it must be JSON as it is, not compressed"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("looks like zstd; it must be JSON as it is, not compressed"),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => {
            Some("looks like zlib; it must be JSON as it is, not compressed")
        }
        _ => None,
    }
}

fn refuse(path: &str, error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    if !error.is_data() {
        // serde_json's own words, which hold a place and no part of the input.
        return Problem::of_field(Code::BodyInvalid, "body", format!("is not JSON: {message}"));
    }
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let rule = rule(path, message);
    let field = field(path, &rule);
    let is_number_out_of_range = message.starts_with("invalid value: integer");
    let code = match field.as_str() {
        "ttl" if is_number_out_of_range => Code::TtlOutOfRange,
        "count" if is_number_out_of_range => Code::CountOutOfRange,
        _ if message == BAD_BASE64 => Code::BodyInvalid,
        field if field == "recipient" || field.starts_with("recipient.") => Code::RecipientInvalid,
        _ => Code::BodyInvalid,
    };
    Problem::of_field(code, &field, rule)
}

/// What [`ok2cry_protocol::http::Bytes`] says of text that is not base64url.
const BAD_BASE64: &str = "is not base64url without padding";

// serde's messages begin with what was found, which may be anything, and end with what was expected, which is ours.
fn rule(path: &str, message: &str) -> String {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let name = rest.split('`').next().unwrap_or_default();
        return format!("holds unknown field {}", shown(name));
    }
    if let Some(name) = message.strip_prefix("missing field `") {
        return format!("lacks field {}", name.trim_end_matches('`'));
    }
    if let Some(name) = message.strip_prefix("duplicate field `") {
        return format!("holds field {} twice", name.trim_end_matches('`'));
    }
    match message.rsplit_once(", expected ") {
        // What the call takes, and not what its field's type does.
        Some(_) if path == "count" => format!("must be an integer from 1 to {MAX_COUNT}"),
        Some(_) if path == "ttl" => "must be an integer of at least 1, in milliseconds".to_owned(),
        Some((_, "u16")) => format!("must be an integer from 0 to {}", u16::MAX),
        Some((_, expected)) => format!("must be {expected}"),
        None if message == BAD_BASE64 => message.to_owned(),
        None => "is not what it should be".to_owned(),
    }
}

// An unknown or repeated field is the fault of the object that holds it.
fn field(path: &str, rule: &str) -> String {
    let of_object = rule.starts_with("holds ");
    let path = if of_object { path.rsplit_once('.').map_or(".", |(object, _)| object) } else { path };
    let path = path.trim_matches('.');
    if path.is_empty() { "body".to_owned() } else { shown(path) }
}

/// A name that the caller made up, if it looks like a name at all.
fn shown(name: &str) -> String {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b);
    if (1..=64).contains(&name.len()) && name.bytes().all(is_name) {
        name.to_owned()
    } else {
        "(unprintable)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use hyper::body::Frame;
    use ok2cry_protocol::http::{IssueRequest, OpenRequest};
    use std::{
        pin::Pin,
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Poll},
    };

    const ISSUE: &str = r#"{"nonce":"AAAA","purpose":"p","ttl":5,"recipient":{"suite":[17,2,2],"public_key":"AAAA"},"count":1}"#;

    fn refused<T: DeserializeOwned>(json: &str) -> (Code, String) {
        let problem = parse::<T>(json.as_bytes()).err().unwrap().0;
        (problem.code, problem.detail)
    }

    fn issue(from: &str, to: &str) -> (Code, String) {
        assert!(ISSUE.contains(from));
        refused::<IssueRequest>(&ISSUE.replace(from, to))
    }

    #[test]
    fn a_good_body_is_read() {
        assert!(parse::<IssueRequest>(ISSUE.as_bytes()).is_ok());
    }

    #[test]
    fn every_refusal_names_the_field_and_the_rule() {
        use Code::{BodyInvalid, CountOutOfRange, RecipientInvalid, TtlOutOfRange};
        for (from, to, code, detail) in [
            ("\"ttl\"", "\"tll\"", BodyInvalid, "body: holds unknown field tll"),
            ("\"ttl\":5,", "", BodyInvalid, "body: lacks field ttl"),
            ("\"ttl\":5,", "\"ttl\":5,\"ttl\":5,", BodyInvalid, "body: holds field ttl twice"),
            (
                "\"ttl\":5,",
                "\"ttl\":\"5\",",
                BodyInvalid,
                "ttl: must be an integer of at least 1, in milliseconds",
            ),
            (
                "\"ttl\":5,",
                "\"ttl\":5.5,",
                BodyInvalid,
                "ttl: must be an integer of at least 1, in milliseconds",
            ),
            (
                "\"ttl\":5,",
                "\"ttl\":null,",
                BodyInvalid,
                "ttl: must be an integer of at least 1, in milliseconds",
            ),
            (
                "\"ttl\":5,",
                "\"ttl\":-5,",
                TtlOutOfRange,
                "ttl: must be an integer of at least 1, in milliseconds",
            ),
            (
                "\"count\":1",
                "\"count\":4294967296",
                CountOutOfRange,
                "count: must be an integer from 1 to 100",
            ),
            ("\"count\":1", "\"count\":null", BodyInvalid, "count: must be an integer from 1 to 100"),
            ("\"count\":1", "\"count\":\"1\"", BodyInvalid, "count: must be an integer from 1 to 100"),
            ("\"count\":1", "\"count\":1.0", BodyInvalid, "count: must be an integer from 1 to 100"),
            ("\"count\":1", "\"count\":-1", CountOutOfRange, "count: must be an integer from 1 to 100"),
            ("\"count\":1", "\"count\":[1]", BodyInvalid, "count: must be an integer from 1 to 100"),
            (
                "[17,2,2]",
                "[17,2,null]",
                RecipientInvalid,
                "recipient.suite[2]: must be an integer from 0 to 65535",
            ),
            ("\"purpose\":\"p\"", "\"purpose\":7", BodyInvalid, "purpose: must be a string"),
            (
                "\"nonce\":\"AAAA\"",
                "\"nonce\":\"AA=\"",
                BodyInvalid,
                "nonce: is not base64url without padding",
            ),
            ("\"AAAA\"}", "\"A+/A\"}", BodyInvalid, "recipient.public_key: is not base64url without padding"),
            ("[17,2,2]", "[17,2]", RecipientInvalid, "recipient.suite: must be an array of length 3"),
            (
                "[17,2,2]",
                "[17,2,70000]",
                RecipientInvalid,
                "recipient.suite[2]: must be an integer from 0 to 65535",
            ),
            ("\"suite\":[17,2,2],", "", RecipientInvalid, "recipient: lacks field suite"),
            ("\"suite\"", "\"sweet\"", RecipientInvalid, "recipient: holds unknown field sweet"),
        ] {
            assert_eq!(issue(from, to), (code, detail.to_owned()), "{to}");
        }
        let (code, detail) = refused::<IssueRequest>(r#"{"recipient":5}"#);
        assert_eq!(code, RecipientInvalid);
        assert_eq!(detail, "recipient: must be \"caller\" or an object of suite and public_key");
    }

    #[test]
    fn what_is_not_json_says_where() {
        for bad in ["", "{", "{\"enc\":tru}", "{'enc':1}", "{\"enc\":\"\\ud800\"}"] {
            let (code, detail) = refused::<OpenRequest>(bad);
            assert_eq!(code, Code::BodyInvalid);
            assert!(
                detail.starts_with("body: is not JSON: ") && detail.contains("line 1"),
                "{bad}: {detail}"
            );
        }
        for bad in ["[1,", "[\"AAAA\",\"AAAA\",\"\"]", "null", "4929", "x"] {
            let problem = (Code::BodyInvalid, "body: must be a JSON object".to_owned());
            assert_eq!(refused::<OpenRequest>(bad), problem);
        }
        let trailing = refused::<IssueRequest>(&format!("{ISSUE} {{}}")).1;
        assert!(trailing.contains("trailing characters"), "{trailing}");
        assert!(parse::<OpenRequest>(b"\"\xff\"").is_err());
    }

    /// A body of one-byte pieces, which counts those that are held.
    struct Crumbs {
        left: usize,
        held: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    struct Crumb(Arc<AtomicUsize>);

    impl AsRef<[u8]> for Crumb {
        fn as_ref(&self) -> &[u8] {
            b"{"
        }
    }

    impl Drop for Crumb {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl hyper::body::Body for Crumbs {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            self.left -= 1;
            let held = self.held.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(held, Ordering::SeqCst);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(Crumb(self.held.clone()))))))
        }
    }

    #[tokio::test]
    async fn a_body_in_many_pieces_is_held_as_one() {
        let most = Arc::new(AtomicUsize::new(0));
        let read = |left| {
            let crumbs = Crumbs { left, held: Arc::default(), most: most.clone() };
            read_body(Body::new(crumbs), 1000, Duration::from_secs(10))
        };
        assert_eq!(read(1000).await.unwrap(), [b'{'; 1000]);
        assert_eq!(read(1001).await.unwrap_err().0.code, Code::BodyTooLarge);
        assert!(most.load(Ordering::SeqCst) <= 2, "{most:?} pieces were held at once");
    }

    #[test]
    fn a_body_in_another_encoding_is_told_which() {
        let utf16 =
            |bytes: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        for (what, bytes) in [
            ("byte order mark", "\u{feff}{}".as_bytes().to_vec()),
            ("UTF-16", utf16(u16::to_le_bytes, "\u{feff}{}")),
            ("UTF-16", utf16(u16::to_be_bytes, "\u{feff}{}")),
            ("UTF-16", utf16(u16::to_le_bytes, "{}")),
            ("UTF-16", utf16(u16::to_be_bytes, "{}")),
            ("UTF-32", b"\0\0\0{\0\0\0}".to_vec()),
            ("gzip", vec![0x1f, 0x8b, 8, 0]),
            ("zlib", vec![0x78, 0x9c, 0xab, 0xae]),
            ("zstd", vec![0x28, 0xb5, 0x2f, 0xfd]),
        ] {
            let problem = parse::<OpenRequest>(&bytes).err().unwrap().0;
            assert_eq!(problem.code, Code::BodyInvalid);
            assert!(
                problem.detail.starts_with("body: ") && problem.detail.contains(what),
                "{}",
                problem.detail
            );
        }
    }

    #[test]
    fn a_content_type_is_json_in_utf_8_as_it_is() {
        let checked = |headers: &[(header::HeaderName, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, HeaderValue::from_str(value).unwrap());
            }
            check_type(&map).map_err(|problem| (problem.0.code, problem.0.detail))
        };
        let (json, coding) = ((header::CONTENT_TYPE, "application/json"), header::CONTENT_ENCODING);
        for good in [
            "application/json",
            "Application/JSON ; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json; charset=utf8; x=1",
        ] {
            assert_eq!(
                checked(&[(header::CONTENT_TYPE, good), (coding.clone(), "identity")]),
                Ok(()),
                "{good}"
            );
        }
        for (named, headers) in [
            ("content-type: must be there once", vec![]),
            ("content-type: must be there once", vec![json.clone(), json.clone()]),
            ("content-type: must be there once", vec![(header::CONTENT_TYPE, "text/json")]),
            ("content-type: must not name", vec![(header::CONTENT_TYPE, "application/json; charset=utf-16")]),
            ("content-type: must not name", vec![(header::CONTENT_TYPE, "application/json;charset=latin1")]),
            ("content-encoding: must be left out", vec![json.clone(), (coding.clone(), "gzip")]),
            ("content-encoding: must be left out", vec![json.clone(), (coding.clone(), "identity, br")]),
            (
                "content-encoding: must be left out",
                vec![json, (coding.clone(), "identity"), (coding, "zstd")],
            ),
        ] {
            let (code, detail) = checked(&headers).unwrap_err();
            assert_eq!(code, Code::MediaTypeUnsupported);
            assert!(detail.starts_with(named), "{detail}");
        }
    }

    #[test]
    fn no_refusal_repeats_a_value() {
        let hidden = "4929, expected 4929";
        for bad in [
            format!(r#"{{"enc":{{"{hidden}":1}}}}"#),
            format!(r#"{{"{hidden}":1}}"#),
            format!(r#"{{"`{hidden}`, expected":1}}"#),
            format!(r#"{{"enc":"{hidden}"}}"#),
            format!(r#""{hidden}""#),
            r#"{"enc":4929}"#.to_owned(),
        ] {
            let (_, detail) = refused::<OpenRequest>(&bad);
            assert!(!detail.contains("4929"), "{bad}: {detail}");
        }
    }
}
