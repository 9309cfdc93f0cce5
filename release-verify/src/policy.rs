//! Appraisal of an enclave under a signed list: the accepted releases, and their end.

use std::time::Duration;

use ok2cry_attest_verify::{
    AcceptedDocument, AppraisalFault, CheckTime, Error as DocumentError, Measurements, Pcrs, Policy,
    VerifiedDocument,
};

use crate::error::Error;
use crate::fault::ReleaseFault;

/// What is expected of an enclave's document: one of the listed releases, before they end. From
/// [`AcceptedReleases::policy`](crate::AcceptedReleases::policy).
///
/// It wraps a [`Policy`] of the same releases, and adds two verdicts: that the list has ended, and why no
/// release matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleasePolicy {
    policy: Policy,
    releases: Vec<Measurements>,
    ends_ms: u64,
}

impl ReleasePolicy {
    pub(crate) fn new(releases: Vec<Measurements>, ends_ms: u64) -> Result<Self, Error> {
        Ok(Self { policy: Policy::new(releases.iter().cloned())?, releases, ends_ms })
    }

    pub(crate) fn ends_ms(&self) -> u64 {
        self.ends_ms
    }

    /// Accepts documents of at most this age: see [`Policy::with_max_age`].
    #[must_use]
    pub fn with_max_age(self, max_age: Duration) -> Self {
        Self { policy: self.policy.with_max_age(max_age), ..self }
    }

    /// Accepts documents with exactly this nonce.
    #[must_use]
    pub fn with_nonce(self, nonce: impl Into<Vec<u8>>) -> Self {
        Self { policy: self.policy.with_nonce(nonce), ..self }
    }

    /// Accepts documents with exactly this user data.
    #[must_use]
    pub fn with_user_data(self, user_data: impl Into<Vec<u8>>) -> Self {
        Self { policy: self.policy.with_user_data(user_data), ..self }
    }

    /// Compares a verified document with what is expected, as [`Policy::appraise`] does.
    ///
    /// # Errors
    ///
    /// The first difference, in this order: timestamp and age, end of the list, measurements, nonce, user
    /// data.
    pub fn appraise<'a>(
        &self,
        document: VerifiedDocument<'a>,
        time: &CheckTime,
    ) -> Result<AcceptedDocument<'a>, Error> {
        let pcrs = document.pcrs().clone();
        let verdict = self.policy.appraise(document, time);
        // The document's time is checked before the end of the list, everything else after it.
        if !matches!(verdict, Err(DocumentError::Clock(_)))
            && let Some(by_ms) = time.past(self.ends_ms)
        {
            return Err(ReleaseFault::ListExpired { by_ms }.into());
        }
        match verdict {
            Err(DocumentError::Appraisal(AppraisalFault::Pcrs { .. })) => Err(self.unlisted(&pcrs).into()),
            verdict => Ok(verdict?),
        }
    }

    /// Why no release matches these registers.
    fn unlisted(&self, pcrs: &Pcrs<'_>) -> ReleaseFault {
        // Each register is that of some release, so they were combined from several.
        let known = |index| {
            let found = pcrs.at(index);
            self.releases
                .iter()
                .any(|release| release.iter().any(|(i, value)| i == index && found == Some(value)))
        };
        match (0..=2).all(known) {
            true => ReleaseFault::Mixed,
            false => ReleaseFault::NotReleased,
        }
    }
}
