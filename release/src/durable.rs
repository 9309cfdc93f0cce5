//! Files that are there whole, or as they were, whatever happens meanwhile.

use crate::error::Error;
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

/// Waits until nobody else uses the file at `path`, and keeps others waiting until the answer is dropped.
///
/// # Errors
///
/// [`Error::Io`].
pub fn lock(path: &Path) -> Result<File, Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file = File::create(&beside).and_then(|file| file.lock().map(|()| file));
    file.map_err(|source| Error::Io { path: path.display().to_string(), source })
}

/// Writes a file in one step, and returns once it is on disk.
///
/// # Errors
///
/// [`Error::Io`]; then the file is as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        File::open(folder)?.sync_all()
    });
    written.map_err(|source| Error::Io { path: path.display().to_string(), source })
}
