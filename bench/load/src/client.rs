//! A client of ok2cry, at the enclave's socket or over HTTP. It verifies every key.

use crate::{
    Outcome,
    dialect::{Kept, write_frame, write_post},
    peer::{AAD, Asked, PLAINTEXT, Peer, Sealed, write_open_post},
    processes::{Ours, PURPOSE, TTL_MS},
    seal,
};
use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{Expected, KeyRequest, RecipientKey, ReplaySet, Trust, sealed_reply};
use ok2cry_protocol::{
    descriptor::DeliverTo,
    http::{IssueResponse, OpenResponse},
    ids::{KeyId, Nonce, Purpose},
    rpc::{Answer, Call, Issue, Open},
    suite::{PublicKey, seal_info},
};

pub struct Client {
    way: Way,
    /// Keys per request.
    pub count: u32,
    trust: Trust,
    recipient: RecipientKey,
    purpose: Purpose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Socket,
    Http,
}

impl Client {
    pub fn new(ours: &Ours, way: Way) -> Outcome<Self> {
        let (trust, recipient) = (ours.trust()?, RecipientKey::generate()?);
        Ok(Self { way, count: 1, trust, recipient, purpose: Purpose::new(PURPOSE)? })
    }

    fn call(&self, request: &KeyRequest) -> Outcome<Call> {
        Ok(Call::Issue(Issue {
            nonce: Nonce::new(request.body().nonce.0)?,
            purpose: self.purpose.clone(),
            ttl: TTL_MS,
            deliver_to: DeliverTo::Recipient(*self.recipient.public_key()),
            count: self.count,
        }))
    }

    pub fn trust(&self) -> &Trust {
        &self.trust
    }
}

impl Peer for Client {
    fn ask(&self, number: u64, to: &mut Vec<u8>) -> Outcome<Option<KeyRequest>> {
        let request =
            KeyRequest::new(PURPOSE, std::time::Duration::from_millis(TTL_MS), self.recipient.public_key())?
                .with_count(self.count)?;
        match self.way {
            Way::Socket => write_frame(number, self.call(&request)?, to),
            Way::Http => write_post("/v1/keys", &request.to_json(), to),
        }
        Ok(Some(request))
    }

    fn seal(&self, asked: Asked) -> Outcome<Vec<Sealed>> {
        let (request, answer) = (asked.request.ok_or("no request")?, asked.answer.ok_or("no answer")?);
        let time = CheckTime::system();
        let keys = request.verify_response(&issued(answer)?, &self.trust, &time)?;
        let seal = |key: ok2cry_client::VerifiedKey| {
            let descriptor = key.descriptor();
            let public = descriptor.public_key.as_bytes();
            let (enc, ciphertext) = seal::hpke(public, &seal_info(descriptor.hash()), AAD, PLAINTEXT)?;
            Ok(Sealed { key_id: descriptor.key_id.0, enc, ciphertext })
        };
        keys.into_iter().map(seal).collect()
    }

    fn write_open(&self, number: u64, sealed: &Sealed, to: &mut Vec<u8>) -> Outcome<()> {
        if self.way == Way::Http {
            write_open_post(sealed, to);
            return Ok(());
        }
        let open = Open {
            key_id: KeyId(sealed.key_id),
            enc: PublicKey::new(&sealed.enc).map_err(|rule| format!("enc: {rule:?}"))?,
            ciphertext: sealed.ciphertext.clone(),
            aad: AAD.to_vec(),
        };
        write_frame(number, Call::Open(open), to);
        Ok(())
    }

    fn check(&self, replies: Vec<Kept>) -> Outcome<()> {
        let expected = Expected { purpose: &self.purpose, aad: AAD };
        let mut seen = ReplaySet::default();
        for reply in replies {
            let answer = match reply {
                Kept::Frame(answer) => OpenResponse::from_answer(answer).ok_or("no answer to an open")?,
                Kept::Json(json) => serde_json::from_slice(&json)?,
            };
            let body = sealed_reply(answer)?;
            let opened =
                self.recipient.open(&body, &expected, &self.trust, &CheckTime::system(), &mut seen)?;
            if opened.plaintext[..] != PLAINTEXT[..] {
                return Err("a reply holds another plaintext".into());
            }
        }
        Ok(())
    }
}

/// The contents of a response to a key request.
pub fn issued(answer: Kept) -> Outcome<IssueResponse> {
    match answer {
        Kept::Frame(Answer::Issued(issued)) => Ok(issued.into()),
        Kept::Frame(_) => Err("no keys".into()),
        Kept::Json(json) => Ok(serde_json::from_slice(&json)?),
    }
}
