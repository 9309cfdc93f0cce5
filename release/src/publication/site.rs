//! The published folder: plain files that any static host can serve.
//!
//! | path | is |
//! |---|---|
//! | `bundle.json` | everything that a client needs |
//! | `list.json`, `root/N.json`, `manifests/VERSION.json` | the single documents, as in the log |
//! | `log/checkpoint`, `log/tile/…` | the log ([tlog-tiles](https://c2sp.org/tlog-tiles)), with its entries |
//!
//! Full tiles and root documents never change. `log/checkpoint`, `list.json` and `bundle.json` are replaced
//! last, in this order. A manifest is replaced when it is signed again.

use super::{PublicationFault, audit::MAX_ENTRIES_LEN};
use crate::{
    durable::{self, Readers},
    error::Error,
};
use ok2cry_release_verify::{Bundle, BundleEntry, MAX_BUNDLE_LEN};
use ok2cry_tlog::{Checkpoint, MAX_NOTE_LEN, Note, Tile, TileSource, Tiles, merkle};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A published folder, with all entries of its log in memory. Their root is the checkpoint's.
pub struct Site {
    folder: PathBuf,
    bundle: Option<Bundle>,
    entries: Vec<Vec<u8>>,
    /// Held while publishing, because two publishers at a time would fork the log.
    lock: Option<File>,
}

impl Site {
    /// Reads a folder and locks it for publishing.
    ///
    /// # Errors
    ///
    /// The errors of [`Site::open`], [`PublicationFault::Busy`], and [`PublicationFault::Site`] for a damaged
    /// or missing file.
    pub fn open_to_publish(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(".lock");
        let failed = |source| Error::Io { path: path.display().to_string(), source };
        let lock = fs::create_dir_all(folder).and_then(|()| durable::lock_file(&path)).map_err(failed)?;
        lock.try_lock().map_err(|_| PublicationFault::Busy)?;
        let site = Self { lock: Some(lock), ..Self::open(folder)? };
        site.check_whole()?;
        Ok(site)
    }

