//! Strict JSON: one rule for every language.
//!
//! The rule holds at every level, also in unknown fields: UTF-8 without a byte order mark, RFC 8259, no
//! repeated key in an object, integers from -(2^53 - 1) to 2^53 - 1 without fraction, exponent or minus zero,
//! no lone surrogates, and at most 127 nested arrays and objects. Two parsers then cannot read different
//! values: others keep the last of two keys, or round.

pub use serde_json;

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use serde_json::{Map, Value};

/// The largest integer: 2^53 - 1, above which JavaScript rounds.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Reads all of `bytes` as one document under the rule. A structure is an object, never a list of its fields.
///
/// # Errors
///
/// Input that is not JSON, breaks the rule, or is not a `T`. The text of the error may repeat a value.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes).and_then(|Strict(value)| T::deserialize(Strict(value)))
}

/// Foreign text for a message: at most 100 characters, without those that control a terminal.
#[must_use]
pub fn shown(text: &str) -> String {
    // Escaped characters except quotation marks and backslashes: control and bidirectional characters.
    let acts = |c: char| !matches!(c, '"' | '\'' | '\\') && c.escape_debug().len() > 1;
    text.chars().take(100).map(|c| if acts(c) { '\u{fffd}' } else { c }).collect()
}

/// A value under the rule. `serde_json` itself checks UTF-8, the grammar, surrogates and the depth, provided
/// that every value is visited, as here.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of at most 2^53 - 1, a text, a list or an object")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    // The parser reads fractions, exponents, minus zero and very large numbers as floating point, which has
    // no visitor here.
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        match value <= MAX_NUMBER {
            true => Ok(value.into()),
            false => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        match value.unsigned_abs() <= MAX_NUMBER {
            true => Ok(value.into()),
            false => Err(E::invalid_value(Unexpected::Signed(value), &self)),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            all.push(value);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if all.contains_key(&key) {
                return Err(A::Error::custom(format_args!("{:?} appears twice", shown(&key))));
            }
            let Strict(value) = map.next_value()?;
            all.insert(key, value);
        }
        Ok(all.into())
    }
}

/// Deserializes as [`Value`] does, except that a structure must be an object, never a list of its fields.
impl<'de> Deserializer<'de> for Strict {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(all) => SeqDeserializer::new(all.into_iter().map(Self)).deserialize_any(visitor),
            Value::Object(all) => {
                let all = all.into_iter().map(|(key, value)| (key, Self(value)));
                MapDeserializer::new(all).deserialize_any(visitor)
            }
            leaf => leaf.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(_) => Err(Self::Error::invalid_type(Unexpected::Seq, &name)),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl IntoDeserializer<'_, serde_json::Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Document {
        known: u64,
        inner: Option<Box<Self>>,
    }

    fn read_document(text: &[u8]) -> Option<Document> {
        read(text).ok()
    }

    fn with_unknown(value: &str) -> Option<Document> {
        read_document(format!(r#"{{"known":1,"unknown":{value}}}"#).as_bytes())
    }

    #[test]
    fn the_rule_holds_in_unknown_fields() {
        for value in [
            "9007199254740991",
            "-9007199254740991",
            "0",
            "[null,true,{}]",
            r#""\ud83d\ude00""#,
            r#"{"a":{"b":1},"b":1}"#,
            r#""\u0000""#,
        ] {
            assert!(with_unknown(value).is_some(), "{value}");
        }
        for value in [
            "9007199254740992",
            "-9007199254740992",
            "18446744073709551616",
            "-0",
            "1.0",
            "1e3",
            "0.5",
            "1E400",
            r#""\ud83d""#,
            r#""\ude00\ud83d""#,
            r#"{"a":1,"a":1}"#,
            r#"[{"b":{"a":1,"\u0061":2}}]"#,
            r#"{"\udc00":1}"#,
        ] {
            assert!(with_unknown(value).is_none(), "{value}");
        }
        assert!(read_document(b"\xef\xbb\xbf{\"known\":1}").is_none());
        assert!(read_document(b"{\"known\":1,\"unknown\":\"\xff\"}").is_none());
    }

    #[test]
    fn documents_are_nested_127_deep_at_most() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        // The document itself is the first level.
        assert!(with_unknown(&nested(126)).is_some());
        assert!(with_unknown(&nested(127)).is_none());
    }

    #[test]
    fn a_structure_is_an_object_not_a_list() {
        let inner = Some(Box::new(Document { known: 2, inner: None }));
        assert_eq!(
            read_document(br#"{"inner":{"inner":null,"known":2},"known":1}"#),
            Some(Document { known: 1, inner })
        );
        for text in [r"[1,null]", r#"{"known":1,"inner":[2,null]}"#, r#"{"known":-1}"#, r#"{"known":null}"#] {
            assert_eq!(read_document(text.as_bytes()), None, "{text}");
        }
    }
}
