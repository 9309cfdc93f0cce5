//! A small blocking client for a parent's API. It carries messages; everything that matters is checked by those
//! who make and read them.

mod network;

pub use self::network::Network;

use crate::{
    Error, KeyRequest, SealedMessage, Trust, VerifiedKey,
    answer::{MAX_ANSWER, Object, Text, read_attested, read_issued, read_opened, read_state},
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_verify::{
    CheckTime, TrustAnchor,
    release::{AcceptedReleases, Bundle, MAX_BUNDLE_LEN, Memory, ReleaseKey, Tile},
};
use ok2cry_protocol::{
    http::{AttestedBody, OpenResponse, Problem},
    ids::{KeyId, Nonce},
    reasons,
    rpc::KeyState,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use ureq::{Agent, Body, http::Response};
use zeroize::Zeroizing;

/// How long a call may take. All tiles together may take twice that.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The longest tile of a release log, in bytes.
const MAX_TILE: u64 = 256 * 32;
/// The longest sentence of a service that is repeated, in characters.
const MAX_DETAIL: usize = 1000;

/// Talks to one parent.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    base: String,
    network: Arc<Network>,
}

reasons! {
    /// Why a call failed.
    #[derive(Debug)]
    pub enum CallError -> &str {
        /// The service could not be reached, or did not answer in time. [`Client::state`] tells what became of
        /// the key.
        Transport(String) => "transport_failed", "the service cannot be reached: {0}";
    }
    passing on {
        /// The service refused.
        Refused(Box<Problem>) => "{0}";
        /// The answer was refused here.
        Answer(#[from] Error) => "{0}";
    }
}

impl Client {
    /// A client for the parent at `base`, for example `https://keys.example.com`, with the network that the environment
    /// describes ([`Network::from_env`]). What is wrong with that, the first call says.
    pub fn new(base: &str) -> Self {
        Self::with_network(base, Network::from_env(base))
    }

    /// A client for the parent at `base`, over `network`.
    pub fn with_network(base: &str, network: Network) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(MAX_WAIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(network.proxy())
            .tls_config(network.tls())
            .build();
        let base = base.trim_end_matches('/').to_owned();
        Self { agent: config.into(), base, network: Arc::new(network) }
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
        Ok(request.verify_response(&read_issued(&answer)?, trust, &time)?)
    }

    /// Has a message opened. The answer is for [`crate::RecipientKey::open`] to read.
    pub fn open(&self, message: &SealedMessage) -> Result<OpenResponse, CallError> {
        Ok(read_opened(&self.open_unread(message)?)?)
    }

    /// Has a message opened, and returns the answer as it came, at most a megabyte: an answer that cannot be read, or
    /// not yet, is not to be lost. [`crate::answer`] reads it.
    pub fn open_unread(&self, message: &SealedMessage) -> Result<Zeroizing<Vec<u8>>, CallError> {
        self.post(&format!("/v1/keys/{}/open", message.key_id.to_base64url()), &message.to_json())
    }

    /// Asks what became of a key. Advisory: nobody has signed the answer.
    pub fn state(&self, key: KeyId) -> Result<KeyState, CallError> {
        self.ready()?;
        key_state(self.answer(self.agent.get(&self.key_url(key)).call()))
    }

    /// Ends a key now. Answers the state that it is in then.
    pub fn destroy(&self, key: KeyId) -> Result<KeyState, CallError> {
        self.ready()?;
        key_state(self.answer(self.agent.delete(&self.key_url(key)).call()))
    }

    /// Asks for a statement about `nonce`, for [`Trust::verify_statement`].
    pub fn attestation(&self, nonce: &Nonce) -> Result<AttestedBody, CallError> {
        let nonce = Base64UrlUnpadded::encode_string(nonce.as_bytes());
        Ok(read_attested(&self.fetch(&format!("/v1/attestation?nonce={nonce}"), MAX_ANSWER as u64)?)?)
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
            let path = format!("/v1/release/log/{}", tile.path());
            in_time.then(|| self.fetch(&path, MAX_TILE).ok().map(|bytes| bytes.to_vec())).flatten()
        };
        Ok(key.check_with_tiles(&bundle, &tile, anchor, memory, time).map_err(Error::Releases)?)
    }

    fn key_url(&self, key: KeyId) -> String {
        format!("{}/v1/keys/{}", self.base, key.to_base64url())
    }

    fn fetch(&self, path: &str, max: u64) -> Result<Zeroizing<Vec<u8>>, CallError> {
        self.ready()?;
        self.bytes(self.agent.get(&format!("{}{path}", self.base)).call(), max)
    }

    fn post(&self, path: &str, json: &str) -> Result<Zeroizing<Vec<u8>>, CallError> {
        self.ready()?;
        let request =
            self.agent.post(&format!("{}{path}", self.base)).header("content-type", "application/json");
        self.answer(request.send(json))
    }

    fn ready(&self) -> Result<(), CallError> {
        self.network.fault().map_or(Ok(()), |fault| Err(CallError::Transport(fault.to_owned())))
    }

    fn answer(&self, response: Result<Response<Body>, ureq::Error>) -> Result<Zeroizing<Vec<u8>>, CallError> {
        self.bytes(response, MAX_ANSWER as u64)
    }

    /// The body of a success.
    fn bytes(
        &self,
        response: Result<Response<Body>, ureq::Error>,
        max: u64,
    ) -> Result<Zeroizing<Vec<u8>>, CallError> {
        let transport = |e: ureq::Error| CallError::Transport(self.network.explain(&self.base, &e));
        let mut response = response.map_err(transport)?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(max).read_to_vec().map_err(transport)?;
        let body = Zeroizing::new(body);
        if status.is_success() {
            return Ok(body);
        }
        Err(match problem(status.as_u16(), &body) {
            Some(problem) => CallError::Refused(Box::new(problem)),
            None => CallError::Transport(self.network.without_reason(&self.base, status.as_u16())),
        })
    }
}

fn key_state(answer: Result<Zeroizing<Vec<u8>>, CallError>) -> Result<KeyState, CallError> {
    match answer {
        Ok(body) => Ok(read_state(&body)?),
        Err(CallError::Refused(problem)) if problem.code == "unknown_key" => Ok(KeyState::Unknown),
        Err(error) => Err(error),
    }
}

/// An RFC 9457 problem, if the body is one with a code. Nobody has signed it, so its text is cleaned and cut.
fn problem(status: u16, body: &[u8]) -> Option<Problem> {
    let text = Text::read(body).ok()?;
    let fields = Object::open(&text.0, "a problem").ok()?;
    let shown = |text: &str| -> String {
        text.chars().take(MAX_DETAIL).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    };
    let code = fields.text("code").ok()?;
    let is_code = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if code.is_empty() || code.len() > 64 || !code.bytes().all(is_code) {
        return None;
    }
    Some(Problem {
        kind: fields.text("type").map(shown).unwrap_or_default(),
        title: fields.text("title").map(shown).unwrap_or_default(),
        status,
        detail: shown(fields.text("detail").ok()?),
        code: code.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_a_code_and_a_harmless_sentence() {
        let read = problem(409, br#"{"code":"key_used","detail":"a\u001b[2Jb","more":[1]}"#).unwrap();
        assert_eq!((read.status, read.detail.as_str()), (409, "a\u{fffd}[2Jb"));
        for body in [
            r#"["t","t",409,"d","key_used"]"#,
            r#"{"code":"key_used"}"#,
            r#"{"code":"Key used","detail":""}"#,
            r#"{"code":"","detail":""}"#,
            r#"{"code":"key_used","code":"key_used","detail":""}"#,
            "<html>",
        ] {
            assert!(problem(409, body.as_bytes()).is_none(), "{body}");
        }
    }
}
