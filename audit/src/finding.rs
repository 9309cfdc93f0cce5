//! What an audit finds wrong, and where.

use serde::Serialize;

/// The most findings that are kept in full. All are counted.
pub const MAX_FINDINGS: usize = 10_000;

/// One thing that must not be in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The index of the entry that it is about. For a pair, the size that it covers.
    pub index: u64,
    /// The stable code.
    pub code: Code,
    /// What was expected and what was found, in a sentence.
    pub detail: String,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        /// What kind of finding it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable code, in `snake_case`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

codes! {
    /// The bytes are not an entry in its one encoding. The rest of the log is read as if it recorded nothing.
    EntryInvalid = "entry_invalid";
    /// The first entry is not a boot entry.
    BootMissing = "boot_missing";
    /// A boot entry stands behind the first entry.
    BootRepeated = "boot_repeated";
    /// The time is earlier than that of an entry before.
    TimeFalls = "time_falls";
    /// An issue entry names a purpose that the boot entry does not list.
    PurposeUnknown = "purpose_unknown";
    /// The deadline is further away than the purpose allows.
    TtlTooLong = "ttl_too_long";
    /// More keys live than the boot entry allows.
    OverCapacity = "over_capacity";
    /// An end names no key that is live: its index is no issue entry before it, or that key has ended.
    EndOfNothing = "end_of_nothing";
    /// A key opened a message at or after its deadline.
    OpenedAfterDeadline = "opened_after_deadline";
    /// A key ended later than its deadline and the slack.
    EndedLate = "ended_late";
    /// A key is said to have expired long before its deadline.
    ExpiredEarly = "expired_early";
    /// A key has no end, and an entry is later than its deadline and the slack.
    NeverEnded = "never_ended";
    /// The totals of a tally or shutdown entry are not those of the entries before it.
    TotalsDiffer = "totals_differ";
    /// A shutdown entry stands while keys live.
    ShutdownWithLiveKeys = "shutdown_with_live_keys";
    /// An entry follows the shutdown entry.
    AfterShutdown = "after_shutdown";
    /// The root of the entries is not the one that a document attests.
    RootDiffers = "root_differs";
    /// A pair's time does not fit the times of the entries around it, or those of other pairs.
    PairTime = "pair_time";
}

/// Findings in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    kept: Vec<Finding>,
    count: u64,
}

impl Findings {
    /// Adds one. The first [`MAX_FINDINGS`] are kept.
    pub(crate) fn add(&mut self, index: u64, code: Code, detail: impl FnOnce() -> String) {
        self.count += 1;
        if self.kept.len() < MAX_FINDINGS {
            self.kept.push(Finding { index, code, detail: detail() });
        }
    }

    /// The findings that were kept.
    #[must_use]
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_findings_has_exactly_these_codes() {
        let page = include_str!("../../docs/audit-log.md");
        let (_, section) = page.split_once("## Findings").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows: Vec<_> = section.split("\n| `").skip(1).filter_map(|row| row.split('`').next()).collect();
        assert_eq!(rows, Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>());
    }

    #[test]
    fn all_findings_are_counted_and_the_first_are_kept() {
        let mut findings = Findings::default();
        for index in 0..MAX_FINDINGS as u64 + 5 {
            findings.add(index, Code::TimeFalls, String::new);
        }
        assert_eq!((findings.count(), findings.kept().len()), (MAX_FINDINGS as u64 + 5, MAX_FINDINGS));
    }
}
