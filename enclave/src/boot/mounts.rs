//! Mounts the kernel's own file systems. The ramdisk has the empty folders.

use rustix::{
    io::Errno,
    mount::{MountFlags, mount},
};

/// A file system that cannot be mounted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{target} cannot be mounted: {errno}")]
pub struct MountError {
    target: &'static str,
    errno: Errno,
}

/// File systems: type, mount point and flags.
const MOUNTS: [(&str, &str, MountFlags); 3] = [
    ("devtmpfs", "/dev", MountFlags::NOSUID.union(MountFlags::NOEXEC)),
    ("proc", "/proc", READ_ONLY),
    ("sysfs", "/sys", READ_ONLY),
];

const READ_ONLY: MountFlags =
    MountFlags::RDONLY.union(MountFlags::NOSUID).union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Mounts all of them.
///
/// # Errors
///
/// The first that fails.
pub fn mount_all() -> Result<(), MountError> {
    for (kind, target, flags) in MOUNTS {
        mount(kind, target, kind, flags, None).map_err(|errno| MountError { target, errno })?;
    }
    Ok(())
}
