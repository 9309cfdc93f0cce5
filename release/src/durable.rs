//! Writes files completely or not at all, and locks them.
//!
//! Another user of the folder may have created the names that this module derives (`.lock`, `.partial`), as
//! links to files elsewhere. A write never follows a link.

use crate::error::Error;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The owner only: keys and saved state.
    Owner,
    /// Everyone that the process's umask allows: published files.
    All,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::All => 0o666,
        }
    }
}

/// Waits for the lock beside the file at `path`, and holds it until the returned file is dropped.
///
/// # Errors
///
/// [`Error::Io`], also if the lock is a link or not a regular file.
pub fn lock(path: &Path) -> Result<File, Error> {
    let beside = beside(path, ".lock");
    let file = lock_file(&beside).and_then(|file| file.lock().map(|()| file));
    file.map_err(in_file(&beside))
}

/// Opens a file to lock. Creates it for its owner if it does not exist, and never follows a link.
///
/// # Errors
///
/// The errors of opening it; `InvalidInput` if it is not a regular file.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Without O_NONBLOCK, opening a FIFO of that name would block.
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

/// Replaces a file atomically, and returns once content and name are on disk. A link at `path` is replaced,
/// not followed.
///
/// # Errors
///
/// [`Error::Io`]; the file is then unchanged.
pub fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), Error> {
    let partial = beside(path, ".partial");
    let folder = folder_of(path);
    let written = make_folder(folder).and_then(|()| {
        // Left over from an interrupted attempt. Removing a link does not touch its target.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let renamed = create(&partial, bytes, readers).and_then(|()| fs::rename(&partial, path));
        if renamed.is_err() {
            let _ = fs::remove_file(&partial);
        }
        renamed?;
        sync(folder)
    });
    written.map_err(in_file(path))
}

/// Creates a file for its owner only, and returns once content and name are on disk.
///
/// # Errors
///
/// [`Error::Io`]; `AlreadyExists` if the name exists, even as a dangling link.
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    create(path, bytes, Readers::Owner).and_then(|()| sync(folder_of(path))).map_err(in_file(path))
}

/// Creates a file that must not exist. `O_EXCL` does not follow links.
fn create(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(readers.mode()).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // An incomplete file would block the next attempt.
        let _ = fs::remove_file(path);
    }
    written
}

/// Creates a folder and its parents, each on disk before the next.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    make_folder(above)?;
    match DirBuilder::new().create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made.and_then(|()| sync(above)),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    beside.into()
}

fn in_file(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.display().to_string();
    |source| Error::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_link_named_like_the_partial_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, elsewhere) = (folder.path().join("memory"), folder.path().join("elsewhere"));
        fs::write(&elsewhere, "precious").unwrap();
        symlink(&elsewhere, folder.path().join("memory.partial")).unwrap();
        replace(&target, b"new", Readers::Owner).unwrap();
        assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
        assert_eq!((fs::read(&target).unwrap(), mode(&target)), (b"new".to_vec(), 0o600));
        assert!(fs::symlink_metadata(&target).unwrap().is_file());
        assert!(!folder.path().join("memory.partial").exists());
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, elsewhere) = (folder.path().join("list"), folder.path().join("elsewhere"));
        fs::write(&elsewhere, "precious").unwrap();
        symlink(&elsewhere, &target).unwrap();
        replace(&target, b"new", Readers::All).unwrap();
        assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
        assert!(fs::symlink_metadata(&target).unwrap().is_file());
    }

    #[test]
    fn a_link_named_like_the_lock_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (target, elsewhere) = (folder.path().join("memory"), folder.path().join("elsewhere"));
        for there in [true, false] {
            if there {
                fs::write(&elsewhere, "precious").unwrap();
            }
            symlink(&elsewhere, folder.path().join("memory.lock")).unwrap();
            lock(&target).unwrap_err();
            assert_eq!(elsewhere.exists(), there, "the link was followed");
            let _ = fs::remove_file(&elsewhere);
            fs::remove_file(folder.path().join("memory.lock")).unwrap();
        }
        fs::create_dir(folder.path().join("memory.lock")).unwrap();
        lock(&target).unwrap_err();
    }

    #[test]
    fn a_lock_is_owner_only_and_keeps_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("memory.lock");
        drop(lock(&folder.path().join("memory")).unwrap());
        assert_eq!(mode(&beside), 0o600);
        fs::write(&beside, "a note").unwrap();
        drop(lock(&folder.path().join("memory")).unwrap());
        assert_eq!(fs::read(&beside).unwrap(), b"a note");
    }

    #[test]
    fn a_private_file_is_never_overwritten_or_linked() {
        let folder = tempfile::tempdir().unwrap();
        let (key, nowhere) = (folder.path().join("key"), folder.path().join("nowhere"));
        symlink(&nowhere, &key).unwrap();
        create_private(&key, b"secret").unwrap_err();
        assert!(!nowhere.exists());
        fs::remove_file(&key).unwrap();
        create_private(&key, b"secret").unwrap();
        create_private(&key, b"other").unwrap_err();
        assert_eq!((fs::read(&key).unwrap(), mode(&key)), (b"secret".to_vec(), 0o600));
    }

    #[test]
    fn missing_folders_are_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        replace(&path, b"x", Readers::All).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }
}
