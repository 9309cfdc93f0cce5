//! The program inside the enclave. It makes disposable keys, has them attested in batches, opens one message
//! with each, and erases them on time.
//!
//! The parent instance, which carries every byte in and out, is trusted for availability only. Input is
//! decoded strictly. Time comes from the Nitro Secure Module's documents and the kernel's monotonic clock,
//! never from the host. Nothing secret reaches a log line, an error or a counter.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | what the measured image says: purposes, limits, where to listen |
//! | [`boot`] | PID 1 of the image, from the kernel's first call to [`run`] |
//! | [`run`] | from a configuration and an NSM to a service that listens |
//! | [`platform`] | the Nitro Secure Module, trusted time, the compute pool, memory |
//! | [`attest`] | attestation documents by group commit |
//! | [`keys`] | keys: made, used once before their deadline, erased |
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
