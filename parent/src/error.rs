use std::{io, net::SocketAddr, path::PathBuf};

/// Why the service did not start or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system refused the address to listen on.
    #[error("listen: cannot listen on {address}: {source}")]
    Listen {
        /// The requested address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The system refused a resource.
    #[error("cannot get {what} from the system: {source}")]
    System {
        /// The resource.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

/// Why the configuration is rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A flag is invalid, or help or the version was requested. Print it with [`clap::Error::exit`].
    #[error(transparent)]
    Flags(clap::Error),
    /// A variable begins with `OK2CRY_PARENT_` and is not a setting.
    #[error("environment: {0} is not a setting; see --help")]
    UnknownVariable(String),
    /// A variable's value is invalid.
    #[error("environment: {variable}: {rule}")]
    Variable {
        /// The variable.
        variable: String,
        /// The violated rule.
        rule: String,
    },
    /// The configuration file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The configuration file is not valid TOML, or contains an unknown setting.
    #[error("{}: {rule}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The violated rule, and where.
        rule: String,
    },
    /// A setting without a default is missing.
    #[error("{0} is required: set it as a flag, an environment variable or in the file")]
    Missing(&'static str),
    /// A setting's value is not allowed.
    #[error("{setting} {rule}")]
    Value {
        /// The setting, as in the file.
        setting: &'static str,
        /// The violated rule.
        rule: String,
    },
}
