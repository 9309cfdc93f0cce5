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
    /// The entry is not at this index of the log, or the log has no such index.
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
    /// The bytes are not an entry bundle.
    EntryBundle {
        /// The rule that they break.
        rule: &'static str,
    },
    /// The bytes are not a tlog-proof.
    Proof {
        /// The rule that they break.
        rule: &'static str,
    },
    /// The number of complete subtrees does not fit the size of the tree.
    Frontier {
        /// The size of the tree.
        size: u64,
        /// The number of subtrees.
        subtrees: usize,
    },
    /// The tree has the maximum number of entries.
    Full,
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
        "entry_bundle_invalid",
        "tlog_proof_invalid",
        "frontier_invalid",
        "log_full",
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
            Self::EntryBundle { .. } => "entry_bundle_invalid",
            Self::Proof { .. } => "tlog_proof_invalid",
            Self::Frontier { .. } => "frontier_invalid",
            Self::Full => "log_full",
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
                write!(f, "log: the entry is not at index {index} of the log with {size} entries")
            }
            Self::Smaller { found, seen } => {
                write!(f, "checkpoint: the log has {found} entries, and had {seen} before")
            }
            Self::TileMissing { path } => write!(f, "log: {path} is missing"),
            Self::TileLength { path, found, expected } => {
                write!(f, "log: {path} has {found} bytes instead of {expected}")
            }
            Self::EntryBundle { rule } => write!(f, "entry bundle: {rule}"),
            Self::Proof { rule } => write!(f, "tlog-proof: {rule}"),
            Self::Frontier { size, subtrees } => {
                write!(
                    f,
                    "frontier: {subtrees} subtrees do not make a tree of {size} entries, of at most 2^48"
                )
            }
            Self::Full => f.write_str("log: it has the maximum of 2^48 entries"),
        }
    }
}

/// Foreign text for a terminal: escaped and cut.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect()
}
