//! What is measured, as real processes: enclave and parent, the baseline, Valkey. Each ends when it is dropped.

use crate::{
    Outcome,
    cpu::{NSM, move_threads, on_core},
    link::Link,
};
use ok2cry_attest_verify::{TrustAnchor, Verifier};
use ok2cry_client::{Trust, measurements};
use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Where the servers run in the comparison with the baseline, and where everything else does.
pub const SERVER_CORE: usize = 0;
pub const OTHER_CORE: usize = 1;

/// How long keys live: longer than any phase and what lies between two.
pub const TTL_MS: u64 = 600_000;
/// What they are for.
pub const PURPOSE: &str = "card-pin";

/// How an enclave is started, and its parent.
#[derive(Clone, Copy)]
pub struct Setup {
    pub provider: &'static str,
    pub nsm_latency_us: u64,
    /// A document for each key, as one would do it without batches.
    pub one_per_document: bool,
    pub with_parent: bool,
    pub pinned: bool,
}

impl Setup {
    /// An enclave as images have it, with an NSM as fast as AWS's.
    pub const ENCLAVE: Self = Self {
        provider: "aws-lc",
        nsm_latency_us: 1100,
        one_per_document: false,
        with_parent: false,
        pinned: false,
    };
    /// With a parent in front of it.
    pub const SERVICE: Self = Self { with_parent: true, ..Self::ENCLAVE };
}

/// An enclave, and its parent if one was asked for.
pub struct Ours {
    // In the order in which they are to end.
    parent: Option<(Process, SocketAddr)>,
    enclave: Process,
    folder: TempDir,
}

impl Ours {
    pub fn start(setup: &Setup) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let batch = if setup.one_per_document { "max_batch = 1\n" } else { "" };
        let config = format!(
            "crypto_provider = \"{}\"\ncapacity = 1000000\nmax_ttl_ms = {TTL_MS}\nreply_budget_bytes = 1000000000\n\
             {batch}[purposes.{PURPOSE}]\n",
            setup.provider
        );
        fs::write(path(CONFIG), config)?;
        let core = setup.pinned.then_some(SERVER_CORE);
        let (enclave, url) = on_core(core, || {
            Process::serving(
                Command::new(program("ok2cry-enclave-dev"))
                    .arg(format!("--listen=unix://{}", path(SOCKET).display()))
                    .arg(format!("--config={}", path(CONFIG).display()))
                    .arg(format!("--nsm-latency-us={}", setup.nsm_latency_us))
                    .arg(format!("--root-out={}", path(ROOT).display()))
                    .arg(format!("--measurements-out={}", path(MEASUREMENTS).display()))
                    .env("RUST_LOG", "warn"),
            )
        })?;
        if setup.pinned {
            // It stands for hardware, which takes no core of the enclave's.
            move_threads(enclave.pid(), NSM, OTHER_CORE)?;
        }
        let parent = || {
            let (parent, url) = on_core(core, || {
                Process::serving(
                    Command::new(program("ok2cry-parent")).args(PARENT).args(["--enclave", &url]),
                )
            })?;
            Ok::<_, Box<dyn std::error::Error>>((parent, address(&url)?))
        };
        let parent = if setup.with_parent { Some(parent()?) } else { None };
        Ok(Self { parent, enclave, folder })
    }

    /// Streams to the enclave that have room for so many requests in all.
    pub fn streams(&self, streams: usize, in_flight: usize) -> Outcome<Vec<Link>> {
        let socket = self.folder.path().join(SOCKET);
        (0..streams).map(|_| Link::frames(&socket, in_flight.div_ceil(streams))).collect()
    }

    /// Connections to the parent.
    pub fn connections(&self, connections: usize) -> Outcome<Vec<Link>> {
        let (_, address) = self.parent.as_ref().ok_or("there is no parent")?;
        (0..connections).map(|_| Link::http(*address)).collect()
    }

    /// The enclave, and the parent after it.
    pub fn pids(&self) -> Vec<u32> {
        let parent = self.parent.as_ref().map(|(parent, _)| parent.pid());
        [self.enclave.pid()].into_iter().chain(parent).collect()
    }

    /// What a client accepts.
    pub fn trust(&self) -> Outcome<Trust> {
        let json = fs::read_to_string(self.folder.path().join(MEASUREMENTS))?;
        Ok(Trust::new(self.anchor()?, [measurements::from_nitro_cli_json(&json)?])?)
    }

    /// A verifier of documents alone.
    pub fn verifier(&self, provider: ok2cry_attest_verify::Provider) -> Outcome<Verifier> {
        Ok(Verifier::new(self.anchor()?).with_provider(provider))
    }

    fn anchor(&self) -> Outcome<TrustAnchor> {
        Ok(TrustAnchor::from_pem(&fs::read_to_string(self.folder.path().join(ROOT))?)?)
    }
}

