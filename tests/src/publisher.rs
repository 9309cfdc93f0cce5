//! A product's release engineers: keys in a folder, and `ok2cry-release` to publish with.

use crate::{Deployment, HarnessError, process::program_folder};
use ok2cry_release_verify::{ReleaseKey, Role, SignerKey};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// The product, as root documents and manifests call it.
pub const PRODUCT: &str = "ok2cry-enclave";
const ORIGIN: &str = "releases.example/ok2cry";
/// A commit, where what is released was built from none.
const COMMIT: &str = "0000000000000000000000000000000000000000";

/// Two root keys of which both sign, two builders of whom both sign, a list key, a log, and the folder that it is all
/// published in.
#[derive(Debug)]
pub struct Publisher {
    folder: TempDir,
    log: String,
}

/// Who signs a manifest.
pub const BUILDERS: [&str; 2] = ["builder-1", "builder-2"];

impl Publisher {
    /// Makes the keys. Nothing is published yet.
    ///
    /// # Errors
    ///
    /// If `ok2cry-release` is missing or fails.
    pub fn new() -> Result<Self, HarnessError> {
        let folder = tempfile::tempdir().map_err(|e| HarnessError::new(e.to_string()))?;
        let mut publisher = Self { folder, log: String::new() };
        for name in ["root-1", "root-2", "list"].into_iter().chain(BUILDERS) {
            publisher.new_key(name)?;
        }
        publisher.log = publisher.run(&["keygen", "--log", ORIGIN, "log.pem"])?.trim().to_owned();
        Ok(publisher)
    }

