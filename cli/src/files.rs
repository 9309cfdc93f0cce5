//! Files. Reads are bounded, private keys are readable by their owner only, and replacements are atomic.

use crate::{Failure, output::say};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The longest text, key or message file, in bytes.
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

/// Reads a private key. It is refused if others can read it, or if the group or others can change it. Other
/// contents pass, so that the parser can name them.
pub(crate) fn read_private_key(path: &Path) -> Result<Zeroizing<String>, Failure> {
    if path.as_os_str() == "-" {
        return read_text(path);
    }
    let file = File::open(path).map_err(|e| unusable(path, &e))?;
    let metadata = file.metadata().map_err(|e| unusable(path, &e))?;
    let text = text(path, &read_from(path, file, MAX_FILE)?)?;
    // The mode of a pipe does not matter: it has one reader.
    let is_guarded = metadata.is_file() && text.contains("PRIVATE KEY");
    let mode = metadata.mode() & 0o777;
    if is_guarded && mode & 0o027 != 0 {
        return Err(Failure::unusable(format!(
            "{0}: others can read or change this private key (mode {mode:03o}): chmod 600 {0}",
            path.display()
        )));
    }
    if is_guarded && mode & 0o040 != 0 {
        say(&format!("warning: {}: its group can read this private key (mode {mode:03o})", path.display()));
    }
    Ok(text)
}

/// Writes a new file, readable by its owner only, and syncs it. An existing file is an error; a partial file
/// is removed.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Replaces a file atomically, and syncs it. A symbolic link in its place is replaced, not followed.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // `create_new` with several names: a process that died may have left a file, and a name may be a link.
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

/// Waits for the lock of `path`, a file beside it. Dropping the value releases the lock.
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

/// Syncs the folder of a file.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// The path with a suffix.
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
        return Err(Failure::unusable(format!("{}: the file is longer than {max} bytes", path.display())));
    }
    Ok(bytes)
}

fn text(path: &Path, bytes: &[u8]) -> Result<Zeroizing<String>, Failure> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    let found = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "expected UTF-8, found UTF-16: save it as UTF-8",
        [0x30, ..] => {
            "expected PEM, found DER: `openssl pkey -inform DER -in FILE -out NEW` converts a key, \
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
    fn a_replacement_follows_no_links() {
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
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5, "a file is left over");
    }

    #[test]
    fn a_private_key_must_be_readable_by_its_owner_only() {
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
