//! The file of accepted replies: the replay guard of the command.

use crate::{
    Failure,
    files::{sync_folder, unusable},
};
use ok2cry_client::{Hash, ReplayEntry, ReplayGuard};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// A replay guard in a file with one hexadecimal descriptor hash per line.
///
/// Lines are never dropped. The file can be deleted when its replies are too old to be accepted.
pub(crate) struct SeenFile<'a> {
    path: &'a Path,
    file: File,
    /// The length of the file before the last line was added.
    before: Option<u64>,
}

impl<'a> SeenFile<'a> {
    /// Opens or creates the file. It must be readable, writable and undamaged, so that an open cannot fail
    /// later because of it.
    pub(crate) fn open(path: &'a Path) -> Result<Self, Failure> {
        let is_new = !path.exists();
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
        let mut seen = Self { path, file: file.map_err(|e| unusable(path, &e))?, before: None };
        if is_new {
            sync_folder(path).map_err(|e| unusable(path, &e))?;
        }
        seen.snapshot()?;
        Ok(seen)
    }

    /// Whether a reply for this descriptor was accepted before.
    pub(crate) fn has(&mut self, descriptor: &Hash) -> Result<bool, Failure> {
        let known = self.snapshot()?;
        Ok(known.lines().any(|line| line == hex(descriptor)))
    }

    /// Removes the reply that was inserted last, because its plaintext could not be printed. The file is
    /// still locked.
    pub(crate) fn remove_last(&mut self) -> Result<(), Failure> {
        let Some(before) = self.before.take() else { return Ok(()) };
        let forgotten = self.file.set_len(before).and_then(|()| self.file.sync_all());
        forgotten
            .map_err(|e| self.named(&format!("still holds the reply, whose plaintext was not printed: {e}")))
    }

    /// Adds `line` unless the file holds it. Returns whether it is new. The file stays locked, and the line
    /// is synced.
    fn add(&mut self, line: &str) -> Result<bool, String> {
        let failed = |e: io::Error| e.to_string();
        self.file.lock().map_err(failed)?;
        let known = self.lines()?;
        if known.lines().any(|l| l == line) {
            return Ok(false);
        }
        self.before = Some(known.len() as u64);
        let added = self.file.write_all(format!("{line}\n").as_bytes()).and_then(|()| self.file.sync_all());
        if let Err(error) = added {
            // A partial line would damage the file.
            let _ = self.file.set_len(known.len() as u64);
            return Err(failed(error));
        }
        Ok(true)
    }

    /// Reads the lines under a shared lock.
    fn snapshot(&mut self) -> Result<String, Failure> {
        let locked = self.file.lock_shared().map_err(|e| e.to_string());
        let known = locked.and_then(|()| self.lines());
        let unlocked = self.file.unlock().map_err(|e| e.to_string());
        known.and_then(|known| unlocked.map(|()| known)).map_err(|error| self.named(&error))
    }

    fn lines(&mut self) -> Result<String, String> {
        let mut known = String::new();
        let read = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read_to_string(&mut known));
        read.map_err(|e| e.to_string())?;
        // With a truncated line, or two joined ones, a known reply would count as new.
        let whole = |l: &str| l.len() == 96 && l.bytes().all(|b| b.is_ascii_hexdigit());
        if !(known.is_empty() || known.ends_with('\n')) || !known.lines().all(whole) {
            return Err("is damaged: every line must be 96 hexadecimal digits".into());
        }
        Ok(known)
    }

    fn named(&self, error: &str) -> Failure {
        Failure::unusable(format!("{}: {error}", self.path.display()))
    }
}

impl ReplayGuard for SeenFile<'_> {
    type Error = Failure;

    fn insert(&mut self, entry: &ReplayEntry) -> Result<bool, Failure> {
        self.add(&hex(&entry.descriptor_hash)).map_err(|error| self.named(&error))
    }
}

fn hex(descriptor: &Hash) -> String {
    descriptor.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_was_not_printed_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen");
        let insert = |seen: &mut SeenFile<'_>, descriptor_hash| {
            seen.insert(&ReplayEntry { descriptor_hash, forget_at_ms: 0, now_ms: 0 }).unwrap()
        };
        let mut seen = SeenFile::open(&path).unwrap();
        assert!(insert(&mut seen, [1; 48]));
        seen.remove_last().unwrap();
        assert!(!seen.has(&[1; 48]).unwrap());
        assert!(insert(&mut seen, [1; 48]) && insert(&mut seen, [2; 48]));
        seen.remove_last().unwrap();
        seen.remove_last().unwrap();
        drop(seen);
        let mut seen = SeenFile::open(&path).unwrap();
        assert!(!insert(&mut seen, [1; 48]));
        assert!(insert(&mut seen, [2; 48]));
    }

    #[test]
    fn a_damaged_file_is_refused_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen");
        let line = "a".repeat(96);
        for text in [line.clone(), format!("{line}{line}\n"), "\n".to_owned()] {
            std::fs::write(&path, text).unwrap();
            assert!(SeenFile::open(&path).is_err());
        }
        assert!(SeenFile::open(folder.path()).is_err());
        std::fs::write(&path, format!("{line}\n")).unwrap();
        assert!(SeenFile::open(&path).is_ok());
    }
}
