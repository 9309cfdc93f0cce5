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
//! | [`nsm`] | the Nitro Secure Module as a trait, and the device |
//! | [`clock`] | time that the host cannot turn back |
//! | [`attester`] | one document for everything that waited: group commit |
//! | [`store`] | the life of keys: once, never after the deadline, erased |
//! | [`eraser`] | when to erase |
//! | [`contexts`] | attested HPKE contexts to recipients, and replies under them |
//! | [`crypto`] | disposable keys: how they are made, kept, used and erased |
//! | [`harden`] | no core dumps, no swap, no data in panics |
//! | [`service`] | issue, open, status, destroy, attest |
//! | [`server`] | frames over vsock or a Unix socket |
//! | [`run`] | from a configuration and an NSM to a service that listens |
//! | [`init`] | PID 1 of the image, from the kernel's first call to `run` |

pub mod attester;
mod budget;
pub mod clock;
pub mod config;
pub mod contexts;
mod cpu;
pub mod crypto;
mod erase;
pub mod eraser;
pub mod harden;
pub mod init;
pub mod nsm;
pub mod run;
pub mod server;
pub mod service;
pub mod store;
