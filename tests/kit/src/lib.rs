//! End-to-end tests of ok2cry over real processes and sockets, and the demo that plays its story.
//!
//! A [`Deployment`] is an enclave program on a mock NSM and a parent in front of it, two processes as on a Nitro
//! host, with a Unix socket for vsock. Where `OK2CRY_TEST_MACHINE` names what `image/machine` has made, it is an enclave
//! image in QEMU instead, and the same tests run against that. Around it stand those who attack it: [`HostileParent`] between clients and
//! parent, [`EnclaveStream`] in the parent's place before the enclave, [`raw_http`] in the place of a client that
//! sends what it likes.
//!
//! The programs are those that `cargo build --workspace --bins` leaves beside the test: the tests build nothing, and
//! refuse to run programs that are older than their sources.
//!
//! | module | holds |
//! |---|---|
//! | [`deployment`] | both programs, started, watched and ended together |
//! | [`machine`] | an enclave image in an emulated machine, with the kernel's own NSM driver and vsock |
//! | [`image`] | images for it, one for each configuration |
//! | [`process`] | one program: its output, and its end |
//! | [`publisher`] | release engineers: keys, manifests, the published folder |
//! | [`raw_http`] | HTTP requests byte for byte, right and wrong ones |
//! | [`enclave_stream`] | frames straight to the enclave, right and wrong ones |
//! | [`hostile_parent`] | a man in the middle that reads and rewrites every message |
//! | [`any_hpke`] | sealing with an HPKE library and nothing of the client's |
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

/// What kept a harness from doing its work. Its `Debug` is its text, so that `unwrap` shows what happened.
#[derive(thiserror::Error)]
#[error("{0}")]
pub struct HarnessError(String);

impl HarnessError {
    /// An error that says `what`.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl std::fmt::Debug for HarnessError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
