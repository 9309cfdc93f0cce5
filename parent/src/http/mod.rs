//! The HTTP API: routes, input checks and problems.
//!
//! | module | holds |
//! |---|---|
//! | `v1` | the API, under `/v1` |
//! | `operations` | health, readiness and metrics |
//! | `openapi` | the OpenAPI description, and the page that is rendered from it |
//! | `request_head` | checks of every request's head |
//! | `extract` | strict extractors for bodies, paths and queries |
//! | `problem` | refusals as RFC 9457 problems |
//! | `not_found` | the problem for unknown paths |
//! | `json_response` | JSON responses, with or without secrets |
//! | `file_body` | a file as a response body, read in chunks |
//! | `cors` | the CORS layer |
//! | `observe` | the middleware around every request: log line, metrics, response headers, panics |

mod cors;
mod extract;
mod file_body;
mod json_response;
mod not_found;
mod observe;
mod openapi;
mod operations;
mod problem;
mod request_head;
mod v1;

use crate::{Config, enclave::EnclavePool, metrics::Metrics};
use axum::{
    Router,
    http::HeaderName,
    middleware,
    routing::{MethodRouter, get},
};
use ok2cry_protocol::code::Code;
use problem::Problem;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Builds the HTTP service and starts to connect to the enclave. Must be called within a Tokio runtime.
pub fn router(config: &Config, metrics: Arc<Metrics>) -> Router {
    let app = Arc::new(AppState {
        enclave: EnclavePool::start(config, metrics.clone()),
        metrics,
        max_body_bytes: config.max_body_bytes,
        body_timeout: config.body_timeout,
        release_site: config.release_site.clone(),
        file_readers: Arc::new(Semaphore::new(config.max_connections.div_ceil(2))),
    });
    let router = routes().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    with_layers(router, config, app)
}

/// The state that all requests share.
struct AppState {
    enclave: EnclavePool,
    metrics: Arc<Metrics>,
    max_body_bytes: usize,
    body_timeout: Duration,
    release_site: Option<PathBuf>,
    /// One permit for each response that sends a published file.
    file_readers: Arc<Semaphore>,
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

type Route = (&'static str, MethodRouter<Arc<AppState>>);

// A table, so that a test can compare it with the OpenAPI description.
fn routes() -> impl Iterator<Item = Route> {
    let operations = [
        ("/healthz", get(operations::healthz)),
        ("/readyz", get(operations::readyz)),
        ("/metrics", get(operations::metrics)),
        ("/openapi.json", get(openapi::openapi)),
        ("/docs", get(openapi::docs)),
    ];
    v1::routes().into_iter().chain(operations)
}

fn with_layers(router: Router<Arc<AppState>>, config: &Config, app: Arc<AppState>) -> Router {
    let router = router
        .fallback(not_found::answer)
        .method_not_allowed_fallback(async || Problem::from(Code::MethodNotAllowed));
    let router = match cors::layer(config) {
        Some(layer) => router.layer(layer),
        None => router,
    };
    router.layer(middleware::from_fn_with_state(app.clone(), observe::observe)).with_state(app)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        body::Body,
        http::{Request, StatusCode, header},
        response::Response,
    };
    use std::collections::{BTreeMap, BTreeSet};
    use tower::ServiceExt;

    fn config() -> Config {
        Config::new("unix:///nothing/listens/here.sock".parse().unwrap())
    }

    async fn send(router: &Router, method: &str, path: &str) -> Response {
        let request =
            Request::builder().method(method).uri(path).header("host", "x").body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    /// Methods by path.
    type MethodsByPath = BTreeMap<String, BTreeSet<String>>;

    fn documented() -> MethodsByPath {
        let openapi: serde_json::Value = serde_json::from_str(openapi::OPENAPI).unwrap();
        let methods = |item: &serde_json::Value| {
            item.as_object()
                .unwrap()
                .keys()
                .filter(|k| *k != "parameters")
                .map(|k| k.to_uppercase())
                .collect()
        };
        openapi["paths"].as_object().unwrap().iter().map(|(p, item)| (p.clone(), methods(item))).collect()
    }

    #[tokio::test]
    async fn every_route_and_method_is_documented_and_nothing_else() {
        let router = router(&config(), Arc::default());
        let mut served = MethodsByPath::new();
        for (path, _) in routes() {
            let response = send(&router, "TRACE", path).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            let allow = response.headers()[header::ALLOW].to_str().unwrap();
            // HTTP requires HEAD wherever there is GET.
            let methods = allow.split(',').map(str::to_owned).filter(|method| method != "HEAD");
            // OpenAPI has no syntax for a parameter of several path segments.
            served.insert(path.replace("{*", "{"), methods.collect());
        }
        assert_eq!(served, documented());
    }

    #[test]
    fn every_code_is_documented_under_its_status() {
        let openapi: serde_json::Value = serde_json::from_str(openapi::OPENAPI).unwrap();
        let listed = |value: &serde_json::Value| -> BTreeSet<String> {
            value.as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
        };
        let all: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
        assert_eq!(listed(&openapi["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]), all);
        let mut seen = BTreeSet::new();
        let operations = openapi["paths"].as_object().unwrap().values();
        let operations = operations.flat_map(|item| item.as_object().unwrap().values());
        for (status, response) in
            operations.filter_map(|o| o.get("responses")).flat_map(|r| r.as_object().unwrap())
        {
            let Some(codes) = response.get("x-codes") else {
                assert!(status.starts_with('2') || status == "default", "{response}");
                continue;
            };
            for code in listed(codes) {
                assert_eq!(Code::from_name(&code).unwrap().status().to_string(), *status, "{code}");
                seen.insert(code);
            }
        }
        let anywhere = listed(&openapi["components"]["responses"]["Anywhere"]["x-codes"]);
        assert_eq!(seen.union(&anywhere).cloned().collect::<BTreeSet<_>>(), all);
    }

    #[tokio::test]
    async fn a_panic_becomes_a_problem_without_details() {
        let config = config();
        let app = Arc::new(AppState {
            enclave: EnclavePool::start(&config, Arc::default()),
            metrics: Arc::default(),
            max_body_bytes: 1,
            body_timeout: Duration::from_secs(1),
            release_site: None,
            file_readers: Arc::new(Semaphore::new(1)),
        });
        let broken = get(async || -> &'static str { panic!("4929 is the PIN") });
        let router = with_layers(Router::new().route("/broken", broken), &config, app);
        for _ in 0..2 {
            let response = send(&router, "GET", "/broken").await;
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["code"], "internal");
            assert!(!problem.to_string().contains("4929"));
        }
    }
}
