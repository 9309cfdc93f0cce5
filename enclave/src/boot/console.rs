//! Lines on the console, and the end of the enclave: one line, then a restart of the machine.
//!
//! The kernel of a Nitro enclave cannot power off. The hypervisor treats a reset as the end, and the parent
//! sees the enclave terminated.

use rustix::system::{RebootCommand, reboot};
use std::{error::Error, io::Write as _, panic, process};

/// Writes one line to the console. Failures are ignored.
pub fn print_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints the reason and ends the enclave.
pub fn fatal(reason: &dyn Error) -> ! {
    print_line(&format!("ok2cry: fatal: {reason}"));
    power_off()
}

/// Makes a panic end the enclave. Its place is printed. Its message is not, because it may hold data.
pub fn on_panic() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|l| format!("{}:{}", l.file(), l.line()));
        print_line(&format!("ok2cry: fatal: panic at {}", place.as_deref().unwrap_or("an unknown place")));
        power_off()
    }));
}

fn power_off() -> ! {
    // As PID 1 of an image, neither call returns. If the first process exits, the kernel panics, which also
    // ends the enclave.
    let _ = reboot(RebootCommand::Restart);
    process::exit(1)
}
