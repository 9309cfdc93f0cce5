//! An enclave and its parent, as two processes.

use crate::{
    EnclaveStream, HarnessError,
    process::Process,
    raw_http::{self, Message},
};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_client::{
    KeyRequest, RecipientKey, SealedMessage, Trust, VerifiedKey, http::Client, measurements,
};
use ok2cry_protocol::rpc::Health;
use std::{
    env, fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// How a [`Deployment`] is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// The enclave's configuration (TOML).
    pub config: String,
    /// What the mock NSM pretends to have measured: another name is another image.
    pub image_name: String,
    /// How long the mock NSM takes for a document, in microseconds.
    pub nsm_latency_us: u64,
    /// More flags for the parent.
    pub parent_args: Vec<String>,
    /// `RUST_LOG` for both programs; unset unless given.
    pub rust_log: Option<String>,
    /// The enclave's crypto provider, where its configuration's is not meant.
    pub crypto: Option<String>,
}

impl Default for Options {
    /// Two purposes whose replies go to recipients and one that releases to callers, the genuine image, and an NSM as
    /// fast as a real one. The crypto provider is the one that `OK2CRY_TEST_CRYPTO` names.
    fn default() -> Self {
        Self {
            config: CONFIG.to_owned(),
            image_name: "ok2cry-enclave".to_owned(),
            nsm_latency_us: 1100,
            parent_args: Vec::new(),
            rust_log: None,
            crypto: env::var("OK2CRY_TEST_CRYPTO").ok(),
        }
    }
}

/// The enclave's configuration unless [`Options::config`] says otherwise.
pub const CONFIG: &str = "
max_ttl_ms = 600000
capacity = 100000

[purposes.card-pin]

[purposes.pin-change]

[purposes.caller-demo]
caller = true
";

/// An enclave on a mock NSM and a parent in front of it, on sockets of their own. Both end when this is dropped.
#[derive(Debug)]
pub struct Deployment {
    // In the order in which they are to end.
    parent: Process,
    enclave: Process,
    url: String,
    root_pem: PathBuf,
    measurements: PathBuf,
    socket: PathBuf,
    parent_args: Vec<String>,
    variables: Vec<(String, String)>,
    _folder: TempDir,
}

impl Deployment {
    /// Starts both and waits until they listen.
    ///
    /// # Errors
    ///
    /// If a program is missing, ends, or does not listen in time; with what it wrote to stderr.
    pub fn start(options: Options) -> Result<Self, HarnessError> {
        let folder =
            tempfile::tempdir().map_err(|e| HarnessError::new(format!("no temporary folder: {e}")))?;
        let path = |name: &str| folder.path().join(name);
        let (root_pem, measurements, socket) =
            (path("root.pem"), path("measurements.json"), path("enclave.sock"));
        let config = path("enclave.toml");
        fs::write(&config, &options.config)
            .map_err(|e| HarnessError::new(format!("{}: {e}", config.display())))?;

        let variables: Vec<_> =
            options.rust_log.into_iter().map(|filter| ("RUST_LOG".to_owned(), filter)).collect();
        let mut enclave_args = vec![
            format!("--listen=unix://{}", socket.display()),
            format!("--config={}", config.display()),
            format!("--image-name={}", options.image_name),
            format!("--nsm-latency-us={}", options.nsm_latency_us),
            format!("--root-out={}", root_pem.display()),
            format!("--measurements-out={}", measurements.display()),
        ];
        enclave_args.extend(options.crypto.map(|provider| format!("--crypto={provider}")));
        let mut enclave = Process::start("ok2cry-enclave-dev", &enclave_args, &variables)?;
        enclave.listening_on()?;
        let (parent, url) = start_parent(&socket, &options.parent_args, &variables)?;
        Ok(Self {
            parent,
            enclave,
            url,
            root_pem,
            measurements,
            socket,
            parent_args: options.parent_args,
            variables,
            _folder: folder,
        })
    }

    /// Where the parent listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client of the parent.
    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// Accepts this enclave's image under this enclave's root, and nothing else.
    ///
    /// # Errors
    ///
    /// If the files that the enclave wrote are not what they should be.
    pub fn trust(&self) -> Result<Trust, HarnessError> {
        let release = measurements::from_nitro_cli_json(&read(&self.measurements)?);
        let release = release.map_err(|e| HarnessError::new(e.to_string()))?;
        Trust::new(self.anchor()?, [release]).map_err(|e| HarnessError::new(e.to_string()))
    }

