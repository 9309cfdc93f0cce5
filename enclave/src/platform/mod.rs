//! What the machine gives: the Nitro Secure Module, time, processor and memory.

pub mod clock;
pub(crate) mod compute_pool;
pub mod memory;
pub mod nsm;
