use crate::{
    AttestedBatch, Error, Trust,
    answer::{Object, Text, read_issued},
    hpke::{SealInput, seal},
    trust::millis,
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_verify::CheckTime;
use ok2cry_protocol::{
    Encoded, Hash, MAX_AAD, MAX_COUNT, MAX_PLAINTEXT, Rule,
    descriptor::{DeliverTo, KeyDescriptor},
    http::{Bytes, IssueRequest, IssueResponse, IssuedKey, OpenRequest, RecipientField, RecipientKeyBody},
    ids::{InstanceId, KeyId, Nonce, Purpose},
    suite::{PublicKey, Suite, seal_info},
};
use serde::Serialize;
use std::time::Duration;

/// A request for keys, with a fresh random nonce. It verifies one answer, which consumes it.
#[derive(Debug)]
pub struct KeyRequest {
    nonce: Nonce,
    purpose: Purpose,
    ttl_ms: u64,
    deliver_to: DeliverTo,
    count: u32,
}

impl KeyRequest {
    /// Requests one key for `purpose` that lives for `ttl`, in whole milliseconds, and delivers to
    /// `recipient` only.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] if the purpose is not 1 to 64 of `[a-z0-9._-]`; [`Error::Crypto`] without
    /// randomness.
    pub fn new(purpose: &str, ttl: Duration, recipient: &PublicKey) -> Result<Self, Error> {
        Self::with(purpose, ttl, DeliverTo::Recipient(*recipient))
    }

    /// Requests one key that delivers its plaintext to the caller of open, in the clear.
    ///
    /// Insecure unless the caller, the parent and everything between them may read the plaintext.
    ///
    /// # Errors
    ///
    /// As [`KeyRequest::new`].
    pub fn insecure_deliver_to_caller(purpose: &str, ttl: Duration) -> Result<Self, Error> {
        Self::with(purpose, ttl, DeliverTo::Caller)
    }

    /// Requests `count` keys, 1 to 100, under one document.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] for a count out of range.
    pub fn with_count(self, count: u32) -> Result<Self, Error> {
        if !(1..=MAX_COUNT).contains(&count) {
            let error =
                ok2cry_protocol::DecodeError { structure: "request", field: "count", rule: Rule::Range };
            return Err(Error::Record(error));
        }
        Ok(Self { count, ..self })
    }

    /// The body for `POST /v1/keys`.
    pub fn body(&self) -> IssueRequest {
        let recipient = match &self.deliver_to {
            DeliverTo::Caller => RecipientField::Named("caller".into()),
            DeliverTo::Recipient(key) => RecipientField::Key(RecipientKeyBody {
                suite: [Suite::P384.kem, Suite::P384.kdf, Suite::P384.aead],
                public_key: Bytes(key.as_bytes().to_vec()),
            }),
        };
        IssueRequest {
            nonce: Bytes(self.nonce.as_bytes().to_vec()),
            purpose: self.purpose.as_str().to_owned(),
            ttl: self.ttl_ms,
            recipient,
            count: self.count,
        }
    }

    /// The body for `POST /v1/keys`, as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.body()).unwrap_or_default()
    }

    /// Verifies the answer to a request for one key: the JSON of `POST /v1/keys`.
    ///
    /// # Errors
    ///
    /// The first broken rule: see [`Error::code`]. [`Error::KeyCount`] if the request is for more than one
    /// key.
    pub fn verify_one(self, answer: &[u8], trust: &Trust, time: &CheckTime) -> Result<VerifiedKey, Error> {
        self.check_is_for_one()?;
        only(self.verify(answer, trust, time)?)
    }

    /// Verifies the answer to a request: the JSON of `POST /v1/keys`. Returns all keys, in order.
    ///
    /// # Errors
    ///
    /// The first broken rule: see [`Error::code`]. Either all keys are returned or none.
    pub fn verify(self, answer: &[u8], trust: &Trust, time: &CheckTime) -> Result<Vec<VerifiedKey>, Error> {
        self.verify_response(&read_issued(answer)?, trust, time)
    }

    /// Verifies an answer that [`answer::read_issued`](crate::answer::read_issued) has parsed.
    ///
    /// # Errors
    ///
    /// As [`KeyRequest::verify`].
    pub fn verify_response(
        self,
        answer: &IssueResponse,
        trust: &Trust,
        time: &CheckTime,
    ) -> Result<Vec<VerifiedKey>, Error> {
        let batch = trust.accept_for_keys(&answer.document, time)?;
        if answer.keys.len() as u64 != u64::from(self.count) {
            return Err(Error::KeyCount { requested: self.count, found: answer.keys.len() });
        }
        (0..self.count).zip(&answer.keys).map(|(i, key)| self.verify_key(i, key, &batch, time)).collect()
    }

    /// [`Error::KeyCount`] unless the request is for one key.
    pub(crate) fn check_is_for_one(&self) -> Result<(), Error> {
        match self.count {
            1 => Ok(()),
            count => Err(Error::KeyCount { requested: 1, found: count as usize }),
        }
    }

    fn verify_key(
        &self,
        i: u32,
        key: &IssuedKey,
        batch: &AttestedBatch,
        time: &CheckTime,
    ) -> Result<VerifiedKey, Error> {
        const WHAT: &str = "key descriptor";
        let d: Encoded<KeyDescriptor> = batch.record(WHAT, &key.descriptor.0, key.index, &key.path)?;
        if d.key_id.instance() != batch.instance() {
            return Err(Error::Instance(WHAT));
        }
        if d.client_nonce != self.nonce.for_key(i, self.count) {
            return Err(Error::Nonce);
        }
        if d.purpose != self.purpose {
            return Err(Error::Purpose);
        }
        if d.deliver_to != self.deliver_to {
            return Err(Error::Recipient(WHAT));
        }
        if d.expires_at.checked_sub(d.issued_at) != Some(self.ttl_ms) {
            return Err(Error::Ttl);
        }
        batch.check_time(WHAT, d.issued_at)?;
        check_not_expired(&d, time)?;
        Ok(VerifiedKey { descriptor: d, document_ms: batch.timestamp_ms(), release: batch.release() })
    }

    fn with(purpose: &str, ttl: Duration, deliver_to: DeliverTo) -> Result<Self, Error> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|_| Error::Crypto("the system has no randomness"))?;
        let nonce = Nonce::new(nonce).map_err(Error::Record)?;
        let purpose = Purpose::new(purpose).map_err(Error::Record)?;
        Ok(Self { nonce, purpose, ttl_ms: millis(ttl), deliver_to, count: 1 })
    }
}

