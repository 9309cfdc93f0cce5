//! Measurements as `nitro-cli build-enclave` and `describe-eif` print them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::document::PCR_LEN;
use crate::error::{Error, MeasurementsFault};
use crate::measurements::Measurements;

impl Measurements {
    /// Reads one release's measurements: `{"Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0": "…", …}}` with
    /// whatever else `nitro-cli` prints beside them, or the inner object alone.
    ///
    /// Values are 96 hexadecimal digits of either case. `HashAlgorithm` may be absent.
    ///
    /// # Errors
    ///
    /// [`MeasurementsFault::Json`] for anything else, a name that appears twice included, and what [`Measurements::new`]
    /// says of a set that cannot be used.
    pub fn from_nitro_cli_json(json: &str) -> Result<Self, Error> {
        let all = match serde_json::from_str(json) {
            Ok(Json::Object(all)) => all,
            Ok(_) => return Err(refused("expected a JSON object")),
            Err(error) => return Err(refused(&format!("expected JSON of nitro-cli: {error}"))),
        };
        let Some(inner) = all.get("Measurements") else { return Self::from_entries(&all) };
        if let Some(name) = all.keys().find(|name| is_entry(name)) {
            return Err(refused(&format!("{name} stands beside Measurements, and belongs into it")));
        }
        match inner {
            Json::Object(entries) => Self::from_entries(entries),
            _ => Err(refused("Measurements must be an object")),
        }
    }

    fn from_entries(entries: &BTreeMap<String, Json>) -> Result<Self, Error> {
        let mut pcrs = Vec::new();
        for (name, value) in entries {
            let Json::Text(value) = value else {
                return Err(refused(&format!("{:?} must be a text", shown(name))));
            };
            match pcr_index(name) {
                Some(index) => {
                    let value = pcr_value(value)
                        .ok_or_else(|| refused(&format!("PCR{index} must be 96 hexadecimal digits")))?;
                    pcrs.push((index, value));
                }
                None if name == "HashAlgorithm" => check_algorithm(value)?,
                None => {
                    return Err(refused(&format!(
                        "expected HashAlgorithm and PCR0 to PCR31, found {:?}",
                        shown(name)
                    )));
                }
            }
        }
        Self::new(pcrs)
    }
}

/// Exactly what `nitro-cli` writes for SHA-384, and the bare name: `Sha384/256` is another algorithm.
fn check_algorithm(name: &str) -> Result<(), Error> {
    match name {
        "Sha384" | "Sha384 { ... }" => Ok(()),
        other => {
            Err(refused(&format!("HashAlgorithm must be \"Sha384 {{ ... }}\", found {:?}", shown(other))))
        }
    }
}

fn is_entry(name: &str) -> bool {
    name == "HashAlgorithm" || pcr_index(name).is_some()
}

/// The number of `PCR0` to `PCR31`, in its one spelling.
fn pcr_index(name: &str) -> Option<u8> {
    let digits = name.strip_prefix("PCR")?;
    let index = digits.parse().ok()?;
    (digits == u8::to_string(&index)).then_some(index)
}

fn pcr_value(digits: &str) -> Option<[u8; PCR_LEN]> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}

/// Foreign text for a message, cut.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

fn refused(why: &str) -> Error {
    Error::Measurements(MeasurementsFault::Json { why: why.to_owned() })
}

/// As much of a JSON text as matters here. No name appears twice in any of its objects: other readers keep the first of two
/// values, or the last.
enum Json {
    Text(String),
    Object(BTreeMap<String, Json>),
    Other,
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if entries.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{:?} appears twice", shown(&name))));
            }
            entries.insert(name, map.next_value()?);
        }
        Ok(Json::Object(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }
}
