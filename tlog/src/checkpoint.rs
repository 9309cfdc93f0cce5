//! [c2sp.org/tlog-checkpoint](https://c2sp.org/tlog-checkpoint): the head of a log, in a signed note.

use base64ct::{Base64, Encoding};

use crate::error::Error;
use crate::merkle::{Hash, MAX_SIZE, TreeHead};
use crate::note::{Note, VerifierKey};

/// The head of a log ([c2sp.org/tlog-checkpoint](https://c2sp.org/tlog-checkpoint)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The origin: the name of the log.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The Merkle tree hash of all of them (RFC 6962 §2.1).
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note. Extension lines are ignored, as the specification requires.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = |rule| Error::Checkpoint { rule };
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
        let number = number.ok_or_else(|| refused("its size is not a decimal number up to 2^48"))?;
        let mut hash = [0; 32];
        match Base64::decode(root, &mut hash) {
            Ok(decoded) if decoded.len() == 32 => {}
            _ => return Err(refused("its root hash is not base64 of 32 bytes")),
        }
        Ok(Self { origin: origin.to_owned(), size: number, root: hash })
    }

    /// Size and root of the log.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root }
    }

    /// The text for a note.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, Base64::encode_string(&self.root))
    }

    /// Returns the checkpoint of a note, if `key`, the log's, has signed it.
    ///
    /// # Errors
    ///
    /// [`Error::Signature`], [`Error::Unsigned`], [`Error::Checkpoint`] and [`Error::Origin`].
    pub fn verify(note: &Note<'_>, key: &VerifierKey) -> Result<Self, Error> {
        // The text of an unsigned note must not be parsed.
        if !note.is_signed_by(key)? {
            return Err(Error::Unsigned);
        }
        let checkpoint = Self::parse(note.unverified_text())?;
        match checkpoint.origin == key.name() {
            true => Ok(checkpoint),
            false => Err(Error::Origin { found: checkpoint.origin }),
        }
    }
}
