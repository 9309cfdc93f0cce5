use std::{io, net::SocketAddr, path::PathBuf};

/// Why the service did not start or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address to listen on could not be had.
    #[error("listen: cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The operating system gave no signal handler or no entropy.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A flag is wrong, or help was asked for: print it, it knows how.
    #[error(transparent)]
    Flags(clap::Error),
    /// A variable begins with `OK2CRY_PARENT_` and names no setting.
    #[error("environment: {0} names no setting; see --help")]
    UnknownVariable(String),
    /// A variable's value is wrong.
    #[error("environment: {variable}: {rule}")]
    Variable {
        /// The variable.
        variable: String,
        /// What is wrong with it.
        rule: String,
    },
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not the TOML that it should be, or holds a setting that does not exist.
    #[error("{}: {rule}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        rule: String,
    },
    /// A setting that has no default is missing.
    #[error("{0} is not set: give it as a flag, in the environment or in the file")]
    Missing(&'static str),
    /// A setting's value is not one that it may have.
    #[error("{setting} {rule}")]
    Value {
        /// The setting, as the file names it.
        setting: &'static str,
        /// What it may be.
        rule: String,
    },
}
