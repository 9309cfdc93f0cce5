//! Compares every file of a published folder with the entries of its log.
//!
//! Clients read `bundle.json` only, and verify it. Auditors read the rest, so the audit must also detect a
//! mirror that serves them another list, or tiles that do not hash to the checkpoint.

use super::{
    PublicationFault, Site,
    site::{AllTiles, tiles_of},
};
use crate::error::Error;
use ok2cry_release_verify::{
    Bundle, BundleEntry, Envelope, LIST_PAYLOAD_TYPE, MAX_ENVELOPE_LEN, Manifest, ROOT_PAYLOAD_TYPE,
    ReleaseList, RootDocument, STATEMENT_PAYLOAD_TYPE, Version,
};
use ok2cry_tlog::{Checkpoint, Note, Tile, TileSource};
use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
};

/// The longest bundle of entries, in bytes.
pub(super) const MAX_ENTRIES_LEN: usize = 256 * (2 + MAX_ENVELOPE_LEN);
/// The greatest depth of a file in the folder. 2^48 entries take nine levels.
const MAX_DEPTH: usize = 12;
/// A bound above the number of entries that one publication can add.
const MOST_ADDED: u64 = 512;

/// A finding about one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file's path, relative to the folder.
    pub path: String,
    /// The finding as a phrase that follows the path.
    pub what: String,
    /// The severity.
    pub weight: Weight,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// A file is missing or differs from what the log gives.
    Damage,
    /// A file belongs to entries after the checkpoint and does not continue this log. Nothing reads it, and
    /// the next publication overwrites it.
    Stray,
    /// A file is ahead of the rest, as during a publication, or does not belong to a release.
    Note,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The host chooses file names, so they are escaped.
        write!(f, "{}: {}", self.path.escape_debug(), self.what)
    }
}

impl Site {
    /// Compares every file of the folder with the log's entries, whose root is the checkpoint's: tiles and
    /// bundles of entries, those of earlier checkpoints too; single documents; and the parts of
    /// `bundle.json`. Does not verify signatures:
    /// a client's checks do.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for a folder that cannot be read.
    pub fn audit(&self) -> Result<Vec<Finding>, Error> {
        let mut audit = Audit {
            site: self,
            tiles: tiles_of(self.entries()),
            size: self.entries().len() as u64,
            there: BTreeSet::new(),
            findings: Vec::new(),
        };
        audit.walk(&PathBuf::new(), 0)?;
        for path in audit.there.clone() {
            audit.file(&path)?;
        }
        audit.missing();
        if let Some(bundle) = self.bundle() {
            audit.bundle(bundle)?;
        }
        Ok(audit.findings)
    }

    /// Refuses a folder with damage.
    ///
    /// # Errors
    ///
    /// [`PublicationFault::Site`], which names the first file; the errors of [`Site::audit`].
    pub(super) fn check_whole(&self) -> Result<(), Error> {
        let damage = |finding: &Finding| finding.weight == Weight::Damage;
        match self.audit()?.into_iter().find(damage) {
            Some(finding) => Err(PublicationFault::Site(finding.to_string()).into()),
            None => Ok(()),
        }
    }
}

struct Audit<'a> {
    site: &'a Site,
    tiles: AllTiles,
    size: u64,
    /// The paths of all files, relative to the folder.
    there: BTreeSet<String>,
    findings: Vec<Finding>,
}

