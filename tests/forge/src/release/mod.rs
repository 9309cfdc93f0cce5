//! Releases of a test product: signed documents, their log, and bundles, valid and invalid.
//!
//! [`ReleaseFixture::new`] is a product with two releases. Change any part, then call
//! [`ReleaseFixture::bundle`]. [`cases`] are the changes that must be refused, and those that must be
//! accepted.

mod cases;
mod details;
mod fixture;
mod forged;
mod limits;
mod log;
mod rotation;
mod rules;
mod small_order;

pub use cases::{Expected, ReleaseCase, bundle_with_list, cases};
pub use fixture::{Key, NoteKey, ReleaseFixture, envelope, pem, pinned_keys};
pub use log::Log;
