//! Turns on the processor for elliptic-curve work.
//!
//! A thread for each core does the work, and the runtime's threads are left to those who only talk. Turns are short (one
//! key, one open). Who waits, waits in the line of the stream that asked, and lines take turns: a stream with a thousand
//! requests under way delays the one request of another by one turn. A turn that does not come in time is refused
//! instead of waited for without end.
//!
//! While more waits, those whose turns are done are told some at a time: a thread that is woken on a busy core takes it from
//! the one that works there, and to be woken for every open alone costs a fifth of what an open costs.

use crate::platform::memory::wipe::on_erased_stack;
use ok2cry_protocol::{code::Code, rpc::Refusal};
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

/// How long to wait for a turn, and for all turns of one request together. A context that an open needs first has a
/// patience of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// How many are told together at most, and for how long the first of them waits for that, but for the turn that is being taken
/// then.
const TOLD_TOGETHER: usize = 16;
const TOLD_WITHIN: Duration = Duration::from_millis(1);

/// Who waits together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line(pub(crate) u64);

/// The processor's turns. Clones share them; its threads end when the last is dropped.
#[derive(Clone)]
pub struct Cpu(Arc<Threads>);

struct Threads(Arc<Turns>);

#[derive(Default)]
struct Turns {
    waiting: Mutex<Waiting>,
    /// Work has come, or never will again.
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// None of them empty. The first has the next turn.
    lines: VecDeque<(Line, VecDeque<Work>)>,
    /// How many threads have nothing to do.
    idle: usize,
    closed: bool,
}

/// What is done in turns, until it breaks.
type Work = Box<dyn FnMut() -> ControlFlow<Option<Tell>> + Send>;

/// Tells whoever waits what came of it.
type Tell = Box<dyn FnOnce() + Send>;

/// Those who are still to be told.
#[derive(Default)]
struct Untold {
    tells: Vec<Tell>,
    /// Since when the first waits.
    since: Option<std::time::Instant>,
}

impl Cpu {
    /// As many turns at once as there are cores.
    ///
    /// # Errors
    ///
    /// If a thread does not start.
    pub fn start() -> io::Result<Self> {
        Self::with_threads(thread::available_parallelism().map_or(1, usize::from))
    }

    pub(crate) fn with_threads(threads: usize) -> io::Result<Self> {
        let turns = Arc::<Turns>::default();
        let cpu = Self(Arc::new(Threads(Arc::clone(&turns))));
        for _ in 0..threads {
            let turns = Arc::clone(&turns);
            thread::Builder::new().name("cpu".into()).spawn(move || turns.take())?;
        }
        Ok(cpu)
    }

    /// Does `work` when its turn comes, if that is before `latest`, and wipes the stack that it used. Who stops waiting before
    /// the turn has come gives it up.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        line: Line,
        latest: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        // A turn that is free would be had however late it is.
        if Instant::now() >= latest {
            return Err(busy());
        }
        let (done, mut result) = oneshot::channel();
        let decided = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&decided);
        let mut once = Some((done, work));
        let mut turn = move || {
            let (done, work) = once.take()?;
            if done.is_closed() || begins.swap(true, Ordering::AcqRel) {
                return None;
            }
            let result = work();
            // Whoever asked may have gone.
            Some(Box::new(move || drop(done.send(result))) as Tell)
        };
        self.0.0.add(line, Box::new(move || ControlFlow::Break(turn())));
        let result = match timeout_at(latest, &mut result).await {
            Ok(result) => result,
            Err(_) if !decided.swap(true, Ordering::AcqRel) => return Err(busy()),
            // It has begun, and is not told to have been refused.
            Err(_) => result.await,
        };
        result.map_err(|_| Code::Internal.into())
    }

    /// Does `work` turn by turn, until it breaks, and wipes the stack after each.
    pub(crate) fn add(&self, line: Line, mut work: impl FnMut() -> ControlFlow<()> + Send + 'static) {
        self.0.0.add(line, Box::new(move || work().map_break(|()| None)));
    }

    /// Whether more waits than is being done.
    pub(crate) fn is_behind(&self) -> bool {
        !self.0.0.lock().lines.is_empty()
    }
}

impl Turns {
    fn add(&self, line: Line, work: Work) {
        let mut waiting = self.lock();
        waiting.add(line, work);
        let somebody_is_idle = waiting.idle > 0;
        drop(waiting);
        // Waking is a system call, also where nobody sleeps.
        if somebody_is_idle {
            self.changed.notify_one();
        }
    }