const SOCKET: &str = "enclave.sock";
const CONFIG: &str = "enclave.toml";
const ROOT: &str = "root.pem";
const MEASUREMENTS: &str = "measurements.json";

/// Limits that no phase meets, and no line for each request: the baseline writes none either.
const PARENT: [&str; 6] = [
    "--listen=127.0.0.1:0",
    "--max-in-flight=8192",
    "--max-queue=8192",
    "--max-connections=8192",
    "--enclave-streams=2",
    "--log-level=warn",
];

/// The baseline and its Valkey, pinned.
pub struct Baseline {
    server: Process,
    address: SocketAddr,
    _valkey: Process,
    _folder: TempDir,
}

impl Baseline {
    pub fn start(provider: &str, valkey: &Path) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("valkey.sock");
        let valkey = on_core(Some(OTHER_CORE), || {
            Process::start(
                Command::new(valkey.join("valkey-server"))
                    .args(["--port", "0", "--save", "", "--appendonly", "no", "--loglevel", "warning"])
                    .arg("--unixsocket")
                    .arg(&socket),
            )
        })?;
        for _ in 0..100 {
            if socket.exists() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let (server, url) = on_core(Some(SERVER_CORE), || {
            Process::serving(
                Command::new(beside_this("ok2cry-bench-baseline")?)
                    .args(["--provider", provider])
                    .arg(format!("--valkey=redis+unix://{}", socket.display())),
            )
        })?;
        Ok(Self { server, address: address(&url)?, _valkey: valkey, _folder: folder })
    }

    pub fn connections(&self, connections: usize) -> Outcome<Vec<Link>> {
        (0..connections).map(|_| Link::http(self.address)).collect()
    }

    pub fn pids(&self) -> Vec<u32> {
        vec![self.server.pid()]
    }
}

/// Builds Valkey unless that was done before.
pub fn valkey() -> Outcome<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/valkey.sh");
    let output = Command::new(script).stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// One of the project's programs, built for release.
fn program(name: &str) -> PathBuf {
    let folder = env::var_os("OK2CRY_BENCH_BINARIES").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release"));
    folder.join(name)
}

fn beside_this(name: &str) -> Outcome<PathBuf> {
    Ok(env::current_exe()?.with_file_name(name))
}

fn address(url: &str) -> Outcome<SocketAddr> {
    Ok(url.trim_start_matches("http://").parse()?)
}

struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Outcome<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Ok(Self(child.map_err(|e| format!("{}: {e}", command.get_program().display()))?))
    }

    /// Starts it and waits for the line that says where it listens.
    fn serving(command: &mut Command) -> Outcome<(Self, String)> {
        let mut process = Self::start(command)?;
        let stdout = process.0.stdout.take().ok_or("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let url = line.trim_end().strip_prefix("listening on ");
        let url = url.ok_or_else(|| format!("{} does not listen", command.get_program().display()))?;
        Ok((process, url.to_owned()))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
