//! The providers against each other, on the same inputs: they give the same bytes or both refuse.

use super::{seal, sender};
use crate::crypto::{
    PrivateKey as _,
    aws_lc::AwsLcP384,
    suite::{Key, P384Kem},
};
use hpke::{
    Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha384,
    kem::DhP384HkdfSha384 as Portable,
};
use ok2cry_protocol::suite::PublicKey;
use proptest::{array::uniform32, collection::vec, prelude::*};

/// What is done to a message on its way.
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

/// Opens with a key that came out of one provider and went, as its scalar, into `K`.
fn open<K: P384Kem>(
    scalar: &[u8],
    enc: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Option<Vec<u8>> {
    let key = Key::<K>(K::PrivateKey::from_bytes(scalar).ok()?);
    let opened = key.open(&PublicKey::new(enc).ok()?, info, aad, ciphertext)?;
    Some(opened.to_vec())
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_one_seals_both_open_or_both_refuse(
        ikm in vec(any::<u8>(), 48),
        ephemeral in vec(any::<u8>(), 48),
        info in vec(any::<u8>(), 0..100),
        aad in vec(any::<u8>(), 0..100),
        plaintext in vec(any::<u8>(), 0..300),
        context in vec(any::<u8>(), 0..100),
        change in change(),
    ) {
        let (private, public) = Portable::derive_keypair(&ikm);
        let (private, public) = (private.to_bytes(), public.to_bytes());
        let ours = AwsLcP384::derive_keypair(&ikm);
        prop_assert_eq!((ours.0.to_bytes(), ours.1.to_bytes()), (private, public));

        let stock = <Portable as Kem>::PublicKey::from_bytes(&public).unwrap();
        let (enc, sealed) = seal::<Portable>(&stock, &ephemeral, &info, &aad, &plaintext);
        prop_assert_eq!(&seal::<AwsLcP384>(&ours.1, &ephemeral, &info, &aad, &plaintext), &(enc.clone(), sealed.clone()));

        let (mut sent_enc, mut sent, mut sent_aad, mut sent_info) = (enc.clone(), sealed, aad, info.clone());
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
            Change::OtherEnc(ikm) => sent_enc = Portable::derive_keypair(&ikm).1.to_bytes().to_vec(),
            Change::OwnKey => sent_enc = public.to_vec(),
        }
        let expected = genuine.then_some(plaintext);
        prop_assert_eq!(&open::<Portable>(&private, &sent_enc, &sent_info, &sent_aad, &sent), &expected);
        prop_assert_eq!(&open::<AwsLcP384>(&private, &sent_enc, &sent_info, &sent_aad, &sent), &expected);

        let exported = export::<Portable>(&private, &enc, &info, &context);
        prop_assert_eq!(&export::<AwsLcP384>(&private, &enc, &info, &context), &exported);
        let mut sent = vec![0; 44];
        sender::<AwsLcP384>(&ours.1, &ephemeral, &info).1.export(&context, &mut sent).unwrap();
        prop_assert_eq!(&sent, &exported);
    }

    #[test]
    fn a_generated_key_is_the_same_key_to_the_other(plaintext in vec(any::<u8>(), 0..50)) {
        fn one_way<From: P384Kem, To: P384Kem>(plaintext: &[u8]) -> Option<Vec<u8>> {
            let (private, public) = From::generate()?;
            let to_public = To::PublicKey::from_bytes(&public.to_bytes()).ok()?;
            let (enc, sealed) = seal::<To>(&to_public, &[3; 48], b"info", b"aad", plaintext);
            assert_eq!(open::<From>(&private.to_bytes(), &enc, b"info", b"aad", &sealed).as_deref(), Some(plaintext));
            open::<To>(&private.to_bytes(), &enc, b"info", b"aad", &sealed)
        }
        let expected = Some(plaintext.clone());
        prop_assert_eq!(one_way::<AwsLcP384, Portable>(&plaintext), expected.clone());
        prop_assert_eq!(one_way::<Portable, AwsLcP384>(&plaintext), expected);
    }

    /// Points, broken points, and bytes of the right shape.
    #[test]
    fn both_take_the_same_bytes_for_points(
        ikm in vec(any::<u8>(), 48),
        tag in prop_oneof![Just(4_u8), any::<u8>()],
        at in 0_usize..97,
        with in prop_oneof![Just(0_u8), any::<u8>()],
        length in prop_oneof![3 => Just(97_usize), 1 => 0_usize..120],
        random in proptest::option::of(vec(any::<u8>(), 96)),
    ) {
        let mut bytes = Portable::derive_keypair(&ikm).1.to_bytes().to_vec();
        if let Some(random) = random {
            bytes[1..].copy_from_slice(&random);
        }
        bytes[0] = tag;
        bytes[at] ^= with;
        bytes.resize(length, 0);
        let stock = <Portable as Kem>::EncappedKey::from_bytes(&bytes);
        let ours = <AwsLcP384 as Kem>::EncappedKey::from_bytes(&bytes);
        prop_assert_eq!(stock.is_ok(), ours.is_ok());
        prop_assert_eq!(stock.is_ok(), PublicKey::new(&bytes).is_ok());
        prop_assert_eq!(stock.err(), ours.err());
    }

    /// Scalars of any size, most of them near the group's order.
    #[test]
    fn both_take_the_same_bytes_for_scalars(
        high in prop_oneof![Just([0xff_u8; 24]), Just([0; 24])],
        low in prop_oneof![Just(super::hex(super::ORDER)[24..].to_vec()), Just(vec![0; 24]), vec(any::<u8>(), 24)],
        last in any::<u8>(),
        length in prop_oneof![3 => Just(48_usize), 1 => 0_usize..60],
    ) {
        let mut bytes = [&high[..], &low].concat();
        bytes[47] = last;
        bytes.resize(length, 1);
        let stock = <Portable as Kem>::PrivateKey::from_bytes(&bytes);
        let ours = <AwsLcP384 as Kem>::PrivateKey::from_bytes(&bytes);
        prop_assert_eq!(stock.as_ref().err(), ours.as_ref().err());
        if let (Ok(stock), Ok(ours)) = (stock, ours) {
            prop_assert_eq!(stock.to_bytes(), ours.to_bytes());
            prop_assert_eq!(Portable::sk_to_pk(&stock).to_bytes(), AwsLcP384::sk_to_pk(&ours).to_bytes());
        }
    }
}

#[test]
fn an_authenticated_sender_is_refused() {
    let (private, public) = AwsLcP384::derive_keypair(&[1; 48]);
    let identity = AwsLcP384::derive_keypair(&[2; 48]);
    let (enc, _) = sender::<AwsLcP384>(&public, &[3; 48], b"info");
    let enc = <AwsLcP384 as Kem>::EncappedKey::from_bytes(&enc).unwrap();
    let receiver = hpke::setup_receiver::<AesGcm256, HkdfSha384, AwsLcP384>(
        &OpModeR::Auth(identity.1.clone()),
        &private,
        &enc,
        b"info",
    );
    assert_eq!(receiver.err(), Some(HpkeError::DecapError));
    let sender =
        hpke::setup_sender::<AesGcm256, HkdfSha384, AwsLcP384>(&OpModeS::Auth(identity), &public, b"info");
    assert_eq!(sender.err(), Some(HpkeError::EncapError));
}
