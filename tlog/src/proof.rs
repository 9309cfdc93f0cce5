//! [c2sp.org/tlog-proof](https://c2sp.org/tlog-proof): an inclusion proof with its checkpoint, as one text.

use base64ct::{Base64, Encoding};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::merkle::{Hash, MAX_SIZE};
use crate::note::{MAX_NOTE_LEN, Note, VerifierKey};

/// The longest tlog-proof that is read, in bytes.
pub const MAX_PROOF_LEN: usize = 2 * MAX_NOTE_LEN;
/// The most hashes of a path.
const MAX_PATH_LEN: usize = 63;
/// The longest `extra` data, in bytes.
const MAX_EXTRA_LEN: usize = 1 << 12;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof that a log has an entry. It does not hold the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    extra: Option<Vec<u8>>,
    index: u64,
    path: Vec<Hash>,
    note: String,
}

impl LogProof {
    /// A proof for the entry at `index`: its path, the leaf's sibling first, and a signed checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Proof`] for more than 63 hashes or an index of 2^48 or more, and [`Error::Note`].
    pub fn new(index: u64, path: Vec<Hash>, note: String) -> Result<Self, Error> {
        if index >= MAX_SIZE {
            return Err(refused("its index is not below 2^48"));
        }
        if path.len() > MAX_PATH_LEN {
            return Err(refused("it has more than 63 hashes"));
        }
        Note::parse(note.as_bytes())?;
        Ok(Self { extra: None, index, path, note })
    }

    /// Reads a proof of at most [`MAX_PROOF_LEN`] bytes. Every value has one accepted spelling.
    ///
    /// # Errors
    ///
    /// [`Error::Proof`], and [`Error::Note`] for the checkpoint.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_PROOF_LEN {
            return Err(refused("it has more than 131072 bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| refused("it is not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or_else(|| refused("it has no empty line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(refused("its first line is not c2sp.org/tlog-proof@v1"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra ")).map(extra_of).transpose()?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(index_of);
        let index = index.ok_or_else(|| refused("it has no index below 2^48"))?;
        let path: Option<Vec<_>> = lines.by_ref().take(MAX_PATH_LEN).map(hash_of).collect();
        let path = path.ok_or_else(|| refused("a hash is not base64 of 32 bytes"))?;
        if lines.next().is_some() {
            return Err(refused("it has more than 63 hashes"));
        }
        Ok(Self { extra, ..Self::new(index, path, note.to_owned())? })
    }

    /// The proof as text.
    #[must_use]
    pub fn encode(&self) -> String {
        let extra = self.extra.iter().map(|extra| format!("extra {}\n", Base64::encode_string(extra)));
        let path = self.path.iter().map(|hash| format!("{}\n", Base64::encode_string(hash)));
        format!(
            "{HEADER}\n{}index {}\n{}\n{}",
            extra.collect::<String>(),
            self.index,
            path.collect::<String>(),
            self.note
        )
    }

    /// Data beside the proof. No signature covers it.
    #[must_use]
    pub fn unverified_extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The index of the entry.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The checkpoint's note, for example to look for cosignatures.
    ///
    /// # Errors
    ///
    /// [`Error::Note`] never occurs: the note was checked before.
    pub fn note(&self) -> Result<Note<'_>, Error> {
        Note::parse(self.note.as_bytes())
    }

    /// Checks that the log with this key has the entry with hash `leaf`, and returns the checkpoint that
    /// proves it.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::verify`], and [`Error::NotInLog`].
    pub fn verify(&self, leaf: &Hash, key: &VerifierKey) -> Result<Checkpoint, Error> {
        let checkpoint = Checkpoint::verify(&self.note()?, key)?;
        match checkpoint.head().includes(self.index, leaf, &self.path) {
            true => Ok(checkpoint),
            false => Err(Error::NotInLog { index: self.index, size: checkpoint.size }),
        }
    }
}

fn extra_of(line: &str) -> Result<Vec<u8>, Error> {
    let encoded = line.strip_prefix("extra ").unwrap_or_default();
    let extra = Base64::decode_vec(encoded).ok().filter(|extra| (1..=MAX_EXTRA_LEN).contains(&extra.len()));
    extra.ok_or_else(|| refused("its extra data is not base64 of 1 to 4096 bytes"))
}

fn index_of(text: &str) -> Option<u64> {
    text.parse().ok().filter(|index: &u64| *index < MAX_SIZE && index.to_string() == text)
}

fn hash_of(line: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    Base64::decode(line, &mut hash).ok().filter(|decoded| decoded.len() == 32)?;
    Some(hash)
}

fn refused(rule: &'static str) -> Error {
    Error::Proof { rule }
}
