//! The two requests: make a key, and open a message with it.

use crate::agreement::Provider;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};

pub fn router(provider: Provider, valkey: MultiplexedConnection) -> Router {
    Router::new()
        .route("/v1/keys", post(issue))
        .route("/v1/keys/{id}/open", post(open))
        .with_state(Service { provider, valkey })
}

#[derive(Clone)]
struct Service {
    provider: Provider,
    valkey: MultiplexedConnection,
}

#[derive(Deserialize)]
struct IssueRequest {
    /// In milliseconds.
    ttl: u64,
}

#[derive(Serialize)]
struct IssueResponse {
    id: String,
    public_key: String,
}

#[derive(Deserialize)]
struct OpenRequest {
    enc: String,
    ciphertext: String,
    aad: String,
}

#[derive(Serialize)]
struct OpenResponse {
    plaintext: String,
}

async fn issue(
    State(mut service): State<Service>,
    Json(request): Json<IssueRequest>,
) -> Result<Json<IssueResponse>, StatusCode> {
    let (scalar, public) = service.provider.generate().ok_or(FAILED)?;
    let mut id = [0; ID_LEN];
    getrandom::fill(&mut id).map_err(|_| FAILED)?;
    let mut set = redis::cmd("SET");
    set.arg(&id).arg(&scalar[..]).arg("PX").arg(request.ttl);
    set.exec_async(&mut service.valkey).await.map_err(|_| FAILED)?;
    Ok(Json(IssueResponse { id: encode(&id), public_key: encode(&public) }))
}

async fn open(
    State(mut service): State<Service>,
    Path(id): Path<String>,
    Json(request): Json<OpenRequest>,
) -> Result<Json<OpenResponse>, StatusCode> {
    let id = decode(&id)?;
    let (enc, aad) = (decode(&request.enc)?, decode(&request.aad)?);
    let ciphertext = decode(&request.ciphertext)?;
    let mut take = redis::cmd("GETDEL");
    let scalar: Option<Vec<u8>> = take.arg(&id).query_async(&mut service.valkey).await.map_err(|_| FAILED)?;
    let scalar = scalar.ok_or(StatusCode::NOT_FOUND)?;
    let plaintext = service.provider.open(&scalar, &enc, ciphertext, &aad).ok_or(StatusCode::BAD_REQUEST)?;
    Ok(Json(OpenResponse { plaintext: encode(&plaintext) }))
}

const ID_LEN: usize = 24;
const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

fn decode(text: &str) -> Result<Vec<u8>, StatusCode> {
    Base64UrlUnpadded::decode_vec(text).map_err(|_| StatusCode::BAD_REQUEST)
}
