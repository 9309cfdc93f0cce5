//! Reasons for refusing a note, a checkpoint, a tile or a proof.

use std::fmt;

/// The longest foreign text in a message, in characters.
const MAX_SHOWN: usize = 100;

/// Why a note, a checkpoint or a log was refused.
///
/// [`Error::code`] is stable and meant for programs. `Display` is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a signed note.
    Note {
        /// The rule that they break.
        rule: &'static str,
    },
    /// The text of a note is not a checkpoint.
    Checkpoint {
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The checkpoint names another log than its key.
    Origin {
        /// The origin that it names.
        found: String,
    },
    /// The log's key has not signed the checkpoint.
    Unsigned,
    /// A signature names a key and does not verify under it.
    Signature {
        /// The name of the key.
        name: String,
    },
    /// The log has no entry with this index.
    NotInLog {
        /// The index.
        index: u64,
        /// The size of the log.
        size: u64,
    },
    /// The log is smaller than a size that it had before.
    Smaller {
        /// The size of the log.
        found: u64,
        /// The size that it had before.
        seen: u64,
    },
    /// A tile that is needed was not delivered.
    TileMissing {
        /// Its path.
        path: String,
    },
    /// A tile is shorter or longer than its path says.
    TileLength {
        /// Its path.
        path: String,
        /// The length found, in bytes.
        found: usize,
        /// The length expected, in bytes.
        expected: usize,
    },
}

impl Error {
    /// Every code that [`Error::code`] can return, each once.
    pub const CODES: &'static [&'static str] = &[
        "note_invalid",
        "checkpoint_invalid",
        "checkpoint_origin_mismatch",
        "checkpoint_unsigned",
        "checkpoint_signature_invalid",
        "not_in_log",
        "log_rolled_back",
        "tile_missing",
        "tile_length",
    ];

    /// The stable, machine-readable reason, in `snake_case`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Note { .. } => "note_invalid",
            Self::Checkpoint { .. } => "checkpoint_invalid",
            Self::Origin { .. } => "checkpoint_origin_mismatch",
            Self::Unsigned => "checkpoint_unsigned",
            Self::Signature { .. } => "checkpoint_signature_invalid",
            Self::NotInLog { .. } => "not_in_log",
            Self::Smaller { .. } => "log_rolled_back",
            Self::TileMissing { .. } => "tile_missing",
            Self::TileLength { .. } => "tile_length",
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note { rule } => write!(f, "signed note: {rule}"),
            Self::Checkpoint { rule } => write!(f, "checkpoint: {rule}"),
            Self::Origin { found } => {
                write!(f, "checkpoint: its origin is \"{}\", which is another log", shown(found))
            }
            Self::Unsigned => f.write_str("checkpoint: the log's key has not signed it"),
            Self::Signature { name } => {
                write!(f, "checkpoint: the signature of {} does not verify", shown(name))
            }
            Self::NotInLog { index, size } => {
                write!(f, "log: entry {index} does not exist; the log has {size} entries")
            }
            Self::Smaller { found, seen } => {
                write!(f, "checkpoint: the log has {found} entries, and had {seen} before")
            }
            Self::TileMissing { path } => write!(f, "log: {path} is missing"),
            Self::TileLength { path, found, expected } => {
                write!(f, "log: {path} has {found} bytes instead of {expected}")
            }
        }
    }
}

/// Foreign text for a terminal: escaped and cut.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect()
}
