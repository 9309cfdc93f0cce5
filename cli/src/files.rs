//! Files: read within bounds, private keys for their owner alone, and replaced as a whole or not at all.

use crate::{Failure, output::say};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The longest file of text, key or message that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Reads a file, or standard input for `-`; at most a megabyte.
pub(crate) fn read_input(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    read_bytes(path, MAX_FILE)
}

/// Reads a file of at most `max` bytes, or standard input for `-`.
pub(crate) fn read_bytes(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if path.as_os_str() == "-" {
        return read_from(path, io::stdin().lock(), max);
    }
    read_from(path, File::open(path).map_err(|e| unusable(path, &e))?, max)
}

/// Reads a file of text.
pub(crate) fn read_text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    text(path, &read_input(path)?)
}

/// Reads a private key, unless others than its owner and group can read it, or others than its owner change it. What is
/// not a private key is for the parser to name.
pub(crate) fn read_private_key(path: &Path) -> Result<Zeroizing<String>, Failure> {
    if path.as_os_str() == "-" {
        return read_text(path);
    }
    let file = File::open(path).map_err(|e| unusable(path, &e))?;
    let metadata = file.metadata().map_err(|e| unusable(path, &e))?;
    let text = text(path, &read_from(path, file, MAX_FILE)?)?;
    // Of a pipe the mode says nothing: it has one reader.
    let is_guarded = metadata.is_file() && text.contains("PRIVATE KEY");
    let mode = metadata.mode() & 0o777;
    if is_guarded && mode & 0o027 != 0 {
        return Err(Failure::unusable(format!(
            "{0}: a private key that others can read or change (mode {mode:03o}): chmod 600 {0}",
            path.display()
        )));
    }
    if is_guarded && mode & 0o040 != 0 {
        say(&format!("warning: {}: its group can read this private key (mode {mode:03o})", path.display()));
    }
    Ok(text)
}

/// Writes a new file for its owner alone, and returns once it is on disk. Nothing is overwritten, and a file that
/// cannot be written whole is removed.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Replaces a file as a whole, and returns once that is on disk. A link in its place is replaced, not followed.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // The name is taken by no other process: one that died may have left its file, and another's may be a link.
    let partial = (0..100).find_map(|n| {
        let partial = beside(path, &format!(".{}.{n}.partial", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => None,
            opened => Some(opened.map(|file| (partial, file))),
        }
    });
    let (partial, mut file) = partial.unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&partial, path))
        .and_then(|()| sync_folder(path));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Waits until no other process has locked `path`. The lock is a file beside it, and ends with the value.
pub(crate) fn lock(path: &Path) -> Result<File, Failure> {
    let beside = beside(path, ".lock");
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&beside);
    opened.and_then(|file| file.lock().map(|()| file)).map_err(|e| unusable(&beside, &e))
}

/// Waits until it is on disk that a file is in its folder.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// A file's name with something added.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(crate) fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::unusable(format!("{}: {error}", path.display()))
}

fn read_from(path: &Path, source: impl io::Read, max: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    source.take(max + 1).read_to_end(&mut bytes).map_err(|e| unusable(path, &e))?;
    if bytes.len() as u64 > max {
        return Err(Failure::unusable(format!("{}: longer than {max} bytes", path.display())));
    }
    Ok(bytes)
}

fn text(path: &Path, bytes: &[u8]) -> Result<Zeroizing<String>, Failure> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    let found = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16, and UTF-8 is due: save it as UTF-8",
        [0x30, ..] => {
            "DER, and PEM is due: `openssl pkey -inform DER -in FILE -out NEW` converts a key, \
                       `openssl x509 -inform DER -in FILE -out NEW` a certificate"
        }
        _ => "not UTF-8",
    };
    Err(Failure::unusable(format!("{}: {found}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_file_is_replaced_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, target) = (folder.path().join("memory"), folder.path().join("target"));
        fs::write(&target, "theirs").unwrap();
        let partial = format!("memory.{}.0.partial", std::process::id());
        for name in ["memory", "memory.lock", "memory.partial", &partial] {
            symlink(&target, folder.path().join(name)).unwrap();
        }
        replace(&file, b"ours").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"ours");
        assert!(!file.is_symlink());
        assert!(lock(&file).is_err(), "a link in place of the lock");
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5, "nothing is left over");
    }

    #[test]
    fn a_private_key_is_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        create(&file, b"-----BEGIN PRIVATE KEY-----").unwrap();
        assert_eq!(create(&file, b"other").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        for (mode, is_read) in [(0o600, true), (0o400, true), (0o440, true), (0o640, true), (0o660, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_private_key(&file).is_ok(), is_read, "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o602, 0o666] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let Err(failure) = read_private_key(&file) else { panic!("{mode:o}") };
            assert!(failure.message.contains("chmod 600"), "{}", failure.message);
        }
    }
}
