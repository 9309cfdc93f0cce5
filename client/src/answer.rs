//! Strict readers for the service's answers and other received JSON. They check size, syntax, shape and
//! fields.
//!
//! JSON follows the rule of release documents (`docs/releases.md`): names are unique at every level, and
//! integers are at most 2^53 - 1. A list is not accepted in place of an object. An error names the field and
//! the rule, and never the value, which may be plaintext.

use crate::Error;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_verify::strict_json;
use ok2cry_protocol::{
    http::{AttestedBody, Bytes, IssueResponse, IssuedKey, OpenResponse, SealedBody, SecretBytes},
    rpc::KeyState,
};
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

/// The longest answer, message or reply that is read, in bytes.
pub const MAX_ANSWER: usize = 1 << 20;

/// Reads the answer to `POST /v1/keys`.
///
/// # Errors
///
/// [`Error::Answer`].
pub fn read_issued(body: &[u8]) -> Result<IssueResponse, Error> {
    let text = Text::read(body)?;
    let answer = Object::new(&text.0, "the answer", &["document", "keys"])?;
    let keys = answer.list("keys")?.iter().map(|key| {
        let key = Object::new(key, "a key", &["descriptor", "index", "path"])?;
        Ok(IssuedKey { descriptor: key.bytes("descriptor")?, index: key.number("index")?, path: key.path()? })
    });
    let keys = keys.collect::<Result<_, Error>>()?;
    Ok(IssueResponse { document: answer.bytes("document")?.0.into(), keys })
}

/// Reads the answer to `POST /v1/keys/{id}/open`.
///
/// # Errors
///
/// [`Error::Answer`].
pub fn read_opened(body: &[u8]) -> Result<OpenResponse, Error> {
    let text = Text::read(body)?;
    if only_field(&text.0, "plaintext").is_none() {
        return sealed(&text.0).map(OpenResponse::Sealed);
    }
    let plaintext = Object::new(&text.0, "the answer", &["plaintext"])?.bytes("plaintext")?;
    Ok(OpenResponse::Plaintext(SecretBytes(Zeroizing::new(plaintext.0))))
}

/// Reads a sealed reply: the answer to an open, `{"sealed": {"reply", "context"}}`, or its inner object
/// alone.
///
/// # Errors
///
/// [`Error::DeliveryMode`] if it is a `plaintext` object, valid or not; [`Error::Answer`].
pub fn read_sealed(body: &[u8]) -> Result<SealedBody, Error> {
    let text = Text::read(body)?;
    if only_field(&text.0, "plaintext").is_some() {
        return Err(Error::DeliveryMode);
    }
    sealed(&text.0)
}

/// Reads the answer to `GET /v1/attestation`.
///
/// # Errors
///
/// [`Error::Answer`].
pub fn read_attested(body: &[u8]) -> Result<AttestedBody, Error> {
    attested(&Text::read(body)?.0, "the answer")
}

/// Reads the answer to `GET` and `DELETE /v1/keys/{id}`. Unknown fields are ignored.
///
/// # Errors
///
/// [`Error::Answer`].
pub fn read_state(body: &[u8]) -> Result<KeyState, Error> {
    let text = Text::read(body)?;
    let state = Object::open(&text.0, "the answer")?.text("state")?;
    KeyState::from_name(state).ok_or_else(|| refused("state is not a known state of a key".into()))
}

fn sealed(answer: &Value) -> Result<SealedBody, Error> {
    let inner = only_field(answer, "sealed").unwrap_or(answer);
    let body = Object::new(inner, "the sealed reply", &["reply", "context"])?;
    Ok(SealedBody {
        reply: body.bytes("reply")?,
        context: attested(body.value("context")?, "the reply's context")?,
    })
}

fn attested(value: &Value, what: &'static str) -> Result<AttestedBody, Error> {
    let body = Object::new(value, what, &["record", "index", "path", "document"])?;
    Ok(AttestedBody {
        record: body.bytes("record")?,
        index: body.number("index")?,
        path: body.path()?,
        document: body.bytes("document")?.0.into(),
    })
}

