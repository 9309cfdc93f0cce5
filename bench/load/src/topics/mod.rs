//! The topics: one module each, or one for several with common code.

mod baseline;
mod efficiency;
mod latency;
mod rates;
mod wire;

use crate::{Bench, Outcome};

pub type Topic = fn(&mut Bench) -> Outcome<()>;

/// In the order in which they run: later ones use earlier results.
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

/// Requests in flight at the enclave's socket.
const IN_FLIGHT: usize = 1024;
const STREAMS: usize = 2;
/// HTTP connections at peak load.
const CONNECTIONS: usize = 256;
