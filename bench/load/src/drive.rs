//! Drives connections for one phase from one thread, and counts the responses.

use crate::{
    Outcome,
    cpu::{self, Split},
    dialect::Body,
    link::Link,
};
use hdrhistogram::Histogram;
use rustix::{
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    fd::OwnedFd,
    io::Errno,
    time::Timespec,
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// The requests of a phase.
pub trait Work {
    /// Writes the request with this number, from 0. False if none is left.
    fn request(&mut self, number: u64, to: &mut Vec<u8>) -> Outcome<bool>;
    /// Takes the body of a successful response.
    fn answer(&mut self, number: u64, body: Body<'_>);
}

#[derive(Clone, Copy)]
pub enum Pace {
    /// Closed loop: as many in flight as the links have room for.
    Closed,
    /// Open loop: this many a second at random times, whatever the responses do.
    Open(f64),
}

pub struct Plan<'a> {
    pub pace: Pace,
    pub warm_up: Duration,
    pub timed: Duration,
    /// Processes whose processor time is measured.
    pub watch: &'a [u32],
    /// The load generator's core. Any, if not given.
    pub core: Option<usize>,
}

/// The results of a phase's timed part.
pub struct Phase {
    pub answers: u64,
    pub seconds: f64,
    /// In nanoseconds, from the time at which a request was due.
    pub latency: Histogram<u64>,
    /// Bytes of responses on the wire.
    pub wire_bytes: usize,
    /// Processor time of each watched process.
    pub cpu: Vec<Split>,
    /// The load generator's own processor time, in nanoseconds.
    pub own_cpu_ns: f64,
}

impl Phase {
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.seconds
    }

    pub fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e6
    }

    pub fn bytes_per_answer(&self) -> f64 {
        self.wire_bytes as f64 / self.answers as f64
    }
}

/// The largest recorded latency.
const LONGEST_NS: u64 = 60_000_000_000;
/// The resolution of random arrivals, in nanoseconds. A generator that wakes for each arrival would take
/// processor time from the servers. Latency counts from the time at which a request was due.
const TICK: u64 = 500_000;
/// The timeout for responses after the last request.
const PATIENCE: Duration = Duration::from_secs(20);

/// # Errors
///
/// Also if a request was refused.
pub fn drive(links: &mut [Link], work: &mut dyn Work, plan: &Plan<'_>) -> Outcome<Phase> {
    cpu::on_core(plan.core, || {
        let mut driver = Driver::new(links, plan)?;
        driver.run(work)?;
        driver.finish()
    })
}

struct Driver<'a> {
    plan: &'a Plan<'a>,
    links: &'a mut [Link],
    epoll: OwnedFd,
    /// Links with room for requests.
    ready: VecDeque<usize>,
    /// Links whose last write was partial.
    clogged: Vec<bool>,
    begun: Instant,
    /// Due times of requests, in nanoseconds since the start.
    due: Vec<u64>,
    next_due: u64,
    /// The timed part, in nanoseconds since the start.
    from: u64,
    until: u64,
    answered: u64,
    edges: Vec<Edge>,
    in_window: u64,
    wire_bytes: usize,
    latency: Histogram<u64>,
    refused: BTreeMap<String, u64>,
}

/// The start or end of the timed part.
struct Edge {
    at_ns: u64,
    cpu: Vec<Split>,
    own_cpu_ns: f64,
}

