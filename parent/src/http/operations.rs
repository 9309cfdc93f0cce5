//! Health, readiness and metrics, for operators.

use super::{AppState, problem::Problem};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use std::sync::Arc;

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// `GET /healthz`: this process is up. Does not call the enclave.
pub(super) async fn healthz() -> Response {
    (JSON, "{\"status\":\"up\"}").into_response()
}

/// `GET /readyz`: the enclave answers within `ready_timeout`.
pub(super) async fn readyz(State(app): State<Arc<AppState>>) -> Result<Response, Problem> {
    app.enclave.health().await?;
    Ok((JSON, "{\"status\":\"ready\"}").into_response())
}

/// `GET /metrics`.
pub(super) async fn metrics(State(app): State<Arc<AppState>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut text = app.metrics.render();
    text.shrink_to_fit();
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}
