//! The HTTP service on the parent instance: a bridge to the enclave that is trusted for nothing but availability.
//!
//! It turns HTTP and JSON into frames on a stream to the enclave and back, limits what may wait, and says how it
//! fares. It holds no secret and decides nothing that security depends on: what it rejects early, the enclave
//! would reject too, and what it hands on, clients and recipients verify for themselves. The one exception is
//! `caller` mode, in which the plaintext passes through here because that is what the mode means.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | what can be set, by flag, environment and file |
//! | [`enclave`] | many requests under way on few streams, each answered, refused or forgotten, never repeated |
//! | [`http`] | the routes, their strict inputs, and the problems they answer with |
//! | [`metrics`] | what is counted |
//! | [`server`] | connections, their timeouts and limits, and the orderly end |
//!
//! ```no_run
//! # async fn run() -> Result<(), ok2cry_parent::Error> {
//! let args = ["ok2cry-parent", "--enclave", "unix:///run/ok2cry.sock"];
//! let config = ok2cry_parent::Config::load(args, [])?;
//! let listener = ok2cry_parent::bind(config.listen).await?;
//! ok2cry_parent::serve(config, listener, std::future::pending()).await
//! # }
//! ```

pub mod config;
pub mod enclave;
mod error;
pub mod http;
pub mod metrics;
pub mod server;

pub use config::Config;
pub use error::{ConfigError, Error};
pub use server::{bind, serve};