impl Audit<'_> {
    fn find(&mut self, weight: Weight, path: &str, what: &str) {
        self.findings.push(Finding { path: path.to_owned(), what: what.to_owned(), weight });
    }

    fn walk(&mut self, below: &Path, depth: usize) -> Result<(), Error> {
        let folder = self.site.folder().join(below);
        let failed = |source| Error::Io { path: folder.display().to_string(), source };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = below.join(entry.file_name());
            let Some(text) = path.to_str().map(str::to_owned) else {
                let shown = path.to_string_lossy().into_owned();
                self.find(Weight::Damage, &shown, "has a name that is not UTF-8");
                continue;
            };
            if !entry.file_type().map_err(failed)?.is_dir() {
                self.there.insert(text);
            } else if depth < MAX_DEPTH {
                self.walk(&path, depth + 1)?;
            } else {
                self.find(Weight::Damage, &text, "is deeper than a release's files");
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str) -> Result<(), Error> {
        if matches!(path, ".lock" | "bundle.json" | "log/checkpoint") {
            // Opening the folder has read the last two.
            return Ok(());
        }
        if path.ends_with(".partial") {
            self.find(Weight::Note, path, "is left from an interrupted attempt");
            return Ok(());
        }
        if path == "list.json" {
            return self.list(path);
        }
        if let Some(tile) = path.strip_prefix("log/tile/").and_then(PlacedTile::parse) {
            return self.tile(path, &tile);
        }
        if let Some(name) = path.strip_prefix("root/").and_then(|path| path.strip_suffix(".json")) {
            return self.root(path, name);
        }
        if let Some(name) = path.strip_prefix("manifests/").and_then(|path| path.strip_suffix(".json")) {
            return self.manifest(path, name);
        }
        let ours = ["log/", "root/", "manifests/"].iter().any(|folder| path.starts_with(folder));
        let weight = if ours { Weight::Damage } else { Weight::Note };
        self.find(weight, path, "does not belong to a release");
        Ok(())
    }

    fn tile(&mut self, path: &str, tile: &PlacedTile) -> Result<(), Error> {
        let max = if tile.entries { MAX_ENTRIES_LEN } else { 256 * 32 };
        let Some(bytes) = self.read(path, max)? else { return Ok(()) };
        let hashes = |size: u64| size.checked_shr(8 * tile.level).unwrap_or(0);
        let first = tile.number.saturating_mul(256);
        let end = first.saturating_add(tile.width);
        let known = hashes(self.size).saturating_sub(first).min(tile.width);
        let expected = match tile.entries {
            true => self.site.entry_bundle(first, known),
            false => {
                let mut bytes = Tile::of(tile.level, tile.number, self.size)
                    .and_then(|tile| self.tiles.tile(&tile))
                    .unwrap_or_default();
                bytes.truncate(usize::try_from(known * 32).unwrap_or(usize::MAX));
                bytes
            }
        };
        let (weight, what) = match (end <= hashes(self.size), end <= hashes(self.size + MOST_ADDED)) {
            (true, _) if bytes == expected => return Ok(()),
            (true, _) => (Weight::Damage, "does not hold what the log's entries give"),
            (false, false) => (Weight::Damage, "is beyond the log's end"),
            (false, true) => {
                let whole = tile.entries || bytes.len() as u64 == tile.width * 32;
                match whole && bytes.starts_with(&expected) {
                    true => (Weight::Note, "is ahead of the checkpoint, as during a publication"),
                    false => (Weight::Stray, "is ahead of the checkpoint and does not continue this log"),
                }
            }
        };
        self.find(weight, path, what);
        Ok(())
    }

    fn list(&mut self, path: &str) -> Result<(), Error> {
        let shown = self.site.bundle().map(|bundle| bundle.list.clone());
        let is_list = |payload: &[u8]| ReleaseList::decode(payload).is_ok();
        self.document(path, shown.as_ref(), LIST_PAYLOAD_TYPE, &is_list)
    }

    fn root(&mut self, path: &str, name: &str) -> Result<(), Error> {
        let is_root =
            |payload: &[u8]| RootDocument::decode(payload).is_ok_and(|root| root.version.to_string() == name);
        let shown = self.site.bundle().and_then(|bundle| {
            bundle.roots.iter().find(|entry| payload_of(entry).is_some_and(|payload| is_root(&payload)))
        });
        let shown = shown.cloned();
        self.document(path, shown.as_ref(), ROOT_PAYLOAD_TYPE, &is_root)
    }

    fn manifest(&mut self, path: &str, name: &str) -> Result<(), Error> {
        let Some(version) = Version::parse(name) else {
            self.find(Weight::Damage, path, "is not named by a version");
            return Ok(());
        };
        let is_manifest = |payload: &[u8]| {
            Manifest::decode(payload).is_ok_and(|manifest| manifest.predicate.version == version)
        };
        let listed = self.site.bundle().and_then(|bundle| {
            let is = |entry: &&BundleEntry| payload_of(entry).is_some_and(|payload| is_manifest(&payload));
            bundle.manifests.iter().find(is)
        });
        match listed.cloned() {
            Some(listed) => self.document(path, Some(&listed), STATEMENT_PAYLOAD_TYPE, &is_manifest),
            // The manifest of a release that is no longer listed.
            None => match self.read(path, MAX_ENVELOPE_LEN)? {
                Some(bytes) if self.in_log(&bytes, 0, STATEMENT_PAYLOAD_TYPE, &is_manifest) => Ok(()),
                Some(_) => {
                    self.find(Weight::Damage, path, "is not in the log as a manifest of this version");
                    Ok(())
                }
                None => Ok(()),
            },
        }
    }

    /// Checks a single document: it is the one in the bundle, or, if a publication was interrupted before the
    /// bundle was written, a later entry of the log.
    fn document(
        &mut self,
        path: &str,
        shown: Option<&BundleEntry>,
        payload_type: &str,
        is: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), Error> {
        let Some(bytes) = self.read(path, MAX_ENVELOPE_LEN)? else { return Ok(()) };
        if shown.is_some_and(|entry| entry.envelope.as_bytes() == bytes) {
            return Ok(());
        }
        let after = shown.map_or(0, |entry| entry.index.saturating_add(1));
        match self.in_log(&bytes, after, payload_type, is) {
            true => self.find(Weight::Note, path, "is ahead of bundle.json, as during a publication"),
            false => self.find(Weight::Damage, path, "differs from bundle.json and the log"),
        }
        Ok(())
    }

    /// Whether the log has these bytes at or after entry `after`, and they are the expected document.
    fn in_log(&self, bytes: &[u8], after: u64, payload_type: &str, is: &dyn Fn(&[u8]) -> bool) -> bool {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let there = self.site.entries().iter().skip(after).any(|entry| entry == bytes);
        there
            && Envelope::decode("document", bytes).is_ok_and(|envelope| {
                envelope.payload_type() == payload_type && is(envelope.unverified_payload())
            })
    }

    /// Finds files that are missing.
    fn missing(&mut self) {
        let mut due = Vec::new();
        for tile in Tile::all(self.size) {
            due.push(format!("log/{}", tile.path()));
            if tile.level() == 0 {
                due.push(format!("log/{}", tile.entries_path()));
            }
        }
        if let Some(bundle) = self.site.bundle() {
            due.push("list.json".into());
            // A client refuses what cannot be decoded.
            let roots = bundle.roots.iter().filter_map(payload_of);
            let roots = roots.filter_map(|payload| RootDocument::decode(&payload).ok());
            due.extend(roots.map(|root| format!("root/{}.json", root.version)));
            let manifests = bundle.manifests.iter().filter_map(payload_of);
            let manifests = manifests.filter_map(|payload| Manifest::decode(&payload).ok());
            due.extend(manifests.map(|manifest| format!("manifests/{}.json", manifest.predicate.version)));
        } else if self.there.contains("list.json") {
            // Only an interrupted first publication leaves one without the other.
            let what = "is missing; if only list.json was ever published, remove it";
            self.find(Weight::Damage, "bundle.json", what);
        }
        for path in due.into_iter().filter(|path| !self.there.contains(path)).collect::<Vec<_>>() {
            self.find(Weight::Damage, &path, "is missing");
        }
    }

    fn bundle(&mut self, bundle: &Bundle) -> Result<(), Error> {
        const PATH: &str = "bundle.json";
        let shown = Checkpoint::parse(Note::parse(bundle.checkpoint.as_bytes())?.unverified_text())?;
        if !self.site.begins_with(&shown)? {
            self.find(Weight::Damage, PATH, "its checkpoint is of another log");
            return Ok(());
        }
        if shown.size < self.size {
            let behind =
                format!("is of {} entries, where the log's checkpoint is of {}", shown.size, self.size);
            self.find(Weight::Note, PATH, &behind);
        }
        for entry in bundle.roots.iter().chain(&bundle.manifests).chain([&bundle.list]) {
            let there = usize::try_from(entry.index).ok().and_then(|index| self.site.entries().get(index));
            if entry.index >= shown.size || there.map(Vec::as_slice) != Some(entry.envelope.as_bytes()) {
                self.find(Weight::Damage, PATH, &format!("its entry {} is not the log's", entry.index));
            }
        }
        let first = usize::try_from(shown.size).unwrap_or(usize::MAX);
        let tiles = tiles_of(self.site.entries().get(..first).unwrap_or_default());
        for path in bundle.tiles.keys() {
            let tile = path.strip_prefix("tile/").and_then(PlacedTile::parse).filter(|tile| !tile.entries);
            let tile = tile.and_then(|tile| Tile::of(tile.level, tile.number, shown.size));
            let tile = tile.filter(|tile| tile.path() == *path);
            let due = tile.and_then(|tile| tiles.tile(&tile));
            let held = tile.and_then(|tile| TileSource::tile(bundle, &tile));
            if due.is_none() || due != held {
                let path = path.escape_debug();
                self.find(
                    Weight::Damage,
                    PATH,
                    &format!("its tile {path} does not hold what the entries give"),
                );
            }
        }
        Ok(())
    }

    /// Reads a regular file; anything else becomes a finding.
    fn read(&mut self, path: &str, max: usize) -> Result<Option<Vec<u8>>, Error> {
        match self.site.read(path, max) {
            Ok(Some(bytes)) if bytes.len() <= max => Ok(Some(bytes)),
            Ok(Some(_)) => {
                self.find(Weight::Damage, path, &format!("is longer than {max} bytes"));
                Ok(None)
            }
            Ok(None) => {
                self.find(Weight::Damage, path, "is a dangling link");
                Ok(None)
            }
            Err(Error::Publication(PublicationFault::Site(_))) => {
                self.find(Weight::Damage, path, "is not a regular file");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// A tile parsed from its path. It may belong to an earlier or later size of the log.
struct PlacedTile {
    /// Whether the file is the bundle of entries of a tile of level 0.
    entries: bool,
    level: u32,
    number: u64,
    width: u64,
}

impl PlacedTile {
    /// Parses the path after `tile/`. Only the canonical spelling is accepted.
    fn parse(path: &str) -> Option<Self> {
        let (level, place) = path.split_once('/')?;
        let entries = level == "entries";
        let level = if entries { 0 } else { level.parse().ok().filter(|level| *level < 8)? };
        let (place, width) = match place.split_once(".p/") {
            Some((place, width)) => (place, width.parse().ok().filter(|width| (1..256).contains(width))?),
            None => (place, 256),
        };
        let number = place.split('/').try_fold(0_u64, |number, part| {
            let digits = part.strip_prefix('x').unwrap_or(part);
            number.checked_mul(1000)?.checked_add(digits.parse().ok()?)
        })?;
        let size = number.checked_mul(256)?.checked_add(width)?.checked_mul(1 << (8 * level))?;
        let tile = Tile::of(level, number, size)?;
        let spelled = if entries { tile.entries_path() } else { tile.path() };
        (spelled.strip_prefix("tile/") == Some(path)).then_some(Self { entries, level, number, width })
    }
}

fn payload_of(entry: &BundleEntry) -> Option<Vec<u8>> {
    let envelope = Envelope::decode("document", entry.envelope.as_bytes()).ok()?;
    Some(envelope.unverified_payload().to_vec())
}
