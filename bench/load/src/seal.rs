//! Sealing by AWS-LC, several times as fast as the client's, because a phase needs tens of thousands of
//! messages. The client checks the replies.

use crate::Outcome;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P384, PrivateKey, UnparsedPublicKey, agree},
    hmac,
};

/// HPKE's base mode (RFC 9180 §6.1): the encapsulated key and the ciphertext.
pub fn hpke(public: &[u8], info: &[u8], aad: &[u8], plaintext: &[u8]) -> Outcome<(Vec<u8>, Vec<u8>)> {
    let (enc, dh) = encapsulate(public)?;
    let kem = Labeled(b"KEM\x00\x11");
    let eae_prk = kem.extract(&[], b"eae_prk", &dh);
    let shared = kem.expand(&eae_prk, b"shared_secret", &[&enc, public], 48);

    let suite = Labeled(b"HPKE\x00\x11\x00\x02\x00\x02");
    let psk_id_hash = suite.extract(&[], b"psk_id_hash", &[]);
    let info_hash = suite.extract(&[], b"info_hash", info);
    let context = [&[0], &psk_id_hash[..], &info_hash];
    let secret = suite.extract(&shared, b"secret", &[]);
    let key = suite.expand(&secret, b"key", &context, 32);
    let nonce = suite.expand(&secret, b"base_nonce", &context, 12);
    Ok((enc, aes(&key, &nonce, aad, plaintext)?))
}

/// A message for the baseline: HKDF of the shared secret, with the encapsulated key as `info`.
pub fn plain(public: &[u8], aad: &[u8], plaintext: &[u8]) -> Outcome<(Vec<u8>, Vec<u8>)> {
    let (enc, dh) = encapsulate(public)?;
    let secret = block(&block(&[], &[&dh]), &[&enc, &[1]]);
    Ok((enc, aes(&secret[..32], &secret[32..44], aad, plaintext)?))
}

/// A fresh public key, and its shared secret with `public`.
fn encapsulate(public: &[u8]) -> Outcome<(Vec<u8>, Vec<u8>)> {
    let key = PrivateKey::generate(&ECDH_P384)?;
    let dh = agree(&key, UnparsedPublicKey::new(&ECDH_P384, public), aws_lc_rs::error::Unspecified, |dh| {
        Ok(dh.to_vec())
    })?;
    Ok((key.compute_public_key()?.as_ref().to_vec(), dh))
}

/// LabeledExtract and LabeledExpand (RFC 9180 §4), of one block at most.
struct Labeled(&'static [u8]);

impl Labeled {
    const VERSION: &'static [u8] = b"HPKE-v1";

    fn extract(&self, salt: &[u8], label: &[u8], ikm: &[u8]) -> Vec<u8> {
        block(salt, &[Self::VERSION, self.0, label, ikm])
    }

    fn expand(&self, prk: &[u8], label: &[u8], info: &[&[u8]], length: u8) -> Vec<u8> {
        let length_bytes = [0, length];
        let head: [&[u8]; 4] = [&length_bytes, Self::VERSION, self.0, label];
        let info = [&head[..], info, &[&[1]]].concat();
        let mut okm = block(prk, &info);
        okm.truncate(length.into());
        okm
    }
}

fn block(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA384, key));
    parts.iter().for_each(|part| mac.update(part));
    mac.sign().as_ref().to_vec()
}

fn aes(key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Outcome<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?);
    let mut text = plaintext.to_vec();
    key.seal_in_place_append_tag(Nonce::try_assume_unique_for_key(nonce)?, Aad::from(aad), &mut text)?;
    Ok(text)
}
