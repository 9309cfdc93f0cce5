//! ECDH on P-384, HKDF-SHA384 and AES-256-GCM: by RustCrypto, or by AWS-LC.
//!
//! Key and nonce are expanded from the shared secret, with the encapsulated key as `info`; each key opens
//! once.

use clap::ValueEnum;

#[derive(Clone, Copy, ValueEnum)]
pub enum Provider {
    P384,
    AwsLcRs,
}

/// 48 bytes.
pub type Scalar = Vec<u8>;
/// An uncompressed point, 97 bytes.
pub type Point = Vec<u8>;

impl Provider {
    pub fn generate(self) -> Option<(Scalar, Point)> {
        match self {
            Self::P384 => rust_crypto::generate(),
            Self::AwsLcRs => aws_lc::generate(),
        }
    }

    pub fn open(self, scalar: &[u8], enc: &[u8], ciphertext: Vec<u8>, aad: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::P384 => rust_crypto::open(scalar, enc, &ciphertext, aad),
            Self::AwsLcRs => aws_lc::open(scalar, enc, ciphertext, aad),
        }
    }
}

const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 12;

mod rust_crypto {
    use super::{KEY_LEN, NONCE_LEN, Point, Scalar};
    use aes_gcm::{
        Aes256Gcm, KeyInit as _,
        aead::{Aead as _, Payload},
    };
    use hkdf::Hkdf;
    use p384::{PublicKey, SecretKey, ecdh::diffie_hellman};
    use sha2::Sha384;

    pub(super) fn generate() -> Option<(Scalar, Point)> {
        let mut scalar = [0; 48];
        getrandom::fill(&mut scalar).ok()?;
        let public = SecretKey::from_slice(&scalar).ok()?.public_key();
        Some((scalar.to_vec(), public.to_sec1_bytes().to_vec()))
    }

    pub(super) fn open(scalar: &[u8], enc: &[u8], ciphertext: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let key = SecretKey::from_slice(scalar).ok()?;
        let peer = PublicKey::from_sec1_bytes(enc).ok()?;
        let shared = diffie_hellman(key.to_nonzero_scalar(), peer.as_affine());
        let mut secret = [0; KEY_LEN + NONCE_LEN];
        Hkdf::<Sha384>::new(None, shared.raw_secret_bytes()).expand(enc, &mut secret).ok()?;
        let (key, nonce) = secret.split_at(KEY_LEN);
        let payload = Payload { msg: ciphertext, aad };
        Aes256Gcm::new_from_slice(key).ok()?.decrypt(nonce.try_into().ok()?, payload).ok()
    }
}

mod aws_lc {
    use super::{KEY_LEN, NONCE_LEN, Point, Scalar};
    use aws_lc_rs::{
        aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
        agreement::{ECDH_P384, PrivateKey, UnparsedPublicKey, agree},
        encoding::{AsBigEndian as _, EcPrivateKeyBin},
        hkdf::{HKDF_SHA384, KeyType, Salt},
    };

    pub(super) fn generate() -> Option<(Scalar, Point)> {
        let key = PrivateKey::generate(&ECDH_P384).ok()?;
        let scalar: EcPrivateKeyBin<'static> = key.as_be_bytes().ok()?;
        Some((scalar.as_ref().to_vec(), key.compute_public_key().ok()?.as_ref().to_vec()))
    }

    pub(super) fn open(scalar: &[u8], enc: &[u8], mut ciphertext: Vec<u8>, aad: &[u8]) -> Option<Vec<u8>> {
        let key = PrivateKey::from_private_key(&ECDH_P384, scalar).ok()?;
        let mut secret = [0; KEY_LEN + NONCE_LEN];
        agree(&key, UnparsedPublicKey::new(&ECDH_P384, enc), (), |shared| {
            let prk = Salt::new(HKDF_SHA384, &[]).extract(shared);
            let expanded = prk.expand(&[enc], Secret).and_then(|okm| okm.fill(&mut secret));
            expanded.map_err(drop)
        })
        .ok()?;
        let (key, nonce) = secret.split_at(KEY_LEN);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = key.open_in_place(nonce, Aad::from(aad), &mut ciphertext).ok()?.len();
        ciphertext.truncate(length);
        Some(ciphertext)
    }

    struct Secret;

    impl KeyType for Secret {
        fn len(&self) -> usize {
            KEY_LEN + NONCE_LEN
        }
    }
}
