//! Turns on the processor for elliptic-curve work.
//!
//! More of it at once than there are cores would only delay the clock. Turns are short (one key, one open) and
//! granted in order, so a request for a hundred keys waits a hundred times and lets others pass in between; a turn
//! that does not come in time is refused instead of waited for without end.

use crate::erase::on_erased_stack;
use ok2cry_protocol::{code::Code, rpc::Refusal};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// How long to wait for a turn.
const PATIENCE: Duration = Duration::from_secs(3);

/// The processor's turns. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Cpu(Arc<Semaphore>);

impl Cpu {
    /// As many turns at once as there are cores.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))))
    }

    /// Does `work` when its turn comes, on a thread that may be kept busy, and wipes the stack that it used.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = match timeout(PATIENCE, Arc::clone(&self.0).acquire_owned()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) => return Err(Code::Internal.into()),
            Err(_) => return Err(Refusal::new(Code::Busy).retry_after(1000)),
        };
        let done = spawn_blocking(move || {
            let result = on_erased_stack(work);
            drop(turn);
            result
        });
        done.await.map_err(|_| Code::Internal.into())
    }
}
