use crate::{
    Error, Trust,
    answer::{Object, Text, read_issued},
    hybrid,
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_verify::CheckTime;
use ok2cry_protocol::{
    Encoded, Hash, MAX_AAD, MAX_COUNT, MAX_PLAINTEXT, Rule,
    descriptor::{KeyDescriptor, ReleaseTo},
    http::{Bytes, IssueRequest, IssueResponse, IssuedKey, OpenRequest, RecipientField, RecipientKey},
    ids::{InstanceId, KeyId, Nonce, Purpose},
    suite::{PublicKey, Suite, seal_info},
};
use serde::Serialize;

/// A request for keys, with a fresh nonce. It verifies one answer and is used up by that.
#[derive(Debug)]
pub struct KeyRequest {
    nonce: Nonce,
    purpose: Purpose,
    ttl_ms: u64,
    release_to: ReleaseTo,
    count: u32,
}

impl KeyRequest {
    /// Asks for one key for `purpose`, which lives for `ttl_ms` milliseconds and whose message `recipient` alone
    /// will read.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] if the purpose is not 1 to 64 of `[a-z0-9._-]`; [`Error::Crypto`] without randomness.
    pub fn new(purpose: &str, ttl_ms: u64, recipient: &PublicKey) -> Result<Self, Error> {
        Self::with(purpose, ttl_ms, ReleaseTo::Recipient(*recipient))
    }

    /// Asks for one key whose plaintext goes to whoever calls open, in the clear.
    ///
    /// Insecure unless the caller of open may read it: the parent, and every company before it, can.
    pub fn insecure_release_to_caller(purpose: &str, ttl_ms: u64) -> Result<Self, Error> {
        Self::with(purpose, ttl_ms, ReleaseTo::Caller)
    }

    /// Asks for `count` keys, 1 to 100, that one document attests.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] for another count.
    pub fn count(self, count: u32) -> Result<Self, Error> {
        if !(1..=MAX_COUNT).contains(&count) {
            let error =
                ok2cry_protocol::DecodeError { structure: "request", field: "count", rule: Rule::Range };
            return Err(Error::Record(error));
        }
        Ok(Self { count, ..self })
    }

    /// The body for `POST /v1/keys`.
    pub fn body(&self) -> IssueRequest {
        let recipient = match &self.release_to {
            ReleaseTo::Caller => RecipientField::Named("caller".into()),
            ReleaseTo::Recipient(key) => RecipientField::Key(RecipientKey {
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

    /// Verifies the JSON that `POST /v1/keys` answered.
    ///
    /// # Errors
    ///
    /// The first rule that broke: see [`Error::code`]. No key is returned unless all of them hold.
    pub fn verify(self, answer: &[u8], trust: &Trust, time: &CheckTime) -> Result<Vec<VerifiedKey>, Error> {
        self.verify_response(&read_issued(answer)?, trust, time)
    }

    /// The same for an answer that has been read already.
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
        (0..self.count).zip(&answer.keys).map(|(i, key)| self.verify_one(i, key, &batch, time)).collect()
    }

    fn verify_one(
        &self,
        i: u32,
        key: &IssuedKey,
        batch: &crate::AttestedBatch,
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
        if d.release_to != self.release_to {
            return Err(Error::Recipient(WHAT));
        }
        if d.expires_at.checked_sub(d.issued_at) != Some(self.ttl_ms) {
            return Err(Error::Ttl);
        }
        batch.check_time(WHAT, d.issued_at)?;
        check_not_expired(&d, time)?;
        Ok(VerifiedKey { descriptor: d, document_ms: batch.timestamp_ms(), release: batch.release() })
    }

    fn with(purpose: &str, ttl_ms: u64, release_to: ReleaseTo) -> Result<Self, Error> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|_| Error::Crypto("no randomness"))?;
        let nonce = Nonce::new(nonce).map_err(Error::Record)?;
        let purpose = Purpose::new(purpose).map_err(Error::Record)?;
        Ok(Self { nonce, purpose, ttl_ms, release_to, count: 1 })
    }
}

#[cfg(test)]
impl KeyRequest {
    /// The same with a nonce that is not random: for the vectors.
    pub(crate) fn with_nonce(self, nonce: Nonce) -> Self {
        Self { nonce, ..self }
    }
}

/// A key that is proven to live in an accepted enclave, for this request. It seals one message.
#[derive(Debug)]
pub struct VerifiedKey {
    descriptor: Encoded<KeyDescriptor>,
    document_ms: u64,
    release: Option<usize>,
}

impl VerifiedKey {
    /// Names the key.
    pub fn key_id(&self) -> KeyId {
        self.descriptor.key_id
    }

    /// Which boot of an enclave holds the private key.
    pub fn instance(&self) -> InstanceId {
        self.descriptor.key_id.instance()
    }

    /// When the key is gone, in Unix milliseconds.
    pub fn expires_at_ms(&self) -> u64 {
        self.descriptor.expires_at
    }

    /// When the document was made that attests the key, in Unix milliseconds.
    pub fn document_ms(&self) -> u64 {
        self.document_ms
    }

    /// Which of the accepted releases the enclave runs, counted from 0; `None` without reference values.
    pub fn release(&self) -> Option<usize> {
        self.release
    }

    /// The descriptor, for those who seal with an HPKE library of their own: the key is in it, and `info` is
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

    /// Seals `plaintext` (at most 4,096 bytes) to the key, which is used up by it. Whoever opens must repeat `aad`
    /// (at most 1,024 bytes), which everybody in between can read.
    ///
    /// The ciphertext shows how long the plaintext is: pad what has few possible lengths.
    ///
    /// # Errors
    ///
    /// [`Error::KeyExpired`] if the key has expired since it was verified; [`Error::PlaintextTooLong`],
    /// [`Error::AadTooLong`].
    pub fn seal(self, plaintext: &[u8], aad: &[u8], time: &CheckTime) -> Result<SealedMessage, Error> {
        check_not_expired(&self.descriptor, time)?;
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(Error::PlaintextTooLong);
        }
        if aad.len() > MAX_AAD {
            return Err(Error::AadTooLong);
        }
        let info = seal_info(self.descriptor.hash());
        let (enc, ciphertext) = hybrid::seal(&self.descriptor.public_key, &info, aad, plaintext)?;
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

/// What may be handed to anybody: it opens once, inside the enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedMessage {
    /// The key that it is sealed to.
    pub key_id: KeyId,
    /// H of the key's descriptor.
    pub descriptor_hash: Hash,
    /// HPKE's encapsulated key.
    pub enc: PublicKey,
    /// HPKE's ciphertext.
    pub ciphertext: Vec<u8>,
    /// The context that was sealed with it.
    pub aad: Vec<u8>,
    /// The key's descriptor, if the message brings it: to whom the key delivers, for what, and until when. Its hash is
    /// `descriptor_hash`, and nobody else vouches for it.
    pub descriptor: Option<Encoded<KeyDescriptor>>,
}

impl SealedMessage {
    /// Reads a message as [`SealedMessage::encode`] writes it, here or in another language's client.
    ///
    /// # Errors
    ///
    /// [`Error::Answer`]; also for a descriptor that is another key's.
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
            return Err(refused("descriptor is another key's"));
        }
        let (ciphertext, aad) = (message.bytes("ciphertext")?.0, message.bytes("aad")?.0);
        Ok(Self { key_id, descriptor_hash, enc, ciphertext, aad, descriptor })
    }

    /// The whole message as JSON: what travels to the party that has it opened.
    pub fn encode(&self) -> String {
        let file = MessageFile {
            key_id: self.key_id.to_base64url(),
            descriptor_hash: Bytes(self.descriptor_hash.to_vec()),
            body: self.body(),
            descriptor: self.descriptor.as_ref().map(|descriptor| Bytes(descriptor.bytes().to_vec())),
        };
        serde_json::to_string(&file).unwrap_or_default()
    }

    /// To whom the key delivers, if the message says so.
    pub fn release_to(&self) -> Option<&ReleaseTo> {
        self.descriptor.as_ref().map(|descriptor| &descriptor.release_to)
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
