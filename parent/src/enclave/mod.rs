//! The enclave, as the parent reaches it.
//!
//! | module | holds |
//! |---|---|
//! | [`pool`] | many requests under way on few streams |
//! | `admission` | how many requests may be under way, and how many may wait |
//! | `connection` | one stream: what waits for answers on it, and the reader that brings them |
//! | [`transport`] | where the enclave is, and how to connect to it |

mod admission;
mod connection;
pub mod pool;
pub mod transport;
