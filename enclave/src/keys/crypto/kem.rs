//! DHKEM(P-384, HKDF-SHA384) (RFC 9180 §4.1) for the `hpke` crate, over a provider's arithmetic.
//!
//! The KEM of `hpke` itself computes the public half of a key again for every message that it opens. Here the
//! caller passes the public half, which the key's descriptor has. Some items of the trait are hidden from
//! `hpke`'s documentation, hence the exact version in `Cargo.toml`. Only base mode is here: an authenticated
//! sender is refused.

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
use std::{
    alloc::{Layout, handle_alloc_error},
    fmt::Debug,
    marker::PhantomData,
    sync::Arc,
};
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

/// Arithmetic on P-384.
pub(super) trait Curve: Clone + Debug + Eq + Send + Sync + 'static {
    /// A private key, overwritten when it is dropped.
    type Private: Send + Sync;

    /// Makes a key. `None` if the random generator fails or memory is out.
    fn generate() -> Option<Self::Private>;

    /// The key of a big-endian scalar. `None` unless the scalar is at least 1 and below the group's order.
    fn of_scalar(scalar: &[u8; 48]) -> Option<Self::Private>;

    /// The scalar. `None` if memory is out.
    fn scalar(private: &Self::Private) -> Option<Zeroizing<[u8; 48]>>;

    /// The public key. `None` if memory is out.
    fn public(private: &Self::Private) -> Option<Point>;

    /// Whether the bytes are a point of the curve, and not the identity.
    fn is_point(point: &Point) -> bool;

    /// Calls `then` with `DH(private, public)`, the x-coordinate of 48 bytes, and overwrites it afterwards.
    fn agree<T>(
        private: &Self::Private,
        public: &Point,
        then: impl FnOnce(&[u8]) -> Result<T, HpkeError>,
    ) -> Result<T, HpkeError>;
}

/// An uncompressed point (SEC 1 §2.3.3).
pub(super) type Point = [u8; 97];

/// The KEM.
pub(super) struct Dhkem<C>(PhantomData<C>);

/// "KEM" and the KEM's number: the `suite_id` of its HKDF (RFC 9180 §4.1).
const SUITE_ID: [u8; 5] = *b"KEM\x00\x11";

impl<C: Curve> Kem for Dhkem<C> {
    type PublicKey = KemPublicKey<C>;
    type PrivateKey = KemPrivateKey<C>;
    type EncappedKey = KemPublicKey<C>;
    type NSecret = U48;

    const KEM_ID: u16 = 0x0011;

    fn sk_to_pk(sk: &KemPrivateKey<C>) -> KemPublicKey<C> {
        sk.public.clone()
    }

    fn derive_keypair(ikm: &[u8]) -> (KemPrivateKey<C>, KemPublicKey<C>) {
        or_abort(derive_keypair(ikm))
    }

    fn decap(
        sk_recip: &KemPrivateKey<C>,
        pk_sender_id: Option<&KemPublicKey<C>>,
        encapped_key: &KemPublicKey<C>,
    ) -> Result<SharedSecret<Self>, HpkeError> {
        if pk_sender_id.is_some() {
            return Err(HpkeError::DecapError);
        }
        let KemPrivateKey { private, public } = sk_recip;
        let secret = C::agree(&private.0, &encapped_key.0, |dh| extract_and_expand(dh, encapped_key, public));
        secret.map_err(|_| HpkeError::DecapError)
    }

    fn encap_with_rng(
        pk_recip: &KemPublicKey<C>,
        sender_id_keypair: Option<(&KemPrivateKey<C>, &KemPublicKey<C>)>,
        csprng: &mut impl CryptoRng,
    ) -> Result<(SharedSecret<Self>, KemPublicKey<C>), HpkeError> {
        if sender_id_keypair.is_some() {
            return Err(HpkeError::EncapError);
        }
        let (sk_eph, enc) = Self::gen_keypair_with_rng(csprng);
        let secret = C::agree(&sk_eph.private.0, &pk_recip.0, |dh| extract_and_expand(dh, &enc, pk_recip));
        Ok((secret.map_err(|_| HpkeError::EncapError)?, enc))
    }
}

