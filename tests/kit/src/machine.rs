//! An enclave image in an emulated machine: QEMU's `nitro-enclave` with an emulated Nitro Secure Module, and
//! vhost-device-vsock for its vsock.
//!
//! A machine is ready when the enclave has sent its heartbeat. Nothing connects earlier: a connection to a
//! port that is not yet open can block the vsock backend for the rest of the boot.

use crate::{EnclaveStream, HarnessError, process::Process};
use ok2cry_mock_nsm::{MockPki, TimeSource};
use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How a machine boots.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The enclave image.
    pub eif: PathBuf,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Signs the module's documents. Without it they are not signed, as stock QEMU's are.
    pub pki: Option<MockPki>,
    /// Appended to the kernel's command line. Not measured.
    pub append: String,
}

impl Boot {
    /// 256 MiB, and documents under `pki`.
    pub fn new(eif: PathBuf, pki: MockPki) -> Self {
        Self { eif, memory_mib: 256, pki: Some(pki), append: String::new() }
    }
}

/// A machine whose enclave serves. It ends when this is dropped.
#[derive(Debug)]
pub struct Machine {
    // Dropped in this order.
    qemu: Process,
    backend: Process,
    folder: TempDir,
    kernel_took: Option<Duration>,
    took: Duration,
    attempts: u32,
}

/// The enclave's default vsock port.
pub const PORT: u32 = 5000;
/// The host's vsock port for the enclave's heartbeat.
const HEARTBEAT_PORT: u32 = 9000;
const HEARTBEAT: u8 = 0xB7;
/// The limit for one boot, which takes a second on an idle host.
const BOOT_TIMEOUT: Duration = Duration::from_secs(60);
/// Boots that may hang, by a fault of backend or emulator. An enclave that refuses to serve is not booted
/// again.
const ATTEMPTS: u32 = 3;
/// The kernel's console line when it starts PID 1.
const PID_1: &str = "Run /init as init process";
/// The prefix of the enclave's console line when it refuses to serve.
const FATAL: &str = "ok2cry: fatal: ";

impl Machine {
    /// Boots an image by the tools in `folder`, which `image/machine` has made, and waits until its enclave
    /// serves.
    ///
    /// # Errors
    ///
    /// If it does not serve, with the console's text.
    pub fn start(folder: &Path, boot: &Boot) -> Result<Self, HarnessError> {
        let mut attempts = 1;
        loop {
            match Self::start_once(folder, boot) {
                Err(Failed::Hung(why)) if attempts < ATTEMPTS => {
                    eprintln!("boot {attempts} hung, trying again: {why}");
                    attempts += 1;
                }
                Err(Failed::Hung(why) | Failed::Refused(why)) => return Err(why),
                Ok(machine) => return Ok(Self { attempts, ..machine }),
            }
        }
    }

