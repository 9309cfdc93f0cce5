//! Speed: what a verification costs.
//!
//! A verification costs five ECDSA P-384 signatures and little else. Keep the [`Verifier`]: it caches
//! certificate signatures that verified. Another document of the same enclave then costs one signature, and a
//! document of a neighbouring enclave two. A verdict never depends on the cache. Its size is bounded by
//! [`Verifier::with_signature_cache`].
//!
//! With the feature `aws-lc-rs`, `Verifier::new(anchor).with_provider(Provider::aws_lc_rs())` is four times
//! as fast as the default [`Provider`], which is pure Rust.
//!
//! [`Verifier`]: crate::Verifier
//! [`Verifier::with_signature_cache`]: crate::Verifier::with_signature_cache
//! [`Provider`]: crate::Provider
