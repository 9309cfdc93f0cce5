//! Processor time and processor cores: this thread's, and those of other processes' threads.

use crate::Outcome;
use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use std::{collections::BTreeMap, fs};

/// This thread's processor time, in nanoseconds.
pub fn thread_ns() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// This thread's processor time for that many calls of `work`, in nanoseconds.
pub fn thread_ns_of(times: usize, work: &dyn Fn() -> Outcome<()>) -> Outcome<f64> {
    let begun = thread_ns();
    (0..times).try_for_each(|_| work())?;
    Ok(thread_ns() - begun)
}

/// The processor time of a process's threads.
#[derive(Clone, Default)]
pub struct Split {
    /// Name and nanoseconds, by thread id.
    threads: BTreeMap<i32, (String, f64)>,
}

/// The thread of the mock Nitro Secure Module.
pub const NSM: &str = "nsm";

/// The processor time of a process's threads so far.
pub fn split(pid: u32) -> Outcome<Split> {
    let mut threads = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        let read = |name: &str| fs::read_to_string(task.path().join(name));
        // A thread may end meanwhile.
        let (Ok(name), Ok(used)) = (read("comm"), read("schedstat")) else { continue };
        let used = used.split(' ').next().unwrap_or_default().parse()?;
        threads.insert(task.file_name().to_string_lossy().parse()?, (name.trim().to_owned(), used));
    }
    Ok(Split { threads })
}

impl Split {
    /// The difference to an earlier reading.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut threads = self.threads.clone();
        for (id, (_, used)) in &mut threads {
            *used -= earlier.threads.get(id).map_or(0.0, |(_, used)| *used);
        }
        Self { threads }
    }

    /// Nanoseconds by the threads' names.
    pub fn by_name(&self) -> BTreeMap<&str, f64> {
        let mut names = BTreeMap::new();
        for (name, used) in self.threads.values() {
            *names.entry(name.as_str()).or_default() += used;
        }
        names
    }

    /// Nanoseconds of all threads but the NSM's.
    pub fn without_nsm_ns(&self) -> f64 {
        self.by_name().iter().filter(|(name, _)| **name != NSM).map(|(_, used)| used).sum()
    }
}

/// Runs `work` on one core. Threads and processes that it starts stay there.
pub fn on_core<T>(core: Option<usize>, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let Some(core) = core else { return work() };
    let before = sched_getaffinity(None)?;
    sched_setaffinity(None, &only(core))?;
    let done = work();
    sched_setaffinity(None, &before)?;
    done
}

/// Moves a process's threads of this name to a core.
pub fn move_threads(pid: u32, name: &str, core: usize) -> Outcome<()> {
    let mut moved = 0;
    for (id, _) in split(pid)?.threads.iter().filter(|(_, (found, _))| found == name) {
        sched_setaffinity(Pid::from_raw(*id), &only(core))?;
        moved += 1;
    }
    if moved == 0 { Err(format!("no thread has the name {name}").into()) } else { Ok(()) }
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}
