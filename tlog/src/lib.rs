#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod bundle;
mod checkpoint;
mod cosignature;
mod error;
pub mod merkle;
mod note;
mod proof;
mod tile;

pub use self::checkpoint::Checkpoint;
pub use self::error::Error;
pub use self::merkle::{Frontier, TreeHead};
pub use self::note::{MAX_NOTE_LEN, Note, NoteSigner, VerifierKey};
pub use self::proof::{LogProof, MAX_PROOF_LEN};
pub use self::tile::{Tile, TileSource, Tiles};
