//! One module for each topic, or for those that share their means.

mod baseline;
mod efficiency;
mod latency;
mod rates;
mod wire;

use crate::{Bench, Outcome};

pub type Topic = fn(&mut Bench) -> Outcome<()>;

/// In the order in which they run: later ones use what earlier ones found.
pub const TOPICS: [(&str, Topic); 8] = [
    ("socket", rates::socket),
    ("http", rates::http),
    ("efficiency", efficiency::topic),
    ("lone", latency::lone),
    ("open-loop", latency::open_loop),
    ("baseline", baseline::topic),
    ("slow-nsm", rates::slow_nsm),
    ("wire", wire::topic),
];

/// Under way at the enclave's socket, in all.
const IN_FLIGHT: usize = 1024;
const STREAMS: usize = 2;
/// HTTP connections at peak.
const CONNECTIONS: usize = 256;
