//! The kernel's own file systems. The ramdisk brings the folders and nothing else.

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

/// What is mounted: type, place and restrictions.
const MOUNTS: [(&str, &str, MountFlags); 3] = [
    ("devtmpfs", "/dev", MountFlags::NOSUID.union(MountFlags::NOEXEC)),
    ("proc", "/proc", READ_ONLY),
    ("sysfs", "/sys", READ_ONLY),
];

const READ_ONLY: MountFlags =
    MountFlags::RDONLY.union(MountFlags::NOSUID).union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Mounts them all.
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
