use crate::Error;
use ok2cry_attest_verify::{
    AcceptedDocument, CheckTime, Measurements, Policy, TrustAnchor, VerifiedDocument, Verifier,
};
use ok2cry_protocol::{
    Encoded, Record as _,
    batch::{BatchHeader, Inclusion},
    http::{AttestedBody, inclusion},
    ids::{InstanceId, Nonce},
    statement::Statement,
};
use ok2cry_release_verify::{AcceptedReleases, ReleaseFault, ReleasePolicy};
use std::time::Duration;

/// The most that a record's time may differ from its document's: a minute.
pub const MAX_DISTANCE: Duration = Duration::from_secs(60);
/// The greatest age of a reply's document unless [`Trust::with_max_reply_age`] sets another: ten minutes.
pub const DEFAULT_MAX_REPLY_AGE: Duration = Duration::from_secs(600);
/// The greatest age of a statement's document: a minute.
pub const MAX_STATEMENT_AGE: Duration = Duration::from_secs(60);
/// The DER of an Ed25519 `SubjectPublicKeyInfo` up to the key's 32 bytes (RFC 8410 §4).
const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Which enclaves are accepted: a root certificate, and releases. The measurements of a release match as a
/// whole set.
#[derive(Clone, Debug)]
pub struct Trust {
    verifier: Verifier,
    images: AcceptedImages,
    max_reply_age: Duration,
}

/// Which images are accepted.
#[derive(Clone, Debug)]
enum AcceptedImages {
    /// Those with the caller's own measurements, or all.
    Policy(Policy),
    /// Those of a signed list of releases.
    Releases(ReleasePolicy),
}

impl Trust {
    /// Accepts documents under `anchor` from enclaves that run one of `releases`.
    ///
    /// # Errors
    ///
    /// [`Error::Trust`] without a release.
    pub fn new(anchor: TrustAnchor, releases: impl IntoIterator<Item = Measurements>) -> Result<Self, Error> {
        let policy = Policy::new(releases).map_err(Error::Trust)?;
        Ok(Self::with(anchor, AcceptedImages::Policy(policy)))
    }

    /// Accepts documents under `anchor` from enclaves that run one of these signed releases, until their list
    /// expires.
    ///
    /// # Errors
    ///
    /// [`Error::Releases`] unless `anchor` is the one that
    /// [`ReleaseKey::check`](crate::releases::ReleaseKey::check) took.
    pub fn from_releases(anchor: TrustAnchor, releases: &AcceptedReleases) -> Result<Self, Error> {
        if releases.root().attestation_root.0 != anchor.fingerprint() {
            return Err(Error::Releases(ReleaseFault::Anchor.into()));
        }
        Ok(Self::with(anchor, AcceptedImages::Releases(releases.policy())))
    }

    /// Accepts every image in every enclave under `anchor`.
    ///
    /// Insecure: anyone who can start an enclave can then read what is sealed.
    pub fn insecure_without_pcrs(anchor: TrustAnchor) -> Self {
        Self::with(anchor, AcceptedImages::Policy(Policy::insecure_without_pcrs()))
    }

    /// Sets the greatest age of a reply's document, instead of [`DEFAULT_MAX_REPLY_AGE`].
    ///
    /// A [`ReplayGuard`](crate::ReplayGuard) must keep its entries for as long. A document also expires with
    /// its leaf certificate, at most three hours after that was made.
    #[must_use]
    pub fn with_max_reply_age(self, max_reply_age: Duration) -> Self {
        Self { max_reply_age, ..self }
    }

    /// Checks that `body` is a statement about `nonce` by an accepted enclave, at most [`MAX_STATEMENT_AGE`]
    /// old.
    ///
    /// # Errors
    ///
    /// The first broken rule.
    pub fn verify_statement(
        &self,
        nonce: &Nonce,
        body: &AttestedBody,
        time: &CheckTime,
    ) -> Result<AttestedBatch, Error> {
        self.verify_statement_of_age(nonce, body, MAX_STATEMENT_AGE, time)
    }

