//! The only ways out of an enclave: one line on the console, then the machine restarts, which for an enclave is its end.
//!
//! A Nitro enclave has no power button that its kernel knows; the hypervisor takes a reset for the end, and the parent
//! sees the enclave terminated.

use rustix::system::{RebootCommand, reboot};
use std::{error::Error, io::Write as _, panic, process};

/// Writes one line to the console. An enclave whose console takes nothing goes on.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Says why and ends the enclave.
pub fn fatal(reason: &dyn Error) -> ! {
    line(&format!("ok2cry: fatal: {reason}"));
    power_off()
}

/// Has a panic end the enclave. Its place is said and its message is not: messages are made of data.
pub fn on_panic() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|l| format!("{}:{}", l.file(), l.line()));
        line(&format!("ok2cry: fatal: panic at {}", place.as_deref().unwrap_or("an unknown place")));
        power_off()
    }));
}

fn power_off() -> ! {
    // Neither returns where this is PID 1 of an image; a kernel whose first process exits panics, which ends it too.
    let _ = reboot(RebootCommand::Restart);
    process::exit(1)
}
