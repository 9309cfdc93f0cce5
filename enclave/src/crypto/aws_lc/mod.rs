//! AWS-LC's P-384 under the same `hpke` crate.
//!
//! A private key is AWS-LC's own object, kept ready from its making to its end. Its scalar is drawn inside AWS-LC, stays in
//! one allocation of AWS-LC's heap and never comes into Rust's memory; AWS-LC overwrites every allocation that it frees.

mod kem;

use super::{Provider, suite::Hpke};
pub(super) use kem::AwsLcP384;

pub(super) const PROVIDER: &dyn Provider = &Hpke::<AwsLcP384>::new();
