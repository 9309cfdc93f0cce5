//! What happens around every request: its log line, its count, its headers, and the catch for panics.

use super::{App, X_REQUEST_ID, problem::Problem, request_head};
use crate::metrics::{Metrics, method_name};
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

pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let request_id = format!("{:016x}", getrandom::u64().unwrap_or_default());
    let line = Line {
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        request_id: &request_id,
        started: Instant::now(),
        metrics: &app.metrics,
        answered: None,
    };
    let mut response = match request_head::check(&request) {
        Ok(()) => unless_it_panics(next.run(request)).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    // No cache in between may keep an answer, least of all a reply or a state.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(X_REQUEST_ID, value);
    }
    line.answered(&response);
    response
}

async fn unless_it_panics(response: impl Future<Output = Response>) -> Response {
    let mut response = pin!(response);
    poll_fn(|context| {
        // The future is not polled again after a panic, so nobody sees what it left half done; what it shares
        // with others is behind locks that are held for whole steps only.
        let polled = catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(Problem::from(Code::Internal).into_response()))
    })
    .await
}

/// The log line of one request, written when the request ends, however it ends.
///
/// It holds the matched route and not the path: a key's id is a reusable identifier. For the same reason it holds
/// no query, header, body or address.
struct Line<'a> {
    method: Method,
    route: Option<MatchedPath>,
    request_id: &'a str,
    started: Instant,
    metrics: &'a Metrics,
    answered: Option<(u16, Option<Code>)>,
}

impl Line<'_> {
    fn answered(mut self, response: &Response) {
        self.answered = Some((response.status().as_u16(), response.extensions().get().copied()));
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        // As proxies write it: the caller went away before there was an answer.
        const CALLER_GONE: u16 = 499;
        let (status, code) = self.answered.unwrap_or((CALLER_GONE, None));
        let route = self.route.as_ref().map_or("unmatched", MatchedPath::as_str);
        let took = self.started.elapsed();
        self.metrics.request(&self.method, route, status, code, took);
        tracing::info!(
            request_id = self.request_id,
            method = method_name(&self.method),
            route,
            status,
            code = code.map(Code::as_str),
            duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
}