    /// Where everything lies: private keys `NAME.pem`, public keys `NAME.pub`, manifests `VERSION.json`, `site`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The published folder.
    pub fn site(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    /// Makes a key: `NAME.pem` and `NAME.pub`.
    ///
    /// # Errors
    ///
    /// As [`Publisher::new`].
    pub fn new_key(&self, name: &str) -> Result<(), HarnessError> {
        let public = self.run(&["keygen", &format!("{name}.pem")])?;
        fs::write(self.folder().join(format!("{name}.pub")), public)
            .map_err(|e| HarnessError::new(e.to_string()))
    }

    /// What clients pin: both root keys.
    ///
    /// # Errors
    ///
    /// If the keys cannot be read.
    pub fn release_key(&self) -> Result<ReleaseKey, HarnessError> {
        let failed = |e: &dyn std::fmt::Display| HarnessError::new(e.to_string());
        let keys = self.release_key_pems()?;
        let keys = keys.iter().map(|pem| SignerKey::from_pem(pem).map_err(|e| failed(&e)));
        let role = Role::new(2, keys.collect::<Result<_, _>>()?);
        Ok(ReleaseKey::from_role(role.map_err(|e| failed(&e))?))
    }

    /// The same as PEM. Both have to sign.
    ///
    /// # Errors
    ///
    /// As [`Publisher::release_key`].
    pub fn release_key_pems(&self) -> Result<Vec<String>, HarnessError> {
        let pem = |name| fs::read_to_string(self.folder().join(name));
        let pems =
            ["root-1.pub", "root-2.pub"].map(|name| pem(name).map_err(|e| HarnessError::new(e.to_string())));
        pems.into_iter().collect()
    }

    /// Writes and signs `root-VERSION.json` for enclaves under `attestation_root`, with these builders.
    ///
    /// # Errors
    ///
    /// As [`Publisher::new`].
    pub fn root(
        &self,
        version: u64,
        attestation_root: &Path,
        builders: &[&str],
    ) -> Result<String, HarnessError> {
        let (file, root) = (format!("root-{version}.json"), attestation_root.display().to_string());
        let version = version.to_string();
        let threshold = builders.len().to_string();
        let mut args = vec!["root", "--product", PRODUCT, "--version", &version, "--attestation-root", &root];
        args.extend(["--root-key", "root-1.pub", "--root-key", "root-2.pub", "--root-threshold", "2"]);
        let builders: Vec<_> = builders.iter().map(|name| format!("{name}.pub")).collect();
        args.extend(builders.iter().flat_map(|file| ["--manifest-key", file.as_str()]));
        args.extend(["--manifest-threshold", &threshold, "--list-key", "list.pub", "--log-key", &self.log]);
        args.extend(["--out", &file]);
        self.run(&args)?;
        for key in ["root-1.pem", "root-2.pem"] {
            self.run(&["sign", "--key", key, &file])?;
        }
        Ok(file)
    }

    /// Writes `VERSION.json`, the manifest of what `deployment` runs, and has these builders sign it, each against their
    /// own copy.
    ///
    /// # Errors
    ///
    /// As [`Publisher::new`].
    pub fn manifest(
        &self,
        version: &str,
        deployment: &Deployment,
        builders: &[&str],
    ) -> Result<String, HarnessError> {
        let file = format!("{version}.json");
        let built = deployment.built()?;
        let built: Vec<&str> = built.iter().map(String::as_str).collect();
        let mut args = vec!["manifest", "--product", PRODUCT, "--version", version, "--out", &file];
        args.extend(["--repository", env!("CARGO_PKG_REPOSITORY"), "--commit", COMMIT]);
        self.run(&[args.as_slice(), built.as_slice()].concat())?;
        for builder in builders {
            self.sign_manifest(&file, deployment, builder)?;
        }
        Ok(file)
    }

    /// Has one builder more sign a manifest.
    ///
    /// # Errors
    ///
    /// As [`Publisher::new`].
    pub fn sign_manifest(
        &self,
        file: &str,
        deployment: &Deployment,
        builder: &str,
    ) -> Result<(), HarnessError> {
        let built = deployment.built()?;
        let built: Vec<&str> = built.iter().map(String::as_str).collect();
        let key = format!("{builder}.pem");
        self.run(&[&["sign", "--key", &key], built.as_slice(), &[file]].concat()).map(drop)
    }

    /// Publishes, with more arguments of `ok2cry-release publish`. Answers what it says.
    ///
    /// # Errors
    ///
    /// As [`Publisher::new`]; a refusal begins with `refused: `.
    pub fn publish(&self, attestation_root: &Path, more: &[&str]) -> Result<String, HarnessError> {
        self.publishing("publish", attestation_root, more)
    }

    /// Takes a release off the list.
    ///
    /// # Errors
    ///
    /// As [`Publisher::publish`].
    pub fn revoke(&self, attestation_root: &Path, more: &[&str]) -> Result<String, HarnessError> {
        self.publishing("revoke", attestation_root, more)
    }

    /// Runs `ok2cry-release` in the folder. Answers what it prints.
    ///
    /// # Errors
    ///
    /// If it does not end with 0: what it says on stderr.
    pub fn run(&self, args: &[&str]) -> Result<String, HarnessError> {
        let tool = release_tool()?;
        let output = Command::new(&tool).args(args).current_dir(self.folder()).env_clear().output();
        let output = output.map_err(|e| HarnessError::new(format!("{}: {e}", tool.display())))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(HarnessError::new(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }

    fn publishing(&self, what: &str, attestation_root: &Path, more: &[&str]) -> Result<String, HarnessError> {
        let root = attestation_root.display().to_string();
        let args = [
            what,
            "--site",
            "site",
            "--list-key",
            "list.pem",
            "--log-key",
            "log.pem",
            "--attestation-root",
            &root,
        ];
        self.run(&[&args, more].concat()).map(|said| said.trim().to_owned())
    }
}

/// `OK2CRY_RELEASE_TOOL`, or the one that `make` builds beside the programs.
fn release_tool() -> Result<PathBuf, HarnessError> {
    let built = || Some(program_folder().ok()?.parent()?.join("release-light/debug/ok2cry-release"));
    let tool = env::var_os("OK2CRY_RELEASE_TOOL").map(PathBuf::from).or_else(built);
    tool.filter(|tool| tool.is_file()).ok_or_else(|| {
        HarnessError::new("ok2cry-release is missing: run `make release-tool`, or set OK2CRY_RELEASE_TOOL")
    })
}