#[cfg(test)]
impl KeyRequest {
    /// Replaces the random nonce, for the vectors.
    pub(crate) fn with_nonce(self, nonce: Nonce) -> Self {
        Self { nonce, ..self }
    }
}

/// The only key of an answer.
pub(crate) fn only(keys: Vec<VerifiedKey>) -> Result<VerifiedKey, Error> {
    keys.into_iter().next().ok_or(Error::KeyCount { requested: 1, found: 0 })
}

/// A key whose private half is proven to live in an accepted enclave, for this request. It seals one message.
#[derive(Debug)]
pub struct VerifiedKey {
    descriptor: Encoded<KeyDescriptor>,
    document_ms: u64,
    release: Option<usize>,
}

impl VerifiedKey {
    /// The id of the key.
    pub fn key_id(&self) -> KeyId {
        self.descriptor.key_id
    }

    /// The id of the enclave's boot that holds the private key.
    pub fn instance(&self) -> InstanceId {
        self.descriptor.key_id.instance()
    }

    /// When the key expires, in Unix milliseconds.
    pub fn expires_at_ms(&self) -> u64 {
        self.descriptor.expires_at
    }

    /// The time of the document that attests the key, in Unix milliseconds.
    pub fn document_ms(&self) -> u64 {
        self.document_ms
    }

    /// The index of the accepted release that the enclave runs; `None` without reference values.
    pub fn release(&self) -> Option<usize> {
        self.release
    }

    /// The descriptor, to seal with another HPKE library: it holds the public key, and `info` is
    /// [`seal_info`] of its hash.
    pub fn descriptor(&self) -> &Encoded<KeyDescriptor> {
        &self.descriptor
    }

    /// The public key as PEM (`SubjectPublicKeyInfo`).
    pub fn to_pem(&self) -> String {
        self.descriptor.public_key.to_pem()
    }

    /// The public key as a JWK (RFC 7518 §6.2.1).
    pub fn to_jwk(&self) -> String {
        let (x, y) = self.descriptor.public_key.coordinates();
        let b64 = Base64UrlUnpadded::encode_string;
        format!(r#"{{"kty":"EC","crv":"P-384","x":"{}","y":"{}"}}"#, b64(x), b64(y))
    }

    /// Seals one message, which consumes the key.
    ///
    /// The ciphertext shows the length of the plaintext. Pad a plaintext whose length is a secret.
    ///
    /// # Errors
    ///
    /// [`Error::KeyExpired`], [`Error::PlaintextTooLong`], [`Error::AadTooLong`].
    pub fn seal(self, message: &Message<'_>, time: &CheckTime) -> Result<SealedMessage, Error> {
        let Message { plaintext, aad } = *message;
        check_not_expired(&self.descriptor, time)?;
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(Error::PlaintextTooLong);
        }
        if aad.len() > MAX_AAD {
            return Err(Error::AadTooLong);
        }
        let info = seal_info(self.descriptor.hash());
        let input = SealInput { info: &info, aad, plaintext };
        let (enc, ciphertext) = seal(&self.descriptor.public_key, &input)?;
        Ok(SealedMessage {
            key_id: self.descriptor.key_id,
            descriptor_hash: *self.descriptor.hash(),
            enc,
            ciphertext,
            aad: aad.to_vec(),
            descriptor: Some(self.descriptor),
        })
    }
}

