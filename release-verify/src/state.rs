//! The state that a client saves between checks: one entry for each set of pinned keys.

use std::collections::BTreeMap;

use ok2cry_attest_verify::CheckTime;
use ok2cry_tlog::{Checkpoint, Note};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::json::{self, Hex};

/// The longest state that is read or written, in bytes.
pub const MAX_STATE_LEN: usize = 1 << 20;
/// The most entries.
const MAX_ENTRIES: usize = 32;

/// What a client saves between checks, so that a host cannot roll it back or show it another log. Without a
/// state, only the list's age and the pinned key protect a client.
///
/// Each set of pinned keys has its own entry, so clients that pin different keys can share a state. An entry
/// has about 2 kB. All clients of ok2cry share the JSON form (`docs/releases.md`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseState {
    entries: BTreeMap<Hex<48>, Remembered>,
}

impl ReleaseState {
    /// Reads what [`ReleaseState::encode`] wrote, and an older form, which had one entry.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::TooLarge`](crate::ReleaseFault::TooLarge),
    /// [`ReleaseFault::Json`](crate::ReleaseFault::Json), or the errors of [`Checkpoint::parse`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let value: serde_json::Value = json::read(WHAT, bytes, MAX_STATE_LEN)?;
        if value.get("memories").is_some() {
            let Current { memories } = json::read(WHAT, bytes, MAX_STATE_LEN)?;
            if memories.len() > MAX_ENTRIES {
                let why = format!("memories has {} entries, expected at most {MAX_ENTRIES}", memories.len());
                return Err(crate::ReleaseFault::Json { what: WHAT, why }.into());
            }
            memories.values().try_for_each(|remembered| remembered.log().map(drop))?;
            return Ok(Self { entries: memories });
        }
        let before: Before = json::read(WHAT, bytes, MAX_STATE_LEN)?;
        let (pinned, remembered) = before.into();
        remembered.log()?;
        // Without its pinned keys the entry is useless.
        Ok(Self { entries: pinned.map(|pinned| (pinned, remembered)).into_iter().collect() })
    }

    /// The state as JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(&Current { memories: self.entries.clone() })
    }

    /// The newest accepted checkpoint of the most recently checked keys, with its signatures.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&str> {
        let last = self.entries.values().max_by_key(|remembered| remembered.latest_ms.unwrap_or(0))?;
        last.checkpoint.as_deref()
    }

    /// The entry of these keys. Entries of other keys, or of a subset, do not count.
    pub(crate) fn of(&self, pinned: &Hex<48>) -> Remembered {
        self.entries.get(pinned).cloned().unwrap_or_default()
    }

    /// Replaces the entry of these keys. The least recently used entries are evicted.
    pub(crate) fn set(&mut self, pinned: Hex<48>, remembered: Remembered) {
        self.entries.insert(pinned, remembered);
        while self.entries.len() > MAX_ENTRIES || self.encode().len() > MAX_STATE_LEN {
            let others = self.entries.iter().filter(|(key, _)| **key != pinned);
            let Some(oldest) =
                others.min_by_key(|(_, remembered)| remembered.latest_ms.unwrap_or(0)).map(|(key, _)| *key)
            else {
                return;
            };
            self.entries.remove(&oldest);
        }
    }
}

const WHAT: &str = "state";

/// One entry of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remembered {
    pub(crate) root_version: u64,
    /// SHA-384 of its payload.
    pub(crate) root_sha384: Option<Hex<48>>,
    pub(crate) list_version: u64,
    pub(crate) list_sha384: Option<Hex<48>>,
    /// With the signatures of the log and its witnesses: two such checkpoints can prove a fork.
    pub(crate) checkpoint: Option<String>,
    /// The latest time at which a list was valid for this client, in Unix milliseconds. The current time is
    /// not earlier.
    pub(crate) latest_ms: Option<u64>,
}

impl Remembered {
    /// `time`, or the latest saved time if the clock was set back.
    pub(crate) fn not_before(&self, time: &CheckTime) -> CheckTime {
        CheckTime { now_ms: time.now_ms.max(self.latest_ms.unwrap_or(0)), ..*time }
    }

