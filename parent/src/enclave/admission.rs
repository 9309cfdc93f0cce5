//! Limits on the requests that are in flight to the enclave, and on the requests in the queue.
//!
//! The limits apply after a request's body has arrived. Tower's concurrency limit would also count requests
//! whose bodies are still arriving, so slow senders could use up every permit.
//!
//! A request for n keys counts n, any other request counts 1: its weight. Requests for several keys have a
//! queue of their own. They get at most half of the weight in flight and half of the places in the queue. A
//! request for one key therefore never waits behind a queue of them.

use crate::metrics::{GaugeGuard, Metrics};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

/// The maximum number of concurrent health probes. They do not wait behind other requests.
pub(super) const MAX_PROBES: usize = 8;

/// Admits requests to the enclave within fixed limits.
pub(super) struct AdmissionLimit {
    all: Quota,
    /// The additional quota for requests for more than one key.
    several_keys: Quota,
    probes: Semaphore,
}

/// Why a request was not admitted. Nothing was sent to the enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AdmissionError {
    /// No place in the queue is free.
    #[error("the queue is full")]
    QueueFull,
    /// The request was in the queue until its deadline.
    #[error("the request was in the queue until its deadline")]
    DeadlinePassed,
}

struct Quota {
    /// One permit for each admitted request, in the queue or in flight.
    admitted: Semaphore,
    /// The weight that may be in flight.
    in_flight: Semaphore,
    max_in_flight: u32,
}

/// Admits one request until dropped.
pub(super) struct Permit<'a> {
    _all: QuotaPermit<'a>,
    _several_keys: Option<QuotaPermit<'a>>,
    _in_flight: GaugeGuard,
}

struct QuotaPermit<'a> {
    _admitted: SemaphorePermit<'a>,
    _in_flight: SemaphorePermit<'a>,
}

impl AdmissionLimit {
    pub(super) fn new(max_in_flight: usize, max_queue: usize) -> Self {
        let max_admitted = max_in_flight + max_queue;
        Self {
            all: Quota::new(max_admitted, max_in_flight),
            several_keys: Quota::new(max_admitted.div_ceil(2), max_in_flight.div_ceil(2)),
            probes: Semaphore::new(MAX_PROBES),
        }
    }

    /// Waits until a request of this weight may be sent. Requests of the same kind are admitted in order of
    /// arrival.
    ///
    /// A weight above the limit is reduced to it, so such a request is admitted alone.
    ///
    /// # Errors
    /// [`AdmissionError`]: no place in the queue is free, or the deadline passed.
    pub(super) async fn admit<'a>(
        &'a self,
        weight: u32,
        deadline: Instant,
        metrics: &Metrics,
    ) -> Result<Permit<'a>, AdmissionError> {
        let several_keys = (weight > 1).then_some(&self.several_keys);
        let weight = several_keys.map_or(weight, |quota| weight.min(quota.max_in_flight));
        let several_keys_admitted = several_keys.map(Quota::try_admit).transpose()?;
        let admitted = self.all.try_admit()?;
        let waiting = GaugeGuard::new(&metrics.waiting);
        // Wait in the queue for several keys first. The common queue then holds at most their half of the
        // weight.
        let acquire = async {
            let several_keys = match several_keys {
                Some(quota) => Some(quota.in_flight.acquire_many(weight).await?),
                None => None,
            };
            Ok::<_, tokio::sync::AcquireError>((several_keys, self.all.in_flight.acquire_many(weight).await?))
        };
        let acquired = timeout_at(deadline, acquire).await;
        drop(waiting);
        let Ok(Ok((several_keys_in_flight, in_flight))) = acquired else {
            return Err(AdmissionError::DeadlinePassed);
        };
        let permit = |(admitted, in_flight)| QuotaPermit { _admitted: admitted, _in_flight: in_flight };
        Ok(Permit {
            _all: permit((admitted, in_flight)),
            _several_keys: several_keys_admitted.zip(several_keys_in_flight).map(permit),
            _in_flight: GaugeGuard::new(&metrics.in_flight),
        })
    }

    /// Admits a health probe, without waiting.
    ///
    /// # Errors
    /// [`AdmissionError::QueueFull`] while [`MAX_PROBES`] probes are in flight.
    pub(super) fn admit_probe(&self) -> Result<SemaphorePermit<'_>, AdmissionError> {
        self.probes.try_acquire().map_err(|_| AdmissionError::QueueFull)
    }
}

