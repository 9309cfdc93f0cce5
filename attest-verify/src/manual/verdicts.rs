//! What a verdict means.
//!
//! **Two questions, two types.** [`Verifier::verify`] answers "did a Nitro module sign this, validly now?"
//! and returns a [`VerifiedDocument`]. [`Policy::appraise`] answers "is it the expected enclave, about this
//! request, recently?" and returns an [`AcceptedDocument`]. Neither type can be made in another way. No
//! content of a document skips a step. Take an `AcceptedDocument` wherever code depends on the verdict.
//!
//! A genuine document alone means little: anyone with an AWS account can get one for an image of their own.
//!
//! **Escapes are named.** Everything that weakens a verdict has `insecure_` in its name:
//! [`Verifier::insecure_allow_debug`], [`Policy::insecure_without_pcrs`].
//!
//! **Errors.** [`Error`] says which field breaks which rule; [`Error::code`] is stable. Errors may be shown:
//! they contain nothing secret, and text from documents only in escaped form.
//!
//! **Malleability.** ECDSA signatures are malleable: from any document a second, equally valid encoding of
//! its signature can be computed. Do not use a hash of a document to recognise it.
//!
//! [`Verifier::verify`]: crate::Verifier::verify
//! [`Verifier::insecure_allow_debug`]: crate::Verifier::insecure_allow_debug
//! [`VerifiedDocument`]: crate::VerifiedDocument
//! [`Policy::appraise`]: crate::Policy::appraise
//! [`Policy::insecure_without_pcrs`]: crate::Policy::insecure_without_pcrs
//! [`AcceptedDocument`]: crate::AcceptedDocument
//! [`Error`]: crate::Error
//! [`Error::code`]: crate::Error::code
