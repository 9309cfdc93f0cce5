//! Entries of the audit log: what an enclave writes down about each key's life.
//!
//! An enclave keeps one log for each boot. It is a C2SP tlog-tiles log (SHA-256, RFC 9162), and every
//! attestation document states its size and root ([`BatchHeader`](crate::batch::BatchHeader)). An entry has
//! at most [`MAX_ENTRY`] bytes, and there is exactly one encoding of it. `docs/audit-log.md` is the normative
//! text. Enclaves do not write a log yet.

use crate::{
    DecodeError, Record, Rule,
    cbor::{Map, Reader, Writer},
    hash,
    ids::{InstanceId, KeyId, Purpose},
};

const TYPE: &str = "ok2cry/log/v1";

/// The longest entry, in bytes. Only a boot entry with hundreds of purposes comes near.
pub const MAX_ENTRY: usize = 20_480;
/// The most purposes that a boot entry lists.
pub const MAX_PURPOSES: usize = 256;
/// The kinds of ends: the length of [`Totals::ends`].
pub const END_KINDS: usize = 7;

/// What an origin of an audit log begins with. The 16 hexadecimal digits of the instance id follow.
const ORIGIN: &str = "github.com/ok2cry/ok2cry/boot/";

/// SHA-256, as C2SP logs use it.
pub type LogHash = [u8; 32];

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// When it was appended: Unix milliseconds on the enclave's trusted clock. Times never fall from entry to
    /// entry.
    pub time: u64,
    /// What happened.
    pub event: Event,
}

/// What an entry records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The log begins. The first entry, and only the first.
    Boot(Boot),
    /// A key was made. It is appended before the key's descriptor can be attested.
    Issue(Issue),
    /// A key ended: its private key opens nothing any more.
    End {
        /// How.
        how: End,
        /// The index of the key's issue entry.
        issue_index: u64,
    },
    /// Counts since boot, at least once a minute while entries come.
    Tally(Totals),
    /// The log ends. Nothing follows it.
    Shutdown(Totals),
}

/// What the measured configuration allows, and what came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// H of the measured configuration file.
    pub configuration: crate::Hash,
    /// The purposes, in ascending order of their names. Issue entries name one by its place, from 0.
    pub purposes: Vec<BootPurpose>,
    /// The most keys that live at one time.
    pub capacity: u64,
    /// The boot before this one, *as the parent says*. Nothing proves it.
    pub previous: Option<PreviousBoot>,
}

/// One purpose of the measured configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootPurpose {
    /// Its name.
    pub purpose: Purpose,
    /// The longest ttl of its keys, in milliseconds.
    pub max_ttl: u64,
    /// Whether its keys may deliver plaintext to the caller.
    pub caller: bool,
}

/// An earlier boot and the newest head of its log that the parent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousBoot {
    /// Its instance.
    pub instance: InstanceId,
    /// How many entries its log has.
    pub size: u64,
    /// The root of those.
    pub root: LogHash,
}

/// A key that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue {
    /// [`key_tag`] of its id.
    pub tag: LogHash,
    /// The deadline in its descriptor: Unix milliseconds, later than the entry's time.
    pub expires_at: u64,
    /// The place of its purpose in the boot entry, from 0.
    pub purpose: u64,
}

/// How a key ended. The number is the entry's event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// It opened one message for the recipient in its descriptor.
    Opened = 2,
    /// It opened one message, whose plaintext went to the caller.
    OpenedToCaller = 3,
    /// It was destroyed by request.
    Destroyed = 4,
    /// Its deadline passed.
    Expired = 5,
    /// It was destroyed after 256 messages that did not open.
    WornOut = 6,
    /// It was made and never handed out.
    Withdrawn = 7,
    /// The enclave was told to finish.
    Stopped = 8,
}

/// Counts of a log's entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Issue entries.
    pub issued: u64,
    /// End entries of each kind, in the order of [`End::ALL`].
    pub ends: [u64; END_KINDS],
    /// Keys without an end: `issued` less the sum of `ends`.
    pub live: u64,
}

/// The first 32 bytes of H("ok2cry v1 log" ‖ key id): what an issue entry has in place of the id.
///
/// Without the id, which holds 128 unpredictable bits, an entry cannot be tied to a key.
pub fn key_tag(id: KeyId) -> LogHash {
    let mut tag = [0; 32];
    for (to, from) in tag.iter_mut().zip(hash(&[b"ok2cry v1 log", &id.0])) {
        *to = from;
    }
    tag
}

