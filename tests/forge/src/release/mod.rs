//! Releases of a made-up product: signed documents, their log, and what a client is handed; right, and wrong in every way.
//!
//! [`ReleaseFixture::new`] is a product with two releases out. Change what you like and ask for its [`ReleaseFixture::bundle`]; [`cases`] are
//! the changes that must be refused, and those that must not.

mod cases;
mod forged;
mod limits;
mod log;
mod rotation;
mod small_order;
mod world;

pub use cases::{Expected, ReleaseCase, bundle_with_list, cases};
pub use log::Log;
pub use world::{Key, NoteKey, ReleaseFixture, envelope, pem, pinned_keys};