    fn start_once(folder: &Path, boot: &Boot) -> Result<Self, Failed> {
        let run = tempfile::tempdir().map_err(|e| refused(&e))?;
        let vsock = run.path().join("vm.vsock");
        let heartbeats = UnixListener::bind(run.path().join(format!("vm.vsock_{HEARTBEAT_PORT}")))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|e| refused(&e))?;
        let backend = start_backend(folder, run.path(), &vsock)?;
        let begun = Instant::now();
        let args = qemu_args(folder, run.path(), boot)?;
        let qemu = Process::start_at("qemu", &folder.join("qemu/qemu-system-x86_64"), &args, &[]);
        let qemu = qemu.map_err(Failed::Refused)?;
        let mut machine =
            Self { qemu, backend, folder: run, kernel_took: None, took: Duration::ZERO, attempts: 1 };
        machine.wait_for(&heartbeats, begun)?;
        machine.took = begun.elapsed();
        Ok(machine)
    }

    /// The backend's socket. `CONNECT port` connects to an enclave's vsock port.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("vm.vsock")
    }

    /// The enclave's address for a parent.
    pub fn url(&self) -> String {
        format!("vsock+unix://{}:{PORT}", self.socket().display())
    }

    /// The time from the emulator's start to the enclave's heartbeat.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The time from the emulator's start to PID 1's start, to a few milliseconds.
    pub fn kernel_took(&self) -> Option<Duration> {
        self.kernel_took
    }

    /// The number of boots: one, unless the emulator hung.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// A stream to the enclave.
    ///
    /// # Errors
    ///
    /// If the enclave does not take it.
    pub fn stream(&self) -> Result<EnclaveStream, HarnessError> {
        EnclaveStream::connect_through(&self.socket(), PORT)
    }

    /// The console's text.
    pub fn console(&self) -> String {
        self.qemu.stdout()
    }

    /// Kills the emulator.
    pub fn kill_enclave(&mut self) {
        self.qemu.kill();
    }

    /// Kills the vsock backend.
    pub fn kill_backend(&mut self) {
        self.backend.kill();
    }

    fn wait_for(&mut self, heartbeats: &UnixListener, begun: Instant) -> Result<(), Failed> {
        loop {
            // Before the console is read: if the machine has ended, the console is complete.
            let ended = self.qemu.has_ended();
            let console = self.console();
            if self.kernel_took.is_none() && console.contains(PID_1) {
                self.kernel_took = Some(begun.elapsed());
            }
            match heartbeats.accept() {
                Ok((mut stream, _)) => {
                    let mut byte = [0];
                    let echoed = stream
                        .set_nonblocking(false)
                        .and_then(|()| stream.set_read_timeout(Some(BOOT_TIMEOUT)))
                        .and_then(|()| stream.read_exact(&mut byte))
                        .and_then(|()| stream.write_all(&byte));
                    return match echoed {
                        Ok(()) if byte == [HEARTBEAT] => Ok(()),
                        other => {
                            Err(self.failed(Failed::Hung, &format!("the heartbeat is {byte:?}: {other:?}")))
                        }
                    };
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(refused(&e)),
            }
            if console.contains(FATAL) || console.contains("Attempted to kill init") {
                return Err(self.failed(Failed::Refused, "the enclave does not serve"));
            }
            if console.contains("Kernel panic") {
                return Err(self.failed(Failed::Hung, "the kernel panicked before the enclave started"));
            }
            if ended {
                return Err(self.failed(Failed::Hung, "the machine ended"));
            }
            if begun.elapsed() > BOOT_TIMEOUT {
                return Err(self.failed(Failed::Hung, "no heartbeat"));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn failed(&mut self, how: fn(HarnessError) -> Failed, what: &str) -> Failed {
        // Let the last console line become complete.
        let until = Instant::now() + Duration::from_secs(2);
        while !self.qemu.has_ended() && !self.console().ends_with('\n') && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
        how(HarnessError::new(format!("{what}; the console:\n{}{}", self.console(), self.qemu.stderr())))
    }
}

/// Why a boot failed.
enum Failed {
    /// By a fault of the emulator: boot again.
    Hung(HarnessError),
    /// For good.
    Refused(HarnessError),
}

fn refused(error: &dyn std::fmt::Display) -> Failed {
    Failed::Refused(HarnessError::new(error.to_string()))
}

fn start_backend(folder: &Path, run: &Path, vsock: &Path) -> Result<Process, Failed> {
    let control = run.join("vhost.sock");
    let vm = format!("guest-cid=4,uds-path={},socket={}", vsock.display(), control.display());
    let program = folder.join("vsock/vhost-device-vsock");
    let mut backend = Process::start_at("vhost-device-vsock", &program, &["--vm".to_owned(), vm], &[])
        .map_err(Failed::Refused)?;
    let until = Instant::now() + BOOT_TIMEOUT;
    while !control.exists() {
        if backend.has_ended() || Instant::now() > until {
            return Err(refused(&format!("vhost-device-vsock does not listen: {}", backend.stderr())));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(backend)
}

fn qemu_args(folder: &Path, run: &Path, boot: &Boot) -> Result<Vec<String>, Failed> {
    let module_id = match &boot.pki {
        Some(pki) => format!("{}-enc0facade000000001", pki.instance_id()),
        None => "i-0facade0000000001-enc0facade000000001".to_owned(),
    };
    // A triple fault ends the emulator; the image's `reboot=k` is for real Nitro. The kernel's timer check,
    // which KVM skips, would panic on a busy emulator.
    let mut append = format!("reboot=t no_timer_check {}", boot.append);
    if let Some(khz) = tsc_khz() {
        append += &format!(" tsc_early_khz={khz}");
    }
    let mut args: Vec<String> = [
        "-L",
        &folder.join("qemu/data").display().to_string(),
        "-M",
        &format!("nitro-enclave,vsock=c,id={module_id}"),
        "-accel",
        "tcg",
        "-cpu",
        "max",
        "-smp",
        "1",
        "-m",
        &boot.memory_mib.to_string(),
        "-kernel",
        &boot.eif.display().to_string(),
        "-append",
        append.trim(),
        "-nodefaults",
        "-no-reboot",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-chardev",
        &format!("socket,id=c,path={}", run.join("vhost.sock").display()),
    ]
    .map(str::to_owned)
    .into();
    if let Some(pki) = &boot.pki {
        let signer = pki.signer(&module_id, TimeSource::System.now_ms()).map_err(|e| refused(&e))?;
        for (property, text) in [("sign-key", signer.key), ("sign-chain", signer.chain)] {
            let path = run.join(property);
            fs::write(&path, text).map_err(|e| refused(&e))?;
            args.extend(["-global".into(), format!("virtio-nsm-device.{property}={}", path.display())]);
        }
    }
    Ok(args)
}

/// The rate of the host's time stamp counter, which the guest shares. Given to the guest, its clock is
/// steady.
fn tsc_khz() -> Option<u64> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let mhz = cpuinfo.lines().find_map(|line| line.strip_prefix("cpu MHz")?.split_once(": "))?.1;
    let (whole, thousandths) = mhz.trim().split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 1000 + thousandths.parse::<u64>().ok()?)
}
