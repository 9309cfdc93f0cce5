//! From records to attestation documents.

pub mod batcher;
