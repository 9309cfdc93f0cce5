//! A small blocking client for a parent's API. It carries messages; everything that matters is checked by those
//! who make and read them.

use crate::{Error, KeyRequest, SealedMessage, Trust, VerifiedKey};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_verify::{
    CheckTime, TrustAnchor,
    release::{AcceptedReleases, Bundle, MAX_BUNDLE_LEN, Memory, ReleaseKey, Tile},
};
use ok2cry_protocol::{
    http::{AttestedBody, OpenResponse, Problem, StateResponse},
    ids::{KeyId, Nonce},
    rpc::KeyState,
};
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};
use ureq::{Agent, Body, http::Response};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// How long a call may take. All tiles together may take twice that.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The longest tile of a release log, in bytes.
const MAX_TILE: u64 = 256 * 32;

/// Talks to one parent.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    base: String,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The service refused.
    #[error("{}: {}", .0.code, .0.detail)]
    Refused(Box<Problem>),
    /// The answer was refused here.
    #[error(transparent)]
    Answer(#[from] Error),
    /// The service could not be reached, or did not answer in time. What became of the call can be asked: see
    /// [`Client::state`].
    #[error("the service cannot be reached: {0}")]
    Transport(String),
}

impl CallError {
    /// The stable, machine-readable reason.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(problem) => &problem.code,
            Self::Answer(error) => error.code(),
            Self::Transport(_) => "transport_failed",
        }
    }
}

impl Client {
    /// A client for the parent at `base`, for example `https://keys.example.com`.
    pub fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(MAX_WAIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Self { agent: config.into(), base: base.trim_end_matches('/').to_owned() }
    }

    /// Asks for keys and verifies them. `time` is the time of the call; what the answer takes is added to it.
    pub fn issue(
        &self,
        request: KeyRequest,
        trust: &Trust,
        time: &CheckTime,
    ) -> Result<Vec<VerifiedKey>, CallError> {
        let asked = Instant::now();
        let answer = self.post("/v1/keys", &request.to_json())?;
        let waited = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        let time = CheckTime { now_ms: time.now_ms.saturating_add(waited), ..*time };
        Ok(request.verify_response(&answer, trust, &time)?)
    }

    /// Has a message opened. The answer is for [`crate::RecipientKey::open`] to read.
    pub fn open(&self, message: &SealedMessage) -> Result<OpenResponse, CallError> {
        self.post(&format!("/v1/keys/{}/open", message.key_id.to_base64url()), &message.to_json())
    }

    /// Asks what became of a key. Advisory: nobody has signed the answer.
    pub fn state(&self, key: KeyId) -> Result<KeyState, CallError> {
        let url = format!("{}/v1/keys/{}", self.base, key.to_base64url());
        key_state(read(self.agent.get(&url).call()))
    }

    /// Ends a key now. Answers the state that it is in then.
    pub fn destroy(&self, key: KeyId) -> Result<KeyState, CallError> {
        let url = format!("{}/v1/keys/{}", self.base, key.to_base64url());
        key_state(read(self.agent.delete(&url).call()))
    }

    /// Asks for a statement about `nonce`, for [`Trust::verify_statement`].
    pub fn attestation(&self, nonce: &Nonce) -> Result<AttestedBody, CallError> {
        let nonce = Base64UrlUnpadded::encode_string(nonce.as_bytes());
        read(self.agent.get(&format!("{}/v1/attestation?nonce={nonce}", self.base)).call())
    }

    /// Asks which releases are published, and checks what comes for `key`: signatures, age, log, and against what this
    /// client remembers. [`Trust::from_releases`] then accepts them.
    pub fn releases(
        &self,
        key: &ReleaseKey,
        anchor: &TrustAnchor,
        memory: &mut Memory,
        time: &CheckTime,
    ) -> Result<AcceptedReleases, CallError> {
        let bundle = self.fetch("/v1/release", MAX_BUNDLE_LEN as u64)?;
        let bundle = Bundle::decode(&bundle).map_err(Error::Releases)?;
        // A tile that does not come, or not in time, is one that is missing.
        let asked = Instant::now();
        let tile = |tile: &Tile| {
            let in_time = asked.elapsed() < MAX_WAIT;
            in_time.then(|| self.fetch(&format!("/v1/release/log/{}", tile.path()), MAX_TILE).ok()).flatten()
        };
        Ok(key.check_with_tiles(&bundle, &tile, anchor, memory, time).map_err(Error::Releases)?)
    }

    fn fetch(&self, path: &str, max: u64) -> Result<Vec<u8>, CallError> {
        bytes(self.agent.get(&format!("{}{path}", self.base)).call(), max)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, json: &str) -> Result<T, CallError> {
        let request =
            self.agent.post(&format!("{}{path}", self.base)).header("content-type", "application/json");
        read(request.send(json))
    }
}

fn key_state(answer: Result<StateResponse, CallError>) -> Result<KeyState, CallError> {
    match answer {
        Ok(StateResponse { state }) => KeyState::from_name(&state)
            .ok_or_else(|| Error::Answer(format!("there is no state {state:?}")).into()),
        Err(CallError::Refused(problem)) if problem.code == "unknown_key" => Ok(KeyState::Unknown),
        Err(error) => Err(error),
    }
}

fn read<T: DeserializeOwned>(response: Result<Response<Body>, ureq::Error>) -> Result<T, CallError> {
    let body = zeroize::Zeroizing::new(bytes(response, MAX_ANSWER)?);
    serde_json::from_slice(&body).map_err(|e| Error::Answer(e.to_string()).into())
}

/// The body of a success.
fn bytes(response: Result<Response<Body>, ureq::Error>, max: u64) -> Result<Vec<u8>, CallError> {
    let transport = |e: ureq::Error| CallError::Transport(e.to_string());
    let mut response = response.map_err(transport)?;
    let status = response.status();
    let body = response.body_mut().with_config().limit(max).read_to_vec().map_err(transport)?;
    if status.is_success() {
        return Ok(body);
    }
    match serde_json::from_slice(&body) {
        Ok(problem) => Err(CallError::Refused(Box::new(problem))),
        Err(_) => Err(CallError::Transport(format!("it answered {status} without a reason"))),
    }
}
