//! The API, under `/v1`.

pub(super) mod attestation;
pub(super) mod keys;
pub(super) mod release;
