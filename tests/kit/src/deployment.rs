//! An enclave and its parent: two processes, or an emulated machine and a process.

use crate::{
    EnclaveStream, HarnessError,
    image::{Image, Parts, machine_folder},
    machine::{Boot, Machine},
    process::{Process, program},
    raw_http::{self, Message},
};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_client::{
    KeyRequest, RecipientKey, SealedMessage, Trust, VerifiedKey, http::Client, measurements,
};
use ok2cry_mock_nsm::{MockPki, TimeSource};
use ok2cry_protocol::rpc::Health;
use std::{
    env,
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

/// How a [`Deployment`] is configured.
#[derive(Clone, Debug)]
pub struct Options {
    /// The enclave's configuration (TOML).
    pub config: String,
    /// The name that the mock NSM measures: another name is another image. In a booted image it is a comment
    /// of the configuration.
    pub image_name: String,
    /// The mock NSM's time for a document, in microseconds. Ignored for an emulated machine.
    pub nsm_latency_us: u64,
    /// The file with the mock NSM's root, which deployments can share. Without it each has its own root.
    pub mock_root: Option<PathBuf>,
    /// The folder of published releases that the parent serves.
    pub release_site: Option<PathBuf>,
    /// More flags for the parent.
    pub parent_args: Vec<String>,
    /// `RUST_LOG` for both programs. Ignored by a booted image, which has an empty environment.
    pub rust_log: Option<String>,
    /// The enclave's crypto provider, in place of its configuration's.
    pub crypto: Option<String>,
}

impl Default for Options {
    /// Two purposes that deliver to recipients and one that delivers to callers, the genuine image, and an
    /// NSM as fast as a real one. `OK2CRY_TEST_CRYPTO` names the crypto provider.
    fn default() -> Self {
        Self {
            config: CONFIG.to_owned(),
            image_name: "ok2cry-enclave".to_owned(),
            nsm_latency_us: 1100,
            mock_root: None,
            release_site: None,
            parent_args: Vec::new(),
            rust_log: None,
            crypto: env::var("OK2CRY_TEST_CRYPTO").ok(),
        }
    }
}

/// The default of [`Options::config`].
pub const CONFIG: &str = "
max_ttl_ms = 600000
capacity = 100000

[purposes.card-pin]

[purposes.pin-change]

[purposes.caller-demo]
caller = true
";

/// An enclave and its parent, on sockets of their own. Both end when this is dropped.
#[derive(Debug)]
pub struct Deployment {
    // Dropped in this order.
    parent: Process,
    enclave: Enclave,
    url: String,
    root_pem: PathBuf,
    measurements: PathBuf,
    parent_args: Vec<String>,
    variables: Vec<(String, String)>,
    _folder: TempDir,
}

impl Deployment {
    /// Starts both and waits until they listen.
    ///
    /// # Errors
    ///
    /// If a program is missing, ends, or does not listen in time; with its stderr.
    pub fn start(options: Options) -> Result<Self, HarnessError> {
        let folder = tempfile::tempdir().map_err(|e| HarnessError::new(format!("temporary folder: {e}")))?;
        let path = |name: &str| folder.path().join(name);
        let (root_pem, measurements, socket) =
            (path("root.pem"), path("measurements.json"), path("enclave.sock"));
        let config = path("enclave.toml");
        fs::write(&config, &options.config)
            .map_err(|e| HarnessError::new(format!("{}: {e}", config.display())))?;

        let variables: Vec<_> =
            options.rust_log.into_iter().map(|filter| ("RUST_LOG".to_owned(), filter)).collect();
        let (enclave, measurements) = match machine_folder() {
            Some(machine) => {
                let pki = pki(options.mock_root.as_deref())?;
                fs::write(&root_pem, pki.root_pem()).map_err(|e| HarnessError::new(e.to_string()))?;
                let provider = options.crypto.map(|provider| format!("crypto_provider = {provider:?}\n"));
                let config =
                    format!("# {}\n{}{}", options.image_name, provider.unwrap_or_default(), options.config);
                let image = Parts::new(&machine, &config).build(&machine)?;
                let boot = Boot::new(image.eif(), pki);
                let running = Machine::start(&machine, &boot)?;
                let measurements = image.measurements();
                (Enclave::Machine(Box::new(Emulated { running, boot, image, folder: machine })), measurements)
            }
            None => {
                let mut enclave_args = vec![
                    format!("--listen=unix://{}", socket.display()),
                    format!("--config={}", config.display()),
                    format!("--image-name={}", options.image_name),
                    format!("--nsm-latency-us={}", options.nsm_latency_us),
                    format!("--root-out={}", root_pem.display()),
                    format!("--measurements-out={}", measurements.display()),
                ];
                enclave_args.extend(options.crypto.map(|provider| format!("--crypto={provider}")));
                enclave_args.extend(options.mock_root.map(|path| format!("--root-key={}", path.display())));
                let mut process = Process::start("ok2cry-enclave-dev", &enclave_args, &variables)?;
                process.listening_on()?;
                (Enclave::Mock { process, socket }, measurements)
            }
        };
        let mut parent_args = options.parent_args;
        parent_args.extend(options.release_site.map(|site| format!("--release-site={}", site.display())));
        let (parent, url) = start_parent_at(&enclave.url(), &parent_args, &variables)?;
        Ok(Self { parent, enclave, url, root_pem, measurements, parent_args, variables, _folder: folder })
    }

    /// The parent's URL: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client of the parent.
    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// The arguments of `ok2cry-release manifest` and `sign` that describe the running image.
    ///
    /// # Errors
    ///
    /// If the enclave's program is missing.
    pub fn built(&self) -> Result<Vec<String>, HarnessError> {
        let (image, flag, file) = match &self.enclave {
            Enclave::Mock { .. } => {
                (program("ok2cry-enclave-dev")?, "--mock-measurements", self.measurements.clone())
            }
            Enclave::Machine(machine) => {
                let eif = machine.image.eif();
                let manifest = eif.with_extension("manifest.json");
                (eif, "--build", manifest)
            }
        };
        let paths = [("--image", image), (flag, file), ("--attestation-root", self.root_pem.clone())];
        Ok(paths.into_iter().flat_map(|(flag, path)| [flag.to_owned(), path.display().to_string()]).collect())
    }

    /// Accepts this enclave's image under this enclave's root, and nothing else.
    ///
    /// # Errors
    ///
    /// If the files that the enclave wrote cannot be read.
    pub fn trust(&self) -> Result<Trust, HarnessError> {
        let release = measurements::from_nitro_cli_json(&read(&self.measurements)?);
        let release = release.map_err(|e| HarnessError::new(e.to_string()))?;
        Trust::new(self.anchor()?, [release]).map_err(|e| HarnessError::new(e.to_string()))
    }

    /// Accepts the image of `other` under this enclave's root: the trust of a client that meets an impostor.
    ///
    /// # Errors
    ///
    /// As [`Deployment::trust`].
    pub fn trust_in_image_of(&self, other: &Self) -> Result<Trust, HarnessError> {
        let release = measurements::from_nitro_cli_json(&read(&other.measurements)?);
        let release = release.map_err(|e| HarnessError::new(e.to_string()))?;
        Trust::new(self.anchor()?, [release]).map_err(|e| HarnessError::new(e.to_string()))
    }

    /// Requests keys and verifies them.
    ///
    /// # Errors
    ///
    /// If the service or the client refuses.
    pub fn issue(&self, request: KeyRequest) -> Result<Vec<VerifiedKey>, HarnessError> {
        let keys = self.client().issue(request, &self.trust()?, &CheckTime::system());
        keys.map_err(|e| HarnessError::new(e.to_string()))
    }

    /// Requests one key for `card-pin` with this lifetime in milliseconds, and verifies it.
    ///
    /// # Errors
    ///
    /// As [`Deployment::issue`].
    pub fn card_pin_key(&self, ttl_ms: u64, recipient: &RecipientKey) -> Result<VerifiedKey, HarnessError> {
        let request =
            KeyRequest::new("card-pin", std::time::Duration::from_millis(ttl_ms), recipient.public_key());
        let keys = self.issue(request.map_err(|e| HarnessError::new(e.to_string()))?)?;
        keys.into_iter().next().ok_or_else(|| HarnessError::new("the response holds no keys"))
    }

    /// Sends a message to be opened, and returns the raw response.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn open(&self, message: &SealedMessage) -> Result<Message, HarnessError> {
        let path = format!("/v1/keys/{}/open", message.key_id.to_base64url());
        raw_http::post(&self.url, &path, &message.to_json())
    }

    /// The file with the root certificate of the enclave's documents (PEM).
    pub fn root_pem(&self) -> &Path {
        &self.root_pem
    }

    /// The file with the enclave's measurements, in `nitro-cli`'s format (JSON).
    pub fn measurements(&self) -> &Path {
        &self.measurements
    }

    /// A new stream to the enclave, beside the parent's.
    ///
    /// # Errors
    ///
    /// If the enclave does not accept it.
    pub fn stream(&self) -> Result<EnclaveStream, HarnessError> {
        match &self.enclave {
            Enclave::Mock { socket, .. } => EnclaveStream::connect(socket),
            Enclave::Machine(machine) => machine.running.stream(),
        }
    }

    /// The enclave's health, requested on a new stream.
    ///
    /// # Errors
    ///
    /// If the enclave does not respond.
    pub fn health(&self) -> Result<Health, HarnessError> {
        self.stream()?.health()
    }

    /// Kills the parent and starts another, on another port.
    ///
    /// # Errors
    ///
    /// As [`Deployment::start`].
    pub fn restart_parent(&mut self) -> Result<(), HarnessError> {
        self.parent.kill();
        (self.parent, self.url) = start_parent_at(&self.enclave.url(), &self.parent_args, &self.variables)?;
        Ok(())
    }

    /// The emulated machine, if the enclave runs in one.
    pub fn machine(&mut self) -> Option<&mut Machine> {
        match &mut self.enclave {
            Enclave::Mock { .. } => None,
            Enclave::Machine(machine) => Some(&mut machine.running),
        }
    }

    /// Boots the same image on a new machine under the same root, and starts a new parent.
    ///
    /// # Errors
    ///
    /// As [`Deployment::start`]; also if the enclave is a process.
    pub fn reboot(&mut self) -> Result<(), HarnessError> {
        let Enclave::Machine(machine) = &mut self.enclave else {
            return Err(HarnessError::new("only a machine can be booted again"));
        };
        machine.running = Machine::start(&machine.folder, &machine.boot)?;
        self.restart_parent()
    }

    /// Kills the parent.
    pub fn kill_parent(&mut self) {
        self.parent.kill();
    }

    /// The output of both programs so far, stdout and stderr.
    pub fn output(&self) -> String {
        let enclave = match &self.enclave {
            Enclave::Mock { process, .. } => process.stdout(),
            Enclave::Machine(_) => String::new(),
        };
        [self.enclave_stderr(), enclave, self.parent_stderr(), self.parent.stdout()].concat()
    }

    /// The enclave's stderr so far, or its console.
    pub fn enclave_stderr(&self) -> String {
        match &self.enclave {
            Enclave::Mock { process, .. } => process.stderr(),
            Enclave::Machine(machine) => machine.running.console(),
        }
    }

    /// The parent's stderr so far.
    pub fn parent_stderr(&self) -> String {
        self.parent.stderr()
    }

    /// Kills both, and returns their whole output.
    pub fn stop(mut self) -> String {
        self.parent.kill();
        match &mut self.enclave {
            Enclave::Mock { process, .. } => process.kill(),
            Enclave::Machine(machine) => machine.running.kill_enclave(),
        }
        self.output()
    }

    /// The root certificate as a trust anchor.
    ///
    /// # Errors
    ///
    /// If the file that the enclave wrote cannot be read.
    pub fn anchor(&self) -> Result<TrustAnchor, HarnessError> {
        TrustAnchor::from_pem(&read(&self.root_pem)?).map_err(|e| HarnessError::new(e.to_string()))
    }
}

