//! Measurements are whole sets.
//!
//! A release is one [`Measurements`]: PCR0 at least, better PCR0, 1 and 2 and, if the image is signed, PCR8.
//! A [`Policy`] of several releases accepts a document that matches one of them entirely. PCR0 of one release
//! with PCR2 of another matches none.
//!
//! Sets that would accept a debug enclave (zeros) or everything (empty) cannot be made.
//!
//! [`Measurements`]: crate::Measurements
//! [`Policy`]: crate::Policy
