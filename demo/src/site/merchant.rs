//! The shop, which carries ciphertext, and the card's issuer, which reads it.

use super::{PURPOSE, Refusal};
use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{
    Expected, RecipientKey, ReplaySet, Trust,
    answer::read_sealed,
    http::{CallError, Client},
};
use ok2cry_protocol::{
    Record as _,
    code::Code,
    http::{Bytes, OpenRequest, Problem, SealedBody},
    ids::{KeyId, Purpose},
    reply::Reply,
    suite::PublicKey,
};
use ok2cry_testkit::{Deployment, HarnessError, any_hpke, raw_http};
use serde::{Deserialize, Serialize};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// The shop: its parent and its orders.
pub(super) struct Merchant {
    parent: Client,
    url: String,
    /// The number of the next order.
    orders: AtomicU64,
}

/// A page's payment for an order.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payment {
    key_id: String,
    enc: Bytes,
    ciphertext: Bytes,
    aad: Bytes,
}

/// The result of a payment. In production the shop sees [`Paid::merchant`] and [`Paid::key`] only; the issuer
/// reads the card on a machine of its own. The demo shows all of it on one page.
#[derive(Serialize)]
pub(super) struct Paid {
    merchant: ShopView,
    issuer: IssuerView,
    key: End,
}

/// Everything that the shop saw.
#[derive(Serialize)]
struct ShopView {
    order: String,
    received: Payment,
    reply: SealedBody,
}

/// What the issuer read.
#[derive(Serialize)]
struct IssuerView {
    order: String,
    purpose: String,
    card: Card,
}

/// The card that the page sealed, without padding.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    name: String,
    number: String,
    pin: String,
}

/// The key's state after its use, and the parent's answer to a second, valid message.
#[derive(Serialize)]
struct End {
    state: &'static str,
    /// The code of the refusal. Without one the second message was opened, which must not happen.
    second: Option<String>,
    detail: String,
}

impl Merchant {
    pub(super) fn new(genuine: &Deployment) -> Self {
        Self { parent: genuine.client(), url: genuine.url().to_owned(), orders: AtomicU64::new(FIRST_ORDER) }
    }

    /// Takes an order. Payments have its name as aad.
    pub(super) fn new_order(&self) -> String {
        format!("{ORDER}{}", self.orders.fetch_add(1, Ordering::Relaxed))
    }

    /// Opens a sealed card through the parent, and gives the sealed reply to the issuer.
    pub(super) fn pay(&self, body: &[u8], issuer: &Issuer) -> Result<Paid, Refusal> {
        let payment: Payment = serde_json::from_slice(body)
            .map_err(|e| Refusal::with_detail(Code::BodyInvalid, e.to_string()))?;
        let order = self.order(&payment)?;
        let reply = self.open(&payment)?;
        let card = issuer.read(&reply, &payment.aad.0)?;
        let read = IssuerView { order: order.clone(), purpose: PURPOSE.to_owned(), card };
        let key = self.end(&reply, &payment)?;
        Ok(Paid { merchant: ShopView { order, received: payment, reply }, issuer: read, key })
    }

    /// The order that a payment names, if it exists.
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
        read_sealed(&answer.body).map_err(|e| refused_by("the shop", &e.into()))
    }

    /// Requests the key's state, and sends a second message. The reply holds the descriptor, so any holder of
    /// the reply can make a message that would open.
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

/// The card's issuer: holds the key that replies are sealed to.
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

    /// Reads a reply to the message with this `aad`.
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

fn refused_by(party: &str, error: &CallError) -> Refusal {
    Refusal::new(422, error.code(), &format!("Refused by {party}"), error.to_string())
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
