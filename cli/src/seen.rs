//! Accepted replies, remembered in a file.

use crate::{
    Failure,
    files::{sync_folder, unusable},
};
use ok2cry_client::Seen;
use ok2cry_protocol::Hash;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Remembers accepted replies in a file of one hexadecimal hash a line. Never forgets: delete it once no reply of
/// its time is accepted any more.
pub(crate) struct SeenFile<'a> {
    path: &'a Path,
    file: File,
    /// How long the file was before the last line was added.
    before: Option<u64>,
    failed: Option<String>,
}

impl<'a> SeenFile<'a> {
    /// Opens the file, and makes it if it is not there. A file that cannot be read and written, or that is damaged, fails
    /// here: before a key is used up.
    pub(crate) fn open(path: &'a Path) -> Result<Self, Failure> {
        let is_new = !path.exists();
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
        let mut seen = Self { path, file: file.map_err(|e| unusable(path, &e))?, before: None, failed: None };
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

    /// What went wrong while a reply was noted.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        self.failed.take().map(|error| self.named(&error))
    }

    /// Forgets the reply that was noted last: its plaintext reached nobody. The file was locked since.
    pub(crate) fn forget_last(&mut self) -> Result<(), Failure> {
        let Some(before) = self.before.take() else { return Ok(()) };
        let forgotten = self.file.set_len(before).and_then(|()| self.file.sync_all());
        forgotten.map_err(|e| self.named(&format!("counts a reply as seen that reached nobody: {e}")))
    }

    /// Adds `line` unless it is there. Answers whether it is new. The file is locked from then on, and the line is on
    /// disk before the answer.
    fn note(&mut self, line: &str) -> Result<bool, String> {
        let failed = |e: io::Error| e.to_string();
        self.file.lock().map_err(failed)?;
        let known = self.lines()?;
        if known.lines().any(|l| l == line) {
            return Ok(false);
        }
        self.before = Some(known.len() as u64);
        let added = self.file.write_all(format!("{line}\n").as_bytes()).and_then(|()| self.file.sync_all());
        if let Err(error) = added {
            // A part of a line would be damage.
            let _ = self.file.set_len(known.len() as u64);
            return Err(failed(error));
        }
        Ok(true)
    }

    /// The lines while no other process adds one.
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
        // A line that was cut off, or two that ran together, would let a reply pass for new.
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

impl Seen for SeenFile<'_> {
    fn first_time(&mut self, descriptor: &Hash, _forget_at_ms: u64, _now_ms: u64) -> bool {
        match self.note(&hex(descriptor)) {
            Ok(new) => new,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }
}

fn hex(descriptor: &Hash) -> String {
    descriptor.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reached_nobody_is_forgotten_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen");
        let mut seen = SeenFile::open(&path).unwrap();
        assert!(seen.first_time(&[1; 48], 0, 0));
        seen.forget_last().unwrap();
        assert!(!seen.has(&[1; 48]).unwrap());
        assert!(seen.first_time(&[1; 48], 0, 0) && seen.first_time(&[2; 48], 0, 0));
        seen.forget_last().unwrap();
        seen.forget_last().unwrap();
        drop(seen);
        let mut seen = SeenFile::open(&path).unwrap();
        assert!(!seen.first_time(&[1; 48], 0, 0) && seen.failure().is_none());
        assert!(seen.first_time(&[2; 48], 0, 0));
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
