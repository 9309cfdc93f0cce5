#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | `nsm` | [`MockNsm`]: one call, with limits, faults and the renewal of its leaf |
//! | `handle` | [`MockHandle`]: control of a running module |
//! | `config` | [`MockConfig`]: measurements, clock, form of the payload |
//! | `faults` | [`Faults`], [`Answer`] |
//! | `document` | payload and `COSE_Sign1`, in the encoding of real documents |
//! | `pki` | [`MockPki`]: four authorities and their renewal, and a leaf for emulators |
//! | `certificate` | one certificate: names, validity, extensions, signature |
//! | `error` | [`MockError`] |

mod certificate;
mod config;
mod document;
mod error;
mod faults;
mod handle;
mod nsm;
mod pki;

pub use config::{MockConfig, PayloadMap, Pcrs, TimeSource};
pub use error::MockError;
pub use faults::{Answer, Faults};
pub use handle::MockHandle;
pub use nsm::MockNsm;
pub use pki::{MockPki, SignerFiles};
