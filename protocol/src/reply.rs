//! Replies: how an enclave delivers plaintext to the recipient of a key.
//!
//! A *reply context* is an HPKE context to one recipient, attested like a key. Each reply is sealed under a
//! secret that is exported from the context and bound to the descriptor, the `aad` and the request. Replies
//! have no counter and no order, so that they may be lost, repeated or reordered.

use crate::{
    DecodeError, Encoded, Hash, MAX_AAD, MAX_CIPHERTEXT, Record,
    cbor::{Reader, Writer},
    descriptor::KeyDescriptor,
    hash,
    ids::ContextId,
    suite::{PublicKey, Suite},
};
use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload, consts::U12},
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const CONTEXT_TYPE: &str = "ok2cry/reply-context/v1";
const REPLY_TYPE: &str = "ok2cry/reply/v1";

/// The longest encoding of a key descriptor, in bytes.
pub const MAX_DESCRIPTOR: usize = 512;

/// An HPKE context to one recipient: a leaf of an attested batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyContext {
    /// The id of the context.
    pub context_id: ContextId,
    /// The algorithms.
    pub suite: Suite,
    /// The public key of the recipient.
    pub recipient: PublicKey,
    /// HPKE's encapsulated key.
    pub enc: PublicKey,
    /// When it was made, in Unix milliseconds on the enclave's trusted clock.
    pub created_at: u64,
    /// When the enclave stops sealing under it, in Unix milliseconds.
    pub expires_at: u64,
}

impl Record for ReplyContext {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(320);
        w.map(7).key(0).text(CONTEXT_TYPE).key(1).bytes(&self.context_id.0).key(2);
        self.suite.write(&mut w);
        w.key(3).bytes(self.recipient.as_bytes()).key(4).bytes(self.enc.as_bytes());
        w.key(5).uint(self.created_at).key(6).uint(self.expires_at);
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new("reply context", bytes);
        let mut m = r.map("map")?;
        m.key(r, "type")?;
        r.record_type(CONTEXT_TYPE)?;
        m.key(r, "context_id")?;
        let context_id = ContextId(r.array_of("context_id")?);
        m.key(r, "suite")?;
        let suite = Suite::read(r)?;
        m.key(r, "recipient")?;
        let recipient = PublicKey::read(r, "recipient")?;
        m.key(r, "enc")?;
        let enc = PublicKey::read(r, "enc")?;
        m.key(r, "created_at")?;
        let created_at = r.time("created_at")?;
        m.key(r, "expires_at")?;
        let expires_at = r.time("expires_at")?;
        if expires_at <= created_at {
            return Err(r.error("expires_at", crate::Rule::Range));
        }
        m.end(r)?;
        r.end()?;
        Ok(Self { context_id, suite, recipient, enc, created_at, expires_at })
    }
}

/// A sealed reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The context that it is sealed under.
    pub context_id: ContextId,
    /// The key that opened the message.
    pub descriptor: Encoded<KeyDescriptor>,
    /// The `aad` that the message was sealed with.
    pub aad: Vec<u8>,
    /// The digest of the request that this reply answers.
    pub request_digest: Hash,
    /// AES-256-GCM under the exported secret, with the binding as its aad.
    pub ciphertext: Vec<u8>,
}

impl Reply {
    /// The values that this reply is bound to.
    pub fn binding(&self) -> Binding {
        Binding::new(self.descriptor.hash(), &self.aad, &self.request_digest)
    }
}

impl Record for Reply {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(640 + self.aad.len() + self.ciphertext.len());
        w.map(6).key(0).text(REPLY_TYPE).key(1).bytes(&self.context_id.0);
        w.key(2).bytes(self.descriptor.bytes()).key(3).bytes(&self.aad);
        w.key(4).bytes(&self.request_digest).key(5).bytes(&self.ciphertext);
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new("reply", bytes);
        let mut m = r.map("map")?;
        m.key(r, "type")?;
        r.record_type(REPLY_TYPE)?;
        m.key(r, "context_id")?;
        let context_id = ContextId(r.array_of("context_id")?);
        m.key(r, "descriptor")?;
        let descriptor = Encoded::decode(r.bytes("descriptor", 1..=MAX_DESCRIPTOR)?)?;
        m.key(r, "aad")?;
        let aad = r.bytes("aad", 0..=MAX_AAD)?.to_vec();
        m.key(r, "request_digest")?;
        let request_digest = r.array_of("request_digest")?;
        m.key(r, "ciphertext")?;
        let ciphertext = r.bytes("ciphertext", 16..=MAX_CIPHERTEXT)?.to_vec();
        m.end(r)?;
        r.end()?;
        Ok(Self { context_id, descriptor, aad, request_digest, ciphertext })
    }
}

/// The values that identify one open.
#[derive(Clone, Copy)]
pub struct DigestInput<'a> {
    /// H(descriptor) of the key.
    pub descriptor: &'a Hash,
    /// HPKE's encapsulated key.
    pub enc: &'a PublicKey,
    /// The `aad` of the message.
    pub aad: &'a [u8],
    /// HPKE's ciphertext.
    pub ciphertext: &'a [u8],
}

