//! One batch: the leaves of a Merkle tree, and the requests that they belong to.

use super::AttestResult;
use ok2cry_protocol::{Hash, Record, ids::Nonce, merkle::leaf_hash, statement::Statement};
use std::collections::HashMap;
use tokio::sync::oneshot;

/// A request on its way to a batch.
pub(super) struct Job {
    pub(super) leaves: Vec<Hash>,
    /// The trusted time that the records name, in Unix milliseconds.
    pub(super) time_ms: u64,
    pub(super) answer: oneshot::Sender<AttestResult>,
}

/// Leaves without duplicates, and each job with the indexes of its leaves.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) leaves: Vec<Hash>,
    indexes: HashMap<Hash, usize>,
    pub(super) jobs: Vec<(Job, Vec<usize>)>,
}

impl Batch {
    pub(super) fn of(job: Job) -> Self {
        let mut batch = Self::default();
        batch.add(job);
        batch
    }

    /// A batch of one random leaf, whose document only refreshes trusted time.
    pub(super) fn time_refresh() -> Self {
        let mut batch = Self::default();
        let mut nonce = [0; 16];
        if getrandom::fill(&mut nonce).is_ok()
            && let Ok(nonce) = Nonce::new(nonce)
        {
            batch.index_of(leaf_hash(&Statement { nonce, time: 0 }.encode()));
        }
        batch
    }

    /// Adds a job, unless its caller is gone. Equal records share a leaf.
    pub(super) fn add(&mut self, job: Job) {
        if job.answer.is_closed() {
            return;
        }
        let indexes = job.leaves.iter().map(|leaf| self.index_of(*leaf)).collect();
        self.jobs.push((job, indexes));
    }

    fn index_of(&mut self, leaf: Hash) -> usize {
        *self.indexes.entry(leaf).or_insert_with(|| {
            self.leaves.push(leaf);
            self.leaves.len() - 1
        })
    }
}