/// The value of `name`, if it is the only field of an object.
fn only_field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object().filter(|map| map.len() == 1)?.get(name)
}

/// A parsed JSON text. Its strings are overwritten when it is dropped.
pub(crate) struct Text(pub(crate) Value);

impl Text {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        if body.len() > MAX_ANSWER {
            return Err(refused(format!("it is longer than {MAX_ANSWER} bytes")));
        }
        let read = strict_json::read(body).map(Self);
        // Without the parser's text, which may hold a value.
        read.map_err(|e| {
            refused(format!("it is not strict JSON, at line {} column {}", e.line(), e.column()))
        })
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        overwrite(&mut self.0);
    }
}

fn overwrite(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(overwrite),
        Value::Object(map) => map.values_mut().for_each(overwrite),
        _ => {}
    }
}

/// An object of an answer.
pub(crate) struct Object<'a> {
    what: &'static str,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    /// An object with exactly these fields.
    pub(crate) fn new(value: &'a Value, what: &'static str, fields: &[&str]) -> Result<Self, Error> {
        Self::with_optional(value, what, fields, &[])
    }

    /// An object with all of `fields`, and any of `optional`.
    pub(crate) fn with_optional(
        value: &'a Value,
        what: &'static str,
        fields: &[&str],
        optional: &[&str],
    ) -> Result<Self, Error> {
        let object = Self::open(value, what)?;
        if let Some(missing) = fields.iter().find(|field| !object.map.contains_key(**field)) {
            return Err(refused(format!("{missing} is missing in {what}")));
        }
        let is_known = |name: &str| fields.contains(&name) || optional.contains(&name);
        if let Some(unknown) = object.map.keys().find(|name| !is_known(name.as_str())) {
            let unknown: String = unknown.chars().take(32).collect();
            return Err(refused(format!("{what} has an unknown field {unknown:?}")));
        }
        Ok(object)
    }

    /// An object with any fields.
    pub(crate) fn open(value: &'a Value, what: &'static str) -> Result<Self, Error> {
        let map = value.as_object().ok_or_else(|| refused(format!("{what} must be an object")))?;
        Ok(Self { what, map })
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    pub(crate) fn value(&self, field: &str) -> Result<&'a Value, Error> {
        self.map.get(field).ok_or_else(|| refused(format!("{field} is missing in {}", self.what)))
    }

    pub(crate) fn text(&self, field: &str) -> Result<&'a str, Error> {
        self.value(field)?.as_str().ok_or_else(|| refused(format!("{field} must be a text")))
    }

    pub(crate) fn bytes(&self, field: &str) -> Result<Bytes, Error> {
        byte_string(self.value(field)?, field)
    }

    fn number(&self, field: &str) -> Result<u64, Error> {
        let rule = || refused(format!("{field} must be a whole number, 0 or more"));
        self.value(field)?.as_u64().ok_or_else(rule)
    }

    fn list(&self, field: &str) -> Result<&'a [Value], Error> {
        let list = self.value(field)?.as_array();
        list.map(Vec::as_slice).ok_or_else(|| refused(format!("{field} must be a list")))
    }

    /// A list of byte strings. The inclusion proof checks their number and lengths.
    fn path(&self) -> Result<Vec<Bytes>, Error> {
        self.list("path")?.iter().map(|hash| byte_string(hash, "path")).collect()
    }
}

fn byte_string(value: &Value, field: &str) -> Result<Bytes, Error> {
    let bytes = value.as_str().and_then(|text| Base64UrlUnpadded::decode_vec(text).ok());
    bytes.map(Bytes).ok_or_else(|| refused(format!("{field} must be base64url without padding")))
}

