use clap::{Args as ClapArgs, Parser, Subcommand};
use std::{path::PathBuf, time::Duration};

/// Disposable public keys whose private halves are proven to live in an enclave: seal, open, read.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Args {
    /// Print failures as JSON on standard output too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a recipient's key pair, or show its public key.
    Recipient(Recipient),
    /// Get a key, verify it, and seal a message to it.
    Seal(Seal),
    /// Request the open of a sealed message; with --recipient-key also read the reply.
    Open(Open),
    /// Read a reply from a file.
    Read(Read),
    /// Print the state of a key (advisory: the answer is not signed).
    Status(OfKey),
    /// Destroy a key now.
    Destroy(OfKey),
    /// Check that an accepted enclave answers.
    Attest(Attest),
    /// Print the accepted releases.
    Releases(Releases),
}

#[derive(ClapArgs)]
pub(crate) struct Recipient {
    #[command(subcommand)]
    pub(crate) command: RecipientCommand,
}

#[derive(Subcommand)]
pub(crate) enum RecipientCommand {
    /// Make a key pair, write the private key (PKCS #8 PEM, readable by its owner) and print the public key.
    New {
        /// The file for the private key. It must not exist.
        file: PathBuf,
    },
    /// Print the public key of a private key.
    Show {
        /// The private key (PKCS #8 PEM, P-384).
        file: PathBuf,
    },
}

#[derive(ClapArgs)]
pub(crate) struct Seal {
    #[command(flatten)]
    pub(crate) service: Service,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// The purpose of the key, one of the enclave's.
    #[arg(long)]
    pub(crate) purpose: String,
    /// The lifetime of the key: 500ms, 90s, 5m.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    pub(crate) ttl: Duration,
    /// The recipient's public key, as `ok2cry recipient` prints it (base64url), as PEM or as a JSON Web Key;
    /// or a file with one of these.
    #[arg(long, required_unless_present = "insecure_release_to_caller", allow_hyphen_values = true)]
    pub(crate) recipient: Option<String>,
    /// Deliver the plaintext to the caller of open, in the clear. The service can read it too.
    #[arg(long, conflicts_with = "recipient")]
    pub(crate) insecure_release_to_caller: bool,
    /// The context of the message, for example an order id. It is public.
    #[arg(long, default_value = "")]
    pub(crate) aad: String,
    /// The plaintext: a file, or - for standard input. A final newline is part of it.
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
}

