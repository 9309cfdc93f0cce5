use crate::Error;
use ok2cry_attest_verify::{
    CheckTime, Measurements, Policy, TrustAnchor, Verifier,
    release::{AcceptedReleases, ReleaseFault},
};
use ok2cry_protocol::{
    Encoded, Record as _,
    batch::{BatchHeader, Inclusion},
    http::{AttestedBody, inclusion},
    ids::{InstanceId, Nonce},
    statement::Statement,
};

/// The most that a record's time may differ from its document's, in milliseconds.
pub const MAX_DISTANCE_MS: u64 = 60_000;
/// The greatest age of a reply's document unless [`Trust::max_reply_age_ms`] sets another, in milliseconds.
pub const DEFAULT_MAX_REPLY_AGE_MS: u64 = 600_000;
/// The greatest age of a statement's document, in milliseconds. It answers a nonce that was made for it.
pub const MAX_STATEMENT_AGE_MS: u64 = 60_000;
/// The DER of an Ed25519 `SubjectPublicKeyInfo` up to the key's 32 bytes (RFC 8410 §4).
const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Which enclaves are accepted: a root certificate, and releases whose measurements match as whole sets.
#[derive(Clone, Debug)]
pub struct Trust {
    verifier: Verifier,
    policy: Policy,
    max_reply_age_ms: u64,
}

impl Trust {
    /// Accepts documents under `anchor` from enclaves that run one of `releases`.
    ///
    /// # Errors
    ///
    /// [`Error::Trust`] without a release.
    pub fn new(anchor: TrustAnchor, releases: impl IntoIterator<Item = Measurements>) -> Result<Self, Error> {
        Ok(Self::with(anchor, Policy::new(releases).map_err(Error::Trust)?))
    }

    /// Accepts documents under `anchor` from enclaves that run one of these signed releases, until their list ends. `anchor`
    /// is the one that they were checked for ([`ReleaseKey::check`](ok2cry_attest_verify::release::ReleaseKey::check)).
    ///
    /// # Errors
    ///
    /// [`Error::Releases`] for another root than theirs.
    pub fn from_releases(anchor: TrustAnchor, releases: &AcceptedReleases) -> Result<Self, Error> {
        if releases.root().attestation_root.0 != anchor.fingerprint() {
            return Err(Error::Releases(ReleaseFault::Anchor.into()));
        }
        Ok(Self::with(anchor, releases.policy().map_err(Error::Releases)?))
    }

    /// Accepts any image that anybody runs in any enclave under `anchor`.
    ///
    /// Insecure: whoever can start an enclave can then read what is sealed.
    pub fn insecure_without_pcrs(anchor: TrustAnchor) -> Self {
        Self::with(anchor, Policy::insecure_without_pcrs())
    }

    /// How old a reply's document may be, in milliseconds; ten minutes unless set. A recipient must remember what
    /// it has accepted for as long (see [`crate::Seen`]), and documents end with their leaf certificate anyway,
    /// at most three hours after it was made.
    #[must_use]
    pub fn max_reply_age_ms(self, max_reply_age_ms: u64) -> Self {
        Self { max_reply_age_ms, ..self }
    }

    /// Checks that `body` is a statement about `nonce` by an accepted enclave, now.
    pub fn verify_statement(
        &self,
        nonce: &Nonce,
        body: &AttestedBody,
        time: &CheckTime,
    ) -> Result<AttestedBatch, Error> {
        self.verify_statement_of_age(nonce, body, MAX_STATEMENT_AGE_MS, time)
    }

    /// The same, with the age that the document of a reply may have: whether a reply that the enclave makes now would be
    /// accepted here. To be asked before a key is used up.
    ///
    /// # Errors
    ///
    /// As [`Trust::verify_statement`].
    pub fn verify_statement_for_replies(
        &self,
        nonce: &Nonce,
        body: &AttestedBody,
        time: &CheckTime,
    ) -> Result<AttestedBatch, Error> {
        self.verify_statement_of_age(nonce, body, self.max_reply_age_ms, time)
    }

