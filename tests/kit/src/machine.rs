//! An enclave image in an emulated machine: QEMU's `nitro-enclave`, with a Nitro Secure Module that the kernel's own
//! driver talks to, and vhost-device-vsock for its vsock.
//!
//! Readiness is the enclave's own heartbeat, which it sends when it listens. Nothing connects before: a connection to a
//! port on which nobody listens yet can wedge the backend for the rest of the boot.

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
    /// Who certifies the module's documents. Without, they are as stock QEMU's: not signed.
    pub pki: Option<MockPki>,
    /// More for the kernel's command line, which nobody measures.
    pub append: String,
}

impl Boot {
    /// 256 MiB, and documents under `pki`.
    pub fn new(eif: PathBuf, pki: MockPki) -> Self {
        Self { eif, memory_mib: 256, pki: Some(pki), append: String::new() }
    }
}

/// A machine whose enclave serves. It is switched off when this is dropped.
#[derive(Debug)]
pub struct Machine {
    // In the order in which they are to end.
    qemu: Process,
    backend: Process,
    folder: TempDir,
    kernel_took: Option<Duration>,
    took: Duration,
    attempts: u32,
}

/// The enclave's vsock port, unless its configuration says otherwise.
pub const PORT: u32 = 5000;
/// Where the parent of an enclave listens for its heartbeat.
const HEARTBEAT_PORT: u32 = 9000;
const HEARTBEAT: u8 = 0xB7;
/// How long a boot may take: it takes a second where nothing else runs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The backend and the emulator can lose a boot between them; an enclave that refuses to serve is not asked again.
const ATTEMPTS: u32 = 3;
/// What the kernel writes when it starts PID 1.
const PID_1: &str = "Run /init as init process";
/// What the enclave's last line on the console begins with when it refuses to serve.
const FATAL: &str = "ok2cry: fatal: ";

impl Machine {
    /// Boots an image with what `image/machine` has put into `folder`, and waits until its enclave serves.
    ///
    /// # Errors
    ///
    /// If it does not, with what is on the console.
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

    /// The backend's socket: `CONNECT port` reaches the enclave's vsock ports.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("vm.vsock")
    }

    /// Where a parent finds the enclave.
    pub fn url(&self) -> String {
        format!("vsock+unix://{}:{PORT}", self.socket().display())
    }

    /// How long it took from the emulator's start to the enclave's heartbeat.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// How long it took from the emulator's start to the kernel's word that it starts PID 1, to a few milliseconds.
    pub fn kernel_took(&self) -> Option<Duration> {
        self.kernel_took
    }

    /// How many boots it took: one, unless the emulator hung.
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

    /// What is on the console.
    pub fn console(&self) -> String {
        self.qemu.stdout()
    }

    /// Ends the enclave, as a crash of the emulator would.
    pub fn kill_enclave(&mut self) {
        self.qemu.kill();
    }

    /// Ends the vsock backend, as a crash would.
    pub fn kill_backend(&mut self) {
        self.backend.kill();
    }

    fn wait_for(&mut self, heartbeats: &UnixListener, begun: Instant) -> Result<(), Failed> {
        loop {
            // Asked before the console is read: what an ended machine wrote is then all there is.
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
                        .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
                        .and_then(|()| stream.read_exact(&mut byte))
                        .and_then(|()| stream.write_all(&byte));
                    return match echoed {
                        Ok(()) if byte == [HEARTBEAT] => Ok(()),
                        other => {
                            Err(self.failed(Failed::Hung, &format!("a heartbeat of {byte:?}, {other:?}")))
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
                return Err(self.failed(Failed::Hung, "the kernel did not get as far as the enclave"));
            }
            if ended {
                return Err(self.failed(Failed::Hung, "the machine ended"));
            }
            if begun.elapsed() > PATIENCE {
                return Err(self.failed(Failed::Hung, "no heartbeat"));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn failed(&mut self, how: fn(HarnessError) -> Failed, what: &str) -> Failed {
        // A line that has begun is to be whole.
        let until = Instant::now() + Duration::from_secs(2);
        while !self.qemu.has_ended() && !self.console().ends_with('\n') && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
        how(HarnessError::new(format!("{what}; the console:\n{}{}", self.console(), self.qemu.stderr())))
    }
}

/// Whether to try again.
enum Failed {
    Hung(HarnessError),
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
    let until = Instant::now() + PATIENCE;
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
    // A triple fault ends the emulator. What the image says, the keyboard controller, is for real Nitro. Whether timer
    // interrupts come in time is not checked under KVM; an emulator on a busy machine fails that check and panics.
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

/// The rate of this machine's time stamp counter, which is the emulated one's too. It steadies the guest's clock.
fn tsc_khz() -> Option<u64> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let mhz = cpuinfo.lines().find_map(|line| line.strip_prefix("cpu MHz")?.split_once(": "))?.1;
    let (whole, thousandths) = mhz.trim().split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 1000 + thousandths.parse::<u64>().ok()?)
}
