//! The platform: the Nitro Secure Module, trusted time, the compute pool and memory.

pub mod clock;
pub(crate) mod compute_pool;
pub mod memory;
pub mod nsm;
