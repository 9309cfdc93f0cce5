#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the settings: flags, environment variables and file |
//! | `enclave` (private) | requests to the enclave over a few streams |
//! | [`http`] | the routes, their input checks, and problems |
//! | [`metrics`] | the metrics |
//! | [`server`] | HTTP connections: limits, timeouts and graceful shutdown |

pub mod config;
mod enclave;
mod error;
pub mod http;
pub mod metrics;
pub mod server;

// The crates whose types appear in the signatures of this one.
#[doc(no_inline)]
pub use {axum, clap, tokio};

pub use config::Config;
pub use enclave::{EnclaveUrl, EnclaveUrlError};
pub use error::{ConfigError, Error};
pub use server::{bind, serve};
