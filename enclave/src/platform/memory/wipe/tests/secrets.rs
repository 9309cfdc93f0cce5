//! Every secret of a message and a reply, computed from RFC 9180 without any code of the enclave.

use super::arithmetic::{ORDER, PRIME, in_memory, limbs, montgomery};
use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use hkdf::Hkdf;
use ok2cry_protocol::{
    Encoded,
    descriptor::KeyDescriptor,
    ids::InstanceId,
    reply::{Reply, ReplyContext},
    suite::{PublicKey, reply_info, seal_info},
};
use p384::elliptic_curve::{Generate as _, sec1::ToSec1Point as _};
use sha2::Sha384;
use std::collections::BTreeSet;

/// Byte strings to search for, by name.
#[derive(Default)]
pub(super) struct Needles(Vec<(String, Vec<u8>)>);

/// A recipient of replies.
pub(super) struct Recipient {
    scalar: [u8; 48],
    pub(super) public: PublicKey,
}

/// A Diffie-Hellman agreement of HPKE.
struct Agreement<'a> {
    dh: [u8; 48],
    enc: &'a PublicKey,
    recipient: &'a PublicKey,
}

/// The outputs of an HPKE key schedule.
struct Schedule {
    key: Vec<u8>,
    base_nonce: Vec<u8>,
    exporter_secret: Vec<u8>,
}

impl Needles {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn scalar(&mut self, name: &str, scalar: &[u8; 48]) {
        self.number(name, scalar, &ORDER);
    }

    /// The names of needles in `memory`.
    pub(super) fn found_in(&self, memory: &[u8]) -> BTreeSet<String> {
        let found = self.0.iter().filter(|(_, needle)| memchr::memmem::find(memory, needle).is_some());
        found.map(|(name, _)| name.clone()).collect()
    }

    /// The names of secrets of which no form is in `memory`.
    pub(super) fn missing_in(&self, memory: &[u8]) -> BTreeSet<String> {
        let secret = |name: &str| name.split(", ").next().unwrap_or_default().to_owned();
        let found: BTreeSet<_> = self.found_in(memory).iter().map(|name| secret(name)).collect();
        self.0.iter().map(|(name, _)| secret(name)).filter(|name| !found.contains(name)).collect()
    }

    /// Seals to the key with this scalar, and adds every secret that the enclave derives when it opens the
    /// message.
    pub(super) fn seal(
        &mut self,
        scalar: &[u8; 48],
        key: &Encoded<KeyDescriptor>,
        aad: &[u8],
    ) -> (PublicKey, Vec<u8>) {
        // Random, and too long to occur by chance.
        let mut plaintext = b"the PIN of a card: ".to_vec();
        plaintext.extend(random());
        let ephemeral = Recipient::new();
        let dh = shared_point(scalar, &ephemeral.public);
        let info = seal_info(key.hash());
        let agreement = Agreement { dh, enc: &ephemeral.public, recipient: &key.public_key };
        let schedule = self.schedule("a message", &agreement, &info);
        let cipher = Aes256Gcm::new_from_slice(&schedule.key).unwrap();
        let nonce = Nonce::try_from(schedule.base_nonce.as_slice()).unwrap();
        let ciphertext = cipher.encrypt(&nonce, Payload { msg: &plaintext, aad }).unwrap();
        self.bytes("the plaintext", plaintext);
        (ephemeral.public, ciphertext)
    }

    fn schedule(&mut self, of: &str, agreement: &Agreement<'_>, info: &[u8]) -> Schedule {
        let Agreement { dh, enc, recipient } = agreement;
        // RFC 9180 §4.1.
        let kem = b"KEM\x00\x11";
        let eae_prk = extract(kem, b"", b"eae_prk", dh);
        let kem_context = [*enc.as_bytes(), *recipient.as_bytes()].concat();
        let shared_secret = expand(kem, &eae_prk, b"shared_secret", &kem_context, 48);
        // RFC 9180 §5.1, base mode.
        let hpke = b"HPKE\x00\x11\x00\x02\x00\x02";
        let psk_id_hash = extract(hpke, b"", b"psk_id_hash", b"");
        let info_hash = extract(hpke, b"", b"info_hash", info);
        let context = [&[0][..], &psk_id_hash, &info_hash].concat();
        let secret = extract(hpke, &shared_secret, b"secret", b"");
        let schedule = Schedule {
            key: expand(hpke, &secret, b"key", &context, 32),
            base_nonce: expand(hpke, &secret, b"base_nonce", &context, 12),
            exporter_secret: expand(hpke, &secret, b"exp", &context, 48),
        };
        self.number(&format!("the shared secret of {of}: DH"), dh, &PRIME);
        self.bytes(&format!("the shared secret of {of}: eae_prk"), eae_prk);
        self.bytes(&format!("the shared secret of {of}: KEM"), shared_secret);
        self.bytes(&format!("the shared secret of {of}: key schedule"), secret);
        self.bytes(&format!("the secret of {of}: key"), schedule.key.clone());
        self.bytes(&format!("the secret of {of}: exporter"), schedule.exporter_secret.clone());
        schedule
    }

