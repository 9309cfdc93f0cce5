//! One pass over the entries of a boot's log: what each must be, given all before it.
//!
//! Nothing is read twice and no clock is asked: an entry is hashed, decoded and applied to the state, and
//! what does not fit becomes a finding with its index. Memory is bounded by the keys that live at one time.

use ok2cry_protocol::Record;
use ok2cry_protocol::audit_log::{Boot, End, Event, Issue, LogEntry, LogHash, Totals};
use ok2cry_tlog::merkle::{Frontier, leaf_hash};

use crate::finding::{Code, Findings};
use crate::lateness::Lateness;
use crate::open_keys::OpenKeys;

/// How long after its deadline a key may end without a finding, in milliseconds: a machine may be paused for
/// that long before its enclave notices.
pub const SLACK_MS: u64 = 2_000;
/// How far an entry's time may be from the times of the pairs around it, in milliseconds.
pub const PAIR_SKEW_MS: u64 = 5_000;

/// The state of a pass.
#[derive(Debug, Default)]
pub struct Pass {
    frontier: Frontier,
    boot: Option<Boot>,
    /// The time of the last entry, and no time before it counts.
    time: u64,
    totals: Totals,
    open: OpenKeys,
    shut_down: bool,
    /// The time of the newest pair that was met.
    pair_time: Option<u64>,
    lateness: Lateness,
    findings: Findings,
}

impl Pass {
    /// A pass that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next entry.
    pub fn entry(&mut self, bytes: &[u8]) {
        let index = self.frontier.size();
        // This fails at 2^48 entries only. The next pair's root differs then.
        drop(self.frontier.append(leaf_hash(bytes)));
        let entry = match LogEntry::decode(bytes) {
            Ok(entry) => entry,
            Err(error) => return self.findings.add(index, Code::EntryInvalid, || error.to_string()),
        };
        self.check_time(index, entry.time);
        if self.shut_down {
            self.findings
                .add(index, Code::AfterShutdown, || "the log was shut down before this entry".into());
        }
        if index == 0 && !matches!(entry.event, Event::Boot(_)) {
            self.findings.add(index, Code::BootMissing, || "the first entry is not a boot entry".into());
        }
        match entry.event {
            Event::Boot(boot) => self.boot(index, boot),
            Event::Issue(issue) => self.issue(index, entry.time, issue),
            Event::End { how, issue_index } => self.end(index, entry.time, how, issue_index),
            Event::Tally(totals) => self.compare(index, &totals),
            Event::Shutdown(totals) => self.shut_down(index, &totals),
        }
    }

    /// Meets a pair at the size that the pass has reached. `time` is the document's, in Unix milliseconds.
    pub fn pair(&mut self, root: &LogHash, time: u64) {
        let size = self.frontier.size();
        if self.frontier.head().root != *root {
            self.findings.add(size, Code::RootDiffers, || {
                format!("the {size} entries do not have the root that a document attests")
            });
        }
        if self.time > time.saturating_add(PAIR_SKEW_MS) {
            let ahead = self.time - time;
            self.findings.add(size, Code::PairTime, || {
                format!("the last entry before the pair is {ahead} ms later than the pair's document")
            });
        }
        match self.pair_time {
            Some(before) if before > time => {
                let back = before - time;
                self.findings.add(size, Code::PairTime, || {
                    format!("the pair's document is {back} ms older than that of a pair over fewer entries")
                });
            }
            _ => self.pair_time = Some(time),
        }
    }

    /// Looks for keys that have no end although the log goes on behind their deadlines. To be called at the
    /// end.
    pub fn check_never_ended(&mut self) {
        let (time, findings) = (self.time, &mut self.findings);
        for (index, deadline) in self.open.iter() {
            if time > deadline.saturating_add(SLACK_MS) {
                let late = time - deadline;
                findings.add(index, Code::NeverEnded, || {
                    format!("the key has no end, and the log goes on for {late} ms after its deadline")
                });
            }
        }
    }

