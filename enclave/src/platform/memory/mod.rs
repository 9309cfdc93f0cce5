//! What is in memory: how secrets are wiped, how replies are counted, and what the process does about the rest.

pub(crate) mod budget;
pub mod harden;
pub(crate) mod wipe;
