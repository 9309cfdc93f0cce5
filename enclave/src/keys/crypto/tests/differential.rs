//! The KEM of every provider against that of the `hpke` crate, on the same inputs: same bytes, or both
//! refuse.

use super::{P384Kem, Reference, seal, sender};
use hpke::{
    Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha384,
};
use ok2cry_protocol::suite::PublicKey;
use proptest::{array::uniform32, collection::vec, prelude::*};

impl P384Kem for Reference {
    fn generate() -> Option<(Self::PrivateKey, Self::PublicKey)> {
        Some(Self::gen_keypair())
    }
}

/// Runs a check that is generic over the KEM under every provider.
macro_rules! with_each_provider {
    ($check:ident($($argument:expr),*)) => {
        $check::<crate::keys::crypto::kem::Dhkem<crate::keys::crypto::portable::Portable>>($($argument),*)?;
        #[cfg(feature = "aws-lc")]
        $check::<crate::keys::crypto::kem::Dhkem<crate::keys::crypto::aws_lc::AwsLc>>($($argument),*)?;
    };
}

fn encoded(of: &impl Serializable) -> Vec<u8> {
    of.to_bytes().to_vec()
}

type Checked = Result<(), TestCaseError>;

/// How a message is changed between seal and open.
#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Ciphertext(usize, u8),
    Cut(usize),
    Aad,
    Info,
    /// The encapsulated key of another message.
    OtherEnc([u8; 32]),
    /// The recipient's own public key as encapsulated key.
    OwnKey,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => Just(Change::Nothing),
        2 => (any::<usize>(), 1..=u8::MAX).prop_map(|(at, with)| Change::Ciphertext(at, with)),
        1 => any::<usize>().prop_map(Change::Cut),
        1 => Just(Change::Aad),
        1 => Just(Change::Info),
        1 => uniform32(any::<u8>()).prop_map(Change::OtherEnc),
        1 => Just(Change::OwnKey),
    ]
}

