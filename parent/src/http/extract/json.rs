//! JSON bodies, and refusals that name the field and the violated rule.

use super::printable;
use crate::http::problem::Problem;
use ok2cry_protocol::{MAX_COUNT, code::Code};
use serde::de::DeserializeOwned;

/// Parses a JSON object.
///
/// # Errors
/// `body_invalid`, or the code of the field that is invalid.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if let Some(rule) = wrong_encoding(bytes) {
        return Err(Problem::of_field(Code::BodyInvalid, "body", rule));
    }
    // serde would accept an array in place of an object, with the fields in order.
    if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(Problem::of_field(Code::BodyInvalid, "body", "must be a JSON object"));
    }
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    // Parse again, to find the path of the error.
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refuse(&path, error.inner())
    })?;
    json.end().map_err(|error| refuse(".", &error))?;
    Ok(value)
}

/// The rule violated by a body in another encoding or compression, recognized by its first bytes.
fn wrong_encoding(bytes: &[u8]) -> Option<&'static str> {
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
        // serde_json's message, which contains a position and no part of the input.
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

/// The message of [`ok2cry_protocol::http::Bytes`] for invalid base64url.
const BAD_BASE64: &str = "is not base64url without padding";

// serde's messages begin with the value that was found, which must not be repeated, and end with what was
// expected.
fn rule(path: &str, message: &str) -> String {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let name = rest.split('`').next().unwrap_or_default();
        return format!("holds unknown field {}", printable(name));
    }
    if let Some(name) = message.strip_prefix("missing field `") {
        return format!("lacks field {}", name.trim_end_matches('`'));
    }
    if let Some(name) = message.strip_prefix("duplicate field `") {
        return format!("holds field {} twice", name.trim_end_matches('`'));
    }
    match message.rsplit_once(", expected ") {
        // The range that the call accepts, not that of the field's type.
        Some(_) if path == "count" => format!("must be an integer from 1 to {MAX_COUNT}"),
        Some(_) if path == "ttl" => "must be an integer of at least 1, in milliseconds".to_owned(),
        Some((_, "u16")) => format!("must be an integer from 0 to {}", u16::MAX),
        Some((_, expected)) => format!("must be {expected}"),
        None if message == BAD_BASE64 => message.to_owned(),
        None => "is not what it should be".to_owned(),
    }
}

// An unknown or repeated field is reported as an error of the object that contains it.
fn field(path: &str, rule: &str) -> String {
    let of_object = rule.starts_with("holds ");
    let path = if of_object { path.rsplit_once('.').map_or(".", |(object, _)| object) } else { path };
    let path = path.trim_matches('.');
    if path.is_empty() { "body".to_owned() } else { printable(path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ok2cry_protocol::http::{IssueRequest, OpenRequest};

    const ISSUE: &str = concat!(
        r#"{"nonce":"AAAA","purpose":"p","ttl":5,"#,
        r#""recipient":{"suite":[17,2,2],"public_key":"AAAA"},"count":1}"#,
    );

    fn refused<T: DeserializeOwned>(json: &str) -> (Code, String) {
        let problem = parse::<T>(json.as_bytes()).err().unwrap().0;
        (problem.code, problem.detail)
    }

    fn issue(from: &str, to: &str) -> (Code, String) {
        assert!(ISSUE.contains(from));
        refused::<IssueRequest>(&ISSUE.replace(from, to))
    }

    #[test]
    fn a_valid_body_is_parsed() {
        assert!(parse::<IssueRequest>(ISSUE.as_bytes()).is_ok());
    }

    #[test]
    fn a_wrong_set_of_fields_is_refused_by_name() {
        use Code::{BodyInvalid, RecipientInvalid};
        for (from, to, code, detail) in [
            ("\"ttl\"", "\"tll\"", BodyInvalid, "body: holds unknown field tll"),
            ("\"ttl\":5,", "", BodyInvalid, "body: lacks field ttl"),
            ("\"ttl\":5,", "\"ttl\":5,\"ttl\":5,", BodyInvalid, "body: holds field ttl twice"),
            ("\"suite\":[17,2,2],", "", RecipientInvalid, "recipient: lacks field suite"),
            ("\"suite\"", "\"sweet\"", RecipientInvalid, "recipient: holds unknown field sweet"),
        ] {
            assert_eq!(issue(from, to), (code, detail.to_owned()), "{to}");
        }
    }

    #[test]
    fn a_number_that_is_invalid_is_refused_with_the_range() {
        use Code::{BodyInvalid, CountOutOfRange, RecipientInvalid, TtlOutOfRange};
        let check = |from: &str, cases: &[(&str, Code)], detail: &str| {
            for (to, code) in cases {
                assert_eq!(issue(from, to), (*code, detail.to_owned()), "{to}");
            }
        };
        check(
            "\"ttl\":5,",
            &[
                ("\"ttl\":\"5\",", BodyInvalid),
                ("\"ttl\":5.5,", BodyInvalid),
                ("\"ttl\":null,", BodyInvalid),
                ("\"ttl\":-5,", TtlOutOfRange),
            ],
            "ttl: must be an integer of at least 1, in milliseconds",
        );
        check(
            "\"count\":1",
            &[
                ("\"count\":4294967296", CountOutOfRange),
                ("\"count\":null", BodyInvalid),
                ("\"count\":\"1\"", BodyInvalid),
                ("\"count\":1.0", BodyInvalid),
                ("\"count\":-1", CountOutOfRange),
                ("\"count\":[1]", BodyInvalid),
            ],
            "count: must be an integer from 1 to 100",
        );
        check(
            "[17,2,2]",
            &[("[17,2,null]", RecipientInvalid), ("[17,2,70000]", RecipientInvalid)],
            "recipient.suite[2]: must be an integer from 0 to 65535",
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_the_rule() {
        use Code::{BodyInvalid, RecipientInvalid};
        let base64 = "is not base64url without padding";
        for (from, to, code, detail) in [
            ("\"purpose\":\"p\"", "\"purpose\":7", BodyInvalid, "purpose: must be a string".to_owned()),
            ("\"nonce\":\"AAAA\"", "\"nonce\":\"AA=\"", BodyInvalid, format!("nonce: {base64}")),
            ("\"AAAA\"}", "\"A+/A\"}", BodyInvalid, format!("recipient.public_key: {base64}")),
            (
                "[17,2,2]",
                "[17,2]",
                RecipientInvalid,
                "recipient.suite: must be an array of length 3".to_owned(),
            ),
        ] {
            assert_eq!(issue(from, to), (code, detail), "{to}");
        }
        let (code, detail) = refused::<IssueRequest>(r#"{"recipient":5}"#);
        assert_eq!(code, RecipientInvalid);
        assert_eq!(detail, "recipient: must be \"caller\" or an object of suite and public_key");
    }

    #[test]
    fn invalid_json_is_refused_with_the_position() {
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

    #[test]
    fn a_body_in_another_encoding_is_refused_by_name() {
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
    fn refusals_do_not_repeat_values() {
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
