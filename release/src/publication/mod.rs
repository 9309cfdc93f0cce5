//! Releases, from a measured image to what clients follow.
//!
//! | module | holds |
//! |---|---|
//! | `signer` | private keys as PEM files, and signing |
//! | `statement` | the manifest of an image, and whether one is what this machine would have written |
//! | `site` | the published folder: documents, log, bundle |
//! | `audit` | every file of it held against the log |
//! | `publish` | the next list, the next checkpoint, and a last look at both as a client takes it |
//! | `witness` | cosignatures from others (feature `witness`) |
//! | `fault` | every reason with its code |

mod audit;
mod fault;
mod publish;
mod signer;
mod site;
mod statement;
#[cfg(feature = "witness")]
mod witness;

pub use audit::{Finding, Weight};
pub use fault::PublicationFault;
pub use publish::{Change, publish};
pub use signer::{DocumentSigner, LogSigner};
pub use site::Site;
pub use statement::{Built, Described};
#[cfg(feature = "witness")]
pub use witness::cosign;
