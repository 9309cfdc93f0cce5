//! The key descriptor: the attested properties of one disposable key.

use crate::{
    DecodeError, Record, Rule,
    cbor::{Reader, Writer},
    ids::{KeyId, Nonce, Purpose},
    suite::{PublicKey, Suite},
};

const TYPE: &str = "ok2cry/key/v1";

/// The attested properties of a key. Its bytes are a leaf of an attested batch, and their hash is part of the
/// HPKE `info` of every message that is sealed to the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDescriptor {
    /// The key's id, which begins with the id of the enclave that holds it.
    pub key_id: KeyId,
    /// The algorithms.
    pub suite: Suite,
    /// The public key that messages are sealed to.
    pub public_key: PublicKey,
    /// When the request was accepted, in Unix milliseconds on the enclave's trusted clock.
    pub issued_at: u64,
    /// When the key is erased at the latest, in Unix milliseconds.
    pub expires_at: u64,
    /// The purpose of the key.
    pub purpose: Purpose,
    /// To whom the plaintext is delivered. `release_to` on the wire.
    pub deliver_to: DeliverTo,
    /// The nonce of the request for the key.
    pub client_nonce: Nonce,
}

/// To whom the plaintext of a key is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DeliverTo {
    /// The caller of open, in the clear. Refused unless the measured configuration allows it.
    Caller,
    /// The holder of this public key, sealed to it. The suite is the descriptor's.
    Recipient(PublicKey),
}

impl Record for KeyDescriptor {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(384);
        w.map(9).key(0).text(TYPE).key(1).bytes(&self.key_id.0).key(2);
        self.suite.write(&mut w);
        w.key(3).bytes(self.public_key.as_bytes());
        w.key(4).uint(self.issued_at).key(5).uint(self.expires_at);
        w.key(6).text(self.purpose.as_str()).key(7);
        self.deliver_to.write(&mut w);
        w.key(8).bytes(self.client_nonce.as_bytes());
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new("key descriptor", bytes);
        let mut m = r.map("map")?;
        m.key(r, "type")?;
        r.record_type(TYPE)?;
        m.key(r, "key_id")?;
        let key_id = KeyId(r.array_of("key_id")?);
        m.key(r, "suite")?;
        let suite = Suite::read(r)?;
        m.key(r, "public_key")?;
        let public_key = PublicKey::read(r, "public_key")?;
        m.key(r, "issued_at")?;
        let issued_at = r.time("issued_at")?;
        m.key(r, "expires_at")?;
        let expires_at = r.time("expires_at")?;
        if expires_at <= issued_at {
            return Err(r.error("expires_at", Rule::Range));
        }
        m.key(r, "purpose")?;
        let purpose = Purpose::new(r.text("purpose", 1..=64)?).map_err(|e| r.error("purpose", e.rule))?;
        m.key(r, "release_to")?;
        let deliver_to = DeliverTo::read(r)?;
        m.key(r, "client_nonce")?;
        let client_nonce = read_nonce(r, "client_nonce")?;
        m.end(r)?;
        r.end()?;
        Ok(Self { key_id, suite, public_key, issued_at, expires_at, purpose, deliver_to, client_nonce })
    }
}

impl DeliverTo {
    pub(crate) fn write(&self, w: &mut Writer) {
        match self {
            Self::Caller => {
                w.array(1).uint(0);
            }
            Self::Recipient(key) => {
                w.array(3).uint(1);
                Suite::P384.write(w);
                w.bytes(key.as_bytes());
            }
        }
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const FIELD: &str = "release_to";
        let items = r.array(FIELD, 1..=3)?;
        match (r.uint(FIELD)?, items) {
            (0, 1) => Ok(Self::Caller),
            (1, 3) => {
                Suite::read(r)?;
                Ok(Self::Recipient(PublicKey::read(r, FIELD)?))
            }
            (0, _) => Err(r.error(FIELD, Rule::Length { min: 1, max: 1 })),
            (1, _) => Err(r.error(FIELD, Rule::Length { min: 3, max: 3 })),
            _ => Err(r.error(FIELD, Rule::UnknownValue)),
        }
    }
}

pub(crate) fn read_nonce(r: &mut Reader<'_>, field: &'static str) -> Result<Nonce, DecodeError> {
    let bytes = r.bytes(field, Nonce::MIN..=Nonce::MAX)?;
    Nonce::new(bytes).map_err(|e| r.error(field, e.rule))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ids::InstanceId;

    pub(crate) fn public_key(seed: u8) -> PublicKey {
        let key = p384::SecretKey::from_slice(&[seed; 48]).unwrap().public_key();
        PublicKey::new(&key.to_sec1_bytes()).unwrap()
    }

    pub(crate) fn descriptor() -> KeyDescriptor {
        KeyDescriptor {
            key_id: KeyId::new(InstanceId([1; 8]), [2; 16]),
            suite: Suite::P384,
            public_key: public_key(3),
            issued_at: 1_800_000_000_000,
            expires_at: 1_800_000_300_000,
            purpose: Purpose::new("card-pin").unwrap(),
            deliver_to: DeliverTo::Recipient(public_key(4)),
            client_nonce: Nonce::new([5; 16]).unwrap(),
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for deliver_to in [DeliverTo::Caller, DeliverTo::Recipient(public_key(9))] {
            let d = KeyDescriptor { deliver_to, ..descriptor() };
            assert_eq!(KeyDescriptor::decode(&d.encode()), Ok(d));
        }
    }

    #[test]
    fn every_prefix_and_every_suffix_is_refused() {
        let bytes = descriptor().encode();
        for n in 0..bytes.len() {
            assert!(KeyDescriptor::decode(&bytes[..n]).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(KeyDescriptor::decode(&longer).unwrap_err().rule, Rule::Trailing);
    }

    #[test]
    fn a_decoded_record_has_only_one_encoding() {
        let bytes = descriptor().encode();
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[i] ^= 1 << bit;
                if let Ok(d) = KeyDescriptor::decode(&other) {
                    assert_eq!(d.encode(), other);
                }
            }
        }
    }

    #[test]
    fn errors_name_the_field() {
        let bytes = descriptor().encode();
        let error = KeyDescriptor { expires_at: 5, ..descriptor() };
        assert_eq!(KeyDescriptor::decode(&error.encode()).unwrap_err().field, "expires_at");
        let mut v2 = bytes.clone();
        let at = v2.windows(2).position(|w| w == b"v1").unwrap();
        v2[at + 1] = b'2';
        let error = KeyDescriptor::decode(&v2).unwrap_err();
        assert_eq!((error.field, error.rule), ("type", Rule::WrongRecord));
        let other = KeyDescriptor { suite: Suite { kem: 0x10, kdf: 1, aead: 1 }, ..descriptor() };
        let error = KeyDescriptor::decode(&other.encode()).unwrap_err();
        assert_eq!((error.field, error.rule), ("suite", Rule::UnsupportedSuite));
    }
}
