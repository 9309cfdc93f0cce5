//! What PID 1 gives up before anybody connects: a writable root, its capabilities, new privileges, and leaving memory
//! where others could read it. Threads that start later inherit all of it.

use crate::harden::{forbid_dumps, lock_memory};
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    mount::{MountFlags, mount_remount},
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs},
};

/// A lock that did not close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step} failed: {errno}")]
pub struct LockdownError {
    step: &'static str,
    errno: Errno,
}

/// What is kept: ending the machine, and memory that is never paged out.
const KEPT: CapabilitySet = CapabilitySet::SYS_BOOT.union(CapabilitySet::IPC_LOCK);

/// Closes every lock.
///
/// # Errors
///
/// The first that does not close.
pub fn lock_down() -> Result<(), LockdownError> {
    let step = |step| move |errno| LockdownError { step, errno };
    mount_remount("/", MountFlags::RDONLY, "").map_err(step("making the root read-only"))?;
    root_takes_nothing()?;
    forbid_dumps().map_err(step("forbidding core dumps and tracing"))?;
    lock_memory().map_err(step("locking memory"))?;
    let kept = CapabilitySets { effective: KEPT, permitted: KEPT, inheritable: CapabilitySet::empty() };
    set_capabilities(None, kept).map_err(step("giving up capabilities"))?;
    set_no_new_privs(true).map_err(step("giving up new privileges"))
}

/// Some file systems take a remount without a word and stay writable.
fn root_takes_nothing() -> Result<(), LockdownError> {
    let errno = match open("/writable", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR) {
        Err(Errno::ROFS) => return Ok(()),
        Err(errno) => errno,
        Ok(_) => Errno::PERM,
    };
    Err(LockdownError { step: "checking that the root is read-only", errno })
}