/// The origin of the audit log of `instance`, which is the name of its key too:
/// `github.com/ok2cry/ok2cry/boot/` and the instance id in hexadecimal.
pub fn log_origin(instance: InstanceId) -> String {
    format!("{ORIGIN}{instance}")
}

impl End {
    /// Every kind of end, in the order of their numbers.
    pub const ALL: [Self; END_KINDS] = [
        Self::Opened,
        Self::OpenedToCaller,
        Self::Destroyed,
        Self::Expired,
        Self::WornOut,
        Self::Withdrawn,
        Self::Stopped,
    ];

    /// The kind in words: `opened`, `opened_to_caller`, `destroyed`, `expired`, `worn_out`, `withdrawn`,
    /// `stopped`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::OpenedToCaller => "opened_to_caller",
            Self::Destroyed => "destroyed",
            Self::Expired => "expired",
            Self::WornOut => "worn_out",
            Self::Withdrawn => "withdrawn",
            Self::Stopped => "stopped",
        }
    }

    /// Whether the key ended because it opened a message.
    pub fn is_use(self) -> bool {
        matches!(self, Self::Opened | Self::OpenedToCaller)
    }

    fn of_event(event: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|end| *end as u64 == event)
    }
}

impl Totals {
    /// The count of ends of one kind.
    pub fn of(&self, how: End) -> u64 {
        self.ends.get(how as usize - End::Opened as usize).copied().unwrap_or_default()
    }

    /// Counts an issue entry.
    pub fn count_issue(&mut self) {
        self.issued += 1;
        self.live += 1;
    }

    /// Counts the end of a key. Nothing changes if none lives.
    pub fn count_end(&mut self, how: End) {
        let Some(live) = self.live.checked_sub(1) else { return };
        self.live = live;
        if let Some(count) = self.ends.get_mut(how as usize - End::Opened as usize) {
            *count += 1;
        }
    }

    fn write(&self, w: &mut Writer) {
        w.key(3).uint(self.issued).key(4).array(END_KINDS as u64);
        for count in self.ends {
            w.uint(count);
        }
        w.key(5).uint(self.live);
    }

    fn read(m: &mut Map, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        m.key(r, "issued")?;
        let issued = r.safe_uint("issued")?;
        m.key(r, "ends")?;
        r.array("ends", END_KINDS..=END_KINDS)?;
        let mut ends = [0; END_KINDS];
        for count in &mut ends {
            *count = r.safe_uint("ends")?;
        }
        m.key(r, "live")?;
        let live = r.safe_uint("live")?;
        // Each is below 2^53, and there are eight of them.
        if ends.iter().sum::<u64>() + live != issued {
            return Err(r.error("live", Rule::Range));
        }
        Ok(Self { issued, ends, live })
    }
}

impl LogEntry {
    /// Appends the entry's encoding to `out`.
    pub fn write(&self, out: Vec<u8>) -> Vec<u8> {
        let mut w = Writer::after(out);
        let (fields, event) = match &self.event {
            Event::Boot(_) => (7, 0),
            Event::Issue(_) => (6, 1),
            Event::End { how, .. } => (4, *how as u64),
            Event::Tally(_) => (6, 9),
            Event::Shutdown(_) => (6, 10),
        };
        w.map(fields).key(0).text(TYPE).key(1).uint(event).key(2).uint(self.time);
        match &self.event {
            Event::Boot(boot) => boot.write(&mut w),
            Event::Issue(issue) => {
                w.key(3).bytes(&issue.tag).key(4).uint(issue.expires_at).key(5).uint(issue.purpose);
            }
            Event::End { issue_index, .. } => {
                w.key(3).uint(*issue_index);
            }
            Event::Tally(totals) | Event::Shutdown(totals) => totals.write(&mut w),
        }
        w.finish()
    }
}

impl Record for LogEntry {
    fn encode(&self) -> Vec<u8> {
        self.write(Vec::with_capacity(128))
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new("log entry", bytes);
        let mut m = r.map("map")?;
        m.key(r, "type")?;
        r.record_type(TYPE)?;
        m.key(r, "event")?;
        let number = r.uint("event")?;
        m.key(r, "time")?;
        let time = r.time("time")?;
        let event = match (number, End::of_event(number)) {
            (0, _) => Event::Boot(Boot::read(&mut m, r)?),
            (1, _) => Event::Issue(Issue::read(&mut m, r, time)?),
            (_, Some(how)) => {
                m.key(r, "issue_index")?;
                Event::End { how, issue_index: r.safe_uint("issue_index")? }
            }
            (9, _) => Event::Tally(Totals::read(&mut m, r)?),
            (10, _) => Event::Shutdown(Totals::read(&mut m, r)?),
            _ => return Err(r.error("event", Rule::UnknownValue)),
        };
        m.end(r)?;
        r.end()?;
        Ok(Self { time, event })
    }
}