/// A message to seal.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The secret, at most 4,096 bytes ([`MAX_PLAINTEXT`]).
    pub plaintext: &'a [u8],
    /// The public context, for example an order id, at most 1,024 bytes ([`MAX_AAD`]). An open must repeat
    /// it. It travels in the clear.
    pub aad: &'a [u8],
}

impl core::fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Message").field("aad", &self.aad).finish_non_exhaustive()
    }
}

/// A sealed message. It opens once, inside the enclave, and may travel through untrusted parties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedMessage {
    /// The id of the key that it is sealed to.
    pub key_id: KeyId,
    /// H of the key's descriptor.
    pub descriptor_hash: Hash,
    /// HPKE's encapsulated key.
    pub enc: PublicKey,
    /// HPKE's ciphertext.
    pub ciphertext: Vec<u8>,
    /// The `aad` that it was sealed with.
    pub aad: Vec<u8>,
    /// The key's descriptor, if the message holds it. Its hash is `descriptor_hash`; it is not attested here.
    pub descriptor: Option<Encoded<KeyDescriptor>>,
}

impl SealedMessage {
    /// Reads a message as [`SealedMessage::encode`] writes it, in any language's client.
    ///
    /// # Errors
    ///
    /// [`Error::Answer`], also if the descriptor belongs to another key.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        const FIELDS: [&str; 5] = ["key_id", "descriptor_hash", "enc", "ciphertext", "aad"];
        let refused = |why: &str| Error::Answer(why.into());
        let text = Text::read(json)?;
        let message = Object::with_optional(&text.0, "a sealed message", &FIELDS, &["descriptor"])?;
        let key_id = KeyId::from_base64url(message.text("key_id")?)
            .map_err(|_| refused("key_id must be 24 bytes of base64url"))?;
        let descriptor_hash: Hash = message
            .bytes("descriptor_hash")?
            .0
            .try_into()
            .map_err(|_| refused("descriptor_hash must have 48 bytes"))?;
        let enc = PublicKey::new(&message.bytes("enc")?.0)
            .map_err(|_| refused("enc must be an uncompressed point on P-384"))?;
        let descriptor = match message.has("descriptor") {
            true => Some(message.bytes("descriptor")?),
            false => None,
        };
        let descriptor = descriptor.map(|bytes| Encoded::<KeyDescriptor>::decode(&bytes.0)).transpose();
        let descriptor = descriptor.map_err(|_| refused("descriptor is not a key descriptor"))?;
        if descriptor.as_ref().is_some_and(|d| d.key_id != key_id || *d.hash() != descriptor_hash) {
            return Err(refused("descriptor belongs to another key"));
        }
        let (ciphertext, aad) = (message.bytes("ciphertext")?.0, message.bytes("aad")?.0);
        Ok(Self { key_id, descriptor_hash, enc, ciphertext, aad, descriptor })
    }

    /// The whole message as JSON, for the party that requests the open.
    pub fn encode(&self) -> String {
        let file = MessageFile {
            key_id: self.key_id.to_base64url(),
            descriptor_hash: Bytes(self.descriptor_hash.to_vec()),
            body: self.body(),
            descriptor: self.descriptor.as_ref().map(|descriptor| Bytes(descriptor.bytes().to_vec())),
        };
        serde_json::to_string(&file).unwrap_or_default()
    }

    /// To whom the key delivers, if the message holds the descriptor.
    pub fn deliver_to(&self) -> Option<&DeliverTo> {
        self.descriptor.as_ref().map(|descriptor| &descriptor.deliver_to)
    }

    /// The body for `POST /v1/keys/{id}/open`.
    pub fn body(&self) -> OpenRequest {
        OpenRequest {
            enc: Bytes(self.enc.as_bytes().to_vec()),
            ciphertext: Bytes(self.ciphertext.clone()),
            aad: Bytes(self.aad.clone()),
        }
    }

    /// The body for `POST /v1/keys/{id}/open`, as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.body()).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct MessageFile {
    key_id: String,
    descriptor_hash: Bytes,
    #[serde(flatten)]
    body: OpenRequest,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptor: Option<Bytes>,
}

fn check_not_expired(d: &KeyDescriptor, time: &CheckTime) -> Result<(), Error> {
    if time.now_ms >= d.expires_at { Err(Error::KeyExpired) } else { Ok(()) }
}
