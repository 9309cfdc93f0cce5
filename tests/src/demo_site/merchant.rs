//! The shop, which carries what it cannot read, and the card's issuer, who reads it.

use super::{PURPOSE, Refusal};
use crate::{Deployment, HarnessError, any_hpke, raw_http};
use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{
    Expected, RecipientKey, ReplaySet, Trust,
    http::{CallError, Client},
    sealed_reply,
};
use ok2cry_protocol::{
    Record as _,
    code::Code,
    http::{Bytes, OpenRequest, OpenResponse, Problem, SealedBody},
    ids::{KeyId, Purpose},
    reply::Reply,
    suite::PublicKey,
};
use serde::{Deserialize, Serialize};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// What the shop knows: its orders, and where its parent is.
pub(super) struct Merchant {
    parent: Client,
    url: String,
    /// The number of the next order.
    orders: AtomicU64,
}

/// What a page sends to pay for an order.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payment {
    key_id: String,
    enc: Bytes,
    ciphertext: Bytes,
    aad: Bytes,
}

/// What became of a payment. In life only [`Paid::merchant`] and [`Paid::key`] are the shop's: what the issuer read stays
/// with the issuer, whose machine is another. The demonstration shows all of it on one page.
#[derive(Serialize)]
pub(super) struct Paid {
    merchant: Carried,
    issuer: Read,
    key: End,
}

/// All that passed through the shop's hands.
#[derive(Serialize)]
struct Carried {
    order: String,
    received: Payment,
    reply: SealedBody,
}

/// What the issuer reads.
#[derive(Serialize)]
struct Read {
    order: String,
    purpose: String,
    card: Card,
}

/// What the page sealed, before its padding.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    name: String,
    number: String,
    pin: String,
}

/// What the parent says of the key after it was used, and what it answers to a second, valid message.
#[derive(Serialize)]
struct End {
    state: &'static str,
    /// The code of the refusal; none if the second message was opened, which must not be.
    second: Option<String>,
    detail: String,
}

impl Merchant {
    pub(super) fn new(genuine: &Deployment) -> Self {
        Self { parent: genuine.client(), url: genuine.url().to_owned(), orders: AtomicU64::new(FIRST_ORDER) }
    }

    /// Takes an order. Its number is what messages are sealed with.
    pub(super) fn new_order(&self) -> String {
        format!("{ORDER}{}", self.orders.fetch_add(1, Ordering::Relaxed))
    }

    /// Has a sealed card opened through the parent, and hands the sealed reply to the issuer.
    pub(super) fn pay(&self, body: &[u8], issuer: &Issuer) -> Result<Paid, Refusal> {
        let payment: Payment = serde_json::from_slice(body)
            .map_err(|e| Refusal::with_detail(Code::BodyInvalid, e.to_string()))?;
        let order = self.order(&payment)?;
        let reply = self.open(&payment)?;
        let card = issuer.read(&reply, &payment.aad.0)?;
        let read = Read { order: order.clone(), purpose: PURPOSE.to_owned(), card };
        let key = self.end(&reply, &payment)?;
        Ok(Paid { merchant: Carried { order, received: payment, reply }, issuer: read, key })
    }

    /// The order that a payment is for, if there is one.
    fn order(&self, payment: &Payment) -> Result<String, Refusal> {
        let text = String::from_utf8(payment.aad.0.clone()).unwrap_or_default();
        let number = text.strip_prefix(ORDER).and_then(|number| number.parse().ok());
        let known = FIRST_ORDER..self.orders.load(Ordering::Relaxed);
        match number.filter(|number| known.contains(number) && text == format!("{ORDER}{number}")) {
            Some(_) => Ok(text),
            None => Err(Refusal::new(404, "unknown_order", "The shop has no such order", "aad")),
        }
    }