/// `ExtractAndExpand(dh, concat(enc, pkRm))` (RFC 9180 §4.1).
fn extract_and_expand<C: Curve>(
    dh: &[u8],
    enc: &KemPublicKey<C>,
    pk_recip: &KemPublicKey<C>,
) -> Result<SharedSecret<Dhkem<C>>, HpkeError> {
    let kem_context = [enc.0, pk_recip.0];
    let mut secret = SharedSecret::default();
    HkdfSha384::extract_and_expand(dh, &SUITE_ID, kem_context.as_flattened(), &mut secret.0)?;
    Ok(secret)
}

/// `DeriveKeyPair(ikm)` (RFC 9180 §7.1.3); P-384's `bitmask` is 0xff. `None` after 256 invalid candidates,
/// which is practically impossible.
fn derive_keypair<C: Curve>(ikm: &[u8]) -> Option<(KemPrivateKey<C>, KemPublicKey<C>)> {
    (0..=u8::MAX).find_map(|counter| {
        let mut candidate: Array<u8, U48> = HkdfSha384::derive_nistp_sk_eph_bytes(&SUITE_ID, ikm, counter);
        let private = KemPrivateKey::from_bytes(&candidate);
        candidate.zeroize();
        let private = private.ok()?;
        let public = private.public.clone();
        Some((private, public))
    })
}

/// A private key as the store keeps it.
pub(super) struct StoredKey<C: Curve>(pub(super) C::Private);

/// A private key with its public half, as `hpke` uses it. Clones share the private key.
pub(super) struct KemPrivateKey<C: Curve> {
    private: Arc<StoredKey<C>>,
    public: KemPublicKey<C>,
}

impl<C: Curve> KemPrivateKey<C> {
    /// A key and its public half. With the public half of another key, no message opens.
    pub(super) fn new(private: Arc<StoredKey<C>>, public: Point) -> Self {
        Self { private, public: KemPublicKey(public, PhantomData) }
    }

    fn scalar(&self) -> Zeroizing<[u8; 48]> {
        or_abort(C::scalar(&self.private.0))
    }
}

// `hpke` requires these traits. Nothing here clones, writes or compares private keys.

impl<C: Curve> Clone for KemPrivateKey<C> {
    fn clone(&self) -> Self {
        Self { private: Arc::clone(&self.private), public: self.public.clone() }
    }
}

impl<C: Curve> ConstantTimeEq for KemPrivateKey<C> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.scalar().as_slice().ct_eq(other.scalar().as_slice())
    }
}

impl<C: Curve> Serializable for KemPrivateKey<C> {
    type OutputSize = U48;

    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(self.scalar().as_slice());
    }
}

impl<C: Curve> Deserializable for KemPrivateKey<C> {
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        let private = C::of_scalar(of_length(encoded)?).ok_or(HpkeError::ValidationError)?;
        let public = or_abort(C::public(&private));
        Ok(Self::new(Arc::new(StoredKey(private)), public))
    }
}

/// An uncompressed point, known to be on the curve and not the identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KemPublicKey<C>(Point, PhantomData<C>);

impl<C: Curve> Serializable for KemPublicKey<C> {
    type OutputSize = U97;

    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(&self.0);
    }
}

impl<C: Curve> Deserializable for KemPublicKey<C> {
    /// Takes uncompressed points only. Libraries also take compressed, hybrid and compact ones, which the
    /// length and the first byte exclude.
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        let point: &Point = of_length(encoded)?;
        if point.first() != Some(&4) || !C::is_point(point) {
            return Err(HpkeError::ValidationError);
        }
        Ok(Self(*point, PhantomData))
    }
}

fn of_length<const N: usize>(encoded: &[u8]) -> Result<&[u8; N], HpkeError> {
    encoded.try_into().map_err(|_| HpkeError::IncorrectInputLength(N, encoded.len()))
}

/// For traits that cannot fail. Libraries fail here only if memory is out, which aborts as Rust's own
/// allocations do.
fn or_abort<T>(made: Option<T>) -> T {
    made.unwrap_or_else(|| handle_alloc_error(Layout::new::<T>()))
}
