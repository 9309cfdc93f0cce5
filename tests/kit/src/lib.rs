//! Real processes and raw messages for the end-to-end tests and the demo.
//!
//! A [`Deployment`] is an enclave program on a mock NSM and a parent, two processes as on a Nitro host, with
//! a Unix socket in place of vsock. If `OK2CRY_TEST_MACHINE` names a folder that `image/machine` has made,
//! the enclave is an image booted in QEMU instead. Three attackers are at hand: [`HostileParent`] between
//! clients and parent, [`EnclaveStream`] in the parent's place, and [`raw_http`] in a client's place.
//!
//! Programs are found where `cargo build --workspace --bins` leaves them. Nothing is built here, and a
//! program that is older than its sources is not run.
//!
//! | module | holds |
//! |---|---|
//! | [`deployment`] | an enclave and its parent, started and ended together |
//! | [`machine`] | an enclave image in an emulated machine, with the kernel's NSM driver and vsock |
//! | [`image`] | images for the emulated machine, one per configuration |
//! | [`process`] | one program: its start, output and end |
//! | [`publisher`] | a product's releases: keys, manifests, the published folder |
//! | [`raw_http`] | HTTP requests byte for byte, valid or not |
//! | [`enclave_stream`] | frames sent to the enclave directly, valid or not |
//! | [`hostile_parent`] | a proxy that reads and rewrites every message |
//! | [`any_hpke`] | sealing with an HPKE library, without the client's checks |
//! | [`wait`] | waiting for conditions, with a deadline |

pub mod any_hpke;
pub mod deployment;
pub mod enclave_stream;
pub mod hostile_parent;
pub mod image;
pub mod machine;
pub mod process;
pub mod publisher;
pub mod raw_http;
pub mod wait;

pub use deployment::{Deployment, Options};
pub use enclave_stream::EnclaveStream;
pub use hostile_parent::HostileParent;
pub use publisher::Publisher;
pub use wait::eventually;

/// Why a process, a message or a file of a test failed. `Debug` prints the text, so that `unwrap` shows it.
#[derive(thiserror::Error)]
#[error("{0}")]
pub struct HarnessError(String);

impl HarnessError {
    /// An error with this text.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl std::fmt::Debug for HarnessError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
