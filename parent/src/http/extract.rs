//! Inputs that are exact, or refused with the field and the rule.
//!
//! What is refused names the field and never repeats its value: the value may be a secret in the wrong place, and
//! problems end in logs.

use super::{App, problem::Problem};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ok2cry_protocol::{code::Code, ids::KeyId};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::time::timeout;

/// A body of exactly this JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Code::MediaTypeUnsupported.into());
        }
        let bytes = read_body(request.into_body(), app).await?;
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

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

async fn read_body(body: Body, app: &App) -> Result<Bytes, Problem> {
    let limit = app.max_body_bytes;
    let too_large = || {
        let rule = format!("must not have more than {limit} bytes");
        Problem::of_field(Code::BodyTooLarge, "body", rule)
    };
    // A length that is announced need not be read to be refused.
    if http_body_size(&body) > limit as u64 {
        return Err(too_large());
    }
    match timeout(app.body_timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
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

fn refuse(path: &str, error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    if !error.is_data() {
        // serde_json's own words, which hold a place and no part of the input.
        return Problem::of_field(Code::BodyInvalid, "body", format!("is not JSON: {message}"));
    }
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let rule = rule(message);
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
fn rule(message: &str) -> String {
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
        Some((_, "u64")) => "must be an integer of at least 0".to_owned(),
        Some((_, "u32")) => format!("must be an integer from 0 to {}", u32::MAX),
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
    use ok2cry_protocol::http::{IssueRequest, OpenRequest};

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
            ("\"ttl\":5,", "\"ttl\":\"5\",", BodyInvalid, "ttl: must be an integer of at least 0"),
            ("\"ttl\":5,", "\"ttl\":5.5,", BodyInvalid, "ttl: must be an integer of at least 0"),
            ("\"ttl\":5,", "\"ttl\":null,", BodyInvalid, "ttl: must be an integer of at least 0"),
            ("\"ttl\":5,", "\"ttl\":-5,", TtlOutOfRange, "ttl: must be an integer of at least 0"),
            (
                "\"count\":1",
                "\"count\":4294967296",
                CountOutOfRange,
                "count: must be an integer from 0 to 4294967295",
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
        for bad in ["[1,", "[\"AAAA\",\"AAAA\",\"\"]", "\u{feff}{}", "null", "4929"] {
            let problem = (Code::BodyInvalid, "body: must be a JSON object".to_owned());
            assert_eq!(refused::<OpenRequest>(bad), problem);
        }
        let trailing = refused::<IssueRequest>(&format!("{ISSUE} {{}}")).1;
        assert!(trailing.contains("trailing characters"), "{trailing}");
        assert!(parse::<OpenRequest>(b"\"\xff\"").is_err());
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