impl Issue {
    fn read(m: &mut Map, r: &mut Reader<'_>, time: u64) -> Result<Self, DecodeError> {
        m.key(r, "tag")?;
        let tag = r.array_of("tag")?;
        m.key(r, "expires_at")?;
        let expires_at = r.time("expires_at")?;
        if expires_at <= time {
            return Err(r.error("expires_at", Rule::Range));
        }
        m.key(r, "purpose")?;
        let purpose = r.uint("purpose")?;
        if purpose >= MAX_PURPOSES as u64 {
            return Err(r.error("purpose", Rule::Range));
        }
        Ok(Self { tag, expires_at, purpose })
    }
}

impl Boot {
    fn write(&self, w: &mut Writer) {
        w.key(3).bytes(&self.configuration).key(4).array(self.purposes.len() as u64);
        for BootPurpose { purpose, max_ttl, caller } in &self.purposes {
            w.array(3).text(purpose.as_str()).uint(*max_ttl).uint((*caller).into());
        }
        w.key(5).uint(self.capacity).key(6);
        write_previous(self.previous.as_ref(), w);
    }

    fn read(m: &mut Map, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        m.key(r, "configuration")?;
        let configuration = r.array_of("configuration")?;
        m.key(r, "purposes")?;
        let n = r.array("purposes", 1..=MAX_PURPOSES)?;
        let mut purposes = Vec::<BootPurpose>::with_capacity(n);
        for _ in 0..n {
            let next = BootPurpose::read(r)?;
            if purposes.last().is_some_and(|last| last.purpose >= next.purpose) {
                return Err(r.error("purposes", Rule::Unordered));
            }
            purposes.push(next);
        }
        m.key(r, "capacity")?;
        let capacity = r.safe_uint("capacity")?;
        m.key(r, "previous")?;
        let previous = read_previous(r)?;
        Ok(Self { configuration, purposes, capacity, previous })
    }
}

impl BootPurpose {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array("purposes", 3..=3)?;
        let purpose = Purpose::new(r.text("purposes", 1..=64)?).map_err(|e| r.error("purposes", e.rule))?;
        let max_ttl = r.safe_uint("purposes")?;
        let caller = match r.uint("purposes")? {
            0 => false,
            1 => true,
            _ => return Err(r.error("purposes", Rule::UnknownValue)),
        };
        Ok(Self { purpose, max_ttl, caller })
    }
}

/// Writes `[]`, or instance, size and root.
fn write_previous(previous: Option<&PreviousBoot>, w: &mut Writer) {
    match previous {
        None => w.array(0),
        Some(PreviousBoot { instance, size, root }) => w.array(3).bytes(&instance.0).uint(*size).bytes(root),
    };
}