fn refused(why: String) -> Error {
    Error::Answer(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &str = r#"{"record":"AA","index":0,"path":["AAAA"],"document":"AQ"}"#;

    fn code<T>(read: Result<T, Error>) -> &'static str {
        read.err().map_or("read", |error| error.code())
    }

    #[test]
    fn a_sealed_reply_is_read_in_both_forms() {
        let bare = format!(r#"{{"reply":"AAEC","context":{CONTEXT}}}"#);
        let whole = format!(r#"{{"sealed":{bare}}}"#);
        for text in [&bare, &whole] {
            let read = read_sealed(text.as_bytes()).unwrap();
            assert_eq!((read.reply.0, read.context.index), (vec![0, 1, 2], 0));
            assert!(matches!(read_opened(text.as_bytes()), Ok(OpenResponse::Sealed(_))));
        }
    }

    #[test]
    fn plaintext_in_place_of_a_reply_has_its_own_code() {
        for text in [r#"{"plaintext":"NDkzMQ"}"#, r#"{"plaintext":4931}"#, r#"{"plaintext":null}"#] {
            assert_eq!(code(read_sealed(text.as_bytes())), "release_mode_mismatch", "{text}");
        }
        assert!(matches!(read_opened(br#"{"plaintext":"NDkzMQ"}"#), Ok(OpenResponse::Plaintext(_))));
        let error = read_opened(br#"{"plaintext":4931}"#).err().unwrap();
        assert!(!error.to_string().contains("4931"), "{error}");
        assert!(!read_opened(br#"{"plaintext":4931.5}"#).err().unwrap().to_string().contains("4931"));
    }

    #[test]
    fn answers_are_objects_with_exactly_their_fields() {
        let good = format!(r#"{{"sealed":{{"reply":"AAEC","context":{CONTEXT}}}}}"#);
        for (part, other) in [
            (CONTEXT, r#"["AA",0,[],"AQ"]"#),
            (CONTEXT, "null"),
            (r#"{"sealed":"#, r#"{"more":1,"sealed":"#),
            (r#"{"sealed":"#, r#"{"plaintext":"","sealed":"#),
            (r#""reply":"AAEC""#, r#""reply":"AAEC","reply":"AAEC""#),
            (r#""reply":"AAEC""#, r#""reply":"AAEC=""#),
            (r#""reply":"AAEC""#, r#""reply":"AAF""#),
            (r#""reply":"AAEC""#, r#""reply":[0,1,2]"#),
            (r#""index":0"#, r#""index":9007199254740992"#),
            (r#""index":0"#, r#""index":-1"#),
            (r#""index":0"#, r#""index":0.0"#),
            (r#""index":0"#, r#""index":"0""#),
            (r#""path":["AAAA"]"#, r#""path":"AAAA""#),
            (r#""path":["AAAA"]"#, r#""path":[0]"#),
            (r#""path":["AAAA"]"#, r#""path":{}"#),
        ] {
            let bad = good.replace(part, other);
            assert_ne!(bad, good);
            assert_eq!(code(read_sealed(bad.as_bytes())), "answer_invalid", "{bad}");
        }
        let inner = good.trim_start_matches(r#"{"sealed":"#).trim_end_matches('}');
        let texts = [format!(r#"{{"sealed":{:?}}}"#, format!("{inner}}}}}")), format!("[{good}]")];
        for text in texts {
            assert_eq!(code(read_sealed(text.as_bytes())), "answer_invalid", "{text}");
        }
        let issued = r#"{"document":"AA","keys":[{"descriptor":"AA","index":1,"path":[]}]}"#;
        assert_eq!(read_issued(issued.as_bytes()).unwrap().keys.len(), 1);
        for bad in
            [r#"["AA",[]]"#, r#"{"document":"AA","keys":[["AA",1,[]]]}"#, r#"{"document":"AA","keys":{}}"#]
        {
            assert_eq!(code(read_issued(bad.as_bytes())), "answer_invalid", "{bad}");
        }
        let large = format!("{}{issued}", " ".repeat(MAX_ANSWER));
        assert_eq!(code(read_issued(large.as_bytes())), "answer_invalid");
    }

    #[test]
    fn a_state_may_have_unknown_fields() {
        assert_eq!(read_state(br#"{"state":"used","receipt":{"index":1}}"#).unwrap(), KeyState::Used);
        for bad in [r#"{"state":"asleep"}"#, r#"{"state":null}"#, r#"["used"]"#, "{}"] {
            assert_eq!(code(read_state(bad.as_bytes())), "answer_invalid", "{bad}");
        }
    }
}
