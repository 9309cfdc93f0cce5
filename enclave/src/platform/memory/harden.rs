//! Keeps memory in the process: no core dumps, no debugger, no swap, no data in panic messages.

use rustix::{
    io,
    mm::{MlockAllFlags, mlockall},
    process::{DumpableBehavior, Resource, Rlimit, geteuid, getrlimit, set_dumpable_behavior, setrlimit},
};

/// The result of [`harden`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardened {
    /// Whether all memory is locked, now and in future. An enclave has no swap; a laptop may.
    pub locked: bool,
}

/// Hardens a process that is not PID 1 ([`crate::boot`] hardens that one). Comes before any secret.
///
/// Locking memory is not always allowed (`RLIMIT_MEMLOCK`); the result says whether it was.
///
/// # Errors
///
/// If the process can still be dumped or traced.
pub fn harden() -> io::Result<Hardened> {
    std::panic::set_hook(Box::new(|info| {
        // The place only: the message may hold data.
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, "panic");
    }));
    forbid_dumps()?;
    // Under a limit, locking may succeed now and an allocation fail later.
    let unlimited = getrlimit(Resource::Memlock).current.is_none() || geteuid().is_root();
    Ok(Hardened { locked: unlimited && lock_memory().is_ok() })
}

/// No core dump, and no ptrace(2) by others of the same user (prctl(2), `PR_SET_DUMPABLE` 0).
pub fn forbid_dumps() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
}

/// Keeps all memory out of swap, now and in future. Pages are locked when they are first touched, because
/// much is only reserved, such as the far end of a stack.
pub fn lock_memory() -> io::Result<()> {
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::dumpable_behavior;
    use std::{env, fs, process::Command};

    /// Runs in a process of its own, because hardening cannot be undone.
    #[test]
    #[ignore = "started by the test below"]
    fn child() {
        tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(std::io::stdout).init();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);
        let Hardened { locked } = harden().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
        let memory = vec![1_u8; 1 << 20];
        std::hint::black_box(&memory);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let locked_kib = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
        println!("locked {locked}: {}", locked_kib.unwrap_or_default().trim());
        let secret = String::from("4929-1337");
        drop(std::thread::spawn(move || panic!("the PIN is {secret}")).join());
    }

    #[test]
    fn a_hardened_process_cannot_be_dumped_and_panics_without_data() {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "platform::memory::harden::tests::child", "--ignored", "--nocapture"])
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&[child.stdout, child.stderr].concat()).into_owned();
        assert!(child.status.success(), "{output}");
        assert!(output.contains("panic at=") && output.contains("harden.rs:"), "{output}");
        assert!(!output.contains("4929-1337"), "{output}");
        match output.lines().find_map(|line| line.strip_prefix("locked true: ")) {
            Some(kib) => assert_ne!(kib, "0 kB", "reported as locked, and is not"),
            None => println!("SKIPPED locking memory: this user is not allowed to"),
        }
    }
}
