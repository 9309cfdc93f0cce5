//! Disposable keys: making them (`crypto`), keeping and ending them (`store`), and erasing them on time
//! (`reaper`).

pub mod crypto;
pub mod reaper;
pub mod store;
