//! What can be set: by flag, by environment variable or in a file, in this order of precedence.
//!
//! A setting has one name, written `--max-queue`, `OK2CRY_PARENT_MAX_QUEUE` or `max_queue`. A name that does not
//! exist is an error wherever it stands: a misspelt limit must not silently be no limit.

mod origin;
mod service_links;

use crate::{ConfigError, enclave::transport::EnclaveUrl};
use axum::http::{HeaderName, HeaderValue, header};
use clap::{CommandFactory, Parser, ValueEnum};
use serde::Deserialize;
use service_links::Links;
use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

const ENV_NAME: &str = "OK2CRY_PARENT";

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
        let mut settings = flags.or(from_environment(environment)?);
        if let Some(path) = settings.config.take() {
            settings = settings.or(from_file(&path)?);
        }
        settings.check()
    }
}

// One list makes the flags, the variables, the file's keys and the order among them.
macro_rules! settings {
    ($($(#[$attribute:meta])* $name:ident: $type:ty,)+) => {
        /// The HTTP service on the parent instance of an ok2cry enclave.
        ///
        /// Every setting can be a flag, an environment variable (OK2CRY_PARENT_MAX_QUEUE for --max-queue) or a key
        /// of the TOML file (max_queue), in this order of precedence. Names that do not exist are errors.
        #[derive(Debug, Default, Parser, Deserialize)]
        #[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
        #[command(name = "ok2cry-parent", version)]
        #[serde(deny_unknown_fields)]
        struct Settings {
            /// The TOML file to read
            #[arg(long, value_name = "FILE")]
            #[serde(skip)]
            config: Option<PathBuf>,
            $($(#[$attribute])* #[arg(long)] $name: Option<$type>,)+
        }

        impl Settings {
            /// These settings, and those of `other` where there are none here.
            fn or(self, other: Self) -> Self {
                Self { config: self.config.or(other.config), $($name: self.$name.or(other.$name),)+ }
            }
        }
    };
}

settings! {
    /// Where to listen for HTTP: an IP address and a port, or localhost and a port; port 0 takes a free one. TLS is not spoken here: put nginx, HAProxy or a load
    /// balancer in front, and keep this address private to it [default: 127.0.0.1:8080]
    #[arg(value_name = "ADDRESS")]
    listen: Listen,
    /// Where the enclave is: vsock://CID:PORT, unix:///PATH or vsock+unix:///PATH:PORT (no default)
    #[arg(value_name = "URL")]
    enclave: EnclaveUrl,
    /// Streams to keep open to the enclave, 1 to 16 [default: 2]
    #[arg(value_name = "N")]
    enclave_streams: u64,
    /// How long a connection to the enclave may take to stand [default: 2000]
    #[arg(value_name = "MS")]
    enclave_connect_timeout_ms: u64,
    /// How long the enclave may take to answer, the wait for a turn included [default: 10000]
    #[arg(value_name = "MS")]
    enclave_timeout_ms: u64,
    /// How long the enclave may take to answer /readyz [default: 1000]
    #[arg(value_name = "MS")]
    ready_timeout_ms: u64,
    /// What may be under way to the enclave: a request for keys counts as many as it asks for, any other counts one;
    /// requests for more than one key get at most half of it [default: 512]
    #[arg(value_name = "N")]
    max_in_flight: u64,
    /// Requests that may wait for their turn; further ones get 503 busy at once [default: 512]
    #[arg(value_name = "N")]
    max_queue: u64,
    /// HTTP connections that may be open; further ones wait to be accepted [default: 1024]
    #[arg(value_name = "N")]
    max_connections: u64,
    /// How long a request's body may be [default: 16384]
    #[arg(value_name = "BYTES")]
    max_body_bytes: u64,
    /// How long a request's head may take to arrive, and how long a connection may idle between requests. Keep it
    /// above the idle timeout of the proxy in front; lower it to 10000 where clients connect directly
    /// [default: 75000]
    #[arg(value_name = "MS")]
    header_timeout_ms: u64,
    /// How long a request's body may take to arrive [default: 10000]
    #[arg(value_name = "MS")]
    body_timeout_ms: u64,
    /// How long a connection may refuse to take any byte of a response [default: 20000]
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
    /// Headers that pages of these origins may send besides content-type, such as traceparent or authorization,
    /// separated by commas [default: none]
    #[arg(value_name = "HEADER", value_delimiter = ',')]
    cors_allowed_headers: Vec<String>,
    /// Let browsers send cookies with these pages' requests; not with "*" [default: false]
    #[arg(value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    cors_allow_credentials: bool,
    /// How log lines look [default: text]
    log_format: LogFormat,
    /// Which log lines to write [default: info]
    log_level: LogLevel,
}

// A variable is read as the flag of its name would be, so that the two cannot differ.
fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> Result<Settings, ConfigError> {
    let command = Settings::command();
    let mut settings = Settings::default();
    let is_prefixed =
        |(name, _): &(String, String)| name.strip_prefix(ENV_NAME).is_some_and(|rest| rest.starts_with('_'));
    let variables: Vec<_> = variables.into_iter().filter(is_prefixed).collect();
    let links = Links::among(&variables);
    for (variable, value) in variables {
        let name = variable.get(ENV_NAME.len() + 1..).unwrap_or_default();
        let flag = name.to_ascii_lowercase().replace('_', "-");
        let is_setting = name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            && command.get_arguments().any(|argument| argument.get_long() == Some(&flag));
        if !is_setting && links.contains(ENV_NAME, &variable, &value) {
            continue;
        }
        if !is_setting {
            return Err(ConfigError::UnknownVariable(variable));
        }
        let argument = format!("--{flag}={value}");
        let read = Settings::try_parse_from([env!("CARGO_PKG_NAME"), &argument]);
        let read = read.map_err(|error| {
            let text = error.to_string();
            let rule = text.lines().next().unwrap_or_default();
            ConfigError::Variable { rule: rule.trim_start_matches("error: ").to_owned(), variable }
        })?;
        settings = settings.or(read);
    }
    Ok(settings)
}

fn from_file(path: &Path) -> Result<Settings, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|error| ConfigError::File { path: path.to_owned(), rule: error.to_string() })
}

impl Settings {
    fn check(self) -> Result<Config, ConfigError> {
        let cors = cors(self.cors_allowed_origins.unwrap_or_default())?;
        let cors_credentials = cors_credentials(self.cors_allow_credentials.unwrap_or_default(), &cors)?;
        let cors_headers = cors_headers(self.cors_allowed_headers.unwrap_or_default(), &cors)?;
        let d = Config::new(self.enclave.ok_or(ConfigError::Missing("enclave"))?);
        let config = Config {
            listen: self.listen.map_or(d.listen, |listen| listen.0),
            enclave: d.enclave,
            enclave_streams: count("enclave_streams", self.enclave_streams, 16, d.enclave_streams)?,
            enclave_connect_timeout: duration(
                "enclave_connect_timeout_ms",
                self.enclave_connect_timeout_ms,
                d.enclave_connect_timeout,
            )?,
            enclave_timeout: duration("enclave_timeout_ms", self.enclave_timeout_ms, d.enclave_timeout)?,
            ready_timeout: duration("ready_timeout_ms", self.ready_timeout_ms, d.ready_timeout)?,
            max_in_flight: count("max_in_flight", self.max_in_flight, 65_536, d.max_in_flight)?,
            max_queue: match self.max_queue {
                Some(0) => 0,
                n => count("max_queue", n, 65_536, d.max_queue)?,
            },
            max_connections: count("max_connections", self.max_connections, 65_536, d.max_connections)?,
            max_body_bytes: count("max_body_bytes", self.max_body_bytes, 1 << 20, d.max_body_bytes)?,
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
    most: usize,
    default: usize,
) -> Result<usize, ConfigError> {
    let Some(value) = value else { return Ok(default) };
    let value = usize::try_from(value).ok().filter(|n| (1..=most).contains(n));
    value.ok_or_else(|| ConfigError::Value { setting, rule: format!("must be from 1 to {most}") })
}

fn duration(setting: &'static str, ms: Option<u64>, default: Duration) -> Result<Duration, ConfigError> {
    const MOST: u64 = 3_600_000;
    match ms {
        None => Ok(default),
        Some(ms) if (1..=MOST).contains(&ms) => Ok(Duration::from_millis(ms)),
        Some(_) => {
            Err(ConfigError::Value { setting, rule: format!("must be from 1 to {MOST} milliseconds") })
        }
    }
}

fn cors(origins: Vec<String>) -> Result<Cors, ConfigError> {
    let error = |rule: String| ConfigError::Value { setting: "cors_allowed_origins", rule };
    match origins.as_slice() {
        [] => return Ok(Cors::SameOrigin),
        [any] if any == "*" => return Ok(Cors::Any),
        _ => {}
    }
    let mut values = Vec::with_capacity(origins.len());
    for origin in origins {
        if origin == "*" {
            return Err(error("must be \"*\" alone or a list of origins, not both".to_owned()));
        }
        let value = origin::check(&origin).map_err(error)?;
        values.push(HeaderValue::from_str(value).map_err(|_| error("is not text for a header".to_owned()))?);
    }
    Ok(Cors::Origins(values))
}

fn cors_credentials(allowed: bool, cors: &Cors) -> Result<bool, ConfigError> {
    let error = |rule: &str| ConfigError::Value { setting: "cors_allow_credentials", rule: rule.to_owned() };
    match cors {
        Cors::Any if allowed => Err(error(
            "cannot be true while cors_allowed_origins is \"*\": name the origins that may send cookies",
        )),
        Cors::SameOrigin if allowed => Err(error("has no effect without cors_allowed_origins")),
        _ => Ok(allowed),
    }
}

fn cors_headers(names: Vec<String>, cors: &Cors) -> Result<Vec<HeaderName>, ConfigError> {
    let error = |rule: String| ConfigError::Value { setting: "cors_allowed_headers", rule };
    if !names.is_empty() && *cors == Cors::SameOrigin {
        return Err(error("has no effect without cors_allowed_origins".to_owned()));
    }
    let header = |name: String| {
        if name == "*" {
            return Err(error(
                "holds \"*\", which does not cover authorization: name each header".to_owned(),
            ));
        }
        let read = name.parse().ok().filter(|name| *name != header::CONTENT_TYPE);
        read.ok_or_else(|| {
            error(format!("holds {name:?}, which is not the name of a header besides content-type"))
        })
    };
    names.into_iter().map(header).collect()
}

/// Where to listen, as it is written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Listen(SocketAddr);

/// A text is not where one can listen.
#[derive(Debug, thiserror::Error)]
#[error(
    "must be an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080 (0.0.0.0:8080 for every interface), \
     or localhost:8080 for 127.0.0.1:8080"
)]
struct ListenError;

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        // A name of one address everywhere; others would have to be looked up, and may be several.
        let address = match text.split_once(':') {
            Some((host, port)) if host.eq_ignore_ascii_case("localhost") => {
                format!("{}:{port}", Ipv4Addr::LOCALHOST)
            }
            _ => text.to_owned(),
        };
        address.parse().map(Self).map_err(|_| ListenError)
    }
}

