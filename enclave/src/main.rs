//! The enclave program of the image: the device NSM, vsock, and a configuration that is part of what is measured.

use ok2cry_enclave::{
    config::Config,
    harden::{Hardened, harden},
    nsm::DeviceNsm,
    run::Enclave,
    server::Listener,
};
use std::{error::Error, process::ExitCode};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener};

/// Nothing but this file configures an image: no flag, no environment variable, no kernel command line.
const CONFIG: &str = "/etc/ok2cry/enclave.toml";
/// Which random generator the kernel draws on.
const RNG_CURRENT: &str = "/sys/class/misc/hw_random/rng_current";

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false).init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the enclave does not serve");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Hardened { locked } = harden()?;
    tracing::info!(memory_locked = locked, "hardened");
    let config = Config::from_toml(&std::fs::read_to_string(CONFIG)?)?;
    let rng = std::fs::read_to_string(RNG_CURRENT)?;
    if rng.trim() != "nsm-hwrng" {
        return Err("the kernel's random generator is not the Nitro Secure Module's".into());
    }
    let port = config.vsock_port;
    let enclave = Enclave::start(config, Box::new(DeviceNsm::open()?))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, port))?;
        tracing::info!(port, "listening on vsock");
        enclave.serve(Listener::Vsock(listener), std::future::pending()).await;
        Ok(())
    })
}
