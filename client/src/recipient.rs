use crate::{Error, Trust, hybrid::PrivateKey, keyfile::read_private};
use ok2cry_attest_verify::CheckTime;
use ok2cry_protocol::{
    Encoded, Hash, Record as _,
    descriptor::{KeyDescriptor, ReleaseTo},
    http::{OpenResponse, SealedBody},
    ids::Purpose,
    reply::{Reply, ReplyContext},
    suite::{PublicKey, reply_info},
};
use p384::pkcs8::{EncodePrivateKey, LineEnding};
use std::collections::HashMap;
use zeroize::Zeroizing;

/// A recipient's key pair. Rotate it: a sealed reply can be read for as long as this key exists.
pub struct RecipientKey {
    private: PrivateKey,
    public: PublicKey,
}

impl RecipientKey {
    /// A new key pair.
    pub fn generate() -> Result<Self, Error> {
        Self::new(PrivateKey::generate())
    }

    /// Reads a P-384 private key (PKCS #8, PEM) with its public half uncompressed, as OpenSSL writes it.
    ///
    /// # Errors
    ///
    /// [`Error::PrivateKey`], which says what was found instead and which command converts it.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let (scalar, point) = read_private(pem)?;
        let key = Self::new(PrivateKey::from_scalar(scalar.as_ref())?)?;
        if *key.public.as_bytes() != point {
            return Err(Error::PrivateKey("its public half is another key's".into()));
        }
        Ok(key)
    }

    /// The key pair as PEM (PKCS #8). Whoever reads it reads all replies.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        let failed = Error::Crypto("a key cannot be encoded");
        let key = p384::SecretKey::from_slice(self.private.scalar().as_ref()).map_err(|_| failed.clone())?;
        key.to_pkcs8_pem(LineEnding::LF).map_err(|_| failed)
    }

    /// What to name as recipient when asking for keys.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Opens a reply, once everything about it holds: an accepted enclave attests its context, the context was made
    /// for this key, and purpose, `aad` and key are what is expected.
    ///
    /// `seen` must remember across restarts what it was shown, if a repeated reply must not act twice.
    ///
    /// # Errors
    ///
    /// The first rule that broke: see [`Error::code`]. A refused reply leaves no trace in `seen`.
    pub fn open(
        &self,
        body: &SealedBody,
        expected: &Expected<'_>,
        trust: &Trust,
        time: &CheckTime,
        seen: &mut impl Seen,
    ) -> Result<OpenedReply, Error> {
        let at = &body.context;
        let batch = trust.accept_for_reply(&at.document, time)?;
        let context: Encoded<ReplyContext> =
            batch.record("reply context", &at.record.0, at.index, &at.path)?;
        if context.recipient != self.public {
            return Err(Error::Recipient("reply context"));
        }
        batch.check_time("reply context", context.created_at)?;

        let reply = Reply::decode(&body.reply.0).map_err(Error::Record)?;
        if reply.context_id != context.context_id {
            return Err(Error::ReplyContext);
        }
        let descriptor = &reply.descriptor;
        if descriptor.key_id.instance() != batch.instance() {
            return Err(Error::Instance("reply"));
        }
        if descriptor.release_to != ReleaseTo::Recipient(self.public) {
            return Err(Error::Recipient("reply"));
        }
        if descriptor.purpose != *expected.purpose {
            return Err(Error::Purpose);
        }
        if reply.aad != expected.aad {
            return Err(Error::Aad);
        }

        let info = reply_info(batch.instance(), context.context_id);
        let binding = reply.binding();
        let secret = self.private.reply_secret(&context.enc, &info, &binding)?;
        let plaintext = secret.open(&reply.ciphertext, &binding).ok_or(Error::ReplyOpen)?;

        // Last, so that only genuine replies are remembered.
        let forget_at = descriptor.expires_at.saturating_add(trust.reply_horizon_ms());
        if !seen.first_time(descriptor.hash(), forget_at, time.now_ms) {
            return Err(Error::Replayed);
        }
        Ok(OpenedReply { plaintext, descriptor: reply.descriptor })
    }

    fn new(private: PrivateKey) -> Result<Self, Error> {
        Ok(Self { public: private.public_key()?, private })
    }
}

impl core::fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("RecipientKey").field(&self.public).finish()
    }
}

/// The sealed reply of an answer to open.
///
/// # Errors
///
/// [`Error::DeliveryMode`] if it releases plaintext instead: it did not come from a key that names a recipient.
pub fn sealed_reply(answer: OpenResponse) -> Result<SealedBody, Error> {
    match answer {
        OpenResponse::Sealed(body) => Ok(body),
        OpenResponse::Plaintext(_) => Err(Error::DeliveryMode),
    }
}

/// What a recipient expects of a reply. Without it a genuine reply to another question would pass for this one's.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// What the key was for.
    pub purpose: &'a Purpose,
    /// What the message was sealed with. It must name one transaction: replies to two messages with the same purpose
    /// and `aad` can be told apart only by the descriptors in them.
    pub aad: &'a [u8],
}

/// Plaintext that came from an accepted enclave, sealed by whoever held the descriptor: HPKE's base mode
/// authenticates no sender.
pub struct OpenedReply {
    /// What was sealed. Overwritten when dropped.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The key that it was sealed to; its hash is the idempotency key.
    pub descriptor: Encoded<KeyDescriptor>,
}

impl core::fmt::Debug for OpenedReply {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OpenedReply").field("key_id", &self.descriptor.key_id).finish_non_exhaustive()
    }
}

/// Remembers which keys a reply was accepted for.
pub trait Seen {
    /// Notes a descriptor's hash. Answers whether it is new.
    ///
    /// After `forget_at_ms` (Unix milliseconds) no reply for it is accepted any more and it may be forgotten;
    /// `now_ms` is the time of the call.
    fn first_time(&mut self, descriptor: &Hash, forget_at_ms: u64, now_ms: u64) -> bool;
}

/// Remembers in memory, until this value is dropped.
#[derive(Debug, Default)]
pub struct SeenSet {
    forget_at: HashMap<Hash, u64>,
    /// The next time that it is worth looking for what can be forgotten.
    sweep_at_len: usize,
}

impl Seen for SeenSet {
    fn first_time(&mut self, descriptor: &Hash, forget_at_ms: u64, now_ms: u64) -> bool {
        if self.forget_at.len() >= self.sweep_at_len.max(1024) {
            self.forget_at.retain(|_, forget_at| *forget_at > now_ms);
            self.sweep_at_len = self.forget_at.len().saturating_mul(2);
        }
        self.forget_at.insert(*descriptor, forget_at_ms).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_remembered_until_it_cannot_come_again() {
        let mut seen = SeenSet::default();
        assert!(seen.first_time(&[1; 48], 100, 0));
        assert!(!seen.first_time(&[1; 48], 100, 99));
        let hash = |n: u32| ok2cry_protocol::hash(&[&n.to_be_bytes()]);
        for n in 0..10_000 {
            assert!(seen.first_time(&hash(n), u64::from(n) + 10, u64::from(n)));
        }
        assert!(seen.forget_at.len() < 2500, "{}", seen.forget_at.len());
    }

    #[test]
    fn a_key_survives_pem_and_shows_only_its_public_half() {
        let key = RecipientKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        let again = RecipientKey::from_pem(&pem).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert!(format!("{key:?}").starts_with("RecipientKey(PublicKey("));
        assert_eq!(RecipientKey::from_pem("x").unwrap_err().code(), "private_key_invalid");
    }
}