    fn verify_statement_of_age(
        &self,
        nonce: &Nonce,
        body: &AttestedBody,
        max_age_ms: u64,
        time: &CheckTime,
    ) -> Result<AttestedBatch, Error> {
        let batch = self.accept(&body.document, max_age_ms, time)?;
        let statement = batch.record::<Statement>("statement", &body.record.0, body.index, &body.path)?;
        if statement.nonce != *nonce {
            return Err(Error::Nonce);
        }
        batch.check_time("statement", statement.time)?;
        Ok(batch)
    }

    pub(crate) fn accept_for_keys(&self, document: &[u8], time: &CheckTime) -> Result<AttestedBatch, Error> {
        // Age follows from the key's own times: near the document's, and not expired.
        self.accept(document, u64::MAX, time)
    }

    pub(crate) fn accept_for_reply(&self, document: &[u8], time: &CheckTime) -> Result<AttestedBatch, Error> {
        self.accept(document, self.max_reply_age_ms, time)
    }

    /// For how long after a key's end its reply would still be accepted, in milliseconds.
    pub(crate) fn reply_horizon_ms(&self) -> u64 {
        self.max_reply_age_ms.saturating_add(MAX_DISTANCE_MS)
    }

    fn with(anchor: TrustAnchor, policy: Policy) -> Self {
        Self { verifier: Verifier::new(anchor), policy, max_reply_age_ms: DEFAULT_MAX_REPLY_AGE_MS }
    }

    fn accept(&self, document: &[u8], max_age_ms: u64, time: &CheckTime) -> Result<AttestedBatch, Error> {
        let policy = self.policy.clone().max_age_ms(max_age_ms);
        let document = policy.appraise(self.verifier.verify(document, time)?, time)?;
        if document.nonce().is_some() {
            return Err(Error::DocumentNonce);
        }
        let header =
            BatchHeader::decode(document.user_data().unwrap_or_default()).map_err(Error::UserData)?;
        let log_key = document
            .public_key()
            .filter(|spki| spki.len() == 44 && spki.starts_with(&ED25519_SPKI_PREFIX))
            .ok_or(Error::LogKey)?;
        Ok(AttestedBatch {
            header,
            instance: InstanceId::of_log_key(log_key),
            timestamp_ms: document.timestamp_ms(),
            release: document.release(),
        })
    }
}

/// A batch whose document was accepted.
#[derive(Clone, Debug)]
pub struct AttestedBatch {
    header: BatchHeader,
    instance: InstanceId,
    timestamp_ms: u64,
    release: Option<usize>,
}

impl AttestedBatch {
    /// Which boot of an enclave speaks.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// When the document was made, in Unix milliseconds.
    pub fn timestamp_ms(&self) -> u64 {
        self.timestamp_ms
    }

    /// Which of the accepted releases the enclave runs, counted from 0; `None` without reference values.
    pub fn release(&self) -> Option<usize> {
        self.release
    }

    /// Size and root of the boot's audit log when the document was made.
    pub fn log_head(&self) -> (u64, [u8; 32]) {
        (self.header.log_size, self.header.log_root)
    }

    /// Decodes a record, once it is proven to be in the batch.
    pub(crate) fn record<T: ok2cry_protocol::Record>(
        &self,
        what: &'static str,
        bytes: &[u8],
        index: u64,
        path: &[ok2cry_protocol::http::Bytes],
    ) -> Result<Encoded<T>, Error> {
        let inclusion: Inclusion = inclusion(index, path).ok_or(Error::NotInBatch(what))?;
        if !inclusion.proves(bytes, &self.header) {
            return Err(Error::NotInBatch(what));
        }
        Encoded::decode(bytes).map_err(Error::Record)
    }

    /// Checks that a record was made about when its document was.
    pub(crate) fn check_time(&self, what: &'static str, time_ms: u64) -> Result<(), Error> {
        if self.timestamp_ms.abs_diff(time_ms) > MAX_DISTANCE_MS {
            return Err(Error::FarFromDocument(what));
        }
        Ok(())
    }
}
