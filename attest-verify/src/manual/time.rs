//! Time and freshness.
//!
//! **Time is a parameter.** Leaf certificates are seconds old when they are first used, so a client whose
//! clock is slightly behind sees certificates that are not valid yet. [`CheckTime::leeway_ms`] tolerates that
//! and nothing else. Every disagreement with the clock is [`Error::Clock`], apart from all other errors, so
//! that a program can say "check your clock".
//!
//! **Freshness is the caller's to require.** A document is valid as long as its certificates, about three
//! hours. A nonce that was drawn for this one request proves that the document is younger than the nonce.
//! [`Policy::with_max_age`] bounds its age by the clock.
//!
//! **Audits.** [`Verifier::verify_historical`] takes the document's own time. It belongs in audits only.
//!
//! [`CheckTime::leeway_ms`]: crate::CheckTime::leeway_ms
//! [`Error::Clock`]: crate::Error::Clock
//! [`Policy::with_max_age`]: crate::Policy::with_max_age
//! [`Verifier::verify_historical`]: crate::Verifier::verify_historical
