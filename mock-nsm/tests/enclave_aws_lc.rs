//! The enclave's tests with the AWS-LC crypto provider.

#![cfg(feature = "aws-lc")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "suite/enclave.rs"]
mod enclave;

const CRYPTO_PROVIDER: ok2cry_enclave::keys::crypto::CryptoProvider =
    ok2cry_enclave::keys::crypto::CryptoProvider::AwsLc;