#[derive(ClapArgs)]
pub(crate) struct Open {
    #[command(flatten)]
    pub(crate) service: Service,
    /// The sealed message, as `ok2cry seal` prints it; - for standard input.
    pub(crate) message: PathBuf,
    /// Read the reply with this private key. Without it the reply is printed, for `ok2cry read`.
    #[arg(long)]
    pub(crate) recipient_key: Option<PathBuf>,
    /// The file for a reply that could not be read or printed. Default: MESSAGE.reply, beside the message.
    #[arg(long, value_name = "FILE")]
    pub(crate) keep: Option<PathBuf>,
    /// Print the plaintext of a message that does not hold its key's descriptor.
    #[arg(long, conflicts_with = "recipient_key")]
    pub(crate) insecure_release_to_caller: bool,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

#[derive(ClapArgs)]
pub(crate) struct Read {
    /// The reply, as `ok2cry open` prints it and the service answers it; - for standard input.
    pub(crate) reply: PathBuf,
    /// The recipient's private key.
    #[arg(long)]
    pub(crate) recipient_key: PathBuf,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// What a reply must match.
#[derive(ClapArgs)]
pub(crate) struct Reading {
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// The expected purpose of the key.
    #[arg(long)]
    pub(crate) purpose: Option<String>,
    /// The expected context of the message.
    #[arg(long, default_value = "")]
    pub(crate) aad: String,
    /// Record accepted replies in this file, and refuse them afterwards.
    #[arg(long)]
    pub(crate) seen: Option<PathBuf>,
    /// Accept a reply any number of times. The caller must detect replays by other means.
    #[arg(long, conflicts_with = "seen")]
    pub(crate) insecure_allow_replays: bool,
}

impl Reading {
    /// Whether an option is given that only reading uses.
    pub(crate) fn is_given(&self) -> bool {
        self.purpose.is_some() || !self.aad.is_empty() || self.seen.is_some() || self.insecure_allow_replays
    }
}

#[derive(ClapArgs)]
pub(crate) struct OfKey {
    #[command(flatten)]
    pub(crate) service: Service,
    /// The key's id, 32 characters. It may begin with a hyphen.
    #[arg(allow_hyphen_values = true)]
    pub(crate) key_id: String,
}

#[derive(ClapArgs)]
pub(crate) struct Attest {
    #[command(flatten)]
    pub(crate) service: Service,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
}

#[derive(ClapArgs)]
pub(crate) struct Releases {
    /// The service, for example `https://keys.example.com`. Not needed with --releases.
    #[arg(long, env = "OK2CRY_URL")]
    pub(crate) url: Option<String>,
    /// Check TLS against the certificates in this file (PEM), instead of the system's.
    #[arg(long, env = "OK2CRY_CACERT", value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
}

#[derive(ClapArgs)]
pub(crate) struct Service {
    /// The service, for example `https://keys.example.com`.
    #[arg(long, env = "OK2CRY_URL")]
    pub(crate) url: String,
    /// Check TLS against the certificates in this file (PEM), instead of the system's.
    #[arg(long, env = "OK2CRY_CACERT", value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
}

/// Which enclaves are accepted.
#[derive(ClapArgs)]
pub(crate) struct TrustArgs {
    /// The root certificate of attestation documents (PEM). Default: AWS's.
    #[arg(long, env = "OK2CRY_ROOT")]
    pub(crate) root: Option<PathBuf>,
    /// A key that signs the root documents of releases (PEM). May be repeated. The releases come from the
    /// service, or from --releases.
    #[arg(long, env = "OK2CRY_RELEASE_KEY", value_delimiter = ',')]
    pub(crate) release_key: Vec<PathBuf>,
    /// How many of these keys must have signed. Default: all.
    #[arg(long, env = "OK2CRY_RELEASE_THRESHOLD", requires = "release_key")]
    pub(crate) release_threshold: Option<usize>,
    /// Read the releases from this file (bundle.json), instead of from the service.
    #[arg(long, env = "OK2CRY_RELEASES", requires = "release_key")]
    pub(crate) releases: Option<PathBuf>,
    /// Save the state of the accepted releases in this file, and refuse older ones and other logs.
    #[arg(long, env = "OK2CRY_RELEASE_MEMORY", requires = "release_key")]
    pub(crate) release_memory: Option<PathBuf>,
    /// The greatest age of the release list: 90s, 5m, 48h.
    #[arg(long, default_value = "168h", env = "OK2CRY_MAX_LIST_AGE", value_parser = parse_duration)]
    pub(crate) max_list_age: Duration,
    /// The lowest accepted version.
    #[arg(long, env = "OK2CRY_MINIMUM_VERSION", requires = "release_key")]
    pub(crate) minimum_version: Option<String>,
    /// The measurements of a release, as nitro-cli prints them (JSON). May be repeated: one of them must
    /// match as a whole.
    #[arg(long, env = "OK2CRY_MEASUREMENTS", value_delimiter = ',')]
    pub(crate) measurements: Vec<PathBuf>,
    /// A PCR of one release, as N=HEX, instead of --measurements. May be repeated: all must match.
    #[arg(long)]
    pub(crate) pcr: Vec<String>,
    /// Accept every image: anyone who can start an enclave can then read what is sealed.
    #[arg(long)]
    pub(crate) insecure_without_pcrs: bool,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits) {
        Some("ms") => 1,
        Some("s") => 1000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        _ => return Err("expected a number with a unit: ms, s, m or h".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a whole number with a unit: ms, s, m or h")?;
    number.checked_mul(unit).map(Duration::from_millis).ok_or_else(|| "the time is too long".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    /// Kubernetes sets such variables in every container, for each Service.
    #[test]
    fn no_variable_collides_with_those_of_kubernetes() {
        let command = Args::command();
        let subcommands = command.get_subcommands().flat_map(clap::Command::get_arguments);
        let names: Vec<_> = subcommands.filter_map(|a| a.get_env()?.to_str()).collect();
        assert!(names.len() > 20 && names.contains(&"OK2CRY_CACERT"), "{names:?}");
        for name in names {
            let injected = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_TCP", "_UDP", "_SCTP"];
            assert!(injected.iter().all(|end| !name.ends_with(end)), "{name}");
            assert!(!name.contains("_SERVICE_PORT_") && !name.contains("_PORT_"), "{name}");
        }
    }

    #[test]
    fn durations_have_units() {
        let parsed = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(parsed("500ms"), Ok(500));
        assert_eq!(parsed("90s"), Ok(90_000));
        assert_eq!(parsed("5m"), Ok(300_000));
        assert_eq!(parsed("168h"), Ok(604_800_000));
        for bad in ["", "5", "m", "-5s", "5d", "1.5s", "99999999999999999999s", "999999999999999999m"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
