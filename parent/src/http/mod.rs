//! The routes, their strict inputs, and the problems they answer with.
//!
//! | module | holds |
//! |---|---|
//! | `v1` | the API, under `/v1` |
//! | `file_body` | a file as a body, read one piece at a time |
//! | `operations` | health, readiness, metrics |
//! | `openapi` | the OpenAPI description and the page made from it |
//! | `request_head` | what must hold of every request's head |
//! | `extract` | inputs that are exact, or refused with the field and the rule |
//! | `not_found` | what no route takes |
//! | [`problem`] | refusals as RFC 9457 problems |
//! | `observe` | what happens around every request: its log line, its count, its headers, and the catch for panics |

mod cors;
mod extract;
mod file_body;
mod not_found;
mod observe;
mod openapi;
mod operations;
pub mod problem;
mod request_head;
mod v1;

use crate::{Config, enclave::pool::Bridge, metrics::Metrics};
use axum::{
    Router,
    http::HeaderName,
    middleware,
    routing::{MethodRouter, get, post},
};
use ok2cry_protocol::code::Code;
use problem::Problem;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use v1::{attestation, keys, release};

/// The whole HTTP service, over a bridge to the enclave. Must be called within a Tokio runtime.
pub fn router(config: &Config, metrics: Arc<Metrics>) -> Router {
    let app = Arc::new(App {
        bridge: Bridge::start(config, metrics.clone()),
        metrics,
        max_body_bytes: config.max_body_bytes,
        body_timeout: config.body_timeout,
        release_site: config.release_site.clone(),
        file_readers: Arc::new(Semaphore::new(config.max_connections.div_ceil(2))),
    });
    observed(
        routes().into_iter().fold(Router::new(), |r, (path, methods)| r.route(path, methods)),
        config,
        app,
    )
}

/// What all requests share.
struct App {
    bridge: Bridge,
    metrics: Arc<Metrics>,
    max_body_bytes: usize,
    body_timeout: Duration,
    release_site: Option<PathBuf>,
    /// One permit for every response that sends a published file.
    file_readers: Arc<Semaphore>,
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

// A table, so that a test can hold the OpenAPI description against it.
fn routes() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    vec![
        ("/v1/keys", post(keys::issue)),
        ("/v1/keys/{id}", get(keys::state).delete(keys::destroy)),
        ("/v1/keys/{id}/open", post(keys::open)),
        ("/v1/attestation", get(attestation::attest)),
        ("/v1/release", get(release::bundle)),
        ("/v1/release/{*path}", get(release::file)),
        ("/healthz", get(operations::healthz)),
        ("/readyz", get(operations::readyz)),
        ("/metrics", get(operations::metrics)),
        ("/openapi.json", get(openapi::openapi)),
        ("/docs", get(openapi::docs)),
    ]
}

fn observed(router: Router<Arc<App>>, config: &Config, app: Arc<App>) -> Router {
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

    /// Path → methods.
    type Routes = BTreeMap<String, BTreeSet<String>>;

    fn documented() -> Routes {
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
        let mut served = Routes::new();
        for (path, _) in routes() {
            let response = send(&router, "TRACE", path).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            let allow = response.headers()[header::ALLOW].to_str().unwrap();
            // HEAD comes with GET, by HTTP's own rules.
            let methods = allow.split(',').map(str::to_owned).filter(|method| method != "HEAD");
            // OpenAPI has no sign for a path of several parts.
            served.insert(path.replace("{*", "{"), methods.collect());
        }
        assert_eq!(served, documented());
    }

    #[test]
    fn every_code_is_documented_where_it_can_appear_and_with_its_status() {
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
    async fn a_panic_is_answered_without_details_and_the_next_request_works() {
        let config = config();
        let app = Arc::new(App {
            bridge: Bridge::start(&config, Arc::default()),
            metrics: Arc::default(),
            max_body_bytes: 1,
            body_timeout: Duration::from_secs(1),
            release_site: None,
            file_readers: Arc::new(Semaphore::new(1)),
        });
        let broken = get(async || -> &'static str { panic!("4929 is the PIN") });
        let router = observed(Router::new().route("/broken", broken), &config, app);
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
