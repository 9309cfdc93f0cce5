//! `/v1/keys`: issue, open, read the state, destroy.
//!
//! The checks here only name the field in the refusal. The enclave checks everything again.

use crate::{
    enclave::CallError,
    http::{
        AppState,
        extract::{Json, KeyPath, NoQuery},
        json_response::{json, secret_json},
        problem::Problem,
    },
};
use axum::{extract::State, response::Response};
use ok2cry_protocol::{
    MAX_AAD, MAX_CIPHERTEXT, MAX_COUNT,
    code::Code,
    descriptor::DeliverTo,
    http::{IssueRequest, IssueResponse, OpenRequest, OpenResponse, RecipientField, StateResponse},
    ids::{KeyId, Nonce, Purpose},
    rpc::{Answer, Call, Issue, KeyState, Open},
    suite::{PublicKey, Suite},
};
use std::sync::Arc;

/// `POST /v1/keys`.
///
/// The status is 200, not 201: a 201 names the new resource in `Location`. A client must not use a key's id
/// before it has verified the attestation document.
pub(super) async fn issue(
    State(app): State<Arc<AppState>>,
    _: NoQuery,
    Json(body): Json<IssueRequest>,
) -> Result<Response, Problem> {
    match app.enclave.call(Call::Issue(checked_issue(body)?)).await? {
        Answer::Issued(issued) => Ok(json(&IssueResponse::from(issued), 16 * 1024)),
        _ => Err(CallError::WrongAnswer.into()),
    }
}

/// `POST /v1/keys/{id}/open`.
pub(super) async fn open(
    State(app): State<Arc<AppState>>,
    KeyPath(key_id): KeyPath,
    _: NoQuery,
    Json(body): Json<OpenRequest>,
) -> Result<Response, Problem> {
    let answer = app.enclave.call(Call::Open(checked_open(key_id, body)?)).await?;
    match OpenResponse::from_answer(answer) {
        Some(response @ OpenResponse::Plaintext(_)) => Ok(secret_json(&response, 8 * 1024)),
        Some(response) => Ok(json(&response, 16 * 1024)),
        None => Err(CallError::WrongAnswer.into()),
    }
}

/// `GET /v1/keys/{id}`.
pub(super) async fn state(
    State(app): State<Arc<AppState>>,
    KeyPath(key_id): KeyPath,
    _: NoQuery,
) -> Result<Response, Problem> {
    state_response(&app.enclave.call(Call::Status(key_id)).await?)
}

/// `DELETE /v1/keys/{id}`.
pub(super) async fn destroy(
    State(app): State<Arc<AppState>>,
    KeyPath(key_id): KeyPath,
    _: NoQuery,
) -> Result<Response, Problem> {
    state_response(&app.enclave.call(Call::Destroy(key_id)).await?)
}

fn state_response(answer: &Answer) -> Result<Response, Problem> {
    match answer {
        Answer::State(KeyState::Unknown) => Err(Code::UnknownKey.into()),
        Answer::State(state) => Ok(json(&StateResponse::from(*state), 64)),
        _ => Err(CallError::WrongAnswer.into()),
    }
}

fn checked_issue(body: IssueRequest) -> Result<Issue, Problem> {
    let nonce = Nonce::new(body.nonce.0)
        .map_err(|error| Problem::of_field(Code::NonceInvalid, "nonce", error.rule))?;
    let purpose = Purpose::new(&body.purpose)
        .map_err(|error| Problem::of_field(Code::PurposeInvalid, "purpose", error.rule))?;
    if body.ttl == 0 {
        let rule = "must be at least 1 millisecond";
        return Err(Problem::of_field(Code::TtlOutOfRange, "ttl", rule));
    }
    let deliver_to = checked_recipient(body.recipient)?;
    if !(1..=MAX_COUNT).contains(&body.count) {
        let rule = format!("must be from 1 to {MAX_COUNT}");
        return Err(Problem::of_field(Code::CountOutOfRange, "count", rule));
    }
    Ok(Issue { nonce, purpose, ttl: body.ttl, deliver_to, count: body.count })
}

fn checked_recipient(recipient: RecipientField) -> Result<DeliverTo, Problem> {
    match recipient {
        RecipientField::Named(name) if name == "caller" => Ok(DeliverTo::Caller),
        RecipientField::Named(_) => {
            let rule = "must be \"caller\" or an object of suite and public_key";
            Err(Problem::of_field(Code::RecipientInvalid, "recipient", rule))
        }
        RecipientField::Key(key) => {
            let [kem, kdf, aead] = key.suite;
            Suite { kem, kdf, aead }
                .check()
                .map_err(|rule| Problem::of_field(Code::SuiteUnsupported, "recipient.suite", rule))?;
            let key = PublicKey::new(&key.public_key.0)
                .map_err(|rule| Problem::of_field(Code::RecipientKeyInvalid, "recipient.public_key", rule))?;
            Ok(DeliverTo::Recipient(key))
        }
    }
}

fn checked_open(key_id: KeyId, body: OpenRequest) -> Result<Open, Problem> {
    let enc = PublicKey::new(&body.enc.0).map_err(|rule| Problem::of_field(Code::EncInvalid, "enc", rule))?;
    let (ciphertext, aad) = (body.ciphertext.0, body.aad.0);
    if !(16..=MAX_CIPHERTEXT).contains(&ciphertext.len()) {
        let rule = format!("must have from 16 to {MAX_CIPHERTEXT} bytes");
        return Err(Problem::of_field(Code::CiphertextInvalid, "ciphertext", rule));
    }
    if aad.len() > MAX_AAD {
        let rule = format!("must not have more than {MAX_AAD} bytes");
        return Err(Problem::of_field(Code::AadInvalid, "aad", rule));
    }
    Ok(Open { key_id, enc, ciphertext, aad })
}