impl Quota {
    fn new(max_admitted: usize, max_in_flight: usize) -> Self {
        Self {
            admitted: Semaphore::new(max_admitted),
            in_flight: Semaphore::new(max_in_flight),
            max_in_flight: u32::try_from(max_in_flight).unwrap_or(u32::MAX),
        }
    }

    fn try_admit(&self) -> Result<SemaphorePermit<'_>, AdmissionError> {
        self.admitted.try_acquire().map_err(|_| AdmissionError::QueueFull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::Future, pin::Pin, time::Duration};

    type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Permit<'a>, AdmissionError>> + 'a>>;

    /// Returns the result if it is immediate, otherwise the future that waits.
    async fn admit<'a>(
        limit: &'a AdmissionLimit,
        weight: u32,
        metrics: &'a Metrics,
    ) -> Result<Result<Permit<'a>, AdmissionError>, Waiting<'a>> {
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut waiting: Waiting<'a> = Box::pin(limit.admit(weight, deadline, metrics));
        match tokio::time::timeout(Duration::ZERO, &mut waiting).await {
            Ok(result) => Ok(result),
            Err(_) => Err(waiting),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_beyond_the_waiting_places_are_rejected() {
        let (limit, metrics) = (AdmissionLimit::new(1, 1), Metrics::new());
        let deadline = Instant::now() + Duration::from_secs(1);
        let first = admit(&limit, 1, &metrics).await.ok().unwrap().unwrap();
        let second = admit(&limit, 1, &metrics).await.err().unwrap();
        assert_eq!((metrics.in_flight.get(), metrics.waiting.get()), (1, 1));
        let third = limit.admit(1, deadline, &metrics).await;
        assert_eq!(third.err(), Some(AdmissionError::QueueFull));
        drop(first);
        let second = second.await.ok().unwrap();
        assert_eq!((metrics.in_flight.get(), metrics.waiting.get()), (1, 0));
        // Paused time advances when all tasks are idle, so this request waits until its deadline.
        let late = limit.admit(1, deadline, &metrics).await;
        assert_eq!(late.err(), Some(AdmissionError::DeadlinePassed));
        drop(second);
        assert_eq!((metrics.in_flight.get(), metrics.waiting.get()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_does_not_wait_behind_calls_for_many() {
        let (limit, metrics) = (AdmissionLimit::new(400, 200), Metrics::new());
        let (mut permits, mut waiting, mut rejected) = (Vec::new(), Vec::new(), 0);
        for _ in 0..1000 {
            match admit(&limit, 100, &metrics).await {
                Ok(Ok(permit)) => permits.push(permit),
                Ok(Err(AdmissionError::QueueFull)) => rejected += 1,
                Ok(Err(error)) => panic!("{error}"),
                Err(future) => waiting.push(future),
            }
        }
        let counts = (permits.len(), waiting.len(), rejected);
        assert_eq!(counts, (2, 298, 700), "half of the weight in flight, half of the places");
        let mut single = Vec::new();
        for _ in 0..200 {
            single.push(admit(&limit, 1, &metrics).await.ok().unwrap().unwrap());
        }
        assert!(admit(&limit, 1, &metrics).await.is_err(), "no weight is left");
        // Requests for many keys are admitted even while requests for one key hold their half.
        permits.clear();
        assert!(tokio::time::timeout(Duration::ZERO, waiting.remove(0)).await.unwrap().is_ok());
        drop(single);
    }

    #[tokio::test(start_paused = true)]
    async fn every_weight_is_admitted_at_any_limit() {
        for (max_in_flight, max_queue) in [(1, 0), (2, 0), (3, 1), (256, 0)] {
            let (limit, metrics) = (AdmissionLimit::new(max_in_flight, max_queue), Metrics::new());
            for weight in [1, 2, 100, u32::MAX] {
                let admitted = admit(&limit, weight, &metrics).await.ok().unwrap();
                assert!(admitted.is_ok(), "{max_in_flight} {weight}");
            }
        }
    }
}