impl DigestInput<'_> {
    /// H("ok2cry v1 request" ‖ H(descriptor) ‖ LP(enc) ‖ LP(aad) ‖ LP(ciphertext)).
    ///
    /// LP(x) is the length of x as a big-endian u32, then x, so that no two opens share a digest.
    pub fn request_digest(&self) -> Hash {
        let Self { descriptor, enc, aad, ciphertext } = self;
        let enc = enc.as_bytes();
        let lp = |x: &[u8]| u32::try_from(x.len()).unwrap_or(u32::MAX).to_be_bytes();
        let (enc_len, aad_len, ciphertext_len) = (lp(enc), lp(aad), lp(ciphertext));
        hash(&[b"ok2cry v1 request", *descriptor, &enc_len, enc, &aad_len, aad, &ciphertext_len, ciphertext])
    }
}

/// B = H(descriptor) ‖ H(aad) ‖ `request_digest`: the values that a reply is bound to.
#[derive(Clone, PartialEq, Eq)]
pub struct Binding([u8; 144]);

impl Binding {
    /// The binding to a key, an `aad` and a request.
    pub fn new(descriptor: &Hash, aad: &[u8], request_digest: &Hash) -> Self {
        let mut b = [0; 144];
        let parts = descriptor.iter().chain(&hash(&[aad])).chain(request_digest).copied().collect::<Vec<_>>();
        for (to, from) in b.iter_mut().zip(parts) {
            *to = from;
        }
        Self(b)
    }

    /// The exporter context of the reply's secret (RFC 9180 §5.3): "ok2cry v1 reply" ‖ B.
    pub fn exporter_context(&self) -> Vec<u8> {
        [&b"ok2cry v1 reply"[..], &self.0].concat()
    }
}

/// S: the 44 bytes exported for one reply. Overwritten when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ReplySecret(pub [u8; 44]);

impl ReplySecret {
    /// Seals a reply's plaintext. It consumes the secret, because its nonce must not be used twice.
    pub fn seal(self, plaintext: &[u8], binding: &Binding) -> Option<Vec<u8>> {
        let (cipher, nonce) = self.cipher()?;
        cipher.encrypt(&nonce, Payload { msg: plaintext, aad: &binding.0 }).ok()
    }

    /// Opens a reply's ciphertext. `None` unless it was sealed under this secret and binding.
    pub fn open(self, ciphertext: &[u8], binding: &Binding) -> Option<Zeroizing<Vec<u8>>> {
        let (cipher, nonce) = self.cipher()?;
        cipher.decrypt(&nonce, Payload { msg: ciphertext, aad: &binding.0 }).ok().map(Zeroizing::new)
    }

    /// AES-256-GCM with key S[0..32], and the nonce S[32..44].
    fn cipher(&self) -> Option<(Aes256Gcm, Nonce<U12>)> {
        let (key, nonce) = self.0.split_at(32);
        Some((Aes256Gcm::new_from_slice(key).ok()?, Nonce::try_from(nonce).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Rule,
        descriptor::tests::{descriptor, public_key},
    };

    #[test]
    fn what_is_encoded_is_decoded() {
        let context = ReplyContext {
            context_id: ContextId([1; 16]),
            suite: Suite::P384,
            recipient: public_key(3),
            enc: public_key(4),
            created_at: 5,
            expires_at: 6,
        };
        assert_eq!(ReplyContext::decode(&context.encode()), Ok(context.clone()));
        let ended = ReplyContext { expires_at: 5, ..context };
        assert_eq!(ReplyContext::decode(&ended.encode()).unwrap_err().rule, Rule::Range);

        let reply = Reply {
            context_id: ContextId([1; 16]),
            descriptor: Encoded::new(descriptor()),
            aad: b"order 1".to_vec(),
            request_digest: [2; 48],
            ciphertext: vec![3; 20],
        };
        assert_eq!(Reply::decode(&reply.encode()), Ok(reply.clone()));
        let too_short = Reply { ciphertext: vec![0; 15], ..reply };
        assert_eq!(Reply::decode(&too_short.encode()).unwrap_err().field, "ciphertext");
    }

    #[test]
    fn the_longest_descriptor_fits() {
        let longest = KeyDescriptor {
            purpose: crate::ids::Purpose::new(&"p".repeat(64)).unwrap(),
            client_nonce: crate::ids::Nonce::new([0; 64]).unwrap(),
            issued_at: u64::MAX - 1,
            expires_at: u64::MAX,
            ..descriptor()
        };
        assert!(longest.encode().len() <= MAX_DESCRIPTOR);
    }

    #[test]
    fn a_reply_opens_under_its_own_binding_only() {
        let binding = Binding::new(&[1; 48], b"order 1", &[2; 48]);
        let secret = || ReplySecret([7; 44]);
        let sealed = secret().seal(b"1234", &binding).unwrap();
        assert_eq!(secret().open(&sealed, &binding).unwrap().as_slice(), b"1234");
        for other in [
            Binding::new(&[0; 48], b"order 1", &[2; 48]),
            Binding::new(&[1; 48], b"order 2", &[2; 48]),
            Binding::new(&[1; 48], b"order 1", &[0; 48]),
        ] {
            assert!(secret().open(&sealed, &other).is_none());
        }
        assert!(ReplySecret([8; 44]).open(&sealed, &binding).is_none());
    }

    #[test]
    fn moving_bytes_between_fields_changes_the_digest() {
        let (descriptor, enc) = (&[0; 48], &public_key(3));
        let digest =
            |aad: &[u8], ciphertext: &[u8]| DigestInput { descriptor, enc, aad, ciphertext }.request_digest();
        assert_ne!(digest(b"ab", b"c"), digest(b"a", b"bc"));
        assert_ne!(digest(b"", b"c"), digest(b"c", b""));
    }
}