    /// The newest accepted checkpoint.
    pub(crate) fn log(&self) -> Result<Option<Checkpoint>, Error> {
        let Some(note) = &self.checkpoint else { return Ok(None) };
        // Its signatures were verified before it was saved.
        Ok(Some(Checkpoint::parse(Note::parse(note.as_bytes())?.unverified_text())?))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Current {
    memories: BTreeMap<Hex<48>, Remembered>,
}

/// The form before 0.2: one entry, for the keys that were checked last.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    pinned_sha384: Option<Hex<48>>,
    root_version: u64,
    root_sha384: Option<Hex<48>>,
    list_version: u64,
    list_sha384: Option<Hex<48>>,
    checkpoint: Option<String>,
}

impl From<Before> for (Option<Hex<48>>, Remembered) {
    fn from(before: Before) -> Self {
        let Before { pinned_sha384, root_version, root_sha384, list_version, list_sha384, checkpoint } =
            before;
        let remembered =
            Remembered { root_version, root_sha384, list_version, list_sha384, checkpoint, latest_ms: None };
        (pinned_sha384, remembered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Hex<48> {
        Hex([n; 48])
    }

    fn at(latest_ms: u64) -> Remembered {
        Remembered { latest_ms: Some(latest_ms), ..Remembered::default() }
    }

    #[test]
    fn each_set_of_keys_has_its_own_entry() {
        let mut state = ReleaseState::default();
        state.set(key(1), Remembered { list_version: 7, ..at(10) });
        state.set(key(2), Remembered { list_version: 3, ..at(20) });
        assert_eq!(state.of(&key(1)).list_version, 7);
        assert_eq!(state.of(&key(3)), Remembered::default());
        assert_eq!(ReleaseState::decode(&state.encode()), Ok(state));
    }

    #[test]
    fn the_old_form_is_read_and_rewritten() {
        let old = |pinned: &str| {
            format!(r#"{{"pinned_sha384":{pinned},"root_version":2,"list_version":7,"checkpoint":null}}"#)
        };
        let hex = format!("\"{}\"", key(1));
        let state = ReleaseState::decode(old(&hex).as_bytes()).unwrap();
        assert_eq!(state.of(&key(1)).list_version, 7);
        let written = String::from_utf8(state.encode()).unwrap();
        let entry = r#"{"root_version":2,"root_sha384":null,"list_version":7,"list_sha384":null,"checkpoint":null,"latest_ms":null}"#;
        assert_eq!(written, format!("{{\"memories\":{{{hex}:{entry}}}}}"));
        assert_eq!(ReleaseState::decode(old("null").as_bytes()), Ok(ReleaseState::default()));
    }

    #[test]
    fn anything_else_is_refused() {
        let entry = r#"{"root_version":2,"list_version":7}"#;
        let good = format!(r#"{{"memories":{{"{}":{entry}}}}}"#, key(1));
        assert!(ReleaseState::decode(good.as_bytes()).is_ok());
        assert_eq!(ReleaseState::decode(br#"{"memories":{}}"#), Ok(ReleaseState::default()));
        let many: Vec<_> = (0..33).map(|n| format!("\"{}\":{entry}", key(n))).collect();
        for bad in [
            good.replace("\"memories\"", "\"more\":1,\"memories\""),
            good.replace("0101\"", "01\""),
            good.replace("0101\"", "010G\""),
            good.replace("\"root_version\":2,", ""),
            good.replace("\"root_version\"", "\"pinned_sha384\":null,\"root_version\""),
            good.replace(entry, "[2,null,7,null,null,null]"),
            r#"{"memories":[]}"#.to_owned(),
            r#"{"memories":null}"#.to_owned(),
            r#"{"root_version":2,"list_version":7,"latest_ms":1}"#.to_owned(),
            format!("{{\"memories\":{{{}}}}}", many.join(",")),
        ] {
            let error = ReleaseState::decode(bad.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "release_json_invalid", "{bad}");
        }
    }

    #[test]
    fn the_least_recently_used_entry_is_evicted() {
        let mut state = ReleaseState::default();
        (0..32).for_each(|n| state.set(key(n), at(100 + u64::from(n))));
        state.set(key(5), at(1000));
        state.set(key(40), at(1));
        assert_eq!(state.entries.len(), 32);
        assert!(!state.entries.contains_key(&key(0)));
        assert!(state.entries.contains_key(&key(5)) && state.entries.contains_key(&key(40)));
        // 24 of the longest notes; each character takes two bytes in JSON.
        let long = Remembered { checkpoint: Some("\n".repeat(1 << 16)), ..at(2000) };
        (50..74).for_each(|n| state.set(key(n), long.clone()));
        assert!(state.encode().len() <= MAX_STATE_LEN);
        assert!(state.entries.contains_key(&key(73)) && !state.entries.contains_key(&key(5)));
    }
}
