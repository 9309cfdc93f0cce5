//! How many requests may be under way, and how many may wait for their turn.
//!
//! Tower's concurrency limit would count requests whose bodies are still arriving, so that slow senders could take
//! every turn. This gate stands behind the body: it counts what the enclave has to do and nothing else.

use super::busy;
use crate::metrics::Metrics;
use ok2cry_protocol::rpc::Refusal;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

pub(super) struct Gate {
    /// One permit for everybody inside: who runs and who waits.
    inside: Semaphore,
    running: Semaphore,
}

/// The right to have one request under way, until dropped.
pub(super) struct Turn<'a> {
    _inside: SemaphorePermit<'a>,
    _running: SemaphorePermit<'a>,
    _counted: Counted<'a>,
}

impl Gate {
    pub(super) fn new(max_in_flight: usize, max_queue: usize) -> Self {
        Self { inside: Semaphore::new(max_in_flight + max_queue), running: Semaphore::new(max_in_flight) }
    }

    /// Waits for a turn, first come first served. Who finds the queue full, or has no turn by the deadline, is
    /// refused with `busy`: nothing was sent.
    pub(super) async fn enter<'a>(
        &'a self,
        deadline: Instant,
        metrics: &'a Metrics,
    ) -> Result<Turn<'a>, Refusal> {
        let inside = self.inside.try_acquire().map_err(|_| busy())?;
        let waiting = Counted::new(&metrics.waiting);
        let running = timeout_at(deadline, self.running.acquire()).await;
        drop(waiting);
        let Ok(Ok(running)) = running else { return Err(busy()) };
        Ok(Turn { _inside: inside, _running: running, _counted: Counted::new(&metrics.in_flight) })
    }
}

struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ok2cry_protocol::code::Code;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn so_many_run_so_many_wait_and_the_next_is_refused() {
        let (gate, metrics) = (Gate::new(1, 1), Metrics::new());
        let soon = Instant::now() + Duration::from_secs(1);
        let first = gate.enter(soon, &metrics).await.ok().unwrap();
        let mut second = Box::pin(gate.enter(soon, &metrics));
        assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err());
        assert_eq!((metrics.in_flight.get(), metrics.waiting.get()), (1, 1));
        assert_eq!(gate.enter(soon, &metrics).await.err().unwrap().code, Code::Busy);
        drop(first);
        let second = second.await.ok().unwrap();
        assert_eq!((metrics.in_flight.get(), metrics.waiting.get()), (1, 0));
        // Paused time moves on when nothing else can: this one waits until its deadline.
        assert_eq!(gate.enter(soon, &metrics).await.err().unwrap().code, Code::Busy);
        drop(second);
        assert_eq!((metrics.in_flight.get(), metrics.waiting.get()), (0, 0));
    }
}
