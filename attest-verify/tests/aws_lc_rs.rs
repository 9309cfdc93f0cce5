//! The suite with AWS-LC.
#![cfg(feature = "aws-lc-rs")]

mod suite;
mod vectors;

use ok2cry_attest_verify::Provider;

fn provider() -> Provider {
    Provider::aws_lc_rs()
}