impl<'a> Driver<'a> {
    fn new(links: &'a mut [Link], plan: &'a Plan<'a>) -> Outcome<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (index, link) in links.iter().enumerate() {
            epoll::add(&epoll, link, EventData::new_u64(index as u64), EventFlags::IN)?;
        }
        Ok(Self {
            plan,
            epoll,
            ready: (0..links.len()).collect(),
            clogged: vec![false; links.len()],
            links,
            begun: Instant::now(),
            due: Vec::new(),
            next_due: 0,
            from: ns(plan.warm_up),
            until: ns(plan.warm_up + plan.timed),
            answered: 0,
            edges: Vec::new(),
            in_window: 0,
            wire_bytes: 0,
            latency: Histogram::new_with_bounds(1, LONGEST_NS, 3)?,
            refused: BTreeMap::new(),
        })
    }

    fn run(&mut self, work: &mut dyn Work) -> Outcome<()> {
        let mut scratch = vec![0; 256 * 1024];
        let mut left = true;
        loop {
            let now = self.now();
            if self.edges.is_empty() && now >= self.from {
                self.edge()?;
            }
            if self.edges.len() == 1 && (now >= self.until || !left) {
                self.edge()?;
            }
            if self.edges.is_empty() && !left {
                return Err("too few messages for the warm-up".into());
            }
            let ended = self.edges.len() == 2;
            let asking = left
                && match self.plan.pace {
                    Pace::Closed => !ended,
                    // Requests that were due before the end are still sent, and count.
                    Pace::Open(_) => self.next_due < self.until,
                };
            if ended && !asking && self.answered == self.due.len() as u64 {
                return Ok(());
            }
            let patience = self.until + ns(PATIENCE);
            if now > patience {
                let missing = self.due.len() as u64 - self.answered;
                return Err(format!("{missing} requests were not answered").into());
            }
            if asking {
                left = self.send(work)?;
            }
            if !left && !ended {
                continue;
            }
            let mut wake = [self.from, self.until, patience + 1][self.edges.len()];
            if asking && matches!(self.plan.pace, Pace::Open(_)) && !self.ready.is_empty() {
                wake = wake.min(self.next_due.next_multiple_of(TICK));
            }
            self.wait(wake, work, &mut scratch)?;
        }
    }

    /// Sends due requests where there is room. False once nothing is left to send.
    fn send(&mut self, work: &mut dyn Work) -> Outcome<bool> {
        while let Some(index) = self.ready.front().copied() {
            let mut more = true;
            let mut waits = false;
            while self.links[index].has_room() {
                let now = self.now();
                let due = match self.plan.pace {
                    Pace::Closed => now,
                    Pace::Open(_) => self.next_due,
                };
                if due > now || due >= self.until && !matches!(self.plan.pace, Pace::Closed) {
                    waits = true;
                    break;
                }
                let number = self.due.len() as u64;
                more = work.request(number, self.links[index].ask(number))?;
                if !more {
                    self.links[index].ask_nothing();
                    break;
                }
                self.due.push(due);
                if let Pace::Open(per_second) = self.plan.pace {
                    self.next_due += exponential_ns(per_second)?;
                    // Round-robin over the links.
                    break;
                }
            }
            self.flush(index)?;
            if !more || waits {
                return Ok(more);
            }
            self.ready.pop_front();
            if self.links[index].has_room() {
                self.ready.push_back(index);
            }
        }
        Ok(true)
    }

    fn flush(&mut self, index: usize) -> Outcome<()> {
        let clogged = self.links[index].flush()?;
        if self.clogged[index] != clogged {
            let flags = if clogged { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(&self.epoll, &self.links[index], EventData::new_u64(index as u64), flags)?;
            self.clogged[index] = clogged;
        }
        Ok(())
    }

    /// Takes responses; waits for them until `wake`.
    fn wait(&mut self, wake: u64, work: &mut dyn Work, scratch: &mut [u8]) -> Outcome<()> {
        let timeout = Duration::from_nanos(wake.saturating_sub(self.now()));
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        let mut events = Vec::with_capacity(256);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in events {
            let index = event.data.u64() as usize;
            if self.clogged[index] {
                self.flush(index)?;
            }
            self.take(index, work, scratch)?;
        }
        Ok(())
    }

    fn take(&mut self, index: usize, work: &mut dyn Work, scratch: &mut [u8]) -> Outcome<()> {
        let now = self.now();
        let window = self.edges.first().map(|edge| edge.at_ns);
        let counting = self.edges.len() == 1;
        let link = &mut self.links[index];
        let had_room = link.has_room();
        link.receive(scratch, |answer| {
            self.answered += 1;
            let body = match answer.body {
                Ok(body) => body,
                Err(refusal) => {
                    *self.refused.entry(refusal).or_default() += 1;
                    return;
                }
            };
            if counting {
                self.in_window += 1;
                self.wire_bytes += answer.wire_bytes;
            }
            let due = self.due.get(answer.number as usize).copied().unwrap_or(now);
            // By due time: a cut at the end by response time would drop the slowest.
            if window.is_some_and(|from| due >= from) {
                self.latency.saturating_record(now.saturating_sub(due));
            }
            work.answer(answer.number, body);
        })?;
        if !had_room && link.has_room() {
            self.ready.push_back(index);
        }
        Ok(())
    }

    fn edge(&mut self) -> Outcome<()> {
        let cpu = self.plan.watch.iter().map(|pid| cpu::split(*pid)).collect::<Outcome<_>>()?;
        self.edges.push(Edge { at_ns: self.now(), cpu, own_cpu_ns: cpu::thread_ns() });
        Ok(())
    }

    fn finish(self) -> Outcome<Phase> {
        if !self.refused.is_empty() {
            let lines = self.refused.iter().map(|(why, times)| format!("{times} x {why}"));
            return Err(format!("refused: {}", lines.collect::<Vec<_>>().join("; ")).into());
        }
        let [from, until] = &self.edges[..] else { return Err("the timed part was not reached".into()) };
        if self.in_window == 0 {
            return Err("no response in the timed part".into());
        }
        Ok(Phase {
            answers: self.in_window,
            seconds: (until.at_ns - from.at_ns) as f64 / 1e9,
            latency: self.latency,
            wire_bytes: self.wire_bytes,
            cpu: until.cpu.iter().zip(&from.cpu).map(|(until, from)| until.since(from)).collect(),
            own_cpu_ns: until.own_cpu_ns - from.own_cpu_ns,
        })
    }

    fn now(&self) -> u64 {
        ns(self.begun.elapsed())
    }
}

fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// The time between two arrivals of a Poisson process.
fn exponential_ns(per_second: f64) -> Outcome<u64> {
    let uniform = (getrandom::u32()? as f64 + 1.0) / (u32::MAX as f64 + 2.0);
    Ok((-uniform.ln() / per_second * 1e9) as u64)
}
