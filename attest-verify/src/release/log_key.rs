//! Keys of logs and witnesses, in the form that signed notes name them by.

use std::fmt;

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A plain signature of the note's text.
const TYPE_ED25519: u8 = 0x01;
/// A witness's, over a time and the text.
const TYPE_COSIGNATURE: u8 = 0x04;

/// A verifier key (`vkey`) of [C2SP signed notes](https://c2sp.org/signed-note): `NAME+ID+BASE64(TYPE ‖ KEY)`, where the ID is
/// the first 4 bytes of SHA-256(NAME ‖ "\n" ‖ TYPE ‖ KEY), hexadecimal. Type 1 is a log's Ed25519 key, type 4 a witness's.
#[derive(Clone, PartialEq, Eq)]
pub struct LogKey {
    name: String,
    kind: u8,
    key: VerifyingKey,
}

impl LogKey {
    /// The key of a log with this origin.
    #[must_use]
    pub fn log(origin: &str, key: &[u8; 32]) -> Option<Self> {
        Self::new(origin, TYPE_ED25519, key)
    }

    /// The key of a witness with this name.
    #[must_use]
    pub fn witness(name: &str, key: &[u8; 32]) -> Option<Self> {
        Self::new(name, TYPE_COSIGNATURE, key)
    }

    /// Reads `NAME+ID+BASE64`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('+')?;
        let (_, encoded) = rest.split_once('+')?;
        let mut bytes = [0; 33];
        let key = Base64::decode(encoded, &mut bytes).ok()?;
        let (kind, key) = key.split_first()?;
        let parsed = Self::new(name, *kind, key.try_into().ok()?)?;
        // One spelling for each key.
        (parsed.to_string() == text).then_some(parsed)
    }

    /// The name that goes in front of signatures; a log's is its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ID that goes in front of signatures.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', self.kind])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    pub(super) fn is_log(&self) -> bool {
        self.kind == TYPE_ED25519
    }

    pub(super) fn is_witness(&self) -> bool {
        self.kind == TYPE_COSIGNATURE
    }

    pub(super) fn is_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Whether `signature` is this key's over `message`. Strict: no small-order keys, one encoding only.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    fn new(name: &str, kind: u8, key: &[u8; 32]) -> Option<Self> {
        let named = is_key_name(name) && name.len() <= 255;
        if !named || !matches!(kind, TYPE_ED25519 | TYPE_COSIGNATURE) {
            return None;
        }
        let key = VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak())?;
        Some(Self { name: name.to_owned(), kind, key })
    }
}

/// Not empty, no spaces of any kind, no plus sign, nothing that a terminal acts on.
pub(super) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+' || c.is_control())
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut encoded = vec![self.kind];
        encoded.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), Base64::encode_string(&encoded))
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({self})")
    }
}

impl Serialize for LogKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom("a verifier key (NAME+ID+BASE64, Ed25519) is due here"))
    }
}
