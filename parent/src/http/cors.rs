//! The CORS layer: which web origins may call the API.

use super::X_REQUEST_ID;
use crate::{Config, config::Cors};
use axum::http::{Method, header};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

pub(super) fn layer(config: &Config) -> Option<CorsLayer> {
    let origins = match &config.cors {
        Cors::SameOrigin => return None,
        Cors::Any => AllowOrigin::any(),
        Cors::Origins(list) => AllowOrigin::list(list.iter().cloned()),
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(
            [header::CONTENT_TYPE].into_iter().chain(config.cors_headers.iter().cloned()).collect::<Vec<_>>(),
        )
        // `Config` allows credentials for named origins only.
        .allow_credentials(config.cors_credentials)
        .expose_headers([header::RETRY_AFTER, X_REQUEST_ID])
        .max_age(Duration::from_secs(600));
    Some(layer)
}
