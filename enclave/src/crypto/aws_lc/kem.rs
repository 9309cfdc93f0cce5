//! DHKEM(P-384, HKDF-SHA384) (RFC 9180 §4.1) as the `hpke` crate wants it, on aws-lc-rs.
//!
//! Some of the trait's items are hidden from `hpke`'s documentation, hence its exact version in `Cargo.toml`. Only what
//! base mode needs is here: an authenticated sender is refused.

use crate::crypto::suite::P384Kem;
use aws_lc_rs::{
    agreement::{self, ECDH_P384, ParsedPublicKey, UnparsedPublicKey, agree},
    encoding::{AsBigEndian, EcPrivateKeyBin},
};
use hpke::{
    Deserializable, HpkeError, Kem, Serializable,
    hybrid_array::{
        Array,
        typenum::{U48, U97},
    },
    kdf::{HkdfSha384, Kdf},
    kem::SharedSecret,
    rand_core::CryptoRng,
};
use std::alloc::{Layout, handle_alloc_error};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

/// The KEM.
pub(in crate::crypto) struct AwsLcP384;

/// "KEM" and the KEM's number, which separate its HKDF from every other (RFC 9180 §4.1).
const SUITE_ID: [u8; 5] = *b"KEM\x00\x11";

impl P384Kem for AwsLcP384 {
    fn generate() -> Option<(PrivateKey, PublicKey)> {
        let private = PrivateKey(agreement::PrivateKey::generate(&ECDH_P384).ok()?);
        let public = private.public_key()?;
        Some((private, public))
    }
}

impl Kem for AwsLcP384 {
    type PublicKey = PublicKey;
    type PrivateKey = PrivateKey;
    type EncappedKey = PublicKey;
    type NSecret = U48;

    const KEM_ID: u16 = 0x0011;

    fn sk_to_pk(sk: &PrivateKey) -> PublicKey {
        or_abort(sk.public_key())
    }

    fn derive_keypair(ikm: &[u8]) -> (PrivateKey, PublicKey) {
        or_abort(derive_keypair(ikm))
    }

    fn decap(
        sk_recip: &PrivateKey,
        pk_sender_id: Option<&PublicKey>,
        encapped_key: &PublicKey,
    ) -> Result<SharedSecret<Self>, HpkeError> {
        if pk_sender_id.is_some() {
            return Err(HpkeError::DecapError);
        }
        let pk_recip = sk_recip.public_key().ok_or(HpkeError::DecapError)?;
        dh(sk_recip, encapped_key, |dh| extract_and_expand(dh, encapped_key, &pk_recip))
            .map_err(|_| HpkeError::DecapError)
    }

    fn encap_with_rng(
        pk_recip: &PublicKey,
        sender_id_keypair: Option<(&PrivateKey, &PublicKey)>,
        csprng: &mut impl CryptoRng,
    ) -> Result<(SharedSecret<Self>, PublicKey), HpkeError> {
        if sender_id_keypair.is_some() {
            return Err(HpkeError::EncapError);
        }
        let (sk_eph, enc) = Self::gen_keypair_with_rng(csprng);
        let secret = dh(&sk_eph, pk_recip, |dh| extract_and_expand(dh, &enc, pk_recip))
            .map_err(|_| HpkeError::EncapError)?;
        Ok((secret, enc))
    }
}

/// `DH(sk, pk)`: the x-coordinate, 48 bytes, lent to `then` and overwritten after it.
fn dh<T>(
    sk: &PrivateKey,
    pk: &PublicKey,
    then: impl FnOnce(&[u8]) -> Result<T, HpkeError>,
) -> Result<T, HpkeError> {
    agree(&sk.0, UnparsedPublicKey::new(&ECDH_P384, pk.0), HpkeError::ValidationError, then)
}

