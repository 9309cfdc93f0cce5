#![doc = include_str!("../README.md")]
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
