//! Disposable keys: how they are made, where they live, and what ends them.

pub mod crypto;
pub mod reaper;
pub mod store;
