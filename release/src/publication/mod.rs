//! Signs and publishes releases.
//!
//! | module | holds |
//! |---|---|
//! | `signer` | private keys in PEM files, and signing |
//! | `statement` | the manifest of an image, and the comparison with this machine's build |
//! | `site` | the published folder: documents, log, bundle |
//! | `audit` | compares every file of the folder with the log |
//! | `publish` | the next list and checkpoint, verified as a client does |
//! | `witness` | requests cosignatures (feature `witness`) |
//! | `fault` | refusals and their codes |

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
pub use publish::{Change, Cosign, Publisher};
pub use signer::{DocumentSigner, LogSigner};
pub use site::Site;
pub use statement::{BuildOutput, Built, Described};
#[cfg(feature = "witness")]
pub use witness::cosign;
