//! Calls to the enclave over a few streams.
//!
//! | module | holds |
//! |---|---|
//! | `pool` | [`EnclavePool`]: distributes requests over the streams and waits for the answers |
//! | `admission` | limits on requests in flight and in the queue |
//! | `connection` | one open stream: its pending requests, and the reader that answers them |
//! | `transport` | the enclave's address, and how to connect to it |

mod admission;
mod connection;
mod error;
mod pool;
mod transport;

pub(crate) use error::CallError;
pub(crate) use pool::EnclavePool;
pub use transport::{EnclaveUrl, EnclaveUrlError};
