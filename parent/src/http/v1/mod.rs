//! The API, under `/v1`.

mod attestation;
mod keys;
mod release;

use super::Route;
use axum::routing::{get, post};

pub(super) fn routes() -> [Route; 6] {
    [
        ("/v1/keys", post(keys::issue)),
        ("/v1/keys/{id}", get(keys::state).delete(keys::destroy)),
        ("/v1/keys/{id}/open", post(keys::open)),
        ("/v1/attestation", get(attestation::attest)),
        ("/v1/release", get(release::bundle)),
        ("/v1/release/{*path}", get(release::file)),
    ]
}
