//! What can be set: by flag, by environment variable or in a file, in this order of precedence.
//!
//! A setting has one name, written `--max-queue`, `OK2CRY_PARENT_MAX_QUEUE` or `max_queue`. A name that does not
//! exist is an error wherever it stands: a misspelt limit must not silently be no limit.

mod cors;
mod environment;
mod listen;
mod origin;
mod service_links;
mod settings;

use crate::{ConfigError, enclave::transport::EnclaveUrl};
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

/// A configuration that has been checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen for HTTP. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the enclave is.
    pub enclave: EnclaveUrl,
    /// How many streams to keep open to the enclave, 1 to 16.
    pub enclave_streams: usize,
    /// How long a connection to the enclave may take to stand.
    pub enclave_connect_timeout: Duration,
    /// How long the enclave may take to answer, the wait for a turn included.
    pub enclave_timeout: Duration,
    /// How long the enclave may take to say that it is well.
    pub ready_timeout: Duration,
    /// How much may be under way to the enclave: a request for keys counts as many as it asks for, any other one.
    pub max_in_flight: usize,
    /// How many more may wait for their turn. Beyond that they are refused at once.
    pub max_queue: usize,
    /// How many HTTP connections may be open. Further ones wait to be accepted.
    pub max_connections: usize,
    /// How long a request's body may be, in bytes.
    pub max_body_bytes: usize,
    /// How long a connection may take to send a request's head, and how long it may idle between requests.
    pub header_timeout: Duration,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// How long a connection may refuse to take any byte of a response.
    pub write_timeout: Duration,
    /// How long requests may take to finish once the service was told to stop.
    pub shutdown_timeout: Duration,
    /// The folder that releases are published in, served under `/v1/release`.
    pub release_site: Option<PathBuf>,
    /// Which web origins may call: none, all, or those listed.
    pub cors: Cors,
    /// Which headers pages of those origins may send, besides `content-type`.
    pub cors_headers: Vec<HeaderName>,
    /// Whether browsers may send cookies and client certificates with those pages' requests, and pages may read the
    /// answers. Never together with [`Cors::Any`].
    pub cors_credentials: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_level: LogLevel,
}

/// Which web origins may call the API from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Only pages of the service's own origin.
    SameOrigin,
    /// Every page there is.
    Any,
    /// Pages of these origins.
    Origins(Vec<HeaderValue>),
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which log lines are written: those of this level and above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What needs somebody.
    Error,
    /// What should not happen often.
    Warn,
    /// One line per request.
    Info,
    /// Every connection too.
    Debug,
}

impl Config {
    /// The defaults, for the enclave at this address.
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

    /// Reads the program's arguments (its name first), the environment, and the file that they name.
    ///
    /// # Errors
    /// Anything that is not understood, wherever it stands. Help and version come as [`ConfigError::Flags`].
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