/// Opens with a key that is imported into `K` by its scalar.
fn open<K: P384Kem>(
    scalar: &[u8],
    enc: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Option<Vec<u8>> {
    super::open::<K>(&K::PrivateKey::from_bytes(scalar).ok()?, enc, info, aad, ciphertext)
}

fn export<K: P384Kem>(scalar: &[u8], enc: &[u8], info: &[u8], context: &[u8]) -> Vec<u8> {
    let key = K::PrivateKey::from_bytes(scalar).ok().unwrap();
    let enc = K::EncappedKey::from_bytes(enc).ok().unwrap();
    let receiver =
        hpke::setup_receiver::<AesGcm256, HkdfSha384, K>(&OpModeR::Base, &key, &enc, info).unwrap();
    let mut exported = vec![0; 44];
    receiver.export(context, &mut exported).unwrap();
    exported
}

/// What is sealed, to which key, and how it is changed.
#[derive(Clone, Debug)]
struct Message {
    ikm: Vec<u8>,
    ephemeral: Vec<u8>,
    info: Vec<u8>,
    aad: Vec<u8>,
    plaintext: Vec<u8>,
    exported: Vec<u8>,
    change: Change,
}

fn message() -> impl Strategy<Value = Message> {
    let bytes = |most: usize| vec(any::<u8>(), 0..most);
    let secret = || vec(any::<u8>(), 48);
    (secret(), secret(), bytes(100), bytes(100), bytes(300), bytes(100), change()).prop_map(
        |(ikm, ephemeral, info, aad, plaintext, exported, change)| Message {
            ikm,
            ephemeral,
            info,
            aad,
            plaintext,
            exported,
            change,
        },
    )
}

fn both_open_a_message_or_both_refuse_it<K: P384Kem>(message: &Message) -> Checked {
    let Message { ikm, ephemeral, info, aad, plaintext, exported, change } = message;
    let (private, public) = Reference::derive_keypair(ikm);
    let ours = K::derive_keypair(ikm);
    prop_assert_eq!(encoded(&ours.0), encoded(&private));
    prop_assert_eq!(encoded(&ours.1), encoded(&public));
    let (private, public) = (private.to_bytes(), public.to_bytes());

    let theirs = <Reference as Kem>::PublicKey::from_bytes(&public).unwrap();
    let (enc, sealed) = seal::<Reference>(&theirs, ephemeral, info, aad, plaintext);
    prop_assert_eq!(&seal::<K>(&ours.1, ephemeral, info, aad, plaintext), &(enc.clone(), sealed.clone()));

    let (mut sent_enc, mut sent, mut sent_aad, mut sent_info) =
        (enc.clone(), sealed, aad.clone(), info.clone());
    let mut genuine = false;
    match change {
        Change::Nothing => genuine = true,
        Change::Ciphertext(at, with) => {
            let at = at % sent.len();
            sent[at] ^= with;
        }
        Change::Cut(at) => sent.truncate(at % sent.len()),
        Change::Aad => sent_aad.push(0),
        Change::Info => sent_info.push(0),
        Change::OtherEnc(ikm) => sent_enc = Reference::derive_keypair(ikm).1.to_bytes().to_vec(),
        Change::OwnKey => sent_enc = public.to_vec(),
    }
    let expected = genuine.then(|| plaintext.clone());
    prop_assert_eq!(&open::<Reference>(&private, &sent_enc, &sent_info, &sent_aad, &sent), &expected);
    prop_assert_eq!(&open::<K>(&private, &sent_enc, &sent_info, &sent_aad, &sent), &expected);

    let secret = export::<Reference>(&private, &enc, info, exported);
    prop_assert_eq!(&export::<K>(&private, &enc, info, exported), &secret);
    let mut sent = vec![0; 44];
    sender::<K>(&ours.1, ephemeral, info).1.export(exported, &mut sent).unwrap();
    prop_assert_eq!(&sent, &secret);
    Ok(())
}

fn a_generated_key_works_under_the_other<K: P384Kem>(plaintext: &[u8]) -> Checked {
    fn one_way<From: P384Kem, To: P384Kem>(plaintext: &[u8]) -> Option<Vec<u8>> {
        let (private, public) = From::generate()?;
        let to_public = To::PublicKey::from_bytes(&public.to_bytes()).ok()?;
        let (enc, sealed) = seal::<To>(&to_public, &[3; 48], b"info", b"aad", plaintext);
        assert_eq!(
            open::<From>(&private.to_bytes(), &enc, b"info", b"aad", &sealed).as_deref(),
            Some(plaintext)
        );
        open::<To>(&private.to_bytes(), &enc, b"info", b"aad", &sealed)
    }
    prop_assert_eq!(one_way::<K, Reference>(plaintext), Some(plaintext.to_vec()));
    prop_assert_eq!(one_way::<Reference, K>(plaintext), Some(plaintext.to_vec()));
    Ok(())
}

fn both_accept_the_same_points<K: P384Kem>(bytes: &[u8]) -> Checked {
    let theirs = <Reference as Kem>::EncappedKey::from_bytes(bytes);
    let ours = K::EncappedKey::from_bytes(bytes);
    prop_assert_eq!(theirs.is_ok(), PublicKey::new(bytes).is_ok());
    prop_assert_eq!(theirs.err(), ours.err());
    Ok(())
}

fn both_accept_the_same_scalars<K: P384Kem>(bytes: &[u8]) -> Checked {
    let theirs = <Reference as Kem>::PrivateKey::from_bytes(bytes);
    let ours = K::PrivateKey::from_bytes(bytes);
    prop_assert_eq!(theirs.as_ref().err(), ours.as_ref().err());
    if let (Ok(theirs), Ok(ours)) = (theirs, ours) {
        prop_assert_eq!(encoded(&theirs), encoded(&ours));
        prop_assert_eq!(encoded(&Reference::sk_to_pk(&theirs)), encoded(&K::sk_to_pk(&ours)));
    }
    Ok(())
}

fn an_authenticated_sender_is_refused<K: P384Kem>() -> Checked {
    let (private, public) = K::derive_keypair(&[1; 48]);
    let identity = K::derive_keypair(&[2; 48]);
    let (enc, _) = sender::<K>(&public, &[3; 48], b"info");
    let enc = K::EncappedKey::from_bytes(&enc).unwrap();
    let mode = OpModeR::Auth(identity.1.clone());
    let receiver = hpke::setup_receiver::<AesGcm256, HkdfSha384, K>(&mode, &private, &enc, b"info");
    assert_eq!(receiver.err(), Some(HpkeError::DecapError));
    let sender = hpke::setup_sender::<AesGcm256, HkdfSha384, K>(&OpModeS::Auth(identity), &public, b"info");
    assert_eq!(sender.err(), Some(HpkeError::EncapError));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages(message in message()) {
        with_each_provider!(both_open_a_message_or_both_refuse_it(&message));
    }

    #[test]
    fn generated_keys(plaintext in vec(any::<u8>(), 0..50)) {
        with_each_provider!(a_generated_key_works_under_the_other(&plaintext));
    }

    /// Points, broken points, and bytes of the right shape.
    #[test]
    fn points(
        ikm in vec(any::<u8>(), 48),
        tag in prop_oneof![Just(4_u8), any::<u8>()],
        at in 0_usize..97,
        with in prop_oneof![Just(0_u8), any::<u8>()],
        length in prop_oneof![3 => Just(97_usize), 1 => 0_usize..120],
        random in proptest::option::of(vec(any::<u8>(), 96)),
    ) {
        let mut bytes = Reference::derive_keypair(&ikm).1.to_bytes().to_vec();
        if let Some(random) = random {
            bytes[1..].copy_from_slice(&random);
        }
        bytes[0] = tag;
        bytes[at] ^= with;
        bytes.resize(length, 0);
        with_each_provider!(both_accept_the_same_points(&bytes));
    }

    /// Scalars of any size, most of them near the group's order.
    #[test]
    fn scalars(
        high in prop_oneof![Just([0xff_u8; 24]), Just([0; 24])],
        low in prop_oneof![
            Just(super::hex(super::ORDER)[24..].to_vec()),
            Just(vec![0; 24]),
            vec(any::<u8>(), 24),
        ],
        last in any::<u8>(),
        length in prop_oneof![3 => Just(48_usize), 1 => 0_usize..60],
    ) {
        let mut bytes = [&high[..], &low].concat();
        bytes[47] = last;
        bytes.resize(length, 1);
        with_each_provider!(both_accept_the_same_scalars(&bytes));
    }
}

#[test]
fn authenticated_senders() -> Checked {
    with_each_provider!(an_authenticated_sender_is_refused());
    Ok(())
}
