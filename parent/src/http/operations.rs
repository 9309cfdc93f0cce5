//! For whoever runs the service: is it up, can it work, what has it done.

use super::{App, problem::Problem};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use std::sync::Arc;

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// `GET /healthz`: this process is up. Says nothing of the enclave.
pub(super) async fn healthz() -> Response {
    (JSON, "{\"status\":\"up\"}").into_response()
}

/// `GET /readyz`: the enclave answers, within its deadline.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    app.bridge.health().await?;
    Ok((JSON, "{\"status\":\"ready\"}").into_response())
}

/// `GET /metrics`.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut text = app.metrics.render();
    text.shrink_to_fit();
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}
