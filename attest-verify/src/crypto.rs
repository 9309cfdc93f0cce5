//! The interface to an implementation of ECDSA P-384.
//!
//! Nitro signs with ECDSA on P-384 and SHA-384 only. A provider verifies one signature in one encoding: r and
//! s, 48 bytes each. Certificates carry signatures in DER. [`crate::x509`] decodes them for every provider,
//! so providers cannot differ in the encodings that they accept.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc_rs;
mod p384;

use std::fmt;

use pki_types::InvalidSignature;

use crate::cose::SIGNATURE_LEN;
use crate::x509::POINT_LEN;

/// An implementation of ECDSA P-384 with SHA-384. It decides how fast a verdict is, never which one.
///
/// | provider | feature | what it is |
/// |---|---|---|
/// | [`Provider::p384`] | none: always available, the default | the `p384` crate: portable, pure Rust |
/// | `Provider::aws_lc_rs` | `aws-lc-rs` | AWS-LC: verified arithmetic, four times as fast |
#[derive(Clone, Copy)]
pub struct Provider(&'static dyn Ecdsa);

impl Provider {
    /// The `p384` crate.
    #[must_use]
    pub const fn p384() -> Self {
        Self(&p384::P384)
    }

    /// AWS-LC through the `aws-lc-rs` crate.
    #[cfg(feature = "aws-lc-rs")]
    #[must_use]
    pub const fn aws_lc_rs() -> Self {
        Self(&aws_lc_rs::AwsLcRs)
    }

    /// Every provider of this build, the default first.
    pub fn all() -> impl Iterator<Item = Self> {
        [
            Self::p384(),
            #[cfg(feature = "aws-lc-rs")]
            Self::aws_lc_rs(),
        ]
        .into_iter()
    }

    /// The name of the provider's crate, for reports: `p384` or `aws-lc-rs`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Verifies an ES384 signature (RFC 9053 §2.1) of `message`.
    pub(crate) fn verify(
        self,
        key: &[u8; POINT_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), InvalidSignature> {
        self.0.verify(key, message, signature)
    }

    #[cfg(test)]
    pub(crate) const fn of(ecdsa: &'static dyn Ecdsa) -> Self {
        Self(ecdsa)
    }
}

/// Always [`Provider::p384`]: a feature that another crate in the tree enables does not change the default.
impl Default for Provider {
    fn default() -> Self {
        Self::p384()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.name())
    }
}

/// What a provider implements.
pub(crate) trait Ecdsa: Send + Sync {
    fn name(&self) -> &'static str;

    /// `key` is an uncompressed point; if it is off the curve, no signature is valid. `signature` is r and s;
    /// if one is out of range, the signature is invalid.
    fn verify(
        &self,
        key: &[u8; POINT_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), InvalidSignature>;
}

#[cfg(test)]
mod tests {
    use ::p384::ecdsa::signature::Signer;
    use ::p384::ecdsa::{Signature, SigningKey};
    use ::p384::{NistP384, elliptic_curve::Curve};

    use super::*;

    /// The order of P-384, big-endian.
    fn order() -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes.copy_from_slice(&NistP384::ORDER.to_be_bytes());
        bytes
    }

    /// 48-byte big-endian subtraction, wrapping.
    fn minus(a: &[u8], b: &[u8]) -> [u8; 48] {
        let mut out = [0; 48];
        let mut borrow = 0;
        for index in (0..48).rev() {
            let difference = i16::from(a[index]) - i16::from(b[index]) - borrow;
            borrow = i16::from(difference < 0);
            out[index] = u8::try_from(difference.rem_euclid(256)).unwrap();
        }
        out
    }

    /// The verdict of all providers, which must agree.
    fn verdict(key: &[u8; POINT_LEN], message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        let verdicts: Vec<_> = Provider::all()
            .map(|provider| (provider, provider.verify(key, message, signature).is_ok()))
            .collect();
        assert!(verdicts.windows(2).all(|pair| pair[0].1 == pair[1].1), "{verdicts:?}");
        verdicts[0].1
    }

    fn signed(message: &[u8], seed: u8) -> ([u8; POINT_LEN], [u8; SIGNATURE_LEN]) {
        let key = SigningKey::from_slice(&[seed; 48]).unwrap();
        let signature: Signature = key.sign(message);
        let point = key.verifying_key().to_sec1_point(false);
        (point.as_bytes().try_into().unwrap(), signature.to_bytes().into())
    }

    #[test]
    fn providers_agree_on_the_edges_of_the_range() {
        let (key, good) = signed(b"message", 7);
        assert!(verdict(&key, b"message", &good));
        assert!(!verdict(&key, b"massage", &good));
        let (r, s) = good.split_at(48);
        let n = order();
        let one = {
            let mut one = [0; 48];
            one[47] = 1;
            one
        };
        // ECDSA is malleable, and ES384 allows that: -s is as valid as s.
        assert!(verdict(&key, b"message", &[r, &minus(&n, s)].concat().try_into().unwrap()));
        // r + n equals r modulo n, but r and s must be below n.
        let wrapped = |value: &[u8]| minus(value, &minus(&[0; 48], &n));
        for edge in [[0; 48], one, minus(&n, &one), n, wrapped(&one), [0xff; 48]] {
            for signature in [[r, &edge].concat(), [&edge, s].concat(), [edge, edge].concat()] {
                assert!(!verdict(&key, b"message", &signature.try_into().unwrap()), "{edge:02x?}");
            }
        }
    }

    #[test]
    fn providers_agree_on_invalid_keys() {
        let (key, good) = signed(b"message", 7);
        let with = |change: &dyn Fn(&mut [u8; POINT_LEN])| {
            let mut key = key;
            change(&mut key);
            verdict(&key, b"message", &good)
        };
        assert!(with(&|_| {}));
        // Of the forms with 97 bytes only 4 is uncompressed; 6 and 7 are hybrid.
        for form in (0..=255).filter(|form| *form != 4) {
            assert!(!with(&|key| key[0] = form), "{form}");
        }
        assert!(!with(&|key| key[96] ^= 1), "off the curve");
        assert!(!with(&|key| key[1..].fill(0)), "zero");
        assert!(!with(&|key| key[1..].fill(0xff)), "not below the field's prime");
        assert!(!with(&|key| key[1..49].fill(0xff)), "x not below the field's prime");
    }

    #[test]
    fn providers_agree_on_every_flipped_bit() {
        let (key, good) = signed(b"message", 7);
        for bit in 0..8 * SIGNATURE_LEN {
            let mut signature = good;
            signature[bit / 8] ^= 1 << (bit % 8);
            assert!(!verdict(&key, b"message", &signature), "bit {bit}");
        }
    }

    #[test]
    fn providers_agree_on_messages_of_any_length() {
        for len in [0, 1, 47, 111, 112, 127, 128, 129, 16_384] {
            let message = vec![0x5a; len];
            let (key, good) = signed(&message, 9);
            assert!(verdict(&key, &message, &good), "{len}");
        }
    }
}