impl TryFrom<String> for Listen {
    type Error = ListenError;

    fn try_from(text: String) -> Result<Self, ListenError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(args: &[&str], env: &[(&str, &str)], file: Option<&str>) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("parent.toml");
        let mut args: Vec<_> = ["ok2cry-parent"].iter().chain(args).map(|a| (*a).to_owned()).collect();
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
            args.push(format!("--config={}", path.display()));
        }
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(args, env)
    }

    fn refused(args: &[&str], env: &[(&str, &str)], file: Option<&str>) -> String {
        load(args, env, file).unwrap_err().to_string()
    }

    const E: &str = "--enclave=unix:///e.sock";

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
        let env = [("OK2CRY_PARENT_MAX_QUEUE", "3"), ("HOME", "/"), ("OK2CRY_PARENT_BODY_TIMEOUT_MS", "30")];
        let file = "max_queue = 2\nbody_timeout_ms = 20\nenclave_timeout_ms = 200\nenclave = \"vsock://16:5000\"\n\
                    cors_allowed_origins = [\"https://pay.example\"]\nlog_format = \"json\"";
        let config = load(&["--max-queue=4"], &env, Some(file)).unwrap();
        assert_eq!(config.max_queue, 4);
        assert_eq!(config.body_timeout, Duration::from_millis(30));
        assert_eq!(config.enclave_timeout, Duration::from_millis(200));
        assert_eq!(config.enclave, EnclaveUrl::Vsock { cid: 16, port: 5000 });
        assert_eq!(config.max_connections, 1024);
        assert_eq!(config.log_format, LogFormat::Json);
        assert_eq!(config.cors, Cors::Origins(vec![HeaderValue::from_static("https://pay.example")]));
    }

    #[test]
    fn the_file_may_be_named_by_the_environment() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "enclave = \"unix:///e.sock\"").unwrap();
        let path = file.path().to_str().unwrap();
        assert!(load(&[], &[("OK2CRY_PARENT_CONFIG", path)], None).is_ok());
    }

    #[test]
    fn names_that_do_not_exist_are_errors_wherever_they_stand() {
        assert!(refused(&[E, "--max-queu=1"], &[], None).contains("--max-queu"));
        let env = refused(&[E], &[("OK2CRY_PARENT_MAX_QUEU", "1")], None);
        assert_eq!(env, "environment: OK2CRY_PARENT_MAX_QUEU names no setting; see --help");
        for odd in ["OK2CRY_PARENT_", "OK2CRY_PARENT_HELP", "OK2CRY_PARENT_max_queue"] {
            assert!(refused(&[E], &[(odd, "1")], None).contains(odd), "{odd}");
        }
        assert!(refused(&[E], &[], Some("max_queu = 1")).contains("unknown field `max_queu`"));
        assert!(refused(&[E], &[], Some("config = \"x\"")).contains("unknown field `config`"));
        assert!(refused(&[E], &[], Some("max_queue = 1\nmax_queue = 2")).contains("duplicate key"));
    }

    #[test]
    fn values_that_cannot_be_are_errors_that_name_the_setting() {
        assert_eq!(
            refused(&[], &[], None),
            "enclave is not set: give it as a flag, in the environment or in the file"
        );
        assert!(refused(&["--enclave=http://x"], &[], None).contains("must be unix:///PATH"));
        let env = refused(&[E], &[("OK2CRY_PARENT_LISTEN", "here")], None);
        assert!(env.starts_with("environment: OK2CRY_PARENT_LISTEN: invalid value 'here'"), "{env}");
        assert_eq!(refused(&[E, "--enclave-streams=17"], &[], None), "enclave_streams must be from 1 to 16");
        assert_eq!(
            refused(&[E], &[], Some("body_timeout_ms = 0")),
            "body_timeout_ms must be from 1 to 3600000 milliseconds"
        );
        assert!(refused(&[E], &[], Some("max_body_bytes = -1")).contains("line 1"));
        assert!(refused(&["--config=/does/not/exist"], &[], None).starts_with("/does/not/exist: "));
    }

    #[test]
    fn every_origin_is_one_and_all_of_them_only_when_written() {
        let cors = |list: &str| load(&[E, "--cors-allowed-origins", list], &[], None).map(|c| c.cors);
        assert_eq!(cors("*").unwrap(), Cors::Any);
        assert!(
            matches!(cors("https://a.example,http://localhost:3000").unwrap(), Cors::Origins(list) if list.len() == 2)
        );
        for bad in
            ["*,https://a.example", "a.example", "https://a.example/", "https://", "https://A.example", ""]
        {
            assert!(cors(bad).unwrap_err().to_string().starts_with("cors_allowed_origins "), "{bad}");
        }
        assert_eq!(load(&[E], &[], None).unwrap().cors, Cors::SameOrigin);
    }

    #[test]
    fn cors_headers_and_credentials_have_every_spelling() {
        let origins = "--cors-allowed-origins=https://a.example";
        let set = |args: &[&str], env: &[(&str, &str)], file| {
            let args: Vec<_> = [E, origins].iter().chain(args).copied().collect();
            load(&args, env, file)
                .map(|c| (c.cors_headers.len(), c.cors_credentials))
                .map_err(|e| e.to_string())
        };
        assert_eq!(set(&[], &[], None), Ok((0, false)));
        assert_eq!(
            set(&["--cors-allowed-headers=traceparent,Authorization", "--cors-allow-credentials"], &[], None),
            Ok((2, true))
        );
        let env = [
            ("OK2CRY_PARENT_CORS_ALLOWED_HEADERS", "traceparent"),
            ("OK2CRY_PARENT_CORS_ALLOW_CREDENTIALS", "true"),
        ];
        assert_eq!(set(&[], &env, None), Ok((1, true)));
        assert_eq!(set(&["--cors-allow-credentials=false"], &env, None), Ok((1, false)));
        let file = "cors_allowed_headers = [\"traceparent\"]\ncors_allow_credentials = true";
        assert_eq!(set(&[], &[], Some(file)), Ok((1, true)));
        for bad in ["*", "content-type", "a b", "", "traceparent, authorization"] {
            let refused = set(&["--cors-allowed-headers", bad], &[], None).unwrap_err();
            assert!(refused.starts_with("cors_allowed_headers holds "), "{bad}: {refused}");
        }
        let any = "--cors-allowed-origins=*";
        assert!(refused(&[E, any, "--cors-allow-credentials"], &[], None).contains("cannot be true while"));
        assert!(load(&[E, any, "--cors-allowed-headers=traceparent"], &[], None).is_ok());
        assert!(refused(&[E, "--cors-allow-credentials"], &[], None).contains("has no effect without"));
        assert!(refused(&[E, "--cors-allowed-headers=x"], &[], None).contains("has no effect without"));
    }

    #[test]
    fn variables_of_a_service_of_our_name_are_no_settings() {
        let env = [
            ("OK2CRY_PARENT_SERVICE_HOST", "10.0.0.11"),
            ("OK2CRY_PARENT_SERVICE_PORT", "8080"),
            ("OK2CRY_PARENT_SERVICE_PORT_HTTP", "8080"),
            ("OK2CRY_PARENT_PORT", "tcp://10.0.0.11:8080"),
            ("OK2CRY_PARENT_PORT_8080_TCP", "tcp://10.0.0.11:8080"),
            ("OK2CRY_PARENT_PORT_8080_TCP_PROTO", "tcp"),
            ("OK2CRY_PARENT_PORT_8080_TCP_PORT", "8080"),
            ("OK2CRY_PARENT_PORT_8080_TCP_ADDR", "10.0.0.11"),
            ("OK2CRY_PARENT_MAX_QUEUE", "3"),
        ];
        assert_eq!(load(&[E], &env, None).unwrap().max_queue, 3);
        let refused = refused(&[E], &[("OK2CRY_PARENT_PORT", "8080")], None);
        assert_eq!(refused, "environment: OK2CRY_PARENT_PORT names no setting; see --help");
        // And no setting has a name that could be a Service's.
        let links = Links::among(&[]);
        for argument in Settings::command().get_arguments() {
            let name = argument.get_long().unwrap().to_ascii_uppercase().replace('-', "_");
            for value in ["1", "10.0.0.11", "tcp://10.0.0.11:1", "tcp"] {
                assert!(!links.contains(ENV_NAME, &format!("{ENV_NAME}_{name}"), value), "{name}");
            }
        }
    }

    #[test]
    fn an_address_to_listen_on_is_an_ip_address_or_localhost() {
        for (text, address) in [
            ("localhost:8080", "127.0.0.1:8080"),
            ("LOCALHOST:0", "127.0.0.1:0"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(load(&[E, "--listen", text], &[], None).unwrap().listen, address, "{text}");
            let file = format!("listen = {text:?}");
            assert_eq!(load(&[E], &[], Some(&file)).unwrap().listen, address, "{text}");
        }
        for bad in
            ["", "8080", ":8080", "*:8080", "localhost", "localhost:", "localhost:x", "parent:80", "::1:80"]
        {
            let args = refused(&[E, "--listen", bad], &[], None);
            let file = refused(&[E], &[], Some(&format!("listen = {bad:?}")));
            for refused in [args, file] {
                assert!(
                    refused.contains("must be an IP address and a port, as in 127.0.0.1:8080"),
                    "{refused}"
                );
            }
        }
    }

    #[test]
    fn max_queue_may_be_zero() {
        assert_eq!(load(&[E, "--max-queue=0"], &[], None).unwrap().max_queue, 0);
    }

    #[test]
    fn help_names_every_setting_and_its_default() {
        let help = refused(&["--help"], &[], None);
        for argument in Settings::command().get_arguments() {
            let Some(name) = argument.get_long().filter(|name| !["config", "help", "version"].contains(name))
            else {
                continue;
            };
            assert!(help.contains(&format!("--{name}")), "{name}");
            let text = argument.get_long_help().or(argument.get_help()).unwrap().to_string();
            assert!(text.contains("default"), "{name}: {text}");
        }
    }
}
