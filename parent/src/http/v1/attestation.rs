//! `/v1/attestation`: an attested statement with the caller's nonce.

use crate::{
    enclave::CallError,
    http::{AppState, extract::read_query, json_response::json, problem::Problem},
};
use axum::{extract::State, http::request::Parts, response::Response};
use base64ct::{Base64UrlUnpadded, Encoding};
use ok2cry_protocol::{
    code::Code,
    http::AttestedBody,
    ids::Nonce,
    rpc::{Answer, Call},
};
use std::sync::Arc;

/// `GET /v1/attestation?nonce=`.
pub(super) async fn attest(State(app): State<Arc<AppState>>, parts: Parts) -> Result<Response, Problem> {
    let [nonce] = read_query(&parts, ["nonce"])?;
    let nonce = Base64UrlUnpadded::decode_vec(&nonce)
        .map_err(|_| Problem::of_field(Code::QueryInvalid, "nonce", "is not base64url without padding"))?;
    let nonce =
        Nonce::new(nonce).map_err(|error| Problem::of_field(Code::NonceInvalid, "nonce", error.rule))?;
    match app.enclave.call(Call::Attest(nonce)).await? {
        Answer::Attested(attested) => Ok(json(&AttestedBody::from(attested), 16 * 1024)),
        _ => Err(CallError::WrongAnswer.into()),
    }
}