    /// Reads a folder. If it is empty or does not exist, nothing has been published yet.
    ///
    /// # Errors
    ///
    /// [`PublicationFault::Site`] if it is damaged, and a client's refusals of its bundle and checkpoint.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let mut site = Self { folder: folder.to_owned(), bundle: None, entries: Vec::new(), lock: None };
        let Some(note) = site.read("log/checkpoint", MAX_NOTE_LEN)? else {
            let published = ["bundle.json", "list.json", "root", "manifests", "log/tile"];
            return match published.into_iter().find(|path| folder.join(path).exists()) {
                None => Ok(site),
                // Starting the log again would fork it.
                Some(path) => Err(damaged(&format!("there is {path} and no checkpoint"))),
            };
        };
        let checkpoint = Checkpoint::parse(Note::parse(&note)?.unverified_text())?;
        site.read_entries(checkpoint.size)?;
        let tiles = tiles_of(&site.entries);
        if Tiles::new(&tiles, checkpoint.size).root()? != checkpoint.root {
            return Err(damaged("the log's entries do not have the checkpoint's root"));
        }
        let bundle = site.read("bundle.json", MAX_BUNDLE_LEN)?;
        site.bundle = bundle.map(|bytes| Bundle::decode(&bytes)).transpose()?;
        Ok(site)
    }

    /// The published bundle.
    #[must_use]
    pub fn bundle(&self) -> Option<&Bundle> {
        self.bundle.as_ref()
    }

    /// Every entry of the log.
    #[must_use]
    pub fn entries(&self) -> &[Vec<u8>] {
        &self.entries
    }

    /// The log's checkpoint. It is ahead of the bundle's if the last publication was interrupted.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn checkpoint(&self) -> Result<Option<Vec<u8>>, Error> {
        self.read("log/checkpoint", MAX_NOTE_LEN)
    }

    /// Whether the log's first entries have this checkpoint's size and root.
    ///
    /// # Errors
    ///
    /// Does not occur for tiles that this site computes.
    pub fn begins_with(&self, checkpoint: &Checkpoint) -> Result<bool, Error> {
        let first = usize::try_from(checkpoint.size).ok().and_then(|size| self.entries.get(..size));
        let Some(first) = first else { return Ok(false) };
        Ok(Tiles::new(&tiles_of(first), checkpoint.size).root()? == checkpoint.root)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether this was opened to publish.
    pub(super) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Appends an entry if the log does not have it. Returns it with its index.
    pub(super) fn append(&mut self, envelope: &str) -> BundleEntry {
        let bytes = envelope.as_bytes();
        let index = self.entries.iter().position(|entry| entry == bytes).unwrap_or_else(|| {
            self.entries.push(bytes.to_vec());
            self.entries.len() - 1
        });
        BundleEntry { index: index as u64, envelope: envelope.to_owned() }
    }

    /// The log's root.
    pub(super) fn root(&self) -> Result<merkle::Hash, Error> {
        Ok(Tiles::new(&tiles_of(&self.entries), self.entries.len() as u64).root()?)
    }

    /// The proof that the log begins with its first `old_size` entries.
    #[cfg(feature = "witness")]
    pub(super) fn consistency_proof(&self, old_size: u64) -> Result<Vec<merkle::Hash>, Error> {
        Ok(Tiles::new(&tiles_of(&self.entries), self.entries.len() as u64).consistency_proof(old_size)?)
    }

    /// The tiles for inclusion proofs of these entries and consistency proofs from these sizes: path and
    /// base64.
    pub(super) fn tiles_for(
        &self,
        entries: &[&BundleEntry],
        sizes: &[u64],
    ) -> Result<BTreeMap<String, String>, Error> {
        use base64ct::Encoding as _;
        let (tiles, used) = (tiles_of(&self.entries), RefCell::new(BTreeMap::new()));
        let source = |tile: &Tile| {
            let bytes = tiles.tile(tile)?;
            used.borrow_mut().insert(tile.path(), base64ct::Base64::encode_string(&bytes));
            Some(bytes)
        };
        let log = Tiles::new(&source, self.entries.len() as u64);
        for entry in entries {
            log.inclusion_proof(entry.index)?;
        }
        for size in sizes {
            log.consistency_proof(*size)?;
        }
        Ok(used.take())
    }

    /// Writes the log's tiles and entries. Those of its first `old_size` entries exist already and must be
    /// the same; others may be left from an interrupted attempt, and are replaced.
    pub(super) fn write_log(&self, old_size: u64) -> Result<(), Error> {
        let (tiles, old) = (tiles_of(&self.entries), Tile::all(old_size).collect::<BTreeSet<_>>());
        let write = |tile: &Tile, path: &str, bytes: &[u8]| match old.contains(tile) {
            true => self.write_once(&format!("log/{path}"), bytes),
            false => self.replace(&format!("log/{path}"), bytes),
        };
        for tile in Tile::all(self.entries.len() as u64) {
            write(&tile, &tile.path(), &tiles.tile(&tile).unwrap_or_default())?;
            if tile.level() == 0 {
                let entries = self.entry_bundle(tile.number() * 256, tile.width());
                write(&tile, &tile.entries_path(), &entries)?;
            }
        }
        Ok(())
    }

    /// Writes a file that never changes.
    pub(super) fn write_once(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        match self.read(path, bytes.len())? {
            None => self.replace(path, bytes),
            Some(there) if there == bytes => Ok(()),
            Some(_) => Err(damaged(&format!("{path} is there with other content"))),
        }
    }

    /// Replaces a file atomically.
    pub(super) fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        durable::replace(&self.folder.join(path), bytes, Readers::All)
    }

    /// `width` entries from `first` on, each after its length.
    pub(super) fn entry_bundle(&self, first: u64, width: u64) -> Vec<u8> {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let width = usize::try_from(width).unwrap_or_default();
        let mut bytes = Vec::new();
        for entry in self.entries.iter().skip(first).take(width) {
            // The decoder of envelopes limits them to less than 64 KiB.
            bytes.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(entry);
        }
        bytes
    }

    fn read_entries(&mut self, size: u64) -> Result<(), Error> {
        for tile in Tile::all(size).take_while(|tile| tile.level() == 0) {
            let path = format!("log/{}", tile.entries_path());
            let bytes =
                self.read(&path, MAX_ENTRIES_LEN)?.ok_or_else(|| damaged(&format!("{path} is missing")))?;
            let mut rest = bytes.as_slice();
            for _ in 0..tile.width() {
                let entry = rest
                    .split_first_chunk::<2>()
                    .and_then(|(len, after)| after.split_at_checked(usize::from(u16::from_be_bytes(*len))));
                let (entry, after) = entry.ok_or_else(|| damaged(&format!("{path} is cut off")))?;
                self.entries.push(entry.to_vec());
                rest = after;
            }
            if !rest.is_empty() {
                return Err(damaged(&format!("{path} is too long")));
            }
        }
        Ok(())
    }

    /// Reads a file of at most `max` bytes. Of a longer one, returns `max + 1` bytes.
    pub(super) fn read(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, Error> {
        let name = path;
        let path = self.folder.join(path);
        let failed = |source| Error::Io { path: path.display().to_string(), source };
        // Without O_NONBLOCK, opening a FIFO of that name would block.
        let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(damaged(&format!("{name} is not a regular file")));
        }
        let mut bytes = Vec::new();
        file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }
}

/// All tiles of the log.
impl TileSource for Site {
    fn tile(&self, tile: &Tile) -> Option<Vec<u8>> {
        tiles_of(&self.entries).tile(tile)
    }
}

pub(super) struct AllTiles(BTreeMap<Tile, Vec<u8>>);

impl TileSource for AllTiles {
    fn tile(&self, tile: &Tile) -> Option<Vec<u8>> {
        self.0.get(tile).cloned()
    }
}

pub(super) fn tiles_of(entries: &[Vec<u8>]) -> AllTiles {
    let size = entries.len() as u64;
    let mut row: Vec<merkle::Hash> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
    let mut tiles = BTreeMap::new();
    for level in 0.. {
        if row.is_empty() {
            break;
        }
        for (number, hashes) in (0..).zip(row.chunks(256)) {
            if let Some(tile) = Tile::of(level, number, size) {
                tiles.insert(tile, hashes.concat());
            }
        }
        row = row.as_chunks::<256>().0.iter().map(|full| subtree(full)).collect();
    }
    AllTiles(tiles)
}

/// The hash of a full subtree, from its lowest row.
fn subtree(row: &[merkle::Hash]) -> merkle::Hash {
    match row {
        [] => [0; 32],
        [hash] => *hash,
        _ => {
            let (left, right) = row.split_at(row.len() / 2);
            merkle::node_hash(&subtree(left), &subtree(right))
        }
    }
}

fn damaged(why: &str) -> Error {
    PublicationFault::Site(why.to_owned()).into()
}
