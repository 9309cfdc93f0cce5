//! How much may be under way, and how many requests may wait for their turn.
//!
//! Tower's concurrency limit would count requests whose bodies are still arriving, so that slow senders could take
//! every turn. This gate stands behind the body: it counts what the enclave has to do and nothing else.
//!
//! A request weighs as much as the keys that it asks for. Requests for many keys have a queue of their own and take
//! at most half of what may be under way and half of the places to wait, so a request for one key never waits behind
//! a queue of them.

use super::pool::busy;
use crate::metrics::Metrics;
use ok2cry_protocol::rpc::Refusal;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

pub(super) struct Gate {
    all: Limits,
    /// What requests for more than one key take from, besides.
    heavy: Limits,
}

struct Limits {
    /// One permit for every request inside: that runs or waits.
    inside: Semaphore,
    /// One permit for every key under way, or for a request that makes none.
    running: Semaphore,
    most_running: u32,
}

/// The right to have one request under way, until dropped.
pub(super) struct Turn<'a> {
    _permits: Permits<'a>,
    _heavy: Option<Permits<'a>>,
    _counted: Counted<'a>,
}

struct Permits<'a> {
    _inside: SemaphorePermit<'a>,
    _running: SemaphorePermit<'a>,
}

impl Gate {
    pub(super) fn new(max_in_flight: usize, max_queue: usize) -> Self {
        let inside = max_in_flight + max_queue;
        Self {
            all: Limits::new(inside, max_in_flight),
            heavy: Limits::new(inside.div_ceil(2), max_in_flight.div_ceil(2)),
        }
    }

    /// Waits for a turn for a request of this weight, first come first served among requests of its kind. If there
    /// is no place to wait, or no turn by the deadline, it is refused with `busy`: nothing was sent.
    ///
    /// A request that weighs more than may be under way is let in alone.
    pub(super) async fn enter<'a>(
        &'a self,
        weight: u32,
        deadline: Instant,
        metrics: &'a Metrics,
    ) -> Result<Turn<'a>, Refusal> {
        let heavy = (weight > 1).then_some(&self.heavy);
        let weight = heavy.map_or(weight, |heavy| weight.min(heavy.most_running));
        let heavy_place = heavy.map(Limits::place).transpose()?;
        let place = self.all.place()?;
        let waiting = Counted::new(&metrics.waiting);
        // Its own kind's queue first: so those in the common queue weigh no more than their kind's half.
        let turns = async {
            let heavy = match heavy {
                Some(heavy) => Some(heavy.running.acquire_many(weight).await?),
                None => None,
            };
            Ok::<_, tokio::sync::AcquireError>((heavy, self.all.running.acquire_many(weight).await?))
        };
        let turns = timeout_at(deadline, turns).await;
        drop(waiting);
        let Ok(Ok((heavy_running, running))) = turns else { return Err(busy()) };
        let permits = |(inside, running)| Permits { _inside: inside, _running: running };
        Ok(Turn {
            _permits: permits((place, running)),
            _heavy: heavy_place.zip(heavy_running).map(permits),
            _counted: Counted::new(&metrics.in_flight),
        })
    }
}

impl Limits {
    fn new(inside: usize, running: usize) -> Self {
        let most_running = u32::try_from(running).unwrap_or(u32::MAX);
        Self { inside: Semaphore::new(inside), running: Semaphore::new(running), most_running }
    }

    fn place(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.inside.try_acquire().map_err(|_| busy())
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
    use std::{future::Future, pin::Pin, time::Duration};

    type Entering<'a> = Pin<Box<dyn Future<Output = Result<Turn<'a>, Refusal>> + 'a>>;

    /// Enters if there is a turn at once, or comes back as one that waits.
    async fn enter<'a>(
        gate: &'a Gate,
        weight: u32,
        metrics: &'a Metrics,
    ) -> Result<Result<Turn<'a>, Code>, Entering<'a>> {
        let soon = Instant::now() + Duration::from_secs(1);
        let mut entering: Entering<'a> = Box::pin(gate.enter(weight, soon, metrics));
        match tokio::time::timeout(Duration::ZERO, &mut entering).await {
            Ok(entered) => Ok(entered.map_err(|refusal| refusal.code)),
            Err(_) => Err(entering),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_run_so_many_wait_and_the_next_is_refused() {
        let (gate, metrics) = (Gate::new(1, 1), Metrics::new());
        let soon = Instant::now() + Duration::from_secs(1);
        let first = enter(&gate, 1, &metrics).await.ok().unwrap().unwrap();
        let second = enter(&gate, 1, &metrics).await.err().unwrap();
        assert_eq!((metrics.in_flight.get(), metrics.waiting.get()), (1, 1));
        assert_eq!(gate.enter(1, soon, &metrics).await.err().unwrap().code, Code::Busy);
        drop(first);
        let second = second.await.ok().unwrap();
        assert_eq!((metrics.in_flight.get(), metrics.waiting.get()), (1, 0));
        // Paused time moves on when nothing else can: this one waits until its deadline.
        assert_eq!(gate.enter(1, soon, &metrics).await.err().unwrap().code, Code::Busy);
        drop(second);
        assert_eq!((metrics.in_flight.get(), metrics.waiting.get()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_does_not_wait_behind_requests_for_many() {
        let (gate, metrics) = (Gate::new(400, 200), Metrics::new());
        let (mut turns, mut waiting, mut refused) = (Vec::new(), Vec::new(), 0);
        for _ in 0..1000 {
            match enter(&gate, 100, &metrics).await {
                Ok(Ok(turn)) => turns.push(turn),
                Ok(Err(Code::Busy)) => refused += 1,
                Ok(Err(code)) => panic!("{code}"),
                Err(entering) => waiting.push(entering),
            }
        }
        assert_eq!(
            (turns.len(), waiting.len(), refused),
            (2, 298, 700),
            "half of what runs, half of the places"
        );
        let mut single = Vec::new();
        for _ in 0..200 {
            single.push(enter(&gate, 1, &metrics).await.ok().unwrap().unwrap());
        }
        assert!(enter(&gate, 1, &metrics).await.is_err(), "what is under way is full");
        // And the other way round: requests for many come in although single ones never stop.
        turns.clear();
        assert!(tokio::time::timeout(Duration::ZERO, waiting.remove(0)).await.unwrap().is_ok());
        drop(single);
    }

    #[tokio::test(start_paused = true)]
    async fn every_weight_gets_in_however_small_the_gate() {
        for (max_in_flight, max_queue) in [(1, 0), (2, 0), (3, 1), (256, 0)] {
            let (gate, metrics) = (Gate::new(max_in_flight, max_queue), Metrics::new());
            for weight in [1, 2, 100, u32::MAX] {
                assert!(
                    enter(&gate, weight, &metrics).await.ok().unwrap().is_ok(),
                    "{max_in_flight} {weight}"
                );
            }
        }
    }
}
