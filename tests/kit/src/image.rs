//! Enclave images for the emulated machine. The configuration is measured, so each configuration has its own
//! image.

use crate::HarnessError;
use std::{
    collections::HashMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};
use tempfile::TempDir;

/// The environment variable with the folder that `image/machine` has made. Without it, enclaves are processes
/// on a mock NSM.
pub const MACHINE: &str = "OK2CRY_TEST_MACHINE";

/// Drops the checks that an emulator cannot pass. Measured with the rest of the configuration.
const DEVELOPMENT: &str = "
[development]
any_root = true
any_clock_source = true
";

/// What an image is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parts {
    /// The kernel (a bzImage).
    pub kernel: PathBuf,
    /// The kernel's command line.
    pub cmdline: PathBuf,
    /// The enclave program.
    pub program: PathBuf,
    /// The configuration, as it is measured.
    pub config: String,
    /// The image's signer: a private key and its certificate, both PEM. Without it the image is not signed.
    pub signer: Option<(PathBuf, PathBuf)>,
}

/// An image file and what it measures.
#[derive(Debug)]
pub struct Image {
    folder: TempDir,
}

impl Image {
    /// The enclave image file.
    pub fn eif(&self) -> PathBuf {
        self.folder.path().join("image.eif")
    }

    /// Its measurements, as `ok2cry-release measure` prints them (JSON).
    pub fn measurements(&self) -> PathBuf {
        self.folder.path().join("measurements.json")
    }
}

/// The folder that `image/machine` has made, from [`MACHINE`]. A wrong path makes images fail; it never
/// selects the mock.
pub fn machine_folder() -> Option<PathBuf> {
    env::var_os(MACHINE).map(PathBuf::from)
}

impl Parts {
    /// The parts in `folder`, with `config` extended by what an emulator needs.
    pub fn new(folder: &Path, config: &str) -> Self {
        let path = |name: &str| folder.join(name);
        Self {
            kernel: path("kernel/bzImage"),
            cmdline: path("cmdline"),
            program: path("ok2cry-enclave"),
            config: format!("{config}{DEVELOPMENT}"),
            signer: None,
        }
    }

    /// The same with all checks of a release.
    #[must_use]
    pub fn without_development(mut self) -> Self {
        self.config = self.config.replace(DEVELOPMENT, "");
        self
    }

    /// Builds the image, or returns the one built before from equal parts.
    ///
    /// # Errors
    ///
    /// The message of `ok2cry-release`.
    pub fn build(&self, folder: &Path) -> Result<Arc<Image>, HarnessError> {
        static BUILT: Mutex<Option<HashMap<Parts, Arc<Image>>>> = Mutex::new(None);
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        let built = built.get_or_insert_default();
        if let Some(image) = built.get(self) {
            return Ok(Arc::clone(image));
        }
        let image = Arc::new(self.build_anew(folder)?);
        built.insert(self.clone(), Arc::clone(&image));
        Ok(image)
    }

    fn build_anew(&self, folder: &Path) -> Result<Image, HarnessError> {
        let failed = |e: io::Error| HarnessError::new(format!("an image cannot be built: {e}"));
        let image = Image { folder: folder_of_this_process().map_err(failed)? };
        let config = image.folder.path().join("enclave.toml");
        fs::write(&config, &self.config).map_err(failed)?;
        let tool = folder.join("ok2cry-release");
        let mut build = Command::new(&tool);
        build.arg("build").arg("--kernel").arg(&self.kernel).arg("--cmdline").arg(&self.cmdline);
        build.arg("--kernel-config").arg(folder.join("kernel/config")).arg("--init").arg(&self.program);
        build.arg("--toolchain").arg(folder.join("toolchain.toml")).arg("--configuration").arg(&config);
        if self.config.contains("[development]") {
            build.arg("--development");
        }
        if let Some((key, certificate)) = &self.signer {
            build.arg("--signing-key").arg(key).arg("--signing-certificate").arg(certificate);
        }
        run(build.arg("--out").arg(image.eif()))?;
        let measurements = run(Command::new(&tool).arg("measure").arg(image.eif()))?;
        fs::write(image.measurements(), measurements).map_err(failed)?;
        Ok(image)
    }
}

/// A folder for this process's images. Also removes the folders of processes that have ended.
fn folder_of_this_process() -> io::Result<TempDir> {
    let root = env::temp_dir().join("ok2cry-test-images");
    fs::create_dir_all(&root)?;
    for folder in fs::read_dir(&root)?.flatten() {
        let name = folder.file_name();
        let process = name.to_str().and_then(|name| name.split_once('-'));
        if process.is_some_and(|(process, _)| !Path::new("/proc").join(process).exists()) {
            // Another process may remove it at the same time.
            let _ = fs::remove_dir_all(folder.path());
        }
    }
    tempfile::Builder::new().prefix(&format!("{}-", std::process::id())).tempdir_in(root)
}

fn run(command: &mut Command) -> Result<Vec<u8>, HarnessError> {
    let output = command.output().map_err(|e| HarnessError::new(format!("{command:?}: {e}")))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(HarnessError::new(format!("{command:?}: {}\n{stderr}", output.status)));
    }
    Ok(output.stdout)
}
