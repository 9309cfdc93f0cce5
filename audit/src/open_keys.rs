//! The keys of a log that are open at some point of it: index of the issue entry to deadline.
//!
//! A ring of chunks, because indices count up and most keys end soon: an index costs a shift and no hash. A
//! chunk goes when no key in it is open. One that holds few of them becomes entries of a map, so that memory
//! follows the number of open keys (128 B each at most, and the map) and not the length of the log.

use std::collections::{HashMap, VecDeque};

/// Indices of one chunk.
const WIDTH: usize = 1 << 16;
/// A chunk with fewer open keys than this, a sixteenth of its indices, becomes entries of the map.
const SPARSE: u32 = 1 << 12;

/// Open keys, by the index of their issue entry.
#[derive(Debug, Default)]
pub(crate) struct OpenKeys {
    /// The number of the first chunk.
    first: u64,
    chunks: VecDeque<Option<Chunk>>,
    sparse: HashMap<u64, u64>,
    open: u64,
}

#[derive(Debug)]
struct Chunk {
    open: u32,
    /// Deadlines in Unix milliseconds, 0 for no open key. A deadline is greater than its entry's time, so
    /// never 0.
    deadlines: Box<[u64]>,
}

impl OpenKeys {
    /// How many keys are open.
    pub(crate) fn len(&self) -> u64 {
        self.open
    }

    /// Opens the key of an index that is greater than all before.
    pub(crate) fn open(&mut self, index: u64, deadline: u64) {
        let number = index / WIDTH as u64;
        if self.chunks.is_empty() {
            self.first = number;
        }
        while self.first + (self.chunks.len() as u64) <= number {
            self.thin_out();
            self.chunks.push_back(None);
        }
        let chunk = self.chunks.back_mut().map(|chunk| chunk.get_or_insert_with(Chunk::empty));
        if let Some(chunk) = chunk
            && let Some(slot) = chunk.deadlines.get_mut(place(index))
        {
            *slot = deadline;
            chunk.open += 1;
            self.open += 1;
        }
    }

    /// Ends the key of an index: its deadline, or `None` if no key is open there.
    pub(crate) fn end(&mut self, index: u64) -> Option<u64> {
        let deadline = self.take(index)?;
        self.open -= 1;
        Some(deadline)
    }

    /// Open keys in ascending order of their indices, with their deadlines.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut sparse: Vec<_> = self.sparse.iter().map(|(index, deadline)| (*index, *deadline)).collect();
        sparse.sort_unstable();
        let chunks = (self.first..).zip(&self.chunks).filter_map(|(n, chunk)| Some((n, chunk.as_ref()?)));
        let dense = chunks.flat_map(|(number, chunk)| {
            let indices = number * WIDTH as u64..;
            indices.zip(chunk.deadlines.iter().copied()).filter(|(_, deadline)| *deadline != 0)
        });
        // Chunks lie behind what was thinned out, but for those that were skipped: sort what is left.
        let mut all: Vec<_> = sparse.into_iter().chain(dense).collect();
        all.sort_unstable();
        all.into_iter()
    }

    fn take(&mut self, index: u64) -> Option<u64> {
        let at = (index / WIDTH as u64).checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let Some(slot) = at.and_then(|at| self.chunks.get_mut(at)) else { return self.sparse.remove(&index) };
        let Some(chunk) = slot else { return self.sparse.remove(&index) };
        let deadline = std::mem::take(chunk.deadlines.get_mut(place(index))?);
        if deadline == 0 {
            return None;
        }
        chunk.open -= 1;
        // The chunk that is being filled stays, or it would be made anew for each key.
        if chunk.open == 0 && at.is_some_and(|at| at + 1 < self.chunks.len()) {
            if let Some(slot) = at.and_then(|at| self.chunks.get_mut(at)) {
                *slot = None;
            }
            self.drop_first();
        }
        Some(deadline)
    }

    /// Before a new chunk is begun: sparse chunks become entries of the map.
    fn thin_out(&mut self) {
        for (number, slot) in (self.first..).zip(&mut self.chunks) {
            if slot.as_ref().is_some_and(|chunk| chunk.open < SPARSE)
                && let Some(chunk) = slot.take()
            {
                let indices = number * WIDTH as u64..;
                let open = indices.zip(chunk.deadlines).filter(|(_, deadline)| *deadline != 0);
                self.sparse.extend(open);
            }
        }
        self.drop_first();
    }

    fn drop_first(&mut self) {
        while self.chunks.len() > 1 && self.chunks.front().is_some_and(Option::is_none) {
            self.chunks.pop_front();
            self.first += 1;
        }
    }
}

impl Chunk {
    fn empty() -> Self {
        Self { open: 0, deadlines: vec![0; WIDTH].into_boxed_slice() }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder below 65,536")]
fn place(index: u64) -> usize {
    (index % WIDTH as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Numbers that look random and are the same in each run.
    fn numbers() -> impl FnMut(u64) -> u64 {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        }
    }

    #[test]
    fn it_holds_what_a_map_holds() {
        let (mut keys, mut model, mut number) = (OpenKeys::default(), BTreeMap::new(), numbers());
        let mut index = 0;
        for _ in 0..400_000 {
            // Gaps as ends leave them between issues, and one that skips chunks.
            index += 1 + number(3) + if number(100_000) == 0 { 3 * WIDTH as u64 } else { 0 };
            keys.open(index, index + 1);
            model.insert(index, index + 1);
            // Most keys end soon, some live for long.
            for _ in 0..number(3) {
                let back = if number(4) == 0 { number(index) } else { number(2000) };
                let at = index - back.min(index);
                assert_eq!(keys.end(at), model.remove(&at), "index {at}");
            }
            assert_eq!(keys.len(), model.len() as u64);
        }
        assert_eq!(keys.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn memory_follows_the_open_keys_and_not_the_log() {
        let mut keys = OpenKeys::default();
        let mut longest = 0;
        for index in 0..40 * WIDTH as u64 {
            keys.open(index, 1);
            // One of 64 stays for ever, so no chunk is ever empty.
            if index >= 100 && (index - 100) % 64 != 0 {
                keys.end(index - 100);
            }
            longest = longest.max(keys.chunks.len());
        }
        assert!(longest <= 3, "{longest} chunks");
        assert!(keys.sparse.len() as u64 <= keys.len());
    }

    #[test]
    fn an_index_that_is_not_open_ends_nothing() {
        let mut keys = OpenKeys::default();
        assert_eq!(keys.end(0), None);
        keys.open(5, 9);
        for index in [0, 4, 6, u64::MAX] {
            assert_eq!(keys.end(index), None);
        }
        assert_eq!((keys.end(5), keys.end(5), keys.len()), (Some(9), None, 0));
    }
}