/// `ExtractAndExpand(dh, concat(enc, pkRm))` (RFC 9180 §4.1).
fn extract_and_expand(
    dh: &[u8],
    enc: &PublicKey,
    pk_recip: &PublicKey,
) -> Result<SharedSecret<AwsLcP384>, HpkeError> {
    let kem_context = [enc.0, pk_recip.0];
    let mut secret = SharedSecret::default();
    HkdfSha384::extract_and_expand(dh, &SUITE_ID, kem_context.as_flattened(), &mut secret.0)?;
    Ok(secret)
}

/// `DeriveKeyPair(ikm)` (RFC 9180 §7.1.3); P-384's `bitmask` is 0xff. `None` after 256 candidates, which nobody will
/// see.
fn derive_keypair(ikm: &[u8]) -> Option<(PrivateKey, PublicKey)> {
    (0..=u8::MAX).find_map(|counter| {
        let mut candidate: Array<u8, U48> = HkdfSha384::derive_nistp_sk_eph_bytes(&SUITE_ID, ikm, counter);
        let private = PrivateKey::from_bytes(&candidate);
        candidate.zeroize();
        let private = private.ok()?;
        let public = private.public_key()?;
        Some((private, public))
    })
}

/// An object of AWS-LC, which holds the public key beside the private one and overwrites both when it is freed.
pub(in crate::crypto) struct PrivateKey(agreement::PrivateKey);

impl PrivateKey {
    /// The public key, which is there already and only written out. Fails if memory is out.
    fn public_key(&self) -> Option<PublicKey> {
        // aws-lc-rs' public key holds a reference to the private one and keeps it alive: only its bytes leave.
        let public = self.0.compute_public_key().ok()?;
        public.as_ref().try_into().ok().map(PublicKey)
    }

    /// The scalar, 48 bytes big-endian. Fails if memory is out.
    fn scalar(&self) -> Option<EcPrivateKeyBin<'static>> {
        self.0.as_be_bytes().ok()
    }
}

// `hpke` asks for these; nothing here clones, writes or compares private keys.

impl Clone for PrivateKey {
    fn clone(&self) -> Self {
        or_abort(self.scalar().and_then(|scalar| Self::from_bytes(scalar.as_ref()).ok()))
    }
}

impl ConstantTimeEq for PrivateKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        or_abort(self.scalar()).as_ref().ct_eq(or_abort(other.scalar()).as_ref())
    }
}

impl Serializable for PrivateKey {
    type OutputSize = U48;

    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(or_abort(self.scalar()).as_ref());
    }
}

impl Deserializable for PrivateKey {
    /// Takes a scalar between 1 and the group's order, which AWS-LC checks.
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        check_length(encoded, 48)?;
        let key = agreement::PrivateKey::from_private_key(&ECDH_P384, encoded);
        key.map(Self).map_err(|_| HpkeError::ValidationError)
    }
}

/// An uncompressed point, known to be on the curve and not the identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::crypto) struct PublicKey([u8; 97]);

impl Serializable for PublicKey {
    type OutputSize = U97;

    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(&self.0);
    }
}

impl Deserializable for PublicKey {
    /// AWS-LC would take compressed and hybrid points too (SEC 1 §2.3.3): the length and the first byte leave
    /// uncompressed ones, and AWS-LC checks that they are points.
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        check_length(encoded, 97)?;
        let bytes: [u8; 97] = encoded.try_into().map_err(|_| HpkeError::ValidationError)?;
        if bytes.first() != Some(&4)
            || ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P384, bytes)).is_err()
        {
            return Err(HpkeError::ValidationError);
        }
        Ok(Self(bytes))
    }
}

fn check_length(encoded: &[u8], expected: usize) -> Result<(), HpkeError> {
    if encoded.len() == expected {
        Ok(())
    } else {
        Err(HpkeError::IncorrectInputLength(expected, encoded.len()))
    }
}

/// For traits that cannot fail, where AWS-LC fails if memory is out and only then: it ends as Rust's own
/// allocations do.
fn or_abort<T>(made: Option<T>) -> T {
    made.unwrap_or_else(|| handle_alloc_error(Layout::new::<T>()))
}