    fn open(&self, payment: &Payment) -> Result<SealedBody, Refusal> {
        let id = KeyId::from_base64url(&payment.key_id)
            .map_err(|e| Refusal::with_detail(Code::KeyIdInvalid, e.to_string()))?;
        let Payment { enc, ciphertext, aad, .. } = payment.clone();
        let body = serde_json::to_string(&OpenRequest { enc, ciphertext, aad }).map_err(internal)?;
        let answer = raw_http::post(&self.url, &format!("/v1/keys/{}/open", id.to_base64url()), &body)?;
        if answer.status() != 200 {
            let problem: Problem = serde_json::from_slice(&answer.body).map_err(internal)?;
            return Err(Refusal(Box::new(problem)));
        }
        let answer: OpenResponse = serde_json::from_slice(&answer.body).map_err(internal)?;
        sealed_reply(answer).map_err(|e| refused_by("the shop", &e.into()))
    }

    /// Asks for the key's state, and tries a second message. Whoever has the reply can make one that would open: the
    /// descriptor stands in it.
    fn end(&self, reply: &SealedBody, payment: &Payment) -> Result<End, Refusal> {
        let reply = Reply::decode(&reply.reply.0).map_err(internal)?;
        let second = any_hpke::seal(&reply.descriptor, b"another message", &payment.aad.0)?;
        let (second, detail) = match self.parent.open(&second) {
            Err(CallError::Refused(problem)) => (Some(problem.code), problem.title),
            Err(error) => return Err(refused_by("the parent", &error)),
            Ok(_) => (None, String::new()),
        };
        let state = self.parent.state(reply.descriptor.key_id).map_err(|e| refused_by("the parent", &e))?;
        Ok(End { state: state.as_str(), second, detail })
    }
}

/// The card's issuer: holds the key that replies are sealed to, and follows releases as the page does.
pub(super) struct Issuer {
    key: RecipientKey,
    trust: Trust,
    seen: Mutex<ReplaySet>,
}

impl Issuer {
    pub(super) fn new(trust: Trust) -> Result<Self, HarnessError> {
        let key = RecipientKey::generate().map_err(|e| HarnessError::new(e.to_string()))?;
        Ok(Self { key, trust, seen: Mutex::default() })
    }

    pub(super) fn public_key(&self) -> Bytes {
        let key: &PublicKey = self.key.public_key();
        Bytes(key.as_bytes().to_vec())
    }

    /// Reads a reply about the order that is sealed with `aad`.
    fn read(&self, reply: &SealedBody, aad: &[u8]) -> Result<Card, Refusal> {
        let refused = |e: ok2cry_client::Error| refused_by("the issuer", &e.into());
        let purpose = Purpose::new(PURPOSE).map_err(internal)?;
        let expected = Expected { purpose: &purpose, aad };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = self.key.open(reply, &expected, &self.trust, &CheckTime::system(), &mut *seen);
        let opened = opened.map_err(|e| refused(e.into()))?;
        let card = unpadded(&opened.plaintext).and_then(|card| serde_json::from_slice(card).ok());
        card.ok_or_else(|| Refusal::new(422, "card_invalid", "The message holds no card", ""))
    }
}

/// Removes the padding of docs/protocol.md, Seal: zeros, then one `80`.
fn unpadded(plaintext: &[u8]) -> Option<&[u8]> {
    let end = plaintext.iter().rposition(|byte| *byte != 0)?;
    let (text, rest) = plaintext.split_at_checked(end)?;
    (rest.first() == Some(&0x80)).then_some(text)
}

const ORDER: &str = "order ";
const FIRST_ORDER: u64 = 17;

fn refused_by(who: &str, error: &CallError) -> Refusal {
    Refusal::new(422, error.code(), &format!("Refused by {who}"), error.to_string())
}

fn internal(error: impl std::fmt::Display) -> Refusal {
    Refusal::with_detail(Code::Internal, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::unpadded;

    #[test]
    fn padding_comes_off_exactly_or_not_at_all() {
        assert_eq!(unpadded(b"4931\x80\0\0\0"), Some(b"4931".as_slice()));
        assert_eq!(unpadded(b"\x80\0"), Some(b"".as_slice()));
        assert_eq!(unpadded(b"4931\x80\x80"), Some(b"4931\x80".as_slice()));
        for wrong in [b"".as_slice(), b"\0\0", b"4931", b"4931\0"] {
            assert_eq!(unpadded(wrong), None);
        }
    }
}
