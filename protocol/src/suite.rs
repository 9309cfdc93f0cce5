//! The algorithms, public keys, and the `info` strings that separate their uses.

use crate::{
    DecodeError, Hash, Rule,
    cbor::{Reader, Writer},
    ids::{ContextId, InstanceId},
};
use core::fmt;
use p384::pkcs8::{EncodePublicKey, LineEnding};

/// An HPKE suite by its IANA numbers (RFC 9180 §7). It is never negotiated: an image has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    /// Key encapsulation.
    pub kem: u16,
    /// Key derivation.
    pub kdf: u16,
    /// Authenticated encryption.
    pub aead: u16,
}

impl Suite {
    /// DHKEM(P-384, HKDF-SHA384), HKDF-SHA384, AES-256-GCM: the only enabled suite.
    pub const P384: Self = Self { kem: 0x0011, kdf: 0x0002, aead: 0x0002 };

    pub(crate) fn write(self, w: &mut Writer) {
        w.array(3).uint(self.kem.into()).uint(self.kdf.into()).uint(self.aead.into());
    }

    /// Reads a suite, which must be an enabled one.
    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const FIELD: &str = "suite";
        r.array(FIELD, 3..=3)?;
        let suite = Self { kem: r.number(FIELD)?, kdf: r.number(FIELD)?, aead: r.number(FIELD)? };
        suite.check().map_err(|rule| r.error(FIELD, rule))
    }

    /// This suite, if it is enabled.
    pub fn check(self) -> Result<Self, Rule> {
        if self == Self::P384 { Ok(self) } else { Err(Rule::UnsupportedSuite) }
    }
}

/// A P-384 public key: an uncompressed point of 97 bytes, checked to be on the curve.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; Self::LEN]);

impl PublicKey {
    /// The length of an uncompressed point, in bytes (SEC 1 §2.3.3).
    pub const LEN: usize = 97;

    /// Checks and wraps an uncompressed point.
    pub fn new(bytes: &[u8]) -> Result<Self, Rule> {
        let array: [u8; Self::LEN] =
            bytes.try_into().map_err(|_| Rule::Length { min: Self::LEN, max: Self::LEN })?;
        // SEC 1 has compressed and compact forms too; the length leaves only 0x04 and malformed ones.
        if array.first() != Some(&4) || p384::PublicKey::from_sec1_bytes(&array).is_err() {
            return Err(Rule::NotOnCurve);
        }
        Ok(Self(array))
    }

    /// The uncompressed point.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The key as PEM (`SubjectPublicKeyInfo`, RFC 5480).
    pub fn to_pem(&self) -> String {
        p384::PublicKey::from_sec1_bytes(&self.0)
            .ok()
            .and_then(|key| key.to_public_key_pem(LineEnding::LF).ok())
            .unwrap_or_default()
    }

    /// The affine coordinates (x, y), as a JWK holds them (RFC 7518 §6.2.1).
    pub fn coordinates(&self) -> (&[u8], &[u8]) {
        let (_, point) = self.0.split_at(1);
        point.split_at(48)
    }

    /// Reads the point in `field`.
    pub(crate) fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let bytes = r.bytes(field, Self::LEN..=Self::LEN)?;
        Self::new(bytes).map_err(|rule| r.error(field, rule))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (x, _) = self.coordinates();
        f.write_str("PublicKey(")?;
        x.iter().take(6).try_for_each(|b| write!(f, "{b:02x}"))?;
        f.write_str("…)")
    }
}

/// HPKE `info` of a message sealed to a key: "ok2cry v1 seal" ‖ H(descriptor).
pub fn seal_info(descriptor: &Hash) -> Vec<u8> {
    [&b"ok2cry v1 seal"[..], descriptor].concat()
}

/// HPKE `info` of a reply context: "ok2cry v1 reply" ‖ `instance_id` ‖ `context_id`.
pub fn reply_info(instance: InstanceId, context: ContextId) -> Vec<u8> {
    [&b"ok2cry v1 reply"[..], &instance.0, &context.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uncompressed_points_on_the_curve_are_keys() {
        let key = p384::SecretKey::from_slice(&[7; 48]).unwrap().public_key();
        let point = key.to_sec1_bytes();
        assert!(PublicKey::new(&point).is_ok());
        let mut off_curve = point.to_vec();
        off_curve[96] ^= 1;
        assert_eq!(PublicKey::new(&off_curve), Err(Rule::NotOnCurve));
        assert_eq!(PublicKey::new(&[0; 97]), Err(Rule::NotOnCurve));
        let mut hybrid = point.to_vec();
        hybrid[0] = 6;
        assert_eq!(PublicKey::new(&hybrid), Err(Rule::NotOnCurve));
        for wrong in [&[0][..], &point[..49], &[&point[..], &[0]].concat()] {
            assert_eq!(PublicKey::new(wrong), Err(Rule::Length { min: 97, max: 97 }));
        }
        // Coordinates at or above the field's prime are not canonical.
        let mut above_prime = [0xff; 97];
        above_prime[0] = 4;
        assert_eq!(PublicKey::new(&above_prime), Err(Rule::NotOnCurve));
    }
}
