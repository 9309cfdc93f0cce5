//! A thread pool for elliptic-curve work, with one thread per core.
//!
//! The runtime's threads stay free for I/O. Work comes in short steps: one key, or one open. Each stream has
//! its own queue, and queues are served round-robin: a stream with a thousand requests delays the one request
//! of another stream by one step. Work that does not start before its deadline is refused.
//!
//! While work is queued, completions are delivered in batches. Waking a thread on a busy core preempts the
//! thread that works there, and one wakeup per open costs a fifth of an open.

use crate::platform::memory::wipe::on_wiped_stack;
use std::{
    collections::VecDeque,
    io,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// How long one request may wait for the pool, all its steps together. Making a reply context has a timeout
/// of its own.
pub(crate) const QUEUE_TIMEOUT: Duration = Duration::from_secs(3);

/// The most completions in one batch.
const MAX_COMPLETIONS: usize = 16;
/// How long the first completion of a batch waits. The step that runs meanwhile comes on top.
const MAX_COMPLETION_DELAY: Duration = Duration::from_millis(1);

/// Names a queue: one per stream. The default queue holds work that belongs to no stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueId(pub(crate) u64);

/// Why the pool has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PoolError {
    /// The work did not start before its deadline, and never will.
    #[error("the work did not start in time")]
    TimedOut,
    /// The work panicked.
    #[error("the work panicked")]
    Panicked,
}

/// The pool. Clones share it; its threads end when the last clone is dropped.
#[derive(Clone)]
pub struct ComputePool(Arc<SchedulerGuard>);

/// Closes the scheduler when it is dropped.
struct SchedulerGuard(Arc<Scheduler>);

#[derive(Default)]
struct Scheduler {
    queues: Mutex<Queues>,
    /// Signals new work and the end.
    changed: Condvar,
}

#[derive(Default)]
struct Queues {
    /// No queue is empty. The first is served next.
    queues: VecDeque<(QueueId, VecDeque<Work>)>,
    idle_threads: usize,
    closed: bool,
}

/// Work that is called step by step until it breaks.
type Work = Box<dyn FnMut() -> ControlFlow<Option<Completion>> + Send>;

/// Delivers a result.
type Completion = Box<dyn FnOnce() + Send>;

/// Completions that one thread has not delivered yet.
#[derive(Default)]
struct CompletionBatch {
    completions: Vec<Completion>,
    /// When the first was added.
    since: Option<std::time::Instant>,
}

impl ComputePool {
    /// Starts one thread per core.
    ///
    /// # Errors
    ///
    /// If a thread does not start.
    pub fn start() -> io::Result<Self> {
        Self::with_threads(thread::available_parallelism().map_or(1, usize::from))
    }

    pub(crate) fn with_threads(threads: usize) -> io::Result<Self> {
        let scheduler = Arc::<Scheduler>::default();
        let pool = Self(Arc::new(SchedulerGuard(Arc::clone(&scheduler))));
        for _ in 0..threads {
            let scheduler = Arc::clone(&scheduler);
            thread::Builder::new().name("cpu".into()).spawn(move || scheduler.run_thread())?;
        }
        Ok(pool)
    }

    /// Runs `work` on the pool, if it starts before `deadline`, and wipes the stack that it used. Dropping
    /// the future before the work starts cancels it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        queue: QueueId,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        // Check the deadline first: an idle pool would run late work.
        if Instant::now() >= deadline {
            return Err(PoolError::TimedOut);
        }
        let (sender, mut result) = oneshot::channel();
        // Set by the side that decides first: the work starts, or the wait times out.
        let decided = Arc::new(AtomicBool::new(false));
        let starts = Arc::clone(&decided);
        let mut once = Some((sender, work));
        let mut step = move || {
            let (sender, work) = once.take()?;
            if sender.is_closed() || starts.swap(true, Ordering::AcqRel) {
                return None;
            }
            let result = work();
            // The receiver may be gone.
            Some(Box::new(move || drop(sender.send(result))) as Completion)
        };
        self.0.0.enqueue(queue, Box::new(move || ControlFlow::Break(step())));
        let result = match timeout_at(deadline, &mut result).await {
            Ok(result) => result,
            Err(_) if !decided.swap(true, Ordering::AcqRel) => return Err(PoolError::TimedOut),
            // The work has started, so it must not be reported as refused.
            Err(_) => result.await,
        };
        result.map_err(|_| PoolError::Panicked)
    }

    /// Runs `work` step by step until it breaks, and wipes the stack after each step.
    pub(crate) fn enqueue(&self, queue: QueueId, mut work: impl FnMut() -> ControlFlow<()> + Send + 'static) {
        self.0.0.enqueue(queue, Box::new(move || work().map_break(|()| None)));
    }

    /// Whether work is queued beyond what runs now.
    pub(crate) fn is_behind(&self) -> bool {
        !self.0.0.lock().queues.is_empty()
    }
}

