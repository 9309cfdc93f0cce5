//! `ok2cry-enclave-dev`: the enclave program on a mock NSM, for laptops and CI. It protects nothing.

use clap::Parser;
use ok2cry_enclave::{
    api::server::Listener,
    config::Config,
    keys::crypto::CryptoProvider,
    platform::memory::harden::{Hardened, harden},
    run::Enclave,
};
use ok2cry_mock_nsm::{MockConfig, MockNsm, MockPki, Pcrs};
use std::{
    error::Error,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// An ok2cry enclave with a mock Nitro Secure Module, for development. It protects nothing.
///
/// Its documents are signed under a root of its own, made at every start unless --root-key keeps it. Clients
/// accept it only if they are given this root and these measurements. `RUST_LOG` sets the log level.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The socket to listen on: `unix:///path`. An old socket there is replaced.
    #[arg(long, env = "OK2CRY_ENCLAVE_DEV_LISTEN")]
    listen: String,
    /// The configuration (TOML). The default is one for the demo.
    #[arg(long, env = "OK2CRY_ENCLAVE_DEV_CONFIG")]
    config: Option<PathBuf>,
    /// The provider of elliptic-curve keys: `portable`, or `aws-lc` if it was built in (feature `aws-lc`).
    /// Overrides the configuration's `crypto_provider`.
    #[arg(long, value_name = "PROVIDER", env = "OK2CRY_ENCLAVE_DEV_CRYPTO")]
    crypto: Option<CryptoProvider>,
    /// The name from which the mock derives its PCRs.
    #[arg(long, env = "OK2CRY_ENCLAVE_DEV_IMAGE_NAME", default_value = "ok2cry-enclave")]
    image_name: String,
    /// How long the mock takes for a document, in microseconds. Real modules take about 1100.
    #[arg(long, env = "OK2CRY_ENCLAVE_DEV_NSM_LATENCY_US", default_value_t = 1100)]
    nsm_latency_us: u64,
    /// Imitate debug mode (PCR0, 1 and 2 zero). The enclave then refuses to start.
    #[arg(long, env = "OK2CRY_ENCLAVE_DEV_DEBUG_MODE")]
    debug_mode: bool,
    /// Keep the mock's root (private key and certificate, PEM) in this file, instead of making one at every
    /// start. Enclaves with the same file have the same root.
    #[arg(long, value_name = "FILE", env = "OK2CRY_ENCLAVE_DEV_ROOT_KEY")]
    root_key: Option<PathBuf>,
    /// Write the mock's root certificate (PEM) to this file.
    #[arg(long, env = "OK2CRY_ENCLAVE_DEV_ROOT_OUT")]
    root_out: Option<PathBuf>,
    /// Write the mock's measurements to this file, as nitro-cli prints them (JSON).
    #[arg(long, env = "OK2CRY_ENCLAVE_DEV_MEASUREMENTS_OUT")]
    measurements_out: Option<PathBuf>,
}

/// The configuration for the demo: card PINs to their recipient, and one purpose that shows `caller` mode.
const DEMO_CONFIG: &str = include_str!("demo.toml");

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the enclave does not serve");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let Hardened { locked } = harden()?;
    tracing::debug!(memory_locked = locked, "hardened");
    let mut config = match &args.config {
        Some(path) => {
            Config::from_toml(&fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?)?
        }
        None => Config::from_toml(DEMO_CONFIG)?,
    };
    if let Some(provider) = args.crypto {
        config.crypto_provider = provider;
    }
    let Some(socket) = args.listen.strip_prefix("unix://").filter(|path| path.starts_with('/')) else {
        return Err("--listen must be unix:///absolute/path".into());
    };

    let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let pki = match &args.root_key {
        None => MockPki::generate(now_ms)?,
        Some(path) => kept_root(path, now_ms)?,
    };
    let mut mock = MockConfig::with_image_name(&args.image_name);
    mock.latency = Duration::from_micros(args.nsm_latency_us);
    if args.debug_mode {
        mock = mock.in_debug_mode();
    }
    if let Some(path) = &args.root_out {
        write(path, &pki.root_pem())?;
    }
    if let Some(path) = &args.measurements_out {
        write(path, &measurements_json(&mock.measurements()))?;
    }

    let enclave = Enclave::start(config, Box::new(MockNsm::new(pki, mock)))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        remove_old_socket(Path::new(socket))?;
        let listener = UnixListener::bind(socket).map_err(|e| format!("{socket}: {e}"))?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "listening on unix://{socket}")?;
        stdout.flush()?;
        drop(stdout);
        let shutdown = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        enclave.serve(Listener::Unix(listener), shutdown).await;
        Ok(())
    })
}

/// The root in this file, which is made if it does not exist.
fn kept_root(path: &Path, now_ms: u64) -> Result<MockPki, Box<dyn Error>> {
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    if !path.exists() {
        let pki = MockPki::generate(now_ms)?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|e| named(&e))?;
        file.write_all(pki.root_key_pem()?.as_bytes()).map_err(|e| named(&e))?;
    }
    let pem = fs::read_to_string(path).map_err(|e| named(&e))?;
    Ok(MockPki::from_root_key_pem(&pem, now_ms).map_err(|e| named(&e))?)
}

/// Removes a socket that an earlier run left. Any other file is kept.
fn remove_old_socket(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn measurements_json(pcrs: &Pcrs) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let rows: Vec<_> =
        pcrs.iter().map(|(index, value)| format!("    \"PCR{index}\": \"{}\"", hex(value))).collect();
    format!(
        "{{\n  \"Measurements\": {{\n    \"HashAlgorithm\": \"Sha384 {{ ... }}\",\n{}\n  }}\n}}\n",
        rows.join(",\n")
    )
}
