//! The operations that are timed.

use aws_lc_rs::{
    agreement::{self, ECDH_P384, UnparsedPublicKey},
    encoding::{AsBigEndian, EcPrivateKeyBin},
};
use hpke::{
    Deserializable as _, OpModeS, Serializable as _, aead::AesGcm256, kdf::HkdfSha384, kem::DhP384HkdfSha384,
};
use ok2cry_enclave::keys::crypto::{CryptoProvider, HpkeMessage};
use ok2cry_protocol::{reply::Binding, suite::PublicKey};
use p384::{SecretKey, ecdh::diffie_hellman};
use std::{error::Error, hint::black_box, sync::Arc};

pub struct Row {
    pub name: String,
    /// The name of the row that this one is compared with.
    pub baseline: &'static str,
    pub work: Box<dyn FnMut()>,
    pub best_ns: f64,
}

fn row<T>(name: &str, baseline: &'static str, mut work: impl FnMut() -> T + 'static) -> Row {
    let work = Box::new(move || {
        black_box(work());
    });
    Row { name: name.to_owned(), baseline, work, best_ns: f64::MAX }
}

pub fn all() -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = p384_rows()?;
    rows.extend(aws_lc_rows()?);
    for provider in CryptoProvider::ALL {
        rows.extend(provider_rows(*provider)?);
    }
    Ok(rows)
}

fn p384_rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let (ours, theirs) = (p384_key()?, p384_key()?.public_key());
    Ok(vec![
        row("p384: key generation", "p384: key generation", || p384_key().map(|key| key.public_key()).ok()),
        row("p384: ECDH", "p384: ECDH", move || {
            *diffie_hellman(ours.to_nonzero_scalar(), theirs.as_affine()).raw_secret_bytes()
        }),
    ])
}

fn p384_key() -> Result<SecretKey, Box<dyn Error>> {
    let mut scalar = [0; 48];
    getrandom::fill(&mut scalar)?;
    Ok(SecretKey::from_slice(&scalar)?)
}

fn aws_lc_rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let theirs = p384_key()?.public_key().to_sec1_bytes();
    let kept = agreement::PrivateKey::generate(&ECDH_P384)?;
    let written = agreement::PrivateKey::generate(&ECDH_P384)?;
    let scalar: EcPrivateKeyBin<'static> = kept.as_be_bytes()?;
    let ecdh = |key: &agreement::PrivateKey, peer: &[u8]| {
        agreement::agree(key, UnparsedPublicKey::new(&ECDH_P384, peer), (), |dh| {
            black_box(dh);
            Ok(())
        })
    };
    let peer = theirs.clone();
    Ok(vec![
        row("aws-lc-rs: key generation", "p384: key generation", || {
            agreement::PrivateKey::generate(&ECDH_P384).and_then(|key| key.compute_public_key()).ok()
        }),
        row("aws-lc-rs: ECDH, key kept", "p384: ECDH", move || ecdh(&kept, &peer)),
        row("aws-lc-rs: ECDH, scalar imported each time", "p384: ECDH", move || {
            agreement::PrivateKey::from_private_key(&ECDH_P384, scalar.as_ref())
                .map(|key| ecdh(&key, &theirs))
        }),
        row("aws-lc-rs: public key of a kept key", "", move || written.compute_public_key()),
    ])
}

fn provider_rows(provider: CryptoProvider) -> Result<Vec<Row>, Box<dyn Error>> {
    const FAILED: &str = "the provider fails";
    let crypto = provider.provider();
    let (key, public) = crypto.generate().ok_or(FAILED)?;
    let recipient = <DhP384HkdfSha384 as hpke::Kem>::PublicKey::from_bytes(public.as_bytes())?;
    let (enc, ciphertext) = hpke::single_shot_seal::<AesGcm256, HkdfSha384, DhP384HkdfSha384>(
        &OpModeS::Base,
        &recipient,
        b"info",
        b"1234567890123456",
        b"aad",
    )?;
    let enc = PublicKey::new(&enc.to_bytes()).map_err(|_| FAILED)?;
    let message = HpkeMessage { enc: &enc, info: b"info", aad: b"aad", ciphertext: &ciphertext };
    Arc::clone(&key).open(&public, &message).ok_or(FAILED)?;
    let (sender, _) = crypto.setup_sender(&public, b"info").ok_or(FAILED)?;
    let binding = Binding::new(&[1; 48], b"aad", &[2; 48]);
    Ok(vec![
        row(&format!("{provider}: generate"), "portable: generate", || crypto.generate()),
        row(&format!("{provider}: open 16 bytes"), "portable: open 16 bytes", move || {
            let message = HpkeMessage { enc: &enc, info: b"info", aad: b"aad", ciphertext: &ciphertext };
            Arc::clone(&key).open(&public, &message)
        }),
        row(&format!("{provider}: set up a reply context"), "portable: set up a reply context", move || {
            crypto.setup_sender(&public, b"info").map(|(_, enc)| enc)
        }),
        row(&format!("{provider}: a reply's secret"), "portable: a reply's secret", move || {
            sender.reply_secret(&binding)
        }),
    ])
}
