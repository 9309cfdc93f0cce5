//! What is counted, as Prometheus reads it. Every label's values are this program's own words: none is a caller's.

use axum::http::Method;
use ok2cry_protocol::{code::Code, rpc::Health};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use std::time::Duration;

/// The counters of one service.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    streams_closed: Family<ReasonLabels, Counter>,
    enclave: EnclaveGauges,
    /// HTTP connections that are open.
    pub connections: Gauge,
    /// HTTP requests that could not be parsed, and connections that broke or were too slow.
    pub connection_errors: Counter,
    /// Requests to the enclave that wait for their turn.
    pub waiting: Gauge,
    /// Requests to the enclave that are under way.
    pub in_flight: Gauge,
    /// Streams to the enclave that are open.
    pub streams: Gauge,
    /// Attempts to connect to the enclave that failed.
    pub connect_failures: Counter,
    /// Responses that nobody waits for: late ones, after a timeout, or ones that were never asked for.
    pub unmatched_responses: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Default)]
struct EnclaveGauges {
    live_keys: Gauge,
    capacity: Gauge,
    tombstones: Gauge,
    documents: Gauge,
    attested: Gauge,
    nsm_failures: Gauge,
    streams_closed: Gauge,
}

impl Metrics {
    /// Counters at zero.
    pub fn new() -> Self {
        let durations: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_5, 2.0, 15));
        let mut metrics = Self {
            registry: Registry::with_prefix("ok2cry_parent"),
            requests: Family::default(),
            durations: Family::new_with_constructor(durations),
            streams_closed: Family::default(),
            enclave: EnclaveGauges::default(),
            connections: Gauge::default(),
            connection_errors: Counter::default(),
            waiting: Gauge::default(),
            in_flight: Gauge::default(),
            streams: Gauge::default(),
            connect_failures: Counter::default(),
            unmatched_responses: Counter::default(),
        };
        metrics.register();
        metrics
    }

    /// Counts a request that was answered. `route` is the matched route, never the caller's path.
    pub fn request(&self, method: &Method, route: &str, status: u16, code: Option<Code>, took: Duration) {
        let method = method_name(method);
        let code = code.map_or("", Code::as_str);
        let labels = RequestLabels { method, route: route.to_owned(), status, code };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels { method, route: route.to_owned() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts a stream to the enclave that was closed.
    pub fn stream_closed(&self, reason: &'static str) {
        self.streams_closed.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Notes what the enclave last said of itself.
    pub fn enclave_health(&self, health: &Health) {
        let g = &self.enclave;
        for (gauge, value) in [
            (&g.live_keys, health.live_keys),
            (&g.capacity, health.capacity),
            (&g.tombstones, health.tombstones),
            (&g.documents, health.documents),
            (&g.attested, health.attested),
            (&g.nsm_failures, health.nsm_failures),
            (&g.streams_closed, health.streams_closed),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// All of it, in the text format of Prometheus (version 1 of the open standard).
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("http_requests", "HTTP requests that were answered", self.requests.clone());
        let help = "From the request's head to the response's";
        r.register_with_unit("http_request_duration", help, Unit::Seconds, self.durations.clone());
        r.register("http_connections", "HTTP connections that are open", self.connections.clone());
        let help = "HTTP connections that broke, were too slow or did not speak HTTP";
        r.register("http_connection_errors", help, self.connection_errors.clone());
        r.register("enclave_requests_waiting", "Requests that wait for their turn", self.waiting.clone());
        r.register("enclave_requests_in_flight", "Requests that are under way", self.in_flight.clone());
        r.register("enclave_streams", "Streams to the enclave that are open", self.streams.clone());
        let help = "Streams to the enclave that were closed";
        r.register("enclave_streams_closed", help, self.streams_closed.clone());
        let help = "Attempts to connect to the enclave that failed";
        r.register("enclave_connect_failures", help, self.connect_failures.clone());
        let help = "Responses that nobody waited for any more";
        r.register("enclave_unmatched_responses", help, self.unmatched_responses.clone());

        let g = &self.enclave;
        for (name, help, gauge) in [
            ("live_keys", "Keys that can still open a message", &g.live_keys),
            ("capacity", "The most keys that the enclave may hold", &g.capacity),
            ("tombstones", "Endings that are still remembered", &g.tombstones),
            ("documents", "Attestation documents made since boot", &g.documents),
            ("attested", "Records attested since boot", &g.attested),
            ("nsm_failures", "Calls to the NSM that failed since boot", &g.nsm_failures),
            ("refused_streams", "Streams that the enclave closed for a bad frame", &g.streams_closed),
        ] {
            let help = format!("{help}, as the enclave last said");
            r.register(format!("enclave_reported_{name}"), help, gauge.clone());
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A method's name, and one name for all that this service does not know: a caller can make up methods.
pub fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