    /// One thread's life.
    fn take(&self) {
        let mut untold = Untold::default();
        let mut next = self.next(None, &mut untold);
        while let Some((line, mut work)) = next {
            let turn = on_erased_stack(|| catch_unwind(AssertUnwindSafe(&mut work)));
            let again = matches!(turn, Ok(ControlFlow::Continue(()))).then_some((line, work));
            // What it was done for learns of a panic by getting no result.
            if let Ok(ControlFlow::Break(tell)) = turn {
                untold.add(tell);
            }
            next = self.next(again, &mut untold);
        }
    }

    /// Whose turn it is, after `again` has lined up again.
    fn next(&self, again: Option<(Line, Work)>, untold: &mut Untold) -> Option<(Line, Work)> {
        let mut waiting = self.lock();
        if let Some((line, work)) = again {
            waiting.add(line, work);
        }
        if waiting.lines.is_empty() || untold.are_due() {
            drop(waiting);
            untold.tell();
            waiting = self.lock();
        }
        waiting.idle += 1;
        let mut waiting = self
            .changed
            .wait_while(waiting, |waiting| waiting.lines.is_empty() && !waiting.closed)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.idle -= 1;
        let (line, mut works) = waiting.lines.pop_front()?;
        let work = works.pop_front()?;
        if !works.is_empty() {
            waiting.lines.push_back((line, works));
        }
        Some((line, work))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn add(&mut self, line: Line, work: Work) {
        match self.lines.iter_mut().find(|(other, _)| *other == line) {
            Some((_, works)) => works.push_back(work),
            None => self.lines.push_back((line, VecDeque::from([work]))),
        }
    }
}

impl Untold {
    fn add(&mut self, tell: Option<Tell>) {
        if let Some(tell) = tell {
            self.since.get_or_insert_with(std::time::Instant::now);
            self.tells.push(tell);
        }
    }

    fn are_due(&self) -> bool {
        self.tells.len() >= TOLD_TOGETHER || self.since.is_some_and(|since| since.elapsed() >= TOLD_WITHIN)
    }

