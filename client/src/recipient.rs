use crate::{Error, ReplayEntry, ReplayGuard, Trust, hpke::PrivateKey, keyfile::read_private};
use ok2cry_attest_verify::CheckTime;
use ok2cry_protocol::{
    Encoded, Record as _,
    descriptor::{DeliverTo, KeyDescriptor},
    http::{OpenResponse, SealedBody},
    ids::Purpose,
    reply::{Reply, ReplyContext},
    suite::{PublicKey, reply_info},
};
use p384::pkcs8::{EncodePrivateKey, LineEnding};
use std::convert::Infallible;
use zeroize::Zeroizing;

/// A recipient's key pair.
///
/// Rotate it: a sealed reply can be read for as long as the private key exists.
pub struct RecipientKey {
    private: PrivateKey,
    public: PublicKey,
}

impl RecipientKey {
    /// Makes a key pair.
    ///
    /// # Errors
    ///
    /// [`Error::Crypto`].
    pub fn generate() -> Result<Self, Error> {
        Self::new(PrivateKey::generate())
    }

    /// Reads a P-384 private key (PKCS #8, PEM) with its public half uncompressed, as OpenSSL writes it.
    ///
    /// # Errors
    ///
    /// [`Error::PrivateKey`] names what was found instead, and the command that converts it.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let (scalar, point) = read_private(pem)?;
        let key = Self::new(PrivateKey::from_scalar(scalar.as_ref())?)?;
        if *key.public.as_bytes() != point {
            return Err(Error::PrivateKey("its public half belongs to another private key".into()));
        }
        Ok(key)
    }

    /// The key pair as PEM (PKCS #8). Keep it secret: it opens all replies.
    ///
    /// # Errors
    ///
    /// [`Error::Crypto`].
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        let failed = Error::Crypto("the private key cannot be encoded");
        let key = p384::SecretKey::from_slice(self.private.scalar().as_ref()).map_err(|_| failed.clone())?;
        key.to_pkcs8_pem(LineEnding::LF).map_err(|_| failed)
    }

    /// The public half, for [`KeyRequest::new`](crate::KeyRequest::new).
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Checks and opens a reply: an accepted enclave must attest its context, the context must be made for
    /// this key, and the purpose and `aad` must be the `expected` ones.
    ///
    /// `guard` is asked last, so that it stores genuine replies only.
    ///
    /// # Errors
    ///
    /// [`OpenError::Refused`] with the first broken rule; [`OpenError::Guard`] if `guard` failed.
    pub fn open<G: ReplayGuard>(
        &self,
        body: &SealedBody,
        expected: &Expected<'_>,
        trust: &Trust,
        time: &CheckTime,
        guard: &mut G,
    ) -> Result<OpenedReply, OpenError<G::Error>> {
        let opened = self.open_unguarded(body, expected, trust, time)?;
        let descriptor = &opened.descriptor;
        let entry = ReplayEntry {
            descriptor_hash: *descriptor.hash(),
            forget_at_ms: descriptor.expires_at.saturating_add(trust.reply_horizon_ms()),
            now_ms: time.now_ms,
        };
        match guard.insert(&entry) {
            Ok(true) => Ok(opened),
            Ok(false) => Err(Error::Replayed.into()),
            Err(error) => Err(OpenError::Guard(error)),
        }
    }

    fn open_unguarded(
        &self,
        body: &SealedBody,
        expected: &Expected<'_>,
        trust: &Trust,
        time: &CheckTime,
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
        if descriptor.deliver_to != DeliverTo::Recipient(self.public) {
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

/// The sealed reply in an answer to open.
///
/// # Errors
///
/// [`Error::DeliveryMode`] if the answer is plaintext: its key does not name a recipient, or the parent made
/// it up.
pub fn sealed_reply(answer: OpenResponse) -> Result<SealedBody, Error> {
    match answer {
        OpenResponse::Sealed(body) => Ok(body),
        OpenResponse::Plaintext(_) => Err(Error::DeliveryMode),
    }
}

/// What a recipient expects of a reply. These checks refuse genuine replies to other requests.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The purpose of the key.
    pub purpose: &'a Purpose,
    /// The `aad` of the message. It should identify one transaction: replies to two messages with the same
    /// purpose and `aad` differ only in their descriptors.
    pub aad: &'a [u8],
}

/// A plaintext that an accepted enclave delivered.
///
/// Its sender is not authenticated (HPKE base mode): anyone with the key's descriptor could seal it.
pub struct OpenedReply {
    /// The plaintext. Overwritten when dropped.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The descriptor of the key. Its hash is the idempotency key.
    pub descriptor: Encoded<KeyDescriptor>,
}

/// Why [`RecipientKey::open`] failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError<E> {
    /// The reply is refused.
    #[error("{0}")]
    Refused(#[from] Error),
    /// The replay guard failed. The reply was not accepted and can be opened again.
    #[error("the replay guard failed: {0}")]
    Guard(#[source] E),
}

impl<E> OpenError<E> {
    /// The stable code of a refused reply; `None` if the guard failed.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Refused(error) => Some(error.code()),
            Self::Guard(_) => None,
        }
    }
}

impl From<OpenError<Infallible>> for Error {
    fn from(error: OpenError<Infallible>) -> Self {
        match error {
            OpenError::Refused(error) => error,
            OpenError::Guard(never) => match never {},
        }
    }
}

impl core::fmt::Debug for OpenedReply {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OpenedReply").field("key_id", &self.descriptor.key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_round_trips_as_pem_and_debug_hides_the_secret() {
        let key = RecipientKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        let again = RecipientKey::from_pem(&pem).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert!(format!("{key:?}").starts_with("RecipientKey(PublicKey("));
        assert_eq!(RecipientKey::from_pem("x").unwrap_err().code(), "private_key_invalid");
    }
}
