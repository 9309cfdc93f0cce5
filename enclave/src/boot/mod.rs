//! PID 1 of the image: from the kernel's first call to an enclave that serves.
//!
//! The steps are, in this order: the kernel's file systems, the measured configuration, the checks of the
//! machine ([`preflight`]), the restrictions ([`lockdown`], [`seccomp`]), the first attestation document,
//! vsock. A failure ends the enclave with one line on the console that begins with `ok2cry: fatal:`
//! ([`console`]). No step is retried or skipped: the parent starts another enclave.
//!
//! | module | holds |
//! |---|---|
//! | [`mounts`] | `/dev`, `/proc`, `/sys` |
//! | [`preflight`] | checks of the machine, before anything secret is made |
//! | [`lockdown`] | giving up privileges before the first connection |
//! | [`seccomp`] | the filter of system calls |
//! | [`heartbeat`] | the byte that `nitro-cli` waits for |
//! | [`console`] | lines on the console, and the end of the enclave |

pub mod console;
pub mod heartbeat;
pub mod lockdown;
pub mod mounts;
pub mod preflight;
pub mod seccomp;

use crate::{api::server::Listener, config::Config, platform::nsm::DeviceNsm, run::Enclave};
use rustix::process::{WaitOptions, getpid, wait};
use std::{convert::Infallible, env, error::Error, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener};

/// The only configuration of an image. There are no flags, environment variables or kernel parameters: an
/// enclave that is started with any of these ends.
pub const CONFIG: &str = "/etc/ok2cry/enclave.toml";

/// The file of the measured ramdisk with the expected start of the kernel's command line.
pub const COMMAND_LINE: &str = "/etc/ok2cry/cmdline";

/// The start of the console line that says that the enclave serves. The port follows.
pub const SERVING: &str = "ok2cry: serving on vsock port ";

/// Runs the enclave. Returns only if the process is not PID 1, without having done anything: on a developer's
/// machine the enclave must not power off.
pub fn run() -> ExitCode {
    if !getpid().is_init() {
        console::print_line(
            "ok2cry-enclave is PID 1 of an enclave image and runs nowhere else; see ok2cry-enclave-dev",
        );
        return ExitCode::from(2);
    }
    console::on_panic();
    match boot() {
        Err(error) => console::fatal(error.as_ref()),
    }
}

fn boot() -> Result<Infallible, Box<dyn Error>> {
    preflight::check_inherited(env::args_os(), env::vars_os())?;
    mounts::mount_all()?;
    preflight::check_command_line(&read(COMMAND_LINE)?, &read("/proc/cmdline")?)?;
    tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false).init();
    let config = Config::from_toml(&read(CONFIG)?)?;
    let development = config.development;
    if let Some(dropped) = development.dropped() {
        console::print_line(&format!("ok2cry: DEVELOPMENT IMAGE, which is not checked for: {dropped}"));
    }

    let mut nsm = DeviceNsm::open()?;
    preflight::wait_for_entropy()?;
    preflight::Machine::read(&mut nsm)?.check(development)?;
    preflight::lock_spare_pcrs(&mut nsm)?;
    if development.any_root {
        nsm.trust_own_root()?;
    }
    lockdown::lock_down()?;
    seccomp::apply()?;
    lockdown::check_locked(&std::fs::read_to_string("/proc/self/status")?)?;

    let port = config.vsock_port;
    let enclave = Enclave::start(config, Box::new(nsm))?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, port))?;
        console::print_line(&format!("{SERVING}{port}"));
        tokio::spawn(heartbeat::send());
        let children = signal(SignalKind::child())?;
        tokio::select! {
            () = enclave.serve(Listener::Vsock(listener), std::future::pending()) => {}
            () = reap_orphans(children) => {}
        }
        Err("the service ended".into())
    })
}

/// Reads a file. Bytes that are not UTF-8 become U+FFFD, which no configuration and no command line contains.
fn read(path: &str) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{path}: {}", e.kind()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// PID 1 inherits every orphan. There should be none, because nothing here may start a process.
async fn reap_orphans(mut children: tokio::signal::unix::Signal) {
    while children.recv().await.is_some() {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
}
