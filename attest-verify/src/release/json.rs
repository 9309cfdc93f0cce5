//! JSON of release documents: bounded, and under the rule of `crate::strict_json`.

use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::fault::ReleaseFault;
use crate::error::Error;

pub(super) use crate::strict_json::shown;

/// Reads all of `bytes` as one JSON document of at most `max` bytes.
pub(super) fn read<T: DeserializeOwned>(what: &'static str, bytes: &[u8], max: usize) -> Result<T, Error> {
    if bytes.len() > max {
        return Err(ReleaseFault::TooLarge { what, max }.into());
    }
    crate::strict_json::read(bytes)
        .map_err(|e| ReleaseFault::Json { what, why: shown(&e.to_string()) }.into())
}

/// Reads one JSON value under the rule that release documents are read by (`docs/releases.md`), for readers of other
/// documents. How long it may be is theirs to say.
///
/// # Errors
///
/// What is not JSON, and what JSON has more than one reading of. The error's text may repeat a value.
pub fn strict_json(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    crate::strict_json::read(bytes)
}

/// JSON of what cannot fail to be JSON.
pub(super) fn write(value: &impl Serialize) -> Vec<u8> {
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
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format_args!("{} lower-case hexadecimal digits are due here", 2 * N))
        })
    }
}
