//! The middleware around every request: log line, metrics, response headers, and panics as problems.

use super::{AppState, X_REQUEST_ID, problem::Problem, request_head};
use crate::metrics::{FinishedRequest, Metrics, method_name};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ok2cry_protocol::code::Code;
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Instant,
};

pub(super) async fn observe(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let request_id = format!("{:016x}", getrandom::u64().unwrap_or_default());
    let record = RequestRecord {
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        request_id: &request_id,
        started: Instant::now(),
        metrics: &app.metrics,
        outcome: None,
    };
    let mut response = match request_head::check(&request) {
        Ok(()) => catch_panic(next.run(request)).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    // By default, caches must not store a response: above all not a reply or a key's state.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(X_REQUEST_ID, value);
    }
    record.finish(&response);
    response
}

async fn catch_panic(response: impl Future<Output = Response>) -> Response {
    let mut response = pin!(response);
    poll_fn(|context| {
        // The future is not polled again after a panic, so its own state does not matter. Shared state is
        // behind locks, and each lock is held for one complete update.
        let polled = catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(Problem::from(Code::Internal).into_response()))
    })
    .await
}

/// The record of one request. Logged and counted when dropped, so also when the request is cancelled.
///
/// It contains the matched route instead of the path, because a key's id is a reusable identifier. For the
/// same reason it contains no query, header, body or address.
struct RequestRecord<'a> {
    method: Method,
    route: Option<MatchedPath>,
    request_id: &'a str,
    started: Instant,
    metrics: &'a Metrics,
    /// The response's status and code.
    outcome: Option<(u16, Option<Code>)>,
}

impl RequestRecord<'_> {
    fn finish(mut self, response: &Response) {
        self.outcome = Some((response.status().as_u16(), response.extensions().get().copied()));
    }
}

impl Drop for RequestRecord<'_> {
    fn drop(&mut self) {
        // The status that proxies log when the caller closed the connection before the response.
        const CALLER_GONE: u16 = 499;
        let (status, code) = self.outcome.unwrap_or((CALLER_GONE, None));
        let route = self.route.as_ref().map_or("unmatched", MatchedPath::as_str);
        let duration = self.started.elapsed();
        self.metrics.request(&FinishedRequest { method: &self.method, route, status, code, duration });
        tracing::info!(
            request_id = self.request_id,
            method = method_name(&self.method),
            route,
            status,
            code = code.map(Code::as_str),
            duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
}