    /// Also with the stack wiped: what came of a turn passes over it.
    fn tell(&mut self) {
        if self.since.take().is_some() {
            let tell = || self.tells.drain(..).for_each(|tell| tell());
            // A panic is that of a result that nobody takes any more. Who is not told then learns that there is none.
            drop(on_erased_stack(|| catch_unwind(AssertUnwindSafe(tell))));
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

/// The turn did not come in time.
pub(crate) fn busy() -> Refusal {
    Refusal::new(Code::Busy).retry_after(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        atomic::AtomicUsize,
        mpsc::{Receiver, Sender, channel},
    };

    const LINE: Line = Line(1);

    fn soon() -> Instant {
        Instant::now() + PATIENCE
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_does_not_come_in_time_is_refused_and_one_request_waits_once() {
        let cpu = Cpu::with_threads(0).unwrap();
        let begun = Instant::now();
        let latest = begun + PATIENCE;
        for _ in 0..3 {
            let refused = cpu.run(LINE, latest, || panic!("done all the same")).await.unwrap_err();
            assert_eq!((refused.code, refused.retry_after), (Code::Busy, 1000));
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "each turn was waited for anew");
        // What was refused is not done later.
        while let Some((_, works)) = cpu.0.0.lock().lines.pop_front() {
            works.into_iter().for_each(|mut work| assert!(matches!(work(), ControlFlow::Break(None))));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_has_begun_is_waited_for() {
        let cpu = Cpu::with_threads(1).unwrap();
        let ((begin, begun), (release, released)) = (channel(), channel::<()>());
        let (mut turn, a_while) = (
            Box::pin(cpu.run(LINE, soon(), move || {
                begin.send(()).unwrap();
                released.recv().unwrap();
                7
            })),
            Duration::from_millis(1),
        );
        assert!(tokio::time::timeout(a_while, &mut turn).await.is_err());
        begun.recv().unwrap();
        assert!(
            tokio::time::timeout(2 * PATIENCE, &mut turn).await.is_err(),
            "refused, and done all the same"
        );
        release.send(()).unwrap();
        assert_eq!(turn.await, Ok(7));
    }

    #[tokio::test]
    async fn lines_take_turns() {
        let cpu = Cpu::with_threads(1).unwrap();
        let (begun, release) = hold(&cpu, Line(0));
        begun.recv().unwrap();
        let (say, said) = channel();
        let mut all = Vec::new();
        for (line, name) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (2, "b2"), (3, "c1")] {
            let say = say.clone();
            let mut turn = Box::pin(cpu.run(Line(line), soon(), move || say.send(name).unwrap()));
            assert!(tokio::time::timeout(Duration::ZERO, &mut turn).await.is_err());
            all.push(turn);
        }
        // Whoever gives up has no turn.
        drop(all.remove(4));
        release.send(()).unwrap();
        for turn in all {
            turn.await.unwrap();
        }
        drop(say);
        assert_eq!(said.iter().collect::<Vec<_>>(), ["a1", "b1", "c1", "a2", "a3"]);
    }

    #[test]
    fn work_of_many_turns_lets_others_pass() {
        let cpu = Cpu::with_threads(1).unwrap();
        let (begun, release) = hold(&cpu, Line(0));
        begun.recv().unwrap();
        assert!(!cpu.is_behind());
        let (say, said) = channel();
        for (line, turns) in [(1, 3), (2, 2), (1, 1)] {
            let (say, mut left) = (say.clone(), turns);
            cpu.add(Line(line), move || {
                left -= 1;
                say.send((line, turns, left)).unwrap();
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        }
        assert!(cpu.is_behind());
        drop(say);
        release.send(()).unwrap();
        let order: Vec<_> = said.iter().collect();
        assert_eq!(order, [(1, 3, 2), (2, 2, 1), (1, 1, 0), (2, 2, 0), (1, 3, 1), (1, 3, 0)]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_turn_lasts_until_its_work_is_done() {
        let (cpu, at_work) = (Cpu::with_threads(1).unwrap(), Arc::new(AtomicUsize::new(0)));
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
            tokio::spawn(async move { cpu.run(LINE, soon(), work).await })
        };
        let (one, other) = tokio::join!(run(), run());
        assert_eq!((one.unwrap(), other.unwrap()), (Ok(Some(1)), Ok(Some(1))));
    }

    #[test]
    fn who_is_done_is_told_at_once_or_with_others_and_never_much_later() {
        let mut untold = Untold::default();
        let (say, said) = channel();
        let tell = || {
            let say = say.clone();
            Some(Box::new(move || say.send(()).unwrap()) as Tell)
        };
        untold.add(None);
        assert!(!untold.are_due());
        untold.add(tell());
        thread::sleep(TOLD_WITHIN);
        assert!(untold.are_due(), "one waits for ever");
        untold.tell();
        assert!(!untold.are_due());
        untold.since = Some(std::time::Instant::now() + PATIENCE);
        (0..TOLD_TOGETHER).for_each(|_| {
            assert!(!untold.are_due());
            untold.add(tell());
        });
        assert!(untold.are_due(), "too many wait");
        untold.tell();
        assert_eq!(said.try_iter().count(), 1 + TOLD_TOGETHER);
        // While work waits they are told when they are due, and not before.
        let turns = Arc::<Turns>::default();
        let work = || (LINE, Box::new(|| ControlFlow::Break(None)) as Work);
        untold.add(tell());
        untold.since = Some(std::time::Instant::now() + PATIENCE);
        assert!(turns.next(Some(work()), &mut untold).is_some());
        assert_eq!(said.try_iter().count(), 0, "told alone");
        (1..TOLD_TOGETHER).for_each(|_| untold.add(tell()));
        assert!(turns.next(Some(work()), &mut untold).is_some());
        assert_eq!(said.try_iter().count(), TOLD_TOGETHER, "not told while work waits");
        // Nobody waits for work that never comes.
        turns.lock().closed = true;
        untold.add(tell());
        assert!(turns.next(None, &mut untold).is_none());
        assert_eq!(said.try_iter().count(), 1);
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_request_and_nothing_else() {
        let cpu = Cpu::with_threads(1).unwrap();
        assert_eq!(cpu.run(LINE, soon(), || panic!("in work")).await.unwrap_err().code, Code::Internal);
        assert_eq!(cpu.run(LINE, soon(), || 7).await, Ok(7));
    }

    /// Keeps the one thread at work: says when it has begun, and waits to be released.
    fn hold(cpu: &Cpu, line: Line) -> (Receiver<()>, Sender<()>) {
        let ((begin, begun), (release, released)) = (channel(), channel());
        cpu.add(line, move || {
            begin.send(()).unwrap();
            released.recv().unwrap();
            ControlFlow::Break(())
        });
        (begun, release)
    }
}
