//! Turns on the processor for elliptic-curve work.
//!
//! More of it at once than there are cores would only delay the clock. Turns are short (one key, one open) and
//! granted in order, so a request for a hundred keys waits a hundred times and lets others pass in between; a turn
//! that does not come in time is refused instead of waited for without end.

use crate::erase::on_erased_stack;
use ok2cry_protocol::{code::Code, rpc::Refusal};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

/// How long to wait for a turn, and for all turns of one request together.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

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
        self.run_until(Instant::now() + PATIENCE, work).await
    }

    /// The same, if the turn comes before `latest`.
    pub(crate) async fn run_until<T: Send + 'static>(
        &self,
        latest: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        // A turn that is free would be had however late it is.
        if Instant::now() >= latest {
            return Err(busy());
        }
        let turn = match timeout_at(latest, Arc::clone(&self.0).acquire_owned()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) => return Err(Code::Internal.into()),
            Err(_) => return Err(busy()),
        };
        let done = spawn_blocking(move || {
            let result = on_erased_stack(work);
            drop(turn);
            result
        });
        done.await.map_err(|_| Code::Internal.into())
    }
}

fn busy() -> Refusal {
    Refusal::new(Code::Busy).retry_after(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_does_not_come_in_time_is_refused_and_one_request_waits_once() {
        let cpu = Cpu(Arc::new(Semaphore::new(0)));
        let begun = Instant::now();
        let latest = begun + PATIENCE;
        for _ in 0..3 {
            let refused = cpu.run_until(latest, || ()).await.unwrap_err();
            assert_eq!((refused.code, refused.retry_after), (Code::Busy, 1000));
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "each turn was waited for anew");
        cpu.0.add_permits(1);
        assert_eq!(cpu.run_until(latest, || ()).await.unwrap_err().code, Code::Busy, "a free turn, too late");
        assert_eq!(cpu.run(|| 7).await, Ok(7));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_turn_lasts_until_its_work_is_done() {
        let (cpu, at_work) = (Cpu(Arc::new(Semaphore::new(1))), Arc::new(AtomicUsize::new(0)));
        let run = || {
            let (cpu, at_work) = (cpu.clone(), Arc::clone(&at_work));
            let work = move || {
                at_work.fetch_add(1, Ordering::SeqCst);
                let most = (0..1000).map(|_| {
                    thread::yield_now();
                    at_work.load(Ordering::SeqCst)
                });
                let most = most.max();
                at_work.fetch_sub(1, Ordering::SeqCst);
                most
            };
            tokio::spawn(async move { cpu.run(work).await })
        };
        let (one, other) = tokio::join!(run(), run());
        assert_eq!((one.unwrap(), other.unwrap()), (Ok(Some(1)), Ok(Some(1))));
    }
}
