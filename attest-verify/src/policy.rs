//! Appraisal: compares a genuine document with what the caller expects.

use std::ops::Deref;
use std::time::Duration;

use crate::error::{AppraisalFault, ClockFault, Error, MeasurementsFault};
use crate::measurements::Measurements;
use crate::support::millis;
use crate::time::CheckTime;
use crate::verifier::{VerifiedDocument, not_from_future};

/// What a caller expects of a genuine document.
///
/// A policy without reference values is [`Policy::insecure_without_pcrs`]; an empty list is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `None` is the insecure escape. `Some` is never empty.
    releases: Option<Vec<Measurements>>,
    max_age_ms: Option<u64>,
    nonce: Option<Vec<u8>>,
    user_data: Option<Vec<u8>>,
}

impl Policy {
    /// Accepts any of these releases. The measurements of a release match as one whole set: a document with
    /// PCR0 of one release and PCR2 of another matches neither.
    ///
    /// # Errors
    ///
    /// [`Error::Measurements`] without a release.
    pub fn new(releases: impl IntoIterator<Item = Measurements>) -> Result<Self, Error> {
        let releases: Vec<_> = releases.into_iter().collect();
        match releases.is_empty() {
            true => Err(Error::Measurements(MeasurementsFault::NoRelease)),
            false => Ok(Self::with(Some(releases))),
        }
    }

    /// Accepts any image in any enclave.
    ///
    /// Insecure: it proves only that *some* enclave answered, and anyone with an AWS account can run one.
    #[must_use]
    pub fn insecure_without_pcrs() -> Self {
        Self::with(None)
    }

    /// Accepts documents of at most this age. Without it a leaf certificate's three hours are the limit.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age_ms = Some(millis(max_age));
        self
    }

    /// Accepts documents with exactly this nonce.
    #[must_use]
    pub fn with_nonce(mut self, nonce: impl Into<Vec<u8>>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// Accepts documents with exactly this user data.
    #[must_use]
    pub fn with_user_data(mut self, user_data: impl Into<Vec<u8>>) -> Self {
        self.user_data = Some(user_data.into());
        self
    }

    /// Compares a verified document with what is expected. `time` is the time that the document was verified
    /// at. For a document that was verified historically, it is [`CheckTime::exactly`] the document's own
    /// timestamp.
    ///
    /// # Errors
    ///
    /// The first difference, in this order: timestamp and age ([`Error::Clock`]), PCRs, nonce, user data
    /// ([`Error::Appraisal`]).
    pub fn appraise<'a>(
        &self,
        document: VerifiedDocument<'a>,
        time: &CheckTime,
    ) -> Result<AcceptedDocument<'a>, Error> {
        self.check_age(document.timestamp_ms(), time)?;
        let release = self.matching_release(&document)?;
        if let Some((expected, found)) = differing(self.nonce.as_deref(), document.nonce()) {
            return Err(Error::Appraisal(AppraisalFault::Nonce { expected, found }));
        }
        if let Some((expected, found)) = differing(self.user_data.as_deref(), document.user_data()) {
            return Err(Error::Appraisal(AppraisalFault::UserData { expected, found }));
        }
        Ok(AcceptedDocument { document, release })
    }

    fn with(releases: Option<Vec<Measurements>>) -> Self {
        Self { releases, max_age_ms: None, nonce: None, user_data: None }
    }

    fn check_age(&self, timestamp_ms: u64, time: &CheckTime) -> Result<(), Error> {
        not_from_future(timestamp_ms, time)?;
        // A timestamp within the leeway has age 0.
        let age_ms = time.now_ms.saturating_sub(timestamp_ms);
        match self.max_age_ms {
            Some(max_age_ms) if age_ms > max_age_ms => {
                Err(Error::Clock(ClockFault::TooOld { age_ms, max_age_ms }))
            }
            _ => Ok(()),
        }
    }

    fn matching_release(&self, document: &VerifiedDocument<'_>) -> Result<Option<usize>, Error> {
        let Some(releases) = &self.releases else { return Ok(None) };
        let differing: Vec<_> = releases.iter().map(|release| release.differing(document.pcrs())).collect();
        match differing.iter().position(Vec::is_empty) {
            Some(index) => Ok(Some(index)),
            None => {
                let differing = differing.into_iter().min_by_key(Vec::len).unwrap_or_default();
                Err(Error::Appraisal(AppraisalFault::Pcrs { differing }))
            }
        }
    }
}

/// The lengths of the expected and the found value, if a value is expected and they differ.
fn differing(expected: Option<&[u8]>, found: Option<&[u8]>) -> Option<(usize, Option<usize>)> {
    expected.filter(|_| expected != found).map(|expected| (expected.len(), found.map(<[u8]>::len)))
}

/// A verified document that a [`Policy`] accepted. It cannot be made in another way.
#[derive(Clone, Debug)]
pub struct AcceptedDocument<'a> {
    document: VerifiedDocument<'a>,
    release: Option<usize>,
}

impl<'a> AcceptedDocument<'a> {
    /// Which of the policy's releases matched, counted from 0; `None` under
    /// [`Policy::insecure_without_pcrs`].
    #[must_use]
    pub fn release(&self) -> Option<usize> {
        self.release
    }

    /// The document itself.
    #[must_use]
    pub fn into_document(self) -> VerifiedDocument<'a> {
        self.document
    }
}

impl<'a> Deref for AcceptedDocument<'a> {
    type Target = VerifiedDocument<'a>;

    fn deref(&self) -> &Self::Target {
        &self.document
    }
}
