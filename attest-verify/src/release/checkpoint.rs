//! Signed notes and the checkpoints that they carry.

use base64ct::{Base64, Encoding};

use super::fault::ReleaseFault;
use super::json;
use super::log_key::{LogKey, is_key_name};
use super::root::Log;
use super::tree::Hash;
use crate::error::Error;
use crate::time::CheckTime;

/// The longest note that is read, in bytes.
pub const MAX_NOTE_LEN: usize = 1 << 16;
/// The most signatures of a note. The specification asks for at least 16.
const MAX_SIGNATURES: usize = 64;
/// The largest tree that is read about. It keeps all arithmetic far from its ends.
const MAX_SIZE: u64 = 1 << 48;

/// A note of [c2sp.org/signed-note](https://c2sp.org/signed-note) whose signatures nobody has looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    text: &'a str,
    signatures: Vec<NoteSignature<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature<'a> {
    name: &'a str,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl<'a> Note<'a> {
    /// Reads a note of at most [`MAX_NOTE_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::Note`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let refused = |rule| Error::from(ReleaseFault::Note { rule });
        if bytes.len() > MAX_NOTE_LEN {
            return Err(refused("it has more than 65536 bytes"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| refused("it is not UTF-8"))?;
        if note.chars().any(|c| c.is_ascii_control() && c != '\n') {
            return Err(refused("it holds control characters"));
        }
        let end = note.rfind("\n\n").ok_or_else(|| refused("no empty line is before its signatures"))?;
        let (text, rest) = note.split_at_checked(end + 1).ok_or_else(|| refused("it holds no text"))?;
        let lines = rest.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.ok_or_else(|| refused("it must end with a signature line"))?;
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Option<Vec<_>>>();
        let signatures = signatures.ok_or_else(|| refused("a signature line is not '— NAME BASE64'"))?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(refused("it has more than 64 signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// The text, with its final newline. Nobody vouches for it yet.
    #[must_use]
    pub fn unverified_text(&self) -> &'a str {
        self.text
    }

    /// The note with the signatures of the keys of `log` alone.
    pub(super) fn without_strangers(&self, log: &Log) -> String {
        let known = |s: &&NoteSignature<'_>| {
            let keys = std::iter::once(&log.key).chain(&log.witnesses);
            keys.into_iter().any(|key| key.name() == s.name && key.id() == s.id)
        };
        let lines = self.signatures.iter().filter(known).map(|signature| {
            let bytes = [signature.id.as_slice(), &signature.signature].concat();
            format!("— {} {}\n", signature.name, Base64::encode_string(&bytes))
        });
        format!("{}\n{}", self.text, lines.collect::<String>())
    }

    /// Whether `key`, a log's, has signed. A signature that names the key and is not the key's refuses the whole note.
    fn is_signed_by(&self, key: &LogKey) -> Result<bool, Error> {
        let mut signed = false;
        for signature in self.signatures_of(key) {
            let bytes: Option<&[u8; 64]> = signature.try_into().ok();
            if !bytes.is_some_and(|bytes| key.verify(self.text.as_bytes(), bytes)) {
                return Err(ReleaseFault::CheckpointSignature { name: json::shown(key.name()) }.into());
            }
            signed = true;
        }
        Ok(signed)
    }

    /// When `key`, a witness's, has cosigned, in Unix seconds: the latest time, if there are several.
    fn cosigned_at(&self, key: &LogKey) -> Result<Option<u64>, Error> {
        let mut latest = None;
        for signature in self.signatures_of(key) {
            let parts = signature.split_first_chunk::<8>();
            let parts =
                parts.and_then(|(time, rest)| Some((u64::from_be_bytes(*time), rest.try_into().ok()?)));
            let verified = parts.filter(|(time, signature)| {
                key.verify(format!("cosignature/v1\ntime {time}\n{}", self.text).as_bytes(), signature)
            });
            let Some((time, _)) = verified else {
                return Err(ReleaseFault::CheckpointSignature { name: json::shown(key.name()) }.into());
            };
            latest = latest.max(Some(time));
        }
        Ok(latest)
    }

    fn signatures_of(&self, key: &LogKey) -> impl Iterator<Item = &[u8]> {
        let (name, id) = (key.name().to_owned(), key.id());
        self.signatures.iter().filter(move |s| s.name == name && s.id == id).map(|s| s.signature.as_slice())
    }
}

impl<'a> NoteSignature<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = Base64::decode_vec(encoded).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        (is_key_name(name) && !signature.is_empty()).then(|| Self {
            name,
            id: *id,
            signature: signature.to_vec(),
        })
    }
}

/// The head of a log ([c2sp.org/tlog-checkpoint](https://c2sp.org/tlog-checkpoint)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The Merkle tree hash of all of them (RFC 6962 §2.1).
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note. Extension lines are passed over, as the specification asks.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::Checkpoint`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = |rule| Error::from(ReleaseFault::Checkpoint { rule });
        let lines = text.strip_suffix('\n').ok_or_else(|| refused("its text must end with a newline"))?;
        let mut lines = lines.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty());
        let origin = line().ok_or_else(|| refused("it has no origin"))?;
        let size = line().ok_or_else(|| refused("it has no size"))?;
        let root = line().ok_or_else(|| refused("it has no root hash"))?;
        if lines.any(str::is_empty) {
            return Err(refused("an extension line is empty"));
        }
        let number =
            size.parse().ok().filter(|number: &u64| number.to_string() == size && *number <= MAX_SIZE);
        let number = number.ok_or_else(|| refused("its size is no plain decimal number up to 2^48"))?;
        let mut hash = [0; 32];
        match Base64::decode(root, &mut hash) {
            Ok(decoded) if decoded.len() == 32 => {}
            _ => return Err(refused("its root hash is not base64 of 32 bytes")),
        }
        Ok(Self { origin: origin.to_owned(), size: number, root: hash })
    }

    /// The text of a note.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, Base64::encode_string(&self.root))
    }

    /// Reads a checkpoint that the log has signed. Answers also how many of the log's witnesses have cosigned it.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::Note`], [`ReleaseFault::Checkpoint`], [`ReleaseFault::Origin`],
    /// [`ReleaseFault::CheckpointUnsigned`], [`ReleaseFault::CheckpointSignature`] and [`ReleaseFault::WitnessFromFuture`].
    pub fn verify(note: &[u8], log: &Log, time: &CheckTime) -> Result<(Self, usize), Error> {
        let note = Note::parse(note)?;
        // The text of a note that nobody known has signed is not to be looked at.
        if !note.is_signed_by(&log.key)? {
            return Err(ReleaseFault::CheckpointUnsigned.into());
        }
        let checkpoint = Self::parse(note.unverified_text())?;
        if checkpoint.origin != log.key.name() {
            return Err(ReleaseFault::Origin { found: json::shown(&checkpoint.origin) }.into());
        }
        let mut found = 0;
        for witness in &log.witnesses {
            let Some(seconds) = note.cosigned_at(witness)? else { continue };
            if time.beyond_leeway(seconds.saturating_mul(1000)).is_some() {
                return Err(ReleaseFault::WitnessFromFuture { name: json::shown(witness.name()) }.into());
            }
            found += 1;
        }
        Ok((checkpoint, found))
    }
}
