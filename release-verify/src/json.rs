//! JSON of release documents: bounded, and under the rule of [`ok2cry_attest_verify::strict_json`].

use std::fmt;

use ok2cry_attest_verify::strict_json;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Error;
use crate::fault::ReleaseFault;

pub(crate) use ok2cry_attest_verify::strict_json::shown;

/// Reads all of `bytes` as one JSON document of at most `max` bytes.
pub(crate) fn read<T: DeserializeOwned>(what: &'static str, bytes: &[u8], max: usize) -> Result<T, Error> {
    if bytes.len() > max {
        return Err(ReleaseFault::TooLarge { what, max }.into());
    }
    strict_json::read(bytes).map_err(|e| ReleaseFault::Json { what, why: shown(&e.to_string()) }.into())
}

/// Writes JSON. The types of this crate cannot fail to serialize.
pub(crate) fn write(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Lower-case hexadecimal of `N` bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex<const N: usize>(
    /// The bytes.
    pub [u8; N],
);

impl<const N: usize> Hex<N> {
    /// Reads `2 * N` lower-case digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != N || !rest.is_empty() {
            return None;
        }
        let mut bytes = [0; N];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom(format_args!("expected {} lower-case hexadecimal digits", 2 * N)))
    }
}

/// A verifier key as text.
pub(crate) mod verifier_key {
    use ok2cry_tlog::VerifierKey;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(key: &VerifierKey, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VerifierKey, D::Error> {
        let text = String::deserialize(deserializer)?;
        VerifierKey::parse(&text)
            .ok_or_else(|| D::Error::custom("expected a verifier key (NAME+ID+BASE64, Ed25519)"))
    }
}

/// Verifier keys, as a list of texts.
pub(crate) mod verifier_keys {
    use ok2cry_tlog::VerifierKey;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Owned(#[serde(with = "super::verifier_key")] VerifierKey);

    #[derive(Serialize)]
    #[serde(transparent)]
    struct Borrowed<'a>(#[serde(serialize_with = "super::verifier_key::serialize")] &'a VerifierKey);

    pub(crate) fn serialize<S: Serializer>(keys: &[VerifierKey], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(keys.iter().map(Borrowed))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<VerifierKey>, D::Error> {
        let keys = Vec::<Owned>::deserialize(deserializer)?;
        Ok(keys.into_iter().map(|Owned(key)| key).collect())
    }
}
