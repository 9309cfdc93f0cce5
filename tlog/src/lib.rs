//! C2SP transparency logs, read strictly: [tlog-tiles](https://c2sp.org/tlog-tiles),
//! [tlog-checkpoint](https://c2sp.org/tlog-checkpoint), [signed-note](https://c2sp.org/signed-note) and
//! [tlog-cosignature](https://c2sp.org/tlog-cosignature), over the Merkle tree of RFC 6962.
//!
//! The crate reads no clock, opens no file and no socket, and has no unsafe code. One module implements one C2SP page.
//!
//! | module | page |
//! |---|---|
//! | `note` | signed-note: [`Note`], [`VerifierKey`] |
//! | `checkpoint` | tlog-checkpoint: [`Checkpoint`] |
//! | `cosignature` | tlog-cosignature: [`Note::cosigned_at`] |
//! | `tile` | tlog-tiles: [`Tile`], [`TileSource`], [`Tiles`] |
//! | [`merkle`] | RFC 6962 and RFC 9162: hashes and proofs |
//! | `error` | [`Error`], with a stable code for each reason |

#![forbid(unsafe_code)]

mod checkpoint;
mod cosignature;
mod error;
pub mod merkle;
mod note;
mod tile;

pub use self::checkpoint::Checkpoint;
pub use self::error::Error;
pub use self::note::{MAX_NOTE_LEN, Note, VerifierKey};
pub use self::tile::{Tile, TileSource, Tiles};
