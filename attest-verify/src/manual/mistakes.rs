//! How this crate avoids known mistakes of verifiers.
//!
//! - *COSE headers are ignored: another `alg`, `crit`, an unprotected header that is not signed.* Both
//!   headers have one allowed encoding.
//! - *The decoder keeps one of two equal keys, skips unknown keys, ignores trailing bytes.* The decoder
//!   refuses all three, at every level.
//! - *NitroTPM documents pass, because they have the same root.* The key `nitrotpm_pcrs` is an error of
//!   its own.
//! - *PCR0 is compared only if it is present.* PCR0, 1 and 2 and the policy's PCR0 are mandatory; an
//!   absent PCR differs.
//! - *Debug enclaves pass, because a policy was made from their zeros.* Zero in PCR0, 1 or 2 is refused in
//!   documents and in policies.
//! - *A leaf is taken for an issuer: its key signed the certificate of the document.* An issuer must be a
//!   CA with keyCertSign within its pathLenConstraint.
//! - *The path builder chooses certificates from the bundle.* The bundle is root first, every entry used,
//!   in order.
//! - *The root is not checked for validity, or is found by its name.* The root must equal the anchor byte
//!   for byte, and be valid.
//! - *Weak algorithms by agility.* P-384 with SHA-384 is the only algorithm.
//! - *A document is replayed under a clock of its own choice.* The caller gives the time; a timestamp must
//!   lie within its leaf's validity.
//! - *Memory or stack is exhausted by claimed lengths and nesting.* Size first; lengths are compared with
//!   what is left; no recursion.
//! - *A certificate cache changes verdicts: an expired or forged chain passes.* Only signatures are
//!   cached, with all their inputs; everything else is checked again.
//!
//! The checklist with sources, constants and the test for each rule is `docs/attestation.md` in the
//! repository.
