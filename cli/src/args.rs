use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;

/// Disposable public keys that are proven to live in an enclave: seal, open, read.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Args {
    /// Say refusals as JSON on stdout as well.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make or show a recipient's key.
    Recipient(Recipient),
    /// Fetch a key, verify it, and seal a message to it.
    Seal(Seal),
    /// Have a sealed message opened; with --recipient-key also read the reply.
    Open(Open),
    /// Read a reply that somebody else had opened.
    Read(Read),
    /// Ask what became of a key (advisory: nobody has signed the answer).
    Status(OfKey),
    /// End a key now.
    Destroy(OfKey),
    /// Check that an accepted enclave answers.
    Attest(Attest),
    /// Say which releases are accepted now.
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
        /// Where to write the private key. Nothing is overwritten.
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
    /// What the key is for: one of the enclave's purposes.
    #[arg(long)]
    pub(crate) purpose: String,
    /// How long the key lives: 500ms, 90s, 5m.
    #[arg(long, default_value = "60s", value_parser = parse_duration_ms)]
    pub(crate) ttl: u64,
    /// Who reads it: the recipient's public key, as `ok2cry recipient` prints it (base64url), as PEM or as a JSON Web Key;
    /// or a file with one of these.
    #[arg(long, required_unless_present = "insecure_release_to_caller", allow_hyphen_values = true)]
    pub(crate) recipient: Option<String>,
    /// Let whoever calls open read the plaintext, the service included.
    #[arg(long, conflicts_with = "recipient")]
    pub(crate) insecure_release_to_caller: bool,
    /// The context that the message belongs to, for example an order id. Anybody can read it.
    #[arg(long, default_value = "")]
    pub(crate) aad: String,
    /// What to seal: a file, or - for standard input. Every byte counts, a final newline too.
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
    /// Where a reply is put that came and could not be read or printed: beside the message, as MESSAGE.reply, if left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) keep: Option<PathBuf>,
    /// Print plaintext for a message that does not say to whom its key delivers.
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

/// What makes a reply acceptable.
#[derive(ClapArgs)]
pub(crate) struct Reading {
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// What the key must have been for.
    #[arg(long)]
    pub(crate) purpose: Option<String>,
    /// The context that the message must have been sealed with.
    #[arg(long, default_value = "")]
    pub(crate) aad: String,
    /// Remember accepted replies in this file, and refuse to accept one again.
    #[arg(long)]
    pub(crate) seen: Option<PathBuf>,
    /// Accept a reply however often it comes: whoever acts on it must remember by other means.
    #[arg(long, conflicts_with = "seen")]
    pub(crate) insecure_allow_replays: bool,
}

impl Reading {
    /// Whether anything was said that only reading needs.
    pub(crate) fn is_given(&self) -> bool {
        self.purpose.is_some() || !self.aad.is_empty() || self.seen.is_some() || self.insecure_allow_replays
    }
}

#[derive(ClapArgs)]
pub(crate) struct OfKey {
    #[command(flatten)]
    pub(crate) service: Service,
    /// The key's id, 32 characters. Of 64 ids one begins with a hyphen.
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
    /// The service, unless --releases names a file.
    #[arg(long, env = "OK2CRY_URL")]
    pub(crate) url: Option<String>,
    /// Check TLS against the certificates in this file (PEM) instead of the system's.
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
    /// Check TLS against the certificates in this file (PEM) instead of the system's.
    #[arg(long, env = "OK2CRY_CACERT", value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
}

/// Which enclaves are accepted. Without measurements, and without the escape, none is.
#[derive(ClapArgs)]
pub(crate) struct TrustArgs {
    /// The root certificate (PEM); AWS's own if left out.
    #[arg(long, env = "OK2CRY_ROOT")]
    pub(crate) root: Option<PathBuf>,
    /// The key that signs the root documents of releases (PEM). May be repeated. The releases come from the service, or from
    /// --releases.
    #[arg(long, env = "OK2CRY_RELEASE_KEY", value_delimiter = ',')]
    pub(crate) release_key: Vec<PathBuf>,
    /// How many of these keys must have signed; all of them if left out.
    #[arg(long, env = "OK2CRY_RELEASE_THRESHOLD", requires = "release_key")]
    pub(crate) release_threshold: Option<usize>,
    /// Take the releases from this file (bundle.json) instead of from the service.
    #[arg(long, env = "OK2CRY_RELEASES", requires = "release_key")]
    pub(crate) releases: Option<PathBuf>,
    /// Remember in this file what was accepted, and refuse anything older and every other log.
    #[arg(long, env = "OK2CRY_RELEASE_MEMORY", requires = "release_key")]
    pub(crate) release_memory: Option<PathBuf>,
    /// The oldest release list to take: 90s, 5m, 48h.
    #[arg(long, default_value = "168h", env = "OK2CRY_MAX_LIST_AGE", value_parser = parse_duration_ms)]
    pub(crate) max_list_age: u64,
    /// The lowest version to take, whatever is listed.
    #[arg(long, env = "OK2CRY_MINIMUM_VERSION", requires = "release_key")]
    pub(crate) minimum_version: Option<String>,
    /// A release's measurements, as nitro-cli prints them (JSON). May be repeated: any one must match whole.
    #[arg(long, env = "OK2CRY_MEASUREMENTS", value_delimiter = ',')]
    pub(crate) measurements: Vec<PathBuf>,
    /// One PCR of one release, as N=HEX, instead of --measurements. All that are given must match.
    #[arg(long)]
    pub(crate) pcr: Vec<String>,
    /// Accept any image that anybody runs: whoever can start an enclave can then read what is sealed.
    #[arg(long)]
    pub(crate) insecure_without_pcrs: bool,
}

fn parse_duration_ms(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits) {
        Some("ms") => 1,
        Some("s") => 1000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        _ => return Err("a time is a number with ms, s, m or h behind it".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "a time is a whole number with ms, s, m or h behind it")?;
    number.checked_mul(unit).ok_or_else(|| "that is too long".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    /// Kubernetes sets such variables in every container, for a Service of any name.
    #[test]
    fn no_setting_is_named_as_a_service_is() {
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
    fn times_have_units() {
        assert_eq!(parse_duration_ms("500ms"), Ok(500));
        assert_eq!(parse_duration_ms("90s"), Ok(90_000));
        assert_eq!(parse_duration_ms("5m"), Ok(300_000));
        assert_eq!(parse_duration_ms("168h"), Ok(604_800_000));
        for bad in ["", "5", "m", "-5s", "5d", "1.5s", "99999999999999999999s", "999999999999999999m"] {
            assert!(parse_duration_ms(bad).is_err(), "{bad}");
        }
    }
}
