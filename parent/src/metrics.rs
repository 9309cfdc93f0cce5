//! The service's metrics, in the text format of Prometheus. No label value comes from a caller.

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

/// The metrics of one service.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    streams_closed: Family<ReasonLabels, Counter>,
    enclave: EnclaveGauges,
    /// Open HTTP connections.
    pub(crate) connections: Gauge,
    /// HTTP connections that broke, were too slow, or did not speak HTTP.
    pub(crate) connection_errors: Counter,
    /// Requests to the enclave that are in the queue.
    pub(crate) waiting: Gauge,
    /// Requests to the enclave that are in flight.
    pub(crate) in_flight: Gauge,
    /// Open streams to the enclave.
    pub(crate) streams: Gauge,
    /// Failed attempts to connect to the enclave.
    pub(crate) connect_failures: Counter,
    /// Responses without a pending request: late ones, or ones with an unknown id.
    pub(crate) unmatched_responses: Counter,
}

/// A finished request, for [`Metrics::request`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct FinishedRequest<'a> {
    /// The request's method.
    pub(crate) method: &'a Method,
    /// The matched route, never the caller's path.
    pub(crate) route: &'a str,
    /// The status of the response.
    pub(crate) status: u16,
    /// The code of the problem, if the response is one.
    pub(crate) code: Option<Code>,
    /// The time from the request's head to the response's head.
    pub(crate) duration: Duration,
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
    /// Metrics at zero.
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

    /// Counts a finished request.
    pub(crate) fn request(&self, request: &FinishedRequest<'_>) {
        let FinishedRequest { method, route, status, code, duration } = *request;
        let method = method_name(method);
        let code = code.map_or("", Code::as_str);
        let labels = RequestLabels { method, route: route.to_owned(), status, code };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels { method, route: route.to_owned() };
        self.durations.get_or_create(&labels).observe(duration.as_secs_f64());
    }

    /// Counts a closed stream to the enclave.
    pub(crate) fn stream_closed(&self, reason: &'static str) {
        self.streams_closed.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Stores the enclave's last health report.
    pub(crate) fn enclave_health(&self, health: &Health) {
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

    /// Renders all metrics as text (`OpenMetrics` 1.0).
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("http_requests", "HTTP requests answered", self.requests.clone());
        let help = "Time from the request's head to the response's head";
        r.register_with_unit("http_request_duration", help, Unit::Seconds, self.durations.clone());
        r.register("http_connections", "Open HTTP connections", self.connections.clone());
        let help = "HTTP connections that broke, were too slow or did not speak HTTP";
        r.register("http_connection_errors", help, self.connection_errors.clone());
        r.register(
            "enclave_requests_waiting",
            "Requests to the enclave that are in the queue",
            self.waiting.clone(),
        );
        r.register("enclave_requests_in_flight", "Requests to the enclave in flight", self.in_flight.clone());
        r.register("enclave_streams", "Open streams to the enclave", self.streams.clone());
        let help = "Closed streams to the enclave";
        r.register("enclave_streams_closed", help, self.streams_closed.clone());
        let help = "Failed attempts to connect to the enclave";
        r.register("enclave_connect_failures", help, self.connect_failures.clone());
        let help = "Responses without a pending request";
        r.register("enclave_unmatched_responses", help, self.unmatched_responses.clone());

        let g = &self.enclave;
        for (name, help, gauge) in [
            ("live_keys", "Keys that can still open a message", &g.live_keys),
            ("capacity", "Maximum number of live keys", &g.capacity),
            ("tombstones", "Tombstones: ended keys that are still known", &g.tombstones),
            ("documents", "Attestation documents made since boot", &g.documents),
            ("attested", "Records attested since boot", &g.attested),
            ("nsm_failures", "Failed calls to the NSM since boot", &g.nsm_failures),
            ("refused_streams", "Streams closed because of a malformed frame", &g.streams_closed),
        ] {
            let help = format!("{help}, as last reported by the enclave");
            r.register(format!("enclave_reported_{name}"), help, gauge.clone());
        }
    }
}

/// Increments a gauge, and decrements it when dropped.
pub(crate) struct GaugeGuard(Gauge);

impl GaugeGuard {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A method's name, or `other` for methods that this service does not know: callers can invent methods.
pub(crate) fn method_name(method: &Method) -> &'static str {
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
