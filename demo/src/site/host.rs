//! The host: it carries requests between pages and the parent, and cheats in the way that a page selects.

use super::{PURPOSE, TTL_MS};
use ok2cry_client::{KeyRequest, RecipientKey, answer::read_issued};
use ok2cry_protocol::{
    Record as _,
    descriptor::KeyDescriptor,
    http::{Bytes, IssueResponse},
    suite::PublicKey,
};
use ok2cry_testkit::{
    HarnessError,
    raw_http::{self, Message},
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The age limit of a replayed answer. Its certificates are valid for three hours, so it is refused as a
/// replay and for no other reason.
const MAX_OLD: Duration = Duration::from_secs(3600);

/// The path of key requests.
const KEYS: &str = "/v1/keys";

/// The longest delay of an answer.
const MAX_HOLD: Duration = Duration::from_secs(60);

/// How a host behaves. The path of each request names it, so that pages do not affect each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Carries everything unchanged.
    Honest,
    /// Serves the release list before the latest one.
    OldReleases,
    /// Answers with keys of an enclave with another image.
    OtherImage,
    /// Answers with a recorded answer to another request.
    OldAnswer,
    /// Replaces the public key in a genuine answer by its own.
    SwappedKey,
    /// Delays answers until their keys have expired.
    Late,
}

impl Behaviour {
    /// Every behaviour, with its name in paths.
    pub const ALL: [(&'static str, Self); 6] = [
        ("honest", Self::Honest),
        ("old-releases", Self::OldReleases),
        ("other-image", Self::OtherImage),
        ("old-answer", Self::OldAnswer),
        ("swapped-key", Self::SwappedKey),
        ("late", Self::Late),
    ];

    /// The behaviour of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(n, behaviour)| (n == name).then_some(behaviour))
    }
}

pub(super) struct Host {
    genuine: String,
    impostor: String,
    old_releases: Vec<u8>,
    /// The host's own public key, for [`Behaviour::SwappedKey`].
    own_key: PublicKey,
    /// The last answer to a key request, and its time.
    recorded: Mutex<Option<(Instant, Message)>>,
}

/// An answer, and its delay.
pub(super) struct Forwarded {
    pub(super) answer: Message,
    pub(super) hold: Option<Duration>,
}

impl Host {
    pub(super) fn new(genuine: &str, impostor: &str, old_releases: Vec<u8>) -> Result<Self, HarnessError> {
        let own_key = RecipientKey::generate().map_err(|e| HarnessError::new(e.to_string()))?;
        Ok(Self {
            genuine: genuine.to_owned(),
            impostor: impostor.to_owned(),
            old_releases,
            own_key: *own_key.public_key(),
            recorded: Mutex::default(),
        })
    }

    /// Carries a request to the parent and its answer back.
    pub(super) fn carry(
        &self,
        behaviour: Behaviour,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Forwarded, HarnessError> {
        let ask = |url: &str| {
            let headers: &[_] = if method == "POST" { &[("content-type", "application/json")] } else { &[] };
            raw_http::request(url, method, path, headers, body)
        };
        let at_once = |answer| Ok(Forwarded { answer, hold: None });
        if (behaviour, path) == (Behaviour::OldReleases, "/v1/release") {
            return at_once(Message { body: self.old_releases.clone(), ..ask(&self.genuine)? });
        }
        if (method, path) != ("POST", KEYS) {
            return at_once(ask(&self.genuine)?);
        }
        match behaviour {
            Behaviour::OtherImage => at_once(ask(&self.impostor)?),
            Behaviour::OldAnswer => at_once(self.old_answer()?),
            Behaviour::SwappedKey => at_once(self.swap_key(ask(&self.genuine)?)?),
            Behaviour::Late => {
                let answer = ask(&self.genuine)?;
                Ok(Forwarded { hold: until_expired(&answer)?, answer })
            }
            Behaviour::Honest | Behaviour::OldReleases => {
                let answer = ask(&self.genuine)?;
                if answer.status() == 200 {
                    *self.recorded() = Some((Instant::now(), answer.clone()));
                }
                at_once(answer)
            }
        }
    }

    /// The recorded answer to another request. Without a recent one, the host requests a key itself.
    fn old_answer(&self) -> Result<Message, HarnessError> {
        if let Some((_, old)) = self.recorded().as_ref().filter(|(when, _)| when.elapsed() < MAX_OLD) {
            return Ok(old.clone());
        }
        let request = KeyRequest::new(PURPOSE, Duration::from_millis(TTL_MS), &self.own_key);
        let request = request.map_err(|e| HarnessError::new(e.to_string()))?;
        raw_http::post(&self.genuine, KEYS, &request.to_json())
    }

    fn swap_key(&self, answer: Message) -> Result<Message, HarnessError> {
        let Some(mut issued) = issued(&answer)? else { return Ok(answer) };
        for key in &mut issued.keys {
            let descriptor = descriptor(&key.descriptor)?;
            let swapped = KeyDescriptor { public_key: self.own_key, ..descriptor };
            key.descriptor = Bytes(swapped.encode());
        }
        let body = serde_json::to_vec(&issued).map_err(|e| HarnessError::new(e.to_string()))?;
        Ok(Message { body, ..answer })
    }

    fn recorded(&self) -> MutexGuard<'_, Option<(Instant, Message)>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time until every key of an answer has expired.
fn until_expired(answer: &Message) -> Result<Option<Duration>, HarnessError> {
    let Some(issued) = issued(answer)? else { return Ok(None) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut expired = now;
    for key in issued.keys {
        expired = expired.max(Duration::from_millis(descriptor(&key.descriptor)?.expires_at));
    }
    Ok(Some((expired - now).min(MAX_HOLD)))
}

/// The keys of an answer, or nothing for a refusal.
fn issued(answer: &Message) -> Result<Option<IssueResponse>, HarnessError> {
    let issued = || read_issued(&answer.body).map_err(|e| HarnessError::new(e.to_string()));
    if answer.status() == 200 { issued().map(Some) } else { Ok(None) }
}

fn descriptor(bytes: &Bytes) -> Result<KeyDescriptor, HarnessError> {
    KeyDescriptor::decode(&bytes.0).map_err(|e| HarnessError::new(e.to_string()))
}