    fn number(&mut self, name: &str, big_endian: &[u8; 48], modulus: &[u64; 6]) {
        let number = limbs(big_endian);
        self.bytes(&format!("{name}, big-endian"), big_endian.to_vec());
        self.bytes(&format!("{name}, limbs"), in_memory(number));
        self.bytes(&format!("{name}, Montgomery"), in_memory(montgomery(number, modulus)));
    }

    /// Adds a needle, and a number to its name, so that each secret is found or missing by itself.
    fn bytes(&mut self, name: &str, needle: Vec<u8>) {
        let (secret, form) = name.split_once(", ").map_or((name, "bytes"), |(secret, form)| (secret, form));
        let same = format!("{secret} #");
        let numbers = self.0.iter().filter(|(n, _)| n.starts_with(&same) && n.ends_with(form)).count();
        self.0.push((format!("{same}{numbers}, {form}"), needle));
    }
}

impl Recipient {
    pub(super) fn new() -> Self {
        let key = p384::SecretKey::generate();
        let scalar = key.to_bytes().as_slice().try_into().unwrap();
        Self { scalar, public: PublicKey::new(&key.public_key().to_sec1_bytes()).unwrap() }
    }

    /// Reads a reply, which proves that the computed secrets are right, and adds them.
    pub(super) fn read(
        &self,
        (instance, context): (InstanceId, &ReplyContext),
        reply: &Reply,
        contexts: &mut Needles,
        replies: &mut Needles,
    ) {
        let dh = shared_point(&self.scalar, &context.enc);
        let info = reply_info(instance, context.context_id);
        let schedule = {
            let agreement = Agreement { dh, enc: &context.enc, recipient: &self.public };
            contexts.schedule("a context", &agreement, &info)
        };
        let binding = reply.binding();
        let hpke = b"HPKE\x00\x11\x00\x02\x00\x02";
        let s = expand(hpke, &schedule.exporter_secret, b"sec", &binding.exporter_context(), 44);
        let mut secret = ok2cry_protocol::reply::ReplySecret([0; 44]);
        secret.0.copy_from_slice(&s);
        assert!(
            secret.open(&reply.ciphertext, &binding).is_some(),
            "these are not the secrets of this reply"
        );
        replies.bytes("the secret of a reply", s);
    }
}

/// The x-coordinate of scalar · point.
fn shared_point(scalar: &[u8; 48], point: &PublicKey) -> [u8; 48] {
    let scalar = p384::SecretKey::from_slice(scalar).unwrap().to_nonzero_scalar();
    let point = p384::PublicKey::from_sec1_bytes(point.as_bytes()).unwrap();
    let shared = (point.to_projective() * *scalar).to_affine().to_sec1_point(false);
    shared.as_bytes()[1..49].try_into().unwrap()
}

/// `LabeledExtract` (RFC 9180 §4).
fn extract(suite_id: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]) -> Vec<u8> {
    let labeled = [b"HPKE-v1", suite_id, label, ikm].concat();
    Hkdf::<Sha384>::extract(Some(salt), &labeled).0.to_vec()
}

/// `LabeledExpand` (RFC 9180 §4).
fn expand(suite_id: &[u8], prk: &[u8], label: &[u8], info: &[u8], length: u16) -> Vec<u8> {
    let labeled = [&length.to_be_bytes(), &b"HPKE-v1"[..], suite_id, label, info].concat();
    let mut out = vec![0; usize::from(length)];
    Hkdf::<Sha384>::from_prk(prk).unwrap().expand(&labeled, &mut out).unwrap();
    out
}

fn random() -> [u8; 16] {
    let mut random = [0; 16];
    getrandom::fill(&mut random).unwrap();
    random
}
