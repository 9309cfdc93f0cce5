//! The program inside the enclave: it makes disposable keys, has them attested in batches, opens what was sealed
//! to each of them once, and erases them on time.
//!
//! The parent instance, which carries every byte in and out, is trusted for nothing but availability. Whatever
//! arrives is decoded strictly; time comes from the Nitro Secure Module's documents and the kernel's own
//! monotonic clock, never from the host; and nothing secret reaches a log line, an error or a counter.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | what the measured image says: purposes, limits, where to listen |
//! | [`boot`] | PID 1 of the image, from the kernel's first call to [`run`] |
//! | [`run`] | from a configuration and an NSM to a service that listens |
//! | [`platform`] | the Nitro Secure Module, trusted time, the compute pool, memory |
//! | [`attest`] | one document for everything that waits: group commit |
//! | [`keys`] | the life of keys: made, used once, never after the deadline, erased |
//! | `replies` | attested HPKE contexts to recipients, and replies under them |
//! | [`api`] | frames over vsock or a Unix socket; issue, open, status, destroy, attest |

pub mod api;
pub mod attest;
pub mod boot;
pub mod config;
pub mod keys;
pub mod platform;
mod replies;
pub mod run;