    /// Checks a statement under the maximum age of replies: if it passes, a reply that the enclave makes now
    /// would be accepted. Call it before an open, which uses the key.
    ///
    /// # Errors
    ///
    /// The first broken rule.
    pub fn verify_statement_for_replies(
        &self,
        nonce: &Nonce,
        body: &AttestedBody,
        time: &CheckTime,
    ) -> Result<AttestedBatch, Error> {
        self.verify_statement_of_age(nonce, body, self.max_reply_age, time)
    }

    fn verify_statement_of_age(
        &self,
        nonce: &Nonce,
        body: &AttestedBody,
        max_age: Duration,
        time: &CheckTime,
    ) -> Result<AttestedBatch, Error> {
        let batch = self.accept(&body.document, Some(max_age), time)?;
        let statement = batch.record::<Statement>("statement", &body.record.0, body.index, &body.path)?;
        if statement.nonce != *nonce {
            return Err(Error::Nonce);
        }
        batch.check_time("statement", statement.time)?;
        Ok(batch)
    }

    pub(crate) fn accept_for_keys(&self, document: &[u8], time: &CheckTime) -> Result<AttestedBatch, Error> {
        // No maximum age: the key's own times are near the document's, and the key has not expired.
        self.accept(document, None, time)
    }

    pub(crate) fn accept_for_reply(&self, document: &[u8], time: &CheckTime) -> Result<AttestedBatch, Error> {
        self.accept(document, Some(self.max_reply_age), time)
    }

    /// For how long after a key's expiry its reply may be accepted, in milliseconds.
    pub(crate) fn reply_horizon_ms(&self) -> u64 {
        millis(self.max_reply_age.saturating_add(MAX_DISTANCE))
    }

    fn with(anchor: TrustAnchor, images: AcceptedImages) -> Self {
        Self { verifier: Verifier::new(anchor), images, max_reply_age: DEFAULT_MAX_REPLY_AGE }
    }

    fn accept(
        &self,
        document: &[u8],
        max_age: Option<Duration>,
        time: &CheckTime,
    ) -> Result<AttestedBatch, Error> {
        let document = self.images.appraise(self.verifier.verify(document, time)?, max_age, time)?;
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

impl AcceptedImages {
    fn appraise<'a>(
        &self,
        document: VerifiedDocument<'a>,
        max_age: Option<Duration>,
        time: &CheckTime,
    ) -> Result<AcceptedDocument<'a>, Error> {
        let max_age = max_age.unwrap_or(Duration::MAX);
        match self {
            Self::Policy(policy) => Ok(policy.clone().with_max_age(max_age).appraise(document, time)?),
            Self::Releases(policy) => Ok(policy.clone().with_max_age(max_age).appraise(document, time)?),
        }
    }
}

/// A batch whose document is accepted.
#[derive(Clone, Debug)]
pub struct AttestedBatch {
    header: BatchHeader,
    instance: InstanceId,
    timestamp_ms: u64,
    release: Option<usize>,
}

impl AttestedBatch {
    /// The id of the enclave's boot.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// The time of the document, in Unix milliseconds.
    pub fn timestamp_ms(&self) -> u64 {
        self.timestamp_ms
    }

    /// The index of the accepted release that the enclave runs; `None` without reference values.
    pub fn release(&self) -> Option<usize> {
        self.release
    }

    /// Size and root of the boot's audit log at the time of the document.
    pub fn log_head(&self) -> (u64, [u8; 32]) {
        (self.header.log_size, self.header.log_root)
    }

    /// Checks that a record is in the batch, and decodes it.
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

    /// Checks that the time of a record is within [`MAX_DISTANCE`] of its document's.
    pub(crate) fn check_time(&self, what: &'static str, time_ms: u64) -> Result<(), Error> {
        if self.timestamp_ms.abs_diff(time_ms) > millis(MAX_DISTANCE) {
            return Err(Error::FarFromDocument(what));
        }
        Ok(())
    }
}
