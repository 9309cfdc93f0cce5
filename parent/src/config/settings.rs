//! The settings as written, and their ranges.

use super::{
    Config, LogFormat, LogLevel,
    cors::{cors, cors_credentials, cors_headers},
    listen::ListenAddress,
};
use crate::{ConfigError, enclave::EnclaveUrl};
use clap::Parser;
use serde::Deserialize;
use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

// One list defines the flags, the variables, the file's keys and their precedence.
macro_rules! settings {
    ($($(#[$attribute:meta])* $name:ident: $type:ty,)+) => {
        /// The HTTP service on the parent instance of an ok2cry enclave.
        ///
        /// Every setting can be a flag, an environment variable (OK2CRY_PARENT_MAX_QUEUE for --max-queue) or
        /// a key of the TOML file (max_queue), in this order of precedence. Unknown names are errors.
        #[derive(Debug, Default, Parser, Deserialize)]
        #[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
        #[command(name = "ok2cry-parent", version)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Settings {
            /// The TOML file to read
            #[arg(long, value_name = "FILE")]
            #[serde(skip)]
            pub(super) config: Option<PathBuf>,
            $($(#[$attribute])* #[arg(long)] $name: Option<$type>,)+
        }

        impl Settings {
            /// These settings, completed by those of `other`.
            pub(super) fn or(self, other: Self) -> Self {
                Self { config: self.config.or(other.config), $($name: self.$name.or(other.$name),)+ }
            }
        }
    };
}

settings! {
    /// The address to listen on for HTTP: an IP address and a port, or localhost and a port; port 0 selects a
    /// free port. The service does not speak TLS: put nginx, HAProxy or a load balancer in front, and keep
    /// this address private to it [default: 127.0.0.1:8080]
    #[arg(value_name = "ADDRESS")]
    listen: ListenAddress,
    /// The enclave's address: vsock://CID:PORT, unix:///PATH or vsock+unix:///PATH:PORT (no default)
    #[arg(value_name = "URL")]
    enclave: EnclaveUrl,
    /// Streams to keep open to the enclave, 1 to 16 [default: 2]
    #[arg(value_name = "N")]
    enclave_streams: u64,
    /// Timeout for connecting to the enclave [default: 2000]
    #[arg(value_name = "MS")]
    enclave_connect_timeout_ms: u64,
    /// Timeout for an answer from the enclave, including the time in the queue [default: 10000]
    #[arg(value_name = "MS")]
    enclave_timeout_ms: u64,
    /// Timeout for the enclave's answer to /readyz [default: 1000]
    #[arg(value_name = "MS")]
    ready_timeout_ms: u64,
    /// Weight of the requests in flight to the enclave: a request for n keys counts n, any other 1. Requests
    /// for more than one key get at most half of it [default: 512]
    #[arg(value_name = "N")]
    max_in_flight: u64,
    /// Requests in the queue; further ones get 503 busy at once [default: 512]
    #[arg(value_name = "N")]
    max_queue: u64,
    /// HTTP connections that may be open; further ones wait to be accepted [default: 1024]
    #[arg(value_name = "N")]
    max_connections: u64,
    /// Maximum length of a request's body [default: 16384]
    #[arg(value_name = "BYTES")]
    max_body_bytes: u64,
    /// Timeout for a request's head, and for an idle connection between requests. Keep it above the idle
    /// timeout of the proxy in front; lower it to 10000 where clients connect directly [default: 75000]
    #[arg(value_name = "MS")]
    header_timeout_ms: u64,
    /// Timeout for a request's body [default: 10000]
    #[arg(value_name = "MS")]
    body_timeout_ms: u64,
    /// How long a connection may accept no byte of a response [default: 20000]
    #[arg(value_name = "MS")]
    write_timeout_ms: u64,
    /// How long requests may take to finish after SIGTERM [default: 10000]
    #[arg(value_name = "MS")]
    shutdown_timeout_ms: u64,
    /// The folder that `ok2cry-release publish` writes; served under /v1/release [default: none]
    #[arg(value_name = "FOLDER")]
    release_site: PathBuf,
    /// Web origins that may call from a browser, separated by commas; "*" for all of them [default: none]
    #[arg(value_name = "ORIGIN", value_delimiter = ',')]
    cors_allowed_origins: Vec<String>,
    /// Headers that pages of these origins may send besides content-type, such as traceparent or
    /// authorization, separated by commas [default: none]
    #[arg(value_name = "HEADER", value_delimiter = ',')]
    cors_allowed_headers: Vec<String>,
    /// Let browsers send cookies with these pages' requests; not with "*" [default: false]
    #[arg(value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    cors_allow_credentials: bool,
    /// Format of log lines [default: text]
    log_format: LogFormat,
    /// Minimum level of log lines [default: info]
    log_level: LogLevel,
}

impl Settings {
    /// Checks the values and fills in the defaults.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] or [`ConfigError::Value`].
    pub(super) fn check(self) -> Result<Config, ConfigError> {
        let cors = cors(self.cors_allowed_origins.unwrap_or_default())?;
        let cors_credentials = cors_credentials(self.cors_allow_credentials.unwrap_or_default(), &cors)?;
        let cors_headers = cors_headers(self.cors_allowed_headers.unwrap_or_default(), &cors)?;
        let d = Config::new(self.enclave.ok_or(ConfigError::Missing("enclave"))?);
        let config = Config {
            listen: self.listen.map_or(d.listen, |listen| listen.0),
            enclave: d.enclave,
            enclave_streams: count("enclave_streams", self.enclave_streams, 1..=16, d.enclave_streams)?,
            enclave_connect_timeout: duration(
                "enclave_connect_timeout_ms",
                self.enclave_connect_timeout_ms,
                d.enclave_connect_timeout,
            )?,
            enclave_timeout: duration("enclave_timeout_ms", self.enclave_timeout_ms, d.enclave_timeout)?,
            ready_timeout: duration("ready_timeout_ms", self.ready_timeout_ms, d.ready_timeout)?,
            max_in_flight: count("max_in_flight", self.max_in_flight, 1..=65_536, d.max_in_flight)?,
            max_queue: count("max_queue", self.max_queue, 0..=65_536, d.max_queue)?,
            max_connections: count("max_connections", self.max_connections, 1..=65_536, d.max_connections)?,
            max_body_bytes: count("max_body_bytes", self.max_body_bytes, 1..=1 << 20, d.max_body_bytes)?,
            header_timeout: duration("header_timeout_ms", self.header_timeout_ms, d.header_timeout)?,
            body_timeout: duration("body_timeout_ms", self.body_timeout_ms, d.body_timeout)?,
            write_timeout: duration("write_timeout_ms", self.write_timeout_ms, d.write_timeout)?,
            shutdown_timeout: duration("shutdown_timeout_ms", self.shutdown_timeout_ms, d.shutdown_timeout)?,
            release_site: self.release_site,
            cors,
            cors_headers,
            cors_credentials,
            log_format: self.log_format.unwrap_or(d.log_format),
            log_level: self.log_level.unwrap_or(d.log_level),
        };
        Ok(config)
    }
}

fn count(
    setting: &'static str,
    value: Option<u64>,
    range: RangeInclusive<usize>,
    default: usize,
) -> Result<usize, ConfigError> {
    let Some(value) = value else { return Ok(default) };
    let value = usize::try_from(value).ok().filter(|n| range.contains(n));
    value.ok_or_else(|| {
        let rule = format!("must be from {} to {}", range.start(), range.end());
        ConfigError::Value { setting, rule }
    })
}

fn duration(setting: &'static str, ms: Option<u64>, default: Duration) -> Result<Duration, ConfigError> {
    const MAX_MS: u64 = 3_600_000;
    match ms {
        None => Ok(default),
        Some(ms) if (1..=MAX_MS).contains(&ms) => Ok(Duration::from_millis(ms)),
        Some(_) => {
            Err(ConfigError::Value { setting, rule: format!("must be from 1 to {MAX_MS} milliseconds") })
        }
    }
}
