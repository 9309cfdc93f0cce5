//! PID 1 of the image: from the kernel's first call to an enclave that serves, or to none.
//!
//! In this order: the kernel's file systems, the measured configuration, the ground ([`preflight`]), the locks
//! ([`lockdown`], [`seccomp`]), the first attestation document, vsock. Whatever fails ends the enclave with one line on
//! the console that begins with `ok2cry: fatal:` ([`console`]). Nothing is retried and nothing is skipped: the parent starts
//! another enclave.
//!
//! | module | holds |
//! |---|---|
//! | [`mounts`] | `/dev`, `/proc`, `/sys` |
//! | [`preflight`] | what the machine must be for the promises to hold |
//! | [`lockdown`] | what is given up before anybody connects |
//! | [`seccomp`] | the system calls that are left |
//! | [`heartbeat`] | telling the parent that the enclave is up |
//! | [`console`] | the only ways out |

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

/// Nothing but this file configures an image: no flag, no environment variable, no kernel command line. An enclave that is
/// started with any of these ends.
pub const CONFIG: &str = "/etc/ok2cry/enclave.toml";

/// What the kernel's command line must begin with, beside the configuration in the measured ramdisk.
pub const COMMAND_LINE: &str = "/etc/ok2cry/cmdline";

/// The line on the console that says that the enclave serves, without what follows it.
pub const SERVING: &str = "ok2cry: serving on vsock port ";

/// Runs the enclave. Returns only where this is not PID 1: then nothing has been done, and a machine that is somebody's
/// is not powered off.
pub fn run() -> ExitCode {
    if !getpid().is_init() {
        console::line(
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
        console::line(&format!("ok2cry: DEVELOPMENT IMAGE, which is not checked for: {dropped}"));
    }

    let mut nsm = DeviceNsm::open()?;
    preflight::wait_for_entropy()?;
    preflight::Ground::read(&mut nsm)?.check(development)?;
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
        console::line(&format!("{SERVING}{port}"));
        tokio::spawn(heartbeat::send());
        let children = signal(SignalKind::child())?;
        tokio::select! {
            () = enclave.serve(Listener::Vsock(listener), std::future::pending()) => {}
            () = reap(children) => {}
        }
        Err("the service ended".into())
    })
}

/// A whole file. Bytes that are not UTF-8 stand as U+FFFD, which neither a configuration nor a command line has.
fn read(path: &str) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{path}: {}", e.kind()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// PID 1 inherits every orphan. There should be none: nothing here may start a process.
async fn reap(mut children: tokio::signal::unix::Signal) {
    while children.recv().await.is_some() {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
}