    /// How many entries were read.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The tree of the entries.
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The boot entry.
    #[must_use]
    pub fn boot_entry(&self) -> Option<&Boot> {
        self.boot.as_ref()
    }

    /// The time of the last entry, in Unix milliseconds.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Counts of what was read.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Whether the shutdown entry was read.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    /// The keys without an end: how many, and the latest of their deadlines in Unix milliseconds.
    #[must_use]
    pub fn live(&self) -> (u64, Option<u64>) {
        (self.open.len(), self.open.iter().map(|(_, deadline)| deadline).max())
    }

    /// How late keys expired.
    #[must_use]
    pub fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    /// What was found.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    fn check_time(&mut self, index: u64, time: u64) {
        if time < self.time {
            let back = self.time - time;
            self.findings
                .add(index, Code::TimeFalls, || format!("it is {back} ms earlier than an entry before it"));
        }
        self.time = self.time.max(time);
        if let Some(pair) = self.pair_time
            && time.saturating_add(PAIR_SKEW_MS) < pair
        {
            let back = pair - time;
            self.findings.add(index, Code::PairTime, || {
                format!("it is {back} ms earlier than the document of a pair that does not cover it")
            });
        }
    }

    fn boot(&mut self, index: u64, boot: Boot) {
        if index == 0 {
            self.boot = Some(boot);
        } else {
            self.findings.add(index, Code::BootRepeated, || "only the first entry is a boot entry".into());
        }
    }

    fn issue(&mut self, index: u64, time: u64, issue: Issue) {
        self.open.open(index, issue.expires_at);
        self.totals.count_issue();
        let Some(boot) = &self.boot else { return };
        let purpose = usize::try_from(issue.purpose).ok().and_then(|place| boot.purposes.get(place));
        let (live, capacity, ttl) = (self.totals.live, boot.capacity, issue.expires_at - time);
        match purpose {
            None => self.findings.add(index, Code::PurposeUnknown, || {
                format!("the boot entry lists no purpose number {}", issue.purpose)
            }),
            Some(purpose) if ttl > purpose.max_ttl => {
                let most = purpose.max_ttl;
                self.findings.add(index, Code::TtlTooLong, || {
                    format!("the deadline is {ttl} ms away, and the purpose allows {most}")
                });
            }
            Some(_) => {}
        }
        if live > capacity {
            self.findings.add(index, Code::OverCapacity, || format!("{live} keys live, and {capacity} may"));
        }
    }

    fn end(&mut self, index: u64, time: u64, how: End, issue_index: u64) {
        let Some(deadline) = self.open.end(issue_index) else {
            return self.findings.add(index, Code::EndOfNothing, || {
                format!("no key that was issued by entry {issue_index} is live")
            });
        };
        self.totals.count_end(how);
        let late = time.saturating_sub(deadline);
        if how == End::Expired {
            self.lateness.add(late);
        }
        let (code, what) = if how.is_use() && time >= deadline {
            (Code::OpenedAfterDeadline, format!("it opened a message {late} ms after its deadline"))
        } else if late > SLACK_MS {
            (Code::EndedLate, format!("it ended {late} ms after its deadline"))
        } else if how == End::Expired && time.saturating_add(SLACK_MS) < deadline {
            (Code::ExpiredEarly, format!("it expired {} ms before its deadline", deadline - time))
        } else {
            return;
        };
        self.findings.add(index, code, || format!("the key of entry {issue_index}: {what}"));
    }

    fn compare(&mut self, index: u64, said: &Totals) {
        let counted = self.totals;
        if *said != counted {
            self.findings.add(index, Code::TotalsDiffer, || {
                format!(
                    "it says {} issued and {} live; the entries before it make {} and {}",
                    said.issued, said.live, counted.issued, counted.live
                )
            });
        }
    }

    fn shut_down(&mut self, index: u64, said: &Totals) {
        self.compare(index, said);
        let live = self.open.len();
        if live > 0 {
            self.findings.add(index, Code::ShutdownWithLiveKeys, || format!("{live} keys have no end"));
        }
        self.shut_down = true;
    }
}