    /// Accepts the image of `other` under this enclave's root: what a client has that is told the right root and
    /// meets an impostor.
    ///
    /// # Errors
    ///
    /// As [`Deployment::trust`].
    pub fn trust_in_image_of(&self, other: &Self) -> Result<Trust, HarnessError> {
        let release = measurements::from_nitro_cli_json(&read(&other.measurements)?);
        let release = release.map_err(|e| HarnessError::new(e.to_string()))?;
        Trust::new(self.anchor()?, [release]).map_err(|e| HarnessError::new(e.to_string()))
    }

    /// Asks for keys and verifies them, as every client does.
    ///
    /// # Errors
    ///
    /// If they are refused, by the service or here.
    pub fn issue(&self, request: KeyRequest) -> Result<Vec<VerifiedKey>, HarnessError> {
        let keys = self.client().issue(request, &self.trust()?, &CheckTime::system());
        keys.map_err(|e| HarnessError::new(e.to_string()))
    }

    /// Asks for one key for `card-pin` that lives for `ttl_ms` milliseconds, and verifies it.
    ///
    /// # Errors
    ///
    /// As [`Deployment::issue`].
    pub fn card_pin_key(&self, ttl_ms: u64, recipient: &RecipientKey) -> Result<VerifiedKey, HarnessError> {
        let request = KeyRequest::new("card-pin", ttl_ms, recipient.public_key());
        let keys = self.issue(request.map_err(|e| HarnessError::new(e.to_string()))?)?;
        keys.into_iter().next().ok_or_else(|| HarnessError::new("no key"))
    }

    /// Has a message opened, and returns the answer as it comes.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub fn open(&self, message: &SealedMessage) -> Result<Message, HarnessError> {
        let path = format!("/v1/keys/{}/open", message.key_id.to_base64url());
        raw_http::post(&self.url, &path, &message.to_json())
    }

    /// The mock's root certificate (PEM).
    pub fn root_pem(&self) -> &Path {
        &self.root_pem
    }

    /// The mock's measurements, as `nitro-cli` prints them (JSON).
    pub fn measurements(&self) -> &Path {
        &self.measurements
    }

    /// The enclave's Unix socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A stream of one's own to the enclave, beside the parent's.
    ///
    /// # Errors
    ///
    /// If the enclave does not take it.
    pub fn stream(&self) -> Result<EnclaveStream, HarnessError> {
        EnclaveStream::connect(&self.socket)
    }

    /// How the enclave is, asked on a stream of its own.
    ///
    /// # Errors
    ///
    /// If the enclave does not answer.
    pub fn health(&self) -> Result<Health, HarnessError> {
        self.stream()?.health()
    }

    /// Ends the parent, as a crash would, and starts another on another port.
    ///
    /// # Errors
    ///
    /// As [`Deployment::start`].
    pub fn restart_parent(&mut self) -> Result<(), HarnessError> {
        self.parent.kill();
        (self.parent, self.url) = start_parent(&self.socket, &self.parent_args, &self.variables)?;
        Ok(())
    }

    /// What both programs have written so far, to stdout and stderr.
    pub fn output(&self) -> String {
        [self.enclave_stderr(), self.enclave.stdout(), self.parent_stderr(), self.parent.stdout()].concat()
    }

    /// What the enclave has written to stderr so far.
    pub fn enclave_stderr(&self) -> String {
        self.enclave.stderr()
    }

    /// What the parent has written to stderr so far.
    pub fn parent_stderr(&self) -> String {
        self.parent.stderr()
    }

    /// Ends both, and returns all that they ever wrote.
    pub fn stop(mut self) -> String {
        self.parent.kill();
        self.enclave.kill();
        self.output()
    }

    fn anchor(&self) -> Result<TrustAnchor, HarnessError> {
        TrustAnchor::from_pem(&read(&self.root_pem)?).map_err(|e| HarnessError::new(e.to_string()))
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
    let mut all = vec!["--listen=127.0.0.1:0".to_owned(), format!("--enclave=unix://{}", socket.display())];
    all.extend_from_slice(args);
    let mut parent = Process::start("ok2cry-parent", &all, variables)?;
    let url = parent.listening_on()?;
    Ok((parent, url))
}

fn read(path: &Path) -> Result<String, HarnessError> {
    fs::read_to_string(path).map_err(|e| HarnessError::new(format!("{}: {e}", path.display())))
}