impl Scheduler {
    fn enqueue(&self, queue: QueueId, work: Work) {
        let mut queues = self.lock();
        queues.push(queue, work);
        let any_idle = queues.idle_threads > 0;
        drop(queues);
        // Notifying is a system call even if no thread sleeps.
        if any_idle {
            self.changed.notify_one();
        }
    }

    /// Runs steps until the pool is closed.
    fn run_thread(&self) {
        let mut completions = CompletionBatch::default();
        let mut next = self.next(None, &mut completions);
        while let Some((queue, mut work)) = next {
            let step = on_wiped_stack(|| catch_unwind(AssertUnwindSafe(&mut work)));
            let again = matches!(step, Ok(ControlFlow::Continue(()))).then_some((queue, work));
            // After a panic the result's sender is dropped, which the receiver notices.
            if let Ok(ControlFlow::Break(completion)) = step {
                completions.add(completion);
            }
            next = self.next(again, &mut completions);
        }
    }

    /// The next step, once `again` is back in its queue. Waits for work; `None` when the pool is closed.
    fn next(
        &self,
        again: Option<(QueueId, Work)>,
        completions: &mut CompletionBatch,
    ) -> Option<(QueueId, Work)> {
        let mut queues = self.lock();
        if let Some((queue, work)) = again {
            queues.push(queue, work);
        }
        if queues.queues.is_empty() || completions.are_due() {
            drop(queues);
            completions.deliver();
            queues = self.lock();
        }
        queues.idle_threads += 1;
        let mut queues = self
            .changed
            .wait_while(queues, |queues| queues.queues.is_empty() && !queues.closed)
            .unwrap_or_else(PoisonError::into_inner);
        queues.idle_threads -= 1;
        queues.pop()
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn push(&mut self, queue: QueueId, work: Work) {
        match self.queues.iter_mut().find(|(other, _)| *other == queue) {
            Some((_, works)) => works.push_back(work),
            None => self.queues.push_back((queue, VecDeque::from([work]))),
        }
    }

    /// Takes one piece of work from the first queue, which becomes the last.
    fn pop(&mut self) -> Option<(QueueId, Work)> {
        let (queue, mut works) = self.queues.pop_front()?;
        let work = works.pop_front()?;
        if !works.is_empty() {
            self.queues.push_back((queue, works));
        }
        Some((queue, work))
    }
}

impl CompletionBatch {
    fn add(&mut self, completion: Option<Completion>) {
        if let Some(completion) = completion {
            self.since.get_or_insert_with(std::time::Instant::now);
            self.completions.push(completion);
        }
    }

    fn are_due(&self) -> bool {
        self.completions.len() >= MAX_COMPLETIONS
            || self.since.is_some_and(|since| since.elapsed() >= MAX_COMPLETION_DELAY)
    }

    /// Delivers all results and wipes the stack: results pass over it.
    fn deliver(&mut self) {
        if self.since.take().is_some() {
            let deliver = || self.completions.drain(..).for_each(|completion| completion());
            // Dropping a result without a receiver can panic. The results after it are then lost, which their
            // receivers notice.
            drop(on_wiped_stack(|| catch_unwind(AssertUnwindSafe(deliver))));
        }
    }
}

impl Drop for SchedulerGuard {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        atomic::AtomicUsize,
        mpsc::{Receiver, Sender, channel},
    };

    const QUEUE: QueueId = QueueId(1);

