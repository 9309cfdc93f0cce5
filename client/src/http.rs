//! A blocking client for a parent's API. It transports messages; the code that makes and reads them checks
//! them.

mod builder;
mod network;

pub use self::builder::{ClientBuilder, ClientError};

use self::network::Network;
use crate::{
    Error, KeyRequest, SealedMessage, Trust, VerifiedKey,
    answer::{MAX_ANSWER, Object, Text, read_attested, read_issued, read_opened, read_state},
    key::only,
    trust::millis,
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_protocol::{
    http::{AttestedBody, OpenResponse, Problem},
    ids::{KeyId, Nonce},
    reasons,
    rpc::KeyState,
};
use ok2cry_release_verify::{AcceptedReleases, Bundle, MAX_BUNDLE_LEN, ReleaseKey, ReleaseState, tlog::Tile};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use ureq::{
    Agent, Body, RequestBuilder,
    http::{HeaderMap, Response},
};
use zeroize::Zeroizing;

/// The longest time of a call unless [`ClientBuilder::with_timeout`] sets another: half a minute.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest tile of a release log, in bytes.
const MAX_TILE: u64 = 256 * 32;
/// The longest text of a service that is shown, in characters.
const MAX_DETAIL: usize = 1000;

/// A client for one parent.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    base: String,
    network: Arc<Network>,
    headers: HeaderMap,
    timeout: Duration,
    /// Why no call can be made.
    fault: Option<ClientError>,
}

