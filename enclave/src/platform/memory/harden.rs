//! Secrets stay in memory, and memory stays in the process: no core dumps, no debugger, no swap, no data in panics.

use rustix::{
    io,
    mm::{MlockAllFlags, mlockall},
    process::{DumpableBehavior, Resource, Rlimit, geteuid, getrlimit, set_dumpable_behavior, setrlimit},
};

/// What a process has done about its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardened {
    /// Whether all memory is locked, now and in future. An enclave has no swap; a laptop may.
    pub locked: bool,
}

/// Hardens a process that is no PID 1 (which has [`crate::boot`]). Comes before any secret.
///
/// Fails if the process can still be dumped or traced. Locking memory is not always allowed (`RLIMIT_MEMLOCK`), and
/// that it was not is in the answer.
pub fn harden() -> io::Result<Hardened> {
    std::panic::set_hook(Box::new(|info| {
        // Where, and not what: the message of a panic may hold data.
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, "panic");
    }));
    forbid_dumps()?;
    // Under a limit the lock might be had now, and an allocation fail later.
    let unlimited = getrlimit(Resource::Memlock).current.is_none() || geteuid().is_root();
    Ok(Hardened { locked: unlimited && lock_memory().is_ok() })
}

/// No core dump, and no ptrace(2) by others of the same user (prctl(2), `PR_SET_DUMPABLE` 0).
pub fn forbid_dumps() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
}

/// Keeps all memory out of swap, now and in future: as it is touched, because much is only reserved, such as the far end of
/// a stack.
pub fn lock_memory() -> io::Result<()> {
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::dumpable_behavior;
    use std::{env, fs, process::Command};

    /// In a process of its own: what is done cannot be undone.
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
            Some(kib) => assert_ne!(kib, "0 kB", "said to be locked and is not"),
            None => println!("SKIPPED locking memory: this user may not"),
        }
    }
}