    fn soon() -> Instant {
        Instant::now() + QUEUE_TIMEOUT
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_start_in_time_is_refused_and_never_runs() {
        let pool = ComputePool::with_threads(0).unwrap();
        let begun = Instant::now();
        let deadline = begun + QUEUE_TIMEOUT;
        for _ in 0..3 {
            let refused = pool.run(QUEUE, deadline, || panic!("refused work ran")).await.unwrap_err();
            assert_eq!(refused, PoolError::TimedOut);
        }
        assert!(begun.elapsed() < 2 * QUEUE_TIMEOUT, "each step waited for the full timeout");
        // Refused work does not run later.
        while let Some((_, works)) = pool.0.0.lock().queues.pop_front() {
            works.into_iter().for_each(|mut work| assert!(matches!(work(), ControlFlow::Break(None))));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_has_started_is_waited_for() {
        let pool = ComputePool::with_threads(1).unwrap();
        let ((begin, begun), (release, released)) = (channel(), channel::<()>());
        let (mut run, a_while) = (
            Box::pin(pool.run(QUEUE, soon(), move || {
                begin.send(()).unwrap();
                released.recv().unwrap();
                7
            })),
            Duration::from_millis(1),
        );
        assert!(tokio::time::timeout(a_while, &mut run).await.is_err());
        begun.recv().unwrap();
        assert!(
            tokio::time::timeout(2 * QUEUE_TIMEOUT, &mut run).await.is_err(),
            "refused, although it runs"
        );
        release.send(()).unwrap();
        assert_eq!(run.await, Ok(7));
    }

    #[tokio::test]
    async fn queues_are_served_round_robin() {
        let pool = ComputePool::with_threads(1).unwrap();
        let (begun, release) = hold(&pool, QueueId(0));
        begun.recv().unwrap();
        let (send, received) = channel();
        let mut all = Vec::new();
        for (queue, name) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (2, "b2"), (3, "c1")] {
            let send = send.clone();
            let mut run = Box::pin(pool.run(QueueId(queue), soon(), move || send.send(name).unwrap()));
            assert!(tokio::time::timeout(Duration::ZERO, &mut run).await.is_err());
            all.push(run);
        }
        // Work whose future is dropped does not run.
        drop(all.remove(4));
        release.send(()).unwrap();
        for run in all {
            run.await.unwrap();
        }
        drop(send);
        assert_eq!(received.iter().collect::<Vec<_>>(), ["a1", "b1", "c1", "a2", "a3"]);
    }

    #[test]
    fn work_of_many_steps_lets_other_queues_pass() {
        let pool = ComputePool::with_threads(1).unwrap();
        let (begun, release) = hold(&pool, QueueId(0));
        begun.recv().unwrap();
        assert!(!pool.is_behind());
        let (send, received) = channel();
        for (queue, steps) in [(1, 3), (2, 2), (1, 1)] {
            let (send, mut left) = (send.clone(), steps);
            pool.enqueue(QueueId(queue), move || {
                left -= 1;
                send.send((queue, steps, left)).unwrap();
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        }
        assert!(pool.is_behind());
        drop(send);
        release.send(()).unwrap();
        let order: Vec<_> = received.iter().collect();
        assert_eq!(order, [(1, 3, 2), (2, 2, 1), (1, 1, 0), (2, 2, 0), (1, 3, 1), (1, 3, 0)]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_thread_runs_one_step_at_a_time() {
        let (pool, at_work) = (ComputePool::with_threads(1).unwrap(), Arc::new(AtomicUsize::new(0)));
        let run = || {
            let (pool, at_work) = (pool.clone(), Arc::clone(&at_work));
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
            tokio::spawn(async move { pool.run(QUEUE, soon(), work).await })
        };
        let (one, other) = tokio::join!(run(), run());
        assert_eq!((one.unwrap(), other.unwrap()), (Ok(Some(1)), Ok(Some(1))));
    }

    #[test]
    fn completions_are_batched_and_never_late() {
        let mut completions = CompletionBatch::default();
        let (send, received) = channel();
        let completion = || {
            let send = send.clone();
            Some(Box::new(move || send.send(()).unwrap()) as Completion)
        };
        completions.add(None);
        assert!(!completions.are_due());
        completions.add(completion());
        thread::sleep(MAX_COMPLETION_DELAY);
        assert!(completions.are_due(), "a single completion is never due");
        completions.deliver();
        assert!(!completions.are_due());
        completions.since = Some(std::time::Instant::now() + QUEUE_TIMEOUT);
        (0..MAX_COMPLETIONS).for_each(|_| {
            assert!(!completions.are_due());
            completions.add(completion());
        });
        assert!(completions.are_due(), "a full batch is not due");
        completions.deliver();
        assert_eq!(received.try_iter().count(), 1 + MAX_COMPLETIONS);
        // While work is queued, completions are delivered when due, and not before.
        let scheduler = Arc::<Scheduler>::default();
        let work = || (QUEUE, Box::new(|| ControlFlow::Break(None)) as Work);
        completions.add(completion());
        completions.since = Some(std::time::Instant::now() + QUEUE_TIMEOUT);
        assert!(scheduler.next(Some(work()), &mut completions).is_some());
        assert_eq!(received.try_iter().count(), 0, "delivered alone");
        (1..MAX_COMPLETIONS).for_each(|_| completions.add(completion()));
        assert!(scheduler.next(Some(work()), &mut completions).is_some());
        assert_eq!(received.try_iter().count(), MAX_COMPLETIONS, "not delivered while work is queued");
        // An idle thread delivers before it waits.
        scheduler.lock().closed = true;
        completions.add(completion());
        assert!(scheduler.next(None, &mut completions).is_none());
        assert_eq!(received.try_iter().count(), 1);
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_request_and_nothing_else() {
        let pool = ComputePool::with_threads(1).unwrap();
        assert_eq!(pool.run(QUEUE, soon(), || panic!("in work")).await.unwrap_err(), PoolError::Panicked);
        assert_eq!(pool.run(QUEUE, soon(), || 7).await, Ok(7));
    }

    /// Occupies the only thread: signals when it has started, and waits to be released.
    fn hold(pool: &ComputePool, queue: QueueId) -> (Receiver<()>, Sender<()>) {
        let ((begin, begun), (release, released)) = (channel(), channel());
        pool.enqueue(queue, move || {
            begin.send(()).unwrap();
            released.recv().unwrap();
            ControlFlow::Break(())
        });
        (begun, release)
    }
}
