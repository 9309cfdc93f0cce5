//! Public keys of signers, and roles: keys with a threshold.

use std::fmt;

use base64ct::{Base64, Encoding};
use ok2cry_attest_verify::PemBlock;
use p384::ecdsa::VerifyingKey;
use p384::pkcs8::{DecodePublicKey, EncodePublicKey};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256, Sha384};

use crate::error::Error;
use crate::fault::ReleaseFault;
use crate::json::Hex;

/// The most keys of a role.
pub(crate) const MAX_KEYS: usize = 16;

/// An ECDSA P-384 public key. In JSON: base64 of its DER (`SubjectPublicKeyInfo`), which is PEM without the
/// first and last line.
#[derive(Clone, PartialEq, Eq)]
pub struct SignerKey {
    key: VerifyingKey,
    der: Vec<u8>,
}

impl SignerKey {
    /// Reads the only accepted encoding: DER, the named curve, an uncompressed point.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::Field`].
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let refused = || Error::from(KEY_RULE);
        let key = VerifyingKey::from_public_key_der(der).map_err(|_| refused())?;
        let canonical = key.to_public_key_der().map_err(|_| refused())?;
        match canonical.as_bytes() == der {
            true => Ok(Self { key, der: der.to_vec() }),
            false => Err(refused()),
        }
    }

    /// Reads PEM (`PUBLIC KEY`): see [`PemBlock::only`].
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::Field`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let block = PemBlock::only(pem).ok().filter(|block| block.label == "PUBLIC KEY");
        let base64: Option<String> = block.map(|block| block.base64().map(char::from).collect());
        let der = base64.and_then(|base64| Base64::decode_vec(&base64).ok());
        Self::from_der(&der.ok_or_else(|| Error::from(KEY_RULE))?)
    }

    /// DER of the `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The `keyid` of its signatures: SHA-256 of its DER, hexadecimal.
    #[must_use]
    pub fn id(&self) -> String {
        Hex::<32>(Sha256::digest(&self.der).into()).to_string()
    }

    pub(crate) fn verifying(&self) -> &VerifyingKey {
        &self.key
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl Serialize for SignerKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Base64::encode_string(&self.der))
    }
}

impl<'de> Deserialize<'de> for SignerKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let der = Base64::decode_vec(&text).map_err(|_| D::Error::custom("a key must be base64 of DER"))?;
        Self::from_der(&der).map_err(D::Error::custom)
    }
}

/// Keys, and the number of them that must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "JsonRole")]
pub struct Role {
    threshold: usize,
    keys: Vec<SignerKey>,
}

impl Role {
    /// `threshold` of `keys`: at least one, of 1 to 16 distinct keys.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::Field`].
    pub fn new(threshold: usize, keys: Vec<SignerKey>) -> Result<Self, Error> {
        let refused = |field, rule| Err(ReleaseFault::Field { what: "role", field, rule }.into());
        let distinct =
            keys.iter().enumerate().all(|(i, key)| keys.iter().skip(i + 1).all(|other| other != key));
        if keys.is_empty() || keys.len() > MAX_KEYS || !distinct {
            return refused("keys", "1 to 16 distinct keys");
        }
        if threshold == 0 || threshold > keys.len() {
            return refused("threshold", "1 to the number of keys");
        }
        Ok(Self { threshold, keys })
    }

    /// How many distinct keys must sign.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    pub(crate) fn key_ids(&self) -> KeyIds {
        let ids: Vec<_> = self.keys.iter().map(SignerKey::id).collect();
        KeyIds::new(ids.iter().map(String::as_str))
    }

    /// SHA-384 of the threshold and of the sorted keys.
    pub(crate) fn digest(&self) -> Hex<48> {
        let mut keys: Vec<_> = self.keys.iter().map(SignerKey::as_der).collect();
        keys.sort_unstable();
        let digest = Sha384::new().chain_update(self.threshold.to_string());
        Hex(keys.into_iter().fold(digest, |digest, key| digest.chain_update(key)).finalize().into())
    }

    /// The keys that may sign.
    #[must_use]
    pub fn keys(&self) -> &[SignerKey] {
        &self.keys
    }
}

/// Key ids for messages: the first 16 digits of each, "no keyid" for a signature without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyIds(Vec<String>);

impl KeyIds {
    /// The most ids in a message.
    const SHOWN: usize = 4;
    /// The digits shown of each.
    const DIGITS: usize = 16;

    pub(crate) fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        let short = |id: &str| match id {
            "" => "no keyid".to_owned(),
            id => id.chars().take(Self::DIGITS).flat_map(char::escape_debug).collect(),
        };
        Self(ids.into_iter().map(short).collect())
    }
}

impl fmt::Display for KeyIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (number, id) in self.0.iter().take(Self::SHOWN).enumerate() {
            write!(f, "{}{id}", if number == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRole {
    threshold: usize,
    keys: Vec<SignerKey>,
}

impl TryFrom<JsonRole> for Role {
    type Error = Error;

    fn try_from(json: JsonRole) -> Result<Self, Error> {
        Self::new(json.threshold, json.keys)
    }
}

const KEY_RULE: ReleaseFault = ReleaseFault::Field {
    what: "key",
    field: "key",
    rule: "an ECDSA P-384 public key with an uncompressed point",
};
