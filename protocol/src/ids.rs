//! Identifiers, nonces and purposes. Constructors check their rules.

use crate::{DecodeError, Rule, hash};
use base64ct::{Base64UrlUnpadded, Encoding};
use core::fmt;

/// The id of one boot of an enclave: the first 8 bytes of H("ok2cry v1 instance" ‖ SPKI of the boot's log
/// key).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub [u8; 8]);

impl InstanceId {
    /// The id of the instance with this log key (SPKI, DER).
    pub fn of_log_key(spki: &[u8]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = hash(&[b"ok2cry v1 instance", spki]);
        Self([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of a key: the id of its instance ‖ 16 random bytes.
///
/// It authorizes status queries and the destruction of the key, so `Debug` shows the instance only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 24]);

impl KeyId {
    /// The id of a key of `instance`, from 16 random bytes.
    pub fn new(instance: InstanceId, random: [u8; 16]) -> Self {
        let mut id = [0; 24];
        for (to, from) in id.iter_mut().zip(instance.0.iter().chain(&random)) {
            *to = *from;
        }
        Self(id)
    }

    /// The instance that owns the key.
    pub fn instance(&self) -> InstanceId {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        InstanceId([a, b, c, d, e, f, g, h])
    }

    /// The id as URLs hold it: base64url, 32 characters.
    pub fn to_base64url(&self) -> String {
        Base64UrlUnpadded::encode_string(&self.0)
    }

    /// Reads an id from a URL.
    pub fn from_base64url(text: &str) -> Result<Self, DecodeError> {
        let error = |rule| DecodeError { structure: "key id", field: "id", rule };
        if text.len() != 32 {
            return Err(error(Rule::Length { min: 32, max: 32 }));
        }
        let mut id = [0; 24];
        let decoded = Base64UrlUnpadded::decode(text, &mut id).map_err(|_| error(Rule::Base64))?;
        if decoded.len() != 24 {
            return Err(error(Rule::Base64));
        }
        Ok(Self(id))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({}…)", self.instance())
    }
}

/// The id of a reply context.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContextId(pub [u8; 16]);

impl fmt::Debug for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContextId(…)")
    }
}

/// A caller's nonce, 16 to 64 bytes. It binds a key to the request for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// The shortest nonce, in bytes.
    pub const MIN: usize = 16;
    /// The longest nonce, in bytes.
    pub const MAX: usize = 64;

    /// Takes a nonce of 16 to 64 bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, DecodeError> {
        let bytes = bytes.into();
        if !(Self::MIN..=Self::MAX).contains(&bytes.len()) {
            let rule = Rule::Length { min: Self::MIN, max: Self::MAX };
            return Err(DecodeError { structure: "request", field: "nonce", rule });
        }
        Ok(Self(bytes))
    }

    /// The nonce of key `index` (from 0) of a request for `count` keys with this nonce.
    ///
    /// A single key has the nonce itself. Each of several keys has H("ok2cry v1 nonce" ‖ nonce ‖ u32 index).
    pub fn for_key(&self, index: u32, count: u32) -> Self {
        if count == 1 {
            return self.clone();
        }
        Self(hash(&[b"ok2cry v1 nonce", &self.0, &index.to_be_bytes()]).to_vec())
    }

    /// The nonce's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({} bytes)", self.0.len())
    }
}

/// The purpose of a key, as the enclave's measured configuration names it: 1 to 64 of `[a-z0-9._-]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Purpose(String);

impl Purpose {
    /// Checks and wraps a purpose.
    pub fn new(text: &str) -> Result<Self, DecodeError> {
        let error = |rule| DecodeError { structure: "request", field: "purpose", rule };
        if !(1..=64).contains(&text.len()) {
            return Err(error(Rule::Length { min: 1, max: 64 }));
        }
        if !text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')) {
            return Err(error(Rule::Charset));
        }
        Ok(Self(text.to_owned()))
    }

    /// The purpose's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_holds_its_instance_and_round_trips() {
        let id = KeyId::new(InstanceId([7; 8]), [9; 16]);
        assert_eq!(id.instance(), InstanceId([7; 8]));
        assert_eq!(KeyId::from_base64url(&id.to_base64url()), Ok(id));
    }

    #[test]
    fn key_ids_from_urls_are_exact() {
        let rule = |text: &str| KeyId::from_base64url(text).unwrap_err().rule;
        assert_eq!(rule(""), Rule::Length { min: 32, max: 32 });
        assert_eq!(rule(&"A".repeat(33)), Rule::Length { min: 32, max: 32 });
        assert_eq!(rule(&"+".repeat(32)), Rule::Base64);
        assert_eq!(rule(&format!("{}=", "A".repeat(31))), Rule::Base64);
    }

    #[test]
    fn debug_output_does_not_hold_ids_or_nonces() {
        let id = KeyId::new(InstanceId([7; 8]), [0xab; 16]);
        assert!(!format!("{id:?}").contains("abab"));
        let nonce = Nonce::new([0xab; 16]).unwrap();
        assert_eq!(format!("{nonce:?}"), "Nonce(16 bytes)");
    }

    #[test]
    fn nonces_and_purposes_have_bounds() {
        assert!(Nonce::new([0; 15]).is_err() && Nonce::new([0; 65]).is_err());
        assert!(Nonce::new([0; 16]).is_ok() && Nonce::new([0; 64]).is_ok());
        assert!(Purpose::new("card-pin.v1_a").is_ok());
        for bad in ["", "Card", "card pin", "kärd", &"a".repeat(65)] {
            assert!(Purpose::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_key_of_a_request_has_its_own_nonce() {
        let nonce = Nonce::new([1; 16]).unwrap();
        assert_eq!(nonce.for_key(0, 1), nonce);
        assert_ne!(nonce.for_key(0, 2), nonce.for_key(1, 2));
        assert_ne!(nonce.for_key(0, 2), nonce);
    }
}
