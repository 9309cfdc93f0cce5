//! Memory: wiping secrets, the budget for replies, and process hardening.

pub(crate) mod budget;
pub mod harden;
pub(crate) mod wipe;
