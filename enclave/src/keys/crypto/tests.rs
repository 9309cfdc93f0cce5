//! Tests that run once for each provider: the frozen vectors, and what is refused.

mod differential;
mod vectors;

use super::{
    CryptoProvider, HpkeMessage,
    kem::{Curve, Dhkem, KemPrivateKey, StoredKey},
};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxS, AesGcm256},
    kdf::HkdfSha384,
    kem::DhP384HkdfSha384 as Reference,
    rand_core::{TryCryptoRng, TryRng},
};
use ok2cry_protocol::suite::PublicKey;
use std::{convert::Infallible, sync::Arc};
use subtle::ConstantTimeEq as _;

/// Runs tests that are generic over the KEM once per provider.
macro_rules! for_each_provider {
    ($($test:ident)*) => {
        mod portable {
            $(#[test]
            fn $test() {
                super::$test::<$crate::keys::crypto::kem::Dhkem<$crate::keys::crypto::portable::Portable>>();
            })*
        }

        #[cfg(feature = "aws-lc")]
        mod aws_lc {
            $(#[test]
            fn $test() {
                super::$test::<$crate::keys::crypto::kem::Dhkem<$crate::keys::crypto::aws_lc::AwsLc>>();
            })*
        }
    };
}
use for_each_provider;

for_each_provider! {
    scalars_are_those_of_the_group
    only_uncompressed_points_on_the_curve_are_keys
    keys_differ_and_open_what_is_sealed_to_them
    a_clone_is_the_same_key
}

/// DHKEM(P-384, HKDF-SHA384): the providers', and the one of `hpke`.
trait P384Kem: Kem<PrivateKey: Send + Sync> + Send + Sync + 'static {
    fn generate() -> Option<(Self::PrivateKey, Self::PublicKey)>;
}

impl<C: Curve> P384Kem for Dhkem<C> {
    fn generate() -> Option<(Self::PrivateKey, Self::PublicKey)> {
        let private = C::generate()?;
        let public = C::public(&private)?;
        let private = KemPrivateKey::new(Arc::new(StoredKey(private)), public);
        let public = Self::sk_to_pk(&private);
        Some((private, public))
    }
}

/// The order of P-384's group (SP 800-186 §3.2.1.4).
const ORDER: &str =
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";

fn scalars_are_those_of_the_group<K: P384Kem>() {
    let order = hex(ORDER);
    let with_last = |byte: u8| [&order[..47], &[byte]].concat();
    let one = [&[0; 47][..], &[1]].concat();
    for scalar in [one, with_last(0x72)] {
        let key = K::PrivateKey::from_bytes(&scalar).ok().unwrap();
        assert_eq!(key.to_bytes().as_slice(), scalar);
    }
    for wrong in
        [vec![0; 48], order.clone(), with_last(0x74), vec![0xff; 48], vec![1; 47], vec![1; 49], vec![]]
    {
        assert!(K::PrivateKey::from_bytes(&wrong).is_err(), "{wrong:?}");
    }
}

fn only_uncompressed_points_on_the_curve_are_keys<K: P384Kem>() {
    let (_, public) = K::derive_keypair(&[7; 48]);
    let point = public.to_bytes().to_vec();
    let (x, y) = point[1..].split_at(48);
    let tagged = |tag: u8| [&[tag][..], x, y].concat();
    let parity = 2 + (y[47] & 1);
    let above_prime = [0xff; 48];
    let wrong: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("the identity", vec![0]),
        ("the identity, padded", vec![0; 97]),
        ("zeros", [&[4][..], &[0; 96]].concat()),
        ("compressed", [&[parity][..], x].concat()),
        ("compressed, padded", [&[parity][..], x, &[0; 48]].concat()),
        ("hybrid", tagged(parity + 4)),
        ("compact", tagged(5)),
        ("the other hybrid", tagged(7 - (y[47] & 1))),
        ("without a form", tagged(0)),
        ("cut off", point[..96].to_vec()),
        ("with a byte more", [&point[..], &[0]].concat()),
        ("off the curve", [&point[..96], &[y[47] ^ 1]].concat()),
        ("x above the prime", [&[4][..], &above_prime, y].concat()),
        ("y above the prime", [&[4][..], x, &above_prime].concat()),
        ("SPKI", [&hex("3076301006072a8648ce3d020106052b81040022036200")[..], &point].concat()),
    ];
    assert!(K::PublicKey::from_bytes(&point).is_ok());
    assert!(K::EncappedKey::from_bytes(&point).is_ok());
    for (name, bytes) in wrong {
        assert!(K::PublicKey::from_bytes(&bytes).is_err(), "{name}");
        assert!(K::EncappedKey::from_bytes(&bytes).is_err(), "{name}");
        assert!(
            PublicKey::new(&bytes).is_err(),
            "{name}: the protocol's type accepts what the providers refuse"
        );
    }
}

