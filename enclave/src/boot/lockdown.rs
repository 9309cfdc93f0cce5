//! What PID 1 gives up before the first connection: a writable root, capabilities, new privileges, core dumps
//! and swap. Threads that start later inherit these restrictions.

use crate::platform::memory::harden::{forbid_dumps, lock_memory};
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    mount::{MountFlags, mount_remount},
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs},
};

/// A restriction that is not in effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step} failed: {errno}")]
pub struct LockdownError {
    step: &'static str,
    errno: Errno,
}

/// The capabilities that are kept: restarting the machine, and locking memory.
const KEPT_CAPABILITIES: CapabilitySet = CapabilitySet::SYS_BOOT.union(CapabilitySet::IPC_LOCK);

/// Applies every restriction.
///
/// # Errors
///
/// The first that fails.
pub fn lock_down() -> Result<(), LockdownError> {
    let step = |step| move |errno| LockdownError { step, errno };
    mount_remount("/", MountFlags::RDONLY, "").map_err(step("making the root read-only"))?;
    check_root_is_read_only()?;
    forbid_dumps().map_err(step("forbidding core dumps and tracing"))?;
    lock_memory().map_err(step("locking memory"))?;
    let kept = CapabilitySets {
        effective: KEPT_CAPABILITIES,
        permitted: KEPT_CAPABILITIES,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, kept).map_err(step("giving up capabilities"))?;
    set_no_new_privs(true).map_err(step("giving up new privileges"))
}

/// Checks the restrictions as the kernel reports them. `status` is `/proc/self/status` (proc(5)), read under
/// the filter.
///
/// # Errors
///
/// [`Errno::PERM`] for the first restriction that is not in effect.
pub fn check_locked(status: &str) -> Result<(), LockdownError> {
    let kept = format!("{:016x}", KEPT_CAPABILITIES.bits());
    let restrictions = [
        ("CapEff", &*kept, "giving up capabilities"),
        ("CapPrm", &*kept, "giving up permitted capabilities"),
        ("CapInh", "0000000000000000", "giving up inheritable capabilities"),
        ("CapAmb", "0000000000000000", "giving up ambient capabilities"),
        ("NoNewPrivs", "1", "giving up new privileges"),
        ("Seccomp", "2", "filtering system calls"),
    ];
    for (name, locked, step) in restrictions {
        let mut lines = status.lines().filter_map(|line| line.split_once(':'));
        if lines.find(|(key, _)| *key == name).is_none_or(|(_, value)| value.trim() != locked) {
            return Err(LockdownError { step, errno: Errno::PERM });
        }
    }
    Ok(())
}

/// Some file systems report a successful remount and stay writable.
fn check_root_is_read_only() -> Result<(), LockdownError> {
    let errno = match open("/writable", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR) {
        Err(Errno::ROFS) => return Ok(()),
        Err(errno) => errno,
        Ok(_) => Errno::PERM,
    };
    Err(LockdownError { step: "checking that the root is read-only", errno })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_must_report_every_restriction() {
        let status = "Name:\tinit\nCapInh:\t0000000000000000\n\
                      CapPrm:\t0000000000404000\nCapEff:\t0000000000404000\n\
                      CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n\
                      NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(check_locked(status), Ok(()));
        for (locked, open) in [
            ("CapEff:\t0000000000404000", "CapEff:\t000001ffffffffff"),
            ("CapPrm:\t0000000000404000", "CapPrm:\t000001ffffffffff"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            ("Seccomp:\t2", "Seccomp:\t0"),
            ("Seccomp:\t2\n", ""),
        ] {
            assert!(check_locked(&status.replace(locked, open)).is_err(), "{open}");
        }
        assert!(check_locked("").is_err());
    }
}
