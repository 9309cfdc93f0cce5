//! The settings: flags, environment variables and file, in this order of precedence.
//!
//! A setting has one name, written `--max-queue`, `OK2CRY_PARENT_MAX_QUEUE` or `max_queue`. Unknown names are
//! errors everywhere, so that a misspelt limit is never ignored.
//!
//! | module | holds |
//! |---|---|
//! | `settings` | the settings as written, and their ranges |
//! | `environment` | settings from environment variables |
//! | `service_links` | variables of Kubernetes and Docker that are not settings |
//! | `listen` | the address to listen on |
//! | `cors`, `origin` | the CORS settings, and the syntax of web origins |

mod cors;
mod environment;
mod listen;
mod origin;
mod service_links;
mod settings;

use crate::{ConfigError, enclave::EnclaveUrl};
use axum::http::{HeaderName, HeaderValue};
use clap::{Parser, ValueEnum};
use serde::Deserialize;
use settings::Settings;
use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// The checked configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The address to listen on for HTTP. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// The enclave's address.
    pub enclave: EnclaveUrl,
    /// The number of streams to the enclave, 1 to 16.
    pub enclave_streams: usize,
    /// The timeout for connecting to the enclave.
    pub enclave_connect_timeout: Duration,
    /// The timeout for an answer from the enclave, including the time in the queue.
    pub enclave_timeout: Duration,
    /// The timeout for an answer to `/readyz`.
    pub ready_timeout: Duration,
    /// The maximum weight of the requests in flight to the enclave. A request for n keys counts n, any other 1.
    pub max_in_flight: usize,
    /// The maximum number of requests in the queue. Further ones are refused at once.
    pub max_queue: usize,
    /// The maximum number of open HTTP connections. Further ones wait to be accepted.
    pub max_connections: usize,
    /// The maximum length of a request's body, in bytes.
    pub max_body_bytes: usize,
    /// The timeout for a request's head, and for an idle connection between requests.
    pub header_timeout: Duration,
    /// The timeout for a request's body.
    pub body_timeout: Duration,
    /// How long a connection may accept no byte of a response.
    pub write_timeout: Duration,
    /// How long requests in flight may take to finish after shutdown begins.
    pub shutdown_timeout: Duration,
    /// The folder of published releases, served under `/v1/release`.
    pub release_site: Option<PathBuf>,
    /// The web origins that may call the API.
    pub cors: Cors,
    /// The headers that pages of these origins may send, besides `content-type`.
    pub cors_headers: Vec<HeaderName>,
    /// Whether pages of these origins may send cookies and client certificates, and read the responses to
    /// such requests. Must be false with [`Cors::Any`].
    pub cors_credentials: bool,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The minimum level of log lines.
    pub log_level: LogLevel,
}

/// The web origins that may call the API from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Only the service's own origin.
    SameOrigin,
    /// All origins.
    Any,
    /// These origins.
    Origins(Vec<HeaderValue>),
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

/// The minimum level of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures that need an operator.
    Error,
    /// Failures that should be rare.
    Warn,
    /// One line per request.
    Info,
    /// Also broken connections and repeated failures.
    Debug,
}

impl Config {
    /// The default configuration for the enclave at this address.
    pub fn new(enclave: EnclaveUrl) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            enclave,
            enclave_streams: 2,
            enclave_connect_timeout: Duration::from_secs(2),
            enclave_timeout: Duration::from_secs(10),
            ready_timeout: Duration::from_secs(1),
            max_in_flight: 512,
            max_queue: 512,
            max_connections: 1024,
            max_body_bytes: 16 * 1024,
            header_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(20),
            shutdown_timeout: Duration::from_secs(10),
            release_site: None,
            cors: Cors::SameOrigin,
            cors_headers: Vec::new(),
            cors_credentials: false,
            log_format: LogFormat::Text,
            log_level: LogLevel::Info,
        }
    }

    /// Reads the settings from the program's arguments (its name first), the environment, and the file that
    /// they name.
    ///
    /// # Errors
    /// [`ConfigError`]. Requests for help and the version are [`ConfigError::Flags`].
    pub fn load<A, T, E>(args: A, environment: E) -> Result<Self, ConfigError>
    where
        A: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
        E: IntoIterator<Item = (String, String)>,
    {
        let flags = Settings::try_parse_from(args).map_err(ConfigError::Flags)?;
        let mut settings = flags.or(environment::read(environment)?);
        if let Some(path) = settings.config.take() {
            settings = settings.or(from_file(&path)?);
        }
        settings.check()
    }
}

fn from_file(path: &Path) -> Result<Settings, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|error| ConfigError::File { path: path.to_owned(), rule: error.to_string() })
}

#[cfg(test)]
mod tests;