fn read_previous(r: &mut Reader<'_>) -> Result<Option<PreviousBoot>, DecodeError> {
    match r.array("previous", 0..=3)? {
        0 => Ok(None),
        3 => Ok(Some(PreviousBoot {
            instance: InstanceId(r.array_of("previous")?),
            size: r.safe_uint("previous")?,
            root: r.array_of("previous")?,
        })),
        _ => Err(r.error("previous", Rule::Length { min: 0, max: 3 })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot() -> Boot {
        let purpose =
            |name, caller| BootPurpose { purpose: Purpose::new(name).unwrap(), max_ttl: 300_000, caller };
        let previous = PreviousBoot { instance: InstanceId([9; 8]), size: 70_000, root: [8; 32] };
        Boot {
            configuration: [7; 48],
            purposes: vec![purpose("card-pin", false), purpose("open-box", true)],
            capacity: 1_000_000,
            previous: Some(previous),
        }
    }

    fn events() -> Vec<Event> {
        let totals = Totals { issued: 10, ends: [1, 1, 1, 1, 1, 1, 1], live: 3 };
        let mut events = vec![
            Event::Boot(boot()),
            Event::Boot(Boot { previous: None, ..boot() }),
            Event::Issue(Issue { tag: [1; 32], expires_at: 1_800_000_060_000, purpose: 1 }),
            Event::Tally(totals),
            Event::Shutdown(totals),
        ];
        events.extend(End::ALL.map(|how| Event::End { how, issue_index: 70_000 }));
        events
    }

    fn encoded(event: Event) -> Vec<u8> {
        LogEntry { time: 1_800_000_000_000, event }.encode()
    }

    #[test]
    fn every_event_has_one_encoding() {
        for event in events() {
            let entry = LogEntry { time: 1_800_000_000_000, event };
            let bytes = entry.encode();
            assert_eq!(LogEntry::decode(&bytes), Ok(entry));
            for cut in 0..bytes.len() {
                assert!(LogEntry::decode(&bytes[..cut]).is_err(), "a prefix of {cut} bytes decodes");
            }
            assert_eq!(LogEntry::decode(&[&bytes[..], &[0]].concat()).unwrap_err().rule, Rule::Trailing);
        }
    }

    #[test]
    fn entries_have_the_lengths_that_storage_is_sized_by() {
        assert_eq!(encoded(events()[2].clone()).len(), 75);
        for (issue_index, length) in [(0, 30), (255, 31), (65_535, 32), (65_536, 34), (1 << 32, 38)] {
            assert_eq!(encoded(Event::End { how: End::Expired, issue_index }).len(), length);
        }
    }

    #[test]
    fn the_longest_boot_entry_is_within_the_bound() {
        let name = |i: usize| Purpose::new(&format!("{i:064}")).unwrap();
        let purpose = |i| BootPurpose { purpose: name(i), max_ttl: (1 << 53) - 1, caller: true };
        let purposes = (0..MAX_PURPOSES).map(purpose).collect();
        let longest = Boot { purposes, capacity: (1 << 53) - 1, ..boot() };
        let bytes = encoded(Event::Boot(longest));
        assert!(bytes.len() <= MAX_ENTRY, "{}", bytes.len());
        assert!(LogEntry::decode(&bytes).is_ok());
    }

    #[test]
    fn values_outside_their_limits_are_refused() {
        let refused = |event| {
            let error = LogEntry::decode(&encoded(event)).unwrap_err();
            (error.field, error.rule)
        };
        let issue = Issue { tag: [1; 32], expires_at: 1_800_000_000_000, purpose: 0 };
        assert_eq!(refused(Event::Issue(issue)), ("expires_at", Rule::Range));
        let issue = Issue { expires_at: 1_800_000_000_001, purpose: 256, ..issue };
        assert_eq!(refused(Event::Issue(issue)), ("purpose", Rule::Range));
        let end = Event::End { how: End::Opened, issue_index: 1 << 53 };
        assert_eq!(refused(end), ("issue_index", Rule::Range));
        let totals = Totals { issued: 2, ends: [0; END_KINDS], live: 1 };
        assert_eq!(refused(Event::Tally(totals)), ("live", Rule::Range));
        let mut twice = boot();
        twice.purposes = vec![twice.purposes[0].clone(), twice.purposes[0].clone()];
        assert_eq!(refused(Event::Boot(twice)), ("purposes", Rule::Unordered));
        let none = Boot { purposes: Vec::new(), ..boot() };
        assert_eq!(refused(Event::Boot(none)).0, "purposes");
    }

    #[test]
    fn an_unknown_event_is_refused() {
        for number in [11, 12, 23] {
            let mut bytes = encoded(Event::End { how: End::Opened, issue_index: 1 });
            let at = bytes.iter().position(|b| *b == End::Opened as u8).unwrap();
            assert_eq!(bytes[at - 1], 1);
            bytes[at] = number;
            let error = LogEntry::decode(&bytes).unwrap_err();
            assert_eq!((error.field, error.rule), ("event", Rule::UnknownValue));
        }
    }

    #[test]
    fn totals_count_every_end_once() {
        let mut totals = Totals::default();
        for how in End::ALL {
            totals.count_issue();
            totals.count_end(how);
            assert_eq!(totals.of(how), 1);
        }
        let before = totals;
        totals.count_end(End::Expired);
        assert_eq!(totals, before);
        assert_eq!((totals.issued, totals.live), (7, 0));
    }

    #[test]
    fn a_tag_needs_the_whole_key_id() {
        let id = KeyId::new(InstanceId([7; 8]), [9; 16]);
        let other = KeyId::new(InstanceId([7; 8]), [8; 16]);
        assert_ne!(key_tag(id), key_tag(other));
        assert_eq!(log_origin(InstanceId([0xab; 8])), "github.com/ok2cry/ok2cry/boot/abababababababab");
    }
}
