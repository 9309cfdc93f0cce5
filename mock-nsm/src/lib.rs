//! A Nitro Secure Module for laptops and CI. [`MockNsm`] answers the enclave's calls with real attestation
//! documents, signed with ES384 and certified by a P-384 chain of the same shape as AWS's, under a root
//! ([`MockPki`]) that is made on the spot. A program that trusts that root checks mock documents by exactly the
//! code that checks AWS's; [`MockHandle`] lets a test slow the module down, move its clock or make it misbehave.
//!
//! # What a mock document proves, and what it does not
//!
//! It proves that the parts fit: that what the enclave asked for was attested, that a verifier follows the chain,
//! binds the fields and notices every fault that this crate can inject. **It proves nothing about isolation.**
//! Nothing measured the program, whoever holds the process's memory holds every key, and the measurements are
//! hashes of fixed sentences. Never accept the mock's root for secrets that matter, and never sign its
//! measurements as a release.
//!
//! Mock documents cannot be taken for AWS's: every root is freshly made, its subjects say
//! "ok2cry mock, not Amazon" from the country `ZZ`, and module ids begin with `i-0facade`. A release image cannot
//! hold this crate, because `ok2cry-enclave` does not depend on it.
//!
//! # Map
//!
//! | module | holds |
//! |---|---|
//! | `nsm` | [`MockNsm`]: one call, with its limits, its faults and the renewal of its leaf |
//! | `handle` | [`MockHandle`]: what may be changed, and counted, while the module runs |
//! | `config` | [`MockConfig`]: measurements, clock, form of the payload |
//! | `faults` | [`Faults`], [`Answer`]: the ways to misbehave |
//! | `document` | payload and `COSE_Sign1`, byte for byte as real documents have them |
//! | `pki` | [`MockPki`]: four authorities, when they are renewed, and a leaf for emulators |
//! | `certificate` | one certificate: names, validity, extensions, signature |
//! | `error` | [`MockError`] |
//!
//! # Example
//!
//! ```
//! use ok2cry_enclave::platform::nsm::{AttestationRequest, Nsm};
//! use ok2cry_mock_nsm::{MockConfig, MockNsm, MockPki, TimeSource};
//!
//! let pki = MockPki::generate(TimeSource::System.now_ms())?;
//! let config = MockConfig::default();
//! let (root, accepted) = (pki.root_pem(), config.measurements());
//!
//! let mut nsm = MockNsm::new(pki, config);
//! let document = nsm.attest(&AttestationRequest { nonce: Some(b"fresh"), ..Default::default() })?;
//! # assert!(root.starts_with("-----BEGIN CERTIFICATE-----") && accepted.len() == 3);
//! # assert_eq!(document.first(), Some(&0x84));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
