//! Hostile documents. Each breaks one rule, is correctly signed wherever possible, and must be refused with
//! the code of its case.

mod certificates;
mod chain;
mod dos;
mod envelope;
mod payload;
mod pcrs;
mod time;
mod valid;

pub use certificates::CERTIFICATES;
pub use chain::{CHAIN, ISSUED_BY_LEAF, ROLES};
pub use dos::{DOS, RAW, Raw};
pub use envelope::ENVELOPE;
pub use payload::PAYLOAD;
pub use pcrs::PCRS;
pub use time::TIME;
pub use valid::{CLOCK, DEBUG, Judged, VALID};

use crate::Enclave;

/// A name, the expected code, and the change to [`Enclave::new`].
pub type Case = (&'static str, &'static str, fn(&mut Enclave));