reasons! {
    /// Why a call failed.
    #[derive(Debug)]
    pub enum CallError -> &str {
        /// The service could not be reached, or did not answer in time. [`Client::state`] tells what became
        /// of the key.
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
    /// A client for the parent at `base`, for example `https://keys.example.com`, with the defaults of
    /// [`Client::builder`].
    ///
    /// An error of the configuration is returned by the first call.
    pub fn new(base: &str) -> Self {
        ClientBuilder::new(base).build_with_fault()
    }

    /// Configures a client for the parent at `base`.
    ///
    /// Proxies come from the environment: `HTTPS_PROXY` for `https`, `HTTP_PROXY` for `http`, `ALL_PROXY` for
    /// both (also in lower case), unless `NO_PROXY` names the host. Loopback addresses are never reached
    /// through a proxy.
    ///
    /// TLS is checked against the system's certificates, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`. If
    /// the system has none, Mozilla's are used, which are compiled in.
    pub fn builder(base: &str) -> ClientBuilder {
        ClientBuilder::new(base)
    }

    /// Requests one key and verifies it. `time` is the time of the call; the duration of the call is added to
    /// it.
    ///
    /// # Errors
    ///
    /// As [`KeyRequest::verify_one`], and if the call fails.
    pub fn issue_one(
        &self,
        request: KeyRequest,
        trust: &Trust,
        time: &CheckTime,
    ) -> Result<VerifiedKey, CallError> {
        request.check_is_for_one()?;
        Ok(only(self.issue(request, trust, time)?)?)
    }

    /// Requests keys and verifies them. `time` is the time of the call; the duration of the call is added to
    /// it.
    ///
    /// # Errors
    ///
    /// As [`KeyRequest::verify`], and if the call fails.
    pub fn issue(
        &self,
        request: KeyRequest,
        trust: &Trust,
        time: &CheckTime,
    ) -> Result<Vec<VerifiedKey>, CallError> {
        let start = Instant::now();
        let answer = self.post("/v1/keys", &request.to_json())?;
        let time = CheckTime { now_ms: time.now_ms.saturating_add(millis(start.elapsed())), ..*time };
        Ok(request.verify_response(&read_issued(&answer)?, trust, &time)?)
    }

    /// Requests the open of a message. [`RecipientKey::open`](crate::RecipientKey::open) opens the reply.
    ///
    /// # Errors
    ///
    /// If the call fails or the answer is malformed. Prefer [`Client::open_unread`] if the answer must be
    /// kept.
    pub fn open(&self, message: &SealedMessage) -> Result<OpenResponse, CallError> {
        Ok(read_opened(&self.open_unread(message)?)?)
    }

    /// Requests the open of a message, and returns the unparsed answer, at most [`MAX_ANSWER`] bytes. A key
    /// opens one message, so keep the answer until the reply is read. [`crate::answer`] parses it.
    ///
    /// # Errors
    ///
    /// If the call fails.
    pub fn open_unread(&self, message: &SealedMessage) -> Result<Zeroizing<Vec<u8>>, CallError> {
        self.post(&format!("/v1/keys/{}/open", message.key_id.to_base64url()), &message.to_json())
    }

    /// Queries the state of a key. Advisory: the answer is not signed.
    ///
    /// # Errors
    ///
    /// If the call fails or the answer is malformed.
    pub fn state(&self, key: KeyId) -> Result<KeyState, CallError> {
        self.ready()?;
        key_state(self.answer(self.with_headers(self.agent.get(self.key_url(key))).call()))
    }

    /// Destroys a key. Returns its state after that.
    ///
    /// # Errors
    ///
    /// If the call fails or the answer is malformed.
    pub fn destroy(&self, key: KeyId) -> Result<KeyState, CallError> {
        self.ready()?;
        key_state(self.answer(self.with_headers(self.agent.delete(self.key_url(key))).call()))
    }

    /// Requests a statement about `nonce`, for [`Trust::verify_statement`].
    ///
    /// # Errors
    ///
    /// If the call fails or the answer is malformed.
    pub fn attestation(&self, nonce: &Nonce) -> Result<AttestedBody, CallError> {
        let nonce = Base64UrlUnpadded::encode_string(nonce.as_bytes());
        Ok(read_attested(&self.fetch(&format!("/v1/attestation?nonce={nonce}"), MAX_ANSWER as u64)?)?)
    }

    /// Fetches the published releases and checks them for `key`: signatures, age, log, and that nothing is
    /// older than in `memory`. [`Trust::from_releases`] then accepts them.
    ///
    /// # Errors
    ///
    /// [`Error::Releases`] with the first broken rule, and if the call fails.
    pub fn releases(
        &self,
        key: &ReleaseKey,
        anchor: &TrustAnchor,
        memory: &mut ReleaseState,
        time: &CheckTime,
    ) -> Result<AcceptedReleases, CallError> {
        let bundle = self.fetch("/v1/release", MAX_BUNDLE_LEN as u64)?;
        let bundle = Bundle::decode(&bundle).map_err(Error::Releases)?;
        // A tile that cannot be fetched in time is missing. All tiles together may take twice the timeout.
        let start = Instant::now();
        let tile = |tile: &Tile| {
            let in_time = start.elapsed() < self.timeout;
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
        self.bytes(self.with_headers(self.agent.get(format!("{}{path}", self.base))).call(), max)
    }

    fn post(&self, path: &str, json: &str) -> Result<Zeroizing<Vec<u8>>, CallError> {
        self.ready()?;
        let request = self.with_headers(self.agent.post(format!("{}{path}", self.base)));
        self.answer(request.header("content-type", "application/json").send(json))
    }

    fn ready(&self) -> Result<(), CallError> {
        self.fault.as_ref().map_or(Ok(()), |fault| Err(CallError::Transport(fault.to_string())))
    }

    fn with_headers<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    fn answer(&self, response: Result<Response<Body>, ureq::Error>) -> Result<Zeroizing<Vec<u8>>, CallError> {
        self.bytes(response, MAX_ANSWER as u64)
    }

    /// The body of a successful response.
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

/// An RFC 9457 problem, if the body is one with a code. It is not signed: control characters are replaced,
/// and its text is cut.
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
    fn a_problem_has_a_code_and_printable_text() {
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