fn keys_differ_and_open_what_is_sealed_to_them<K: P384Kem>() {
    let (first, first_public) = K::generate().unwrap();
    let (second, second_public) = K::generate().unwrap();
    assert_ne!(first_public.to_bytes(), second_public.to_bytes());
    assert_eq!(K::sk_to_pk(&first).to_bytes(), first_public.to_bytes());

    let (enc, ciphertext) = seal::<K>(&first_public, &[1; 48], b"info", b"aad", b"1234");
    assert_eq!(open::<K>(&first, &enc, b"info", b"aad", &ciphertext).unwrap(), b"1234");
    assert!(open::<K>(&second, &enc, b"info", b"aad", &ciphertext).is_none());
    assert!(open::<K>(&first, &enc, b"other", b"aad", &ciphertext).is_none());
    assert!(open::<K>(&first, &enc, b"info", b"other", &ciphertext).is_none());
    assert!(open::<K>(&first, &enc, b"info", b"aad", &ciphertext[..15]).is_none());
}

fn a_clone_is_the_same_key<K: P384Kem>() {
    let (key, public) = K::derive_keypair(&[7; 48]);
    let other = K::derive_keypair(&[8; 48]).0;
    let clone = key.clone();
    assert!(bool::from(key.ct_eq(&clone)));
    assert!(!bool::from(key.ct_eq(&other)));
    drop(key);
    assert_eq!(K::sk_to_pk(&clone).to_bytes(), public.to_bytes());
}

#[test]
fn providers_are_known_by_their_names() {
    for provider in CryptoProvider::ALL {
        assert_eq!(provider.name().parse(), Ok(*provider));
    }
    let refused = "openssl".parse::<CryptoProvider>().unwrap_err().to_string();
    assert!(refused.contains("\"openssl\"") && refused.contains("portable"), "{refused}");
    assert_eq!(CryptoProvider::default(), CryptoProvider::Portable);
}

#[test]
fn a_key_opens_messages_with_its_own_public_half_only() {
    for provider in CryptoProvider::ALL {
        let generate = || provider.provider().generate().unwrap();
        let ((key, public), (other, other_public)) = (generate(), generate());
        let to = <Reference as Kem>::PublicKey::from_bytes(public.as_bytes()).unwrap();
        let (enc, ciphertext) = seal::<Reference>(&to, &[1; 48], b"info", b"aad", b"1234");
        let enc = PublicKey::new(&enc).unwrap();
        let open = |key: &Arc<dyn super::PrivateKey>, public| {
            let message = HpkeMessage { enc: &enc, info: b"info", aad: b"aad", ciphertext: &ciphertext };
            Arc::clone(key).open(public, &message).map(|opened| opened.to_vec())
        };
        assert_eq!(open(&key, &public).as_deref(), Some(&b"1234"[..]), "{provider}");
        assert_eq!(open(&key, &other_public), None, "{provider}");
        assert_eq!(open(&other, &public), None, "{provider}");
        assert_eq!(open(&other, &other_public), None, "{provider}");
    }
}

#[test]
fn two_contexts_have_different_encapsulated_keys() {
    let recipient = CryptoProvider::default().provider().generate().unwrap().1;
    for provider in CryptoProvider::ALL {
        let (_, first) = provider.provider().setup_sender(&recipient, b"info").unwrap();
        let (_, second) = provider.provider().setup_sender(&recipient, b"info").unwrap();
        assert_ne!(first, second, "{provider}");
    }
}

/// Sets up a sender whose ephemeral key is `DeriveKeyPair(ikm)`.
fn sender<K: P384Kem>(
    public: &K::PublicKey,
    ikm: &[u8],
    info: &[u8],
) -> (Vec<u8>, AeadCtxS<AesGcm256, HkdfSha384, K>) {
    let (enc, context) =
        hpke::setup_sender_with_rng::<_, _, K>(&OpModeS::Base, public, info, &mut Fixed(ikm)).unwrap();
    (enc.to_bytes().to_vec(), context)
}

fn open<K: P384Kem>(
    key: &K::PrivateKey,
    enc: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Option<Vec<u8>> {
    let enc = K::EncappedKey::from_bytes(enc).ok()?;
    hpke::single_shot_open::<AesGcm256, HkdfSha384, K>(&OpModeR::Base, key, &enc, info, ciphertext, aad).ok()
}

fn seal<K: P384Kem>(
    public: &K::PublicKey,
    ikm: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let (enc, mut context) = sender::<K>(public, ikm, info);
    (enc, context.seal(plaintext, aad).unwrap())
}

/// A generator that repeats one byte string, which `hpke` uses as the `ikm` of the ephemeral key.
struct Fixed<'a>(&'a [u8]);

impl TryRng for Fixed<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word).map(|()| u32::from_be_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word).map(|()| u64::from_be_bytes(word))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.iter_mut().zip(self.0.iter().cycle()).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

impl TryCryptoRng for Fixed<'_> {}

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && text.is_ascii());
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}
