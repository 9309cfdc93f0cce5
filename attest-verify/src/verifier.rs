//! From bytes to a [`VerifiedDocument`].

use crate::anchor::TrustAnchor;
use crate::chain::Chain;
use crate::crypto::{P384, Provider};
use crate::document::{Claims, PCR_LEN, Pcrs, claims_accessors, decode};
use crate::error::{ClockFault, DocumentFault, Error};
use crate::time::CheckTime;
use crate::x509::Certificate;

/// Verifies attestation documents under one trust anchor. Make one and keep it; it may be shared between threads.
///
/// Everything that follows from a document alone is checked here. What a caller expects of it (measurements, nonce, age)
/// is a [`Policy`](crate::Policy)'s.
#[derive(Clone, Debug)]
pub struct Verifier {
    anchor: TrustAnchor,
    provider: &'static dyn Provider,
    allow_debug: bool,
}

impl Verifier {
    /// A verifier under `anchor`: [`TrustAnchor::aws_nitro`] for real enclaves.
    #[must_use]
    pub fn new(anchor: TrustAnchor) -> Self {
        Self { anchor, provider: &P384, allow_debug: false }
    }

    /// Accepts documents of debug enclaves, whose PCR0, 1 and 2 are zero.
    ///
    /// Insecure: such a document says nothing about the code, and the host reads a debug enclave's console.
    #[must_use]
    pub fn insecure_allow_debug(mut self) -> Self {
        self.allow_debug = true;
        self
    }

    /// Verifies a document at `time`: it is well-formed, every certificate is valid, everything is signed.
    ///
    /// # Errors
    ///
    /// The first rule that the document breaks. Rules are checked in a fixed order: size, envelope, payload, certificates
    /// and their chain, clock, signatures, debug mode.
    pub fn verify<'a>(&self, bytes: &'a [u8], time: &CheckTime) -> Result<VerifiedDocument<'a>, Error> {
        self.check(bytes, Some(time))
    }

    /// Verifies a document at its own timestamp, for audits of what is past.
    ///
    /// It proves that the document *was* good at that time, which the document itself names. It says nothing about now:
    /// whoever has got hold of an old leaf key since can make such documents today.
    ///
    /// # Errors
    ///
    /// As [`Verifier::verify`]; a certificate that was not valid at the document's time is a clock error as well.
    pub fn verify_historical<'a>(&self, bytes: &'a [u8]) -> Result<VerifiedDocument<'a>, Error> {
        self.check(bytes, None)
    }

    fn check<'a>(&self, bytes: &'a [u8], time: Option<&CheckTime>) -> Result<VerifiedDocument<'a>, Error> {
        let document = decode(bytes)?;
        let claims = document.claims;
        let chain = Chain::new(&claims, &self.anchor)?;

        let own_time = CheckTime::exactly(claims.timestamp_ms);
        let time = time.unwrap_or(&own_time);
        chain.check_clock(claims.timestamp_ms, time)?;
        not_from_future(claims.timestamp_ms, time)?;

        chain.check_signatures(&self.anchor, self.provider)?;
        self.provider
            .verify_es384(chain.leaf().key(), &document.envelope.signed_bytes(), document.envelope.signature)
            .map_err(|_| Error::Document(DocumentFault::Signature))?;

        // Last, so that "debug mode" is said of genuine documents only.
        self.check_measured(&claims.pcrs)?;
        Ok(VerifiedDocument { claims, chain })
    }

    fn check_measured(&self, pcrs: &Pcrs<'_>) -> Result<(), Error> {
        let zero = |index: &u8| pcrs.at(*index) == Some(&[0; PCR_LEN]);
        match (0..=2).filter(zero).count() {
            0 => Ok(()),
            3 if self.allow_debug => Ok(()),
            3 => Err(Error::Document(DocumentFault::DebugMode)),
            _ => {
                let index = (0..=2).find(zero).unwrap_or_default();
                Err(Error::Document(DocumentFault::PcrZero { index }))
            }
        }
    }
}

/// A document that a [`Verifier`] verified. There is no other way to make one.
///
/// It is genuine: a Nitro module signed these values, within a certificate chain to the trust anchor. Whether the enclave
/// is one to trust is what [`Policy::appraise`](crate::Policy::appraise) says.
#[derive(Clone, Debug)]
pub struct VerifiedDocument<'a> {
    claims: Claims<'a>,
    chain: Chain<'a>,
}

claims_accessors!(VerifiedDocument);

impl<'a> VerifiedDocument<'a> {
    /// The certificates, root first, leaf last: at least two.
    pub fn chain(&self) -> impl Iterator<Item = &Certificate<'a>> {
        self.chain.iter()
    }

    /// The certificate whose key signed the document.
    #[must_use]
    pub fn leaf(&self) -> &Certificate<'a> {
        self.chain.leaf()
    }

    /// Whether PCR0, 1 and 2 are zero, which only [`Verifier::insecure_allow_debug`] lets through.
    #[must_use]
    pub fn is_debug(&self) -> bool {
        self.claims.pcrs.at(0) == Some(&[0; PCR_LEN])
    }
}

pub(crate) fn not_from_future(timestamp_ms: u64, time: &CheckTime) -> Result<(), Error> {
    match time.beyond_leeway(timestamp_ms) {
        Some(by_ms) => Err(Error::Clock(ClockFault::FromFuture { by_ms })),
        None => Ok(()),
    }
}