#[derive(Debug)]
enum Enclave {
    Mock { process: Process, socket: PathBuf },
    Machine(Box<Emulated>),
}

#[derive(Debug)]
struct Emulated {
    running: Machine,
    boot: Boot,
    folder: PathBuf,
    /// Keeps the files that machines boot from.
    image: Arc<Image>,
}

impl Enclave {
    fn url(&self) -> String {
        match self {
            Self::Mock { socket, .. } => format!("unix://{}", socket.display()),
            Self::Machine(machine) => machine.running.url(),
        }
    }
}

/// Starts a parent for the enclave at `socket`, and waits until it listens. Returns its URL too.
///
/// # Errors
///
/// As [`Deployment::start`].
pub fn start_parent(
    socket: &Path,
    args: &[String],
    variables: &[(String, String)],
) -> Result<(Process, String), HarnessError> {
    start_parent_at(&format!("unix://{}", socket.display()), args, variables)
}

/// The same for an enclave at any address that a parent accepts.
///
/// # Errors
///
/// As [`Deployment::start`].
pub fn start_parent_at(
    enclave: &str,
    args: &[String],
    variables: &[(String, String)],
) -> Result<(Process, String), HarnessError> {
    let mut all = vec!["--listen=127.0.0.1:0".to_owned(), format!("--enclave={enclave}")];
    all.extend_from_slice(args);
    let mut parent = Process::start("ok2cry-parent", &all, variables)?;
    let url = parent.listening_on()?;
    Ok((parent, url))
}

/// The PKI of an emulated machine, under the root in this file. Creates the file if it is missing.
fn pki(root: Option<&Path>) -> Result<MockPki, HarnessError> {
    let (failed, now_ms) = (|e: &dyn Display| HarnessError::new(e.to_string()), TimeSource::System.now_ms());
    match root {
        Some(path) if path.exists() => {
            MockPki::from_root_key_pem(&read(path)?, now_ms).map_err(|e| failed(&e))
        }
        _ => {
            let pki = MockPki::generate(now_ms).map_err(|e| failed(&e))?;
            if let Some(path) = root {
                let pem = pki.root_key_pem().map_err(|e| failed(&e))?;
                fs::write(path, pem).map_err(|e| failed(&e))?;
            }
            Ok(pki)
        }
    }
}

fn read(path: &Path) -> Result<String, HarnessError> {
    fs::read_to_string(path).map_err(|e| HarnessError::new(format!("{}: {e}", path.display())))
}
