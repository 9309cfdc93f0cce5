//! Requests as frames.

use super::{Call, Issue, Open, Request};
use crate::{
    DecodeError, MAX_AAD, MAX_CIPHERTEXT, MAX_COUNT, Rule,
    cbor::{Map, Reader, Writer},
    descriptor::{DeliverTo, read_nonce},
    ids::{KeyId, Purpose},
    suite::PublicKey,
};

impl Request {
    /// Encodes the content of a frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(256);
        w.map(3).key(0).uint(self.id).key(1);
        match &self.call {
            Call::Issue(issue) => {
                w.uint(1).key(2).map(5);
                w.key(0).bytes(issue.nonce.as_bytes()).key(1).text(issue.purpose.as_str());
                w.key(2).uint(issue.ttl).key(3);
                issue.deliver_to.write(&mut w);
                w.key(4).uint(issue.count.into());
            }
            Call::Open(open) => {
                w.uint(2).key(2).map(4).key(0).bytes(&open.key_id.0).key(1).bytes(open.enc.as_bytes());
                w.key(2).bytes(&open.ciphertext).key(3).bytes(&open.aad);
            }
            Call::Status(id) => {
                w.uint(3).key(2).map(1).key(0).bytes(&id.0);
            }
            Call::Destroy(id) => {
                w.uint(4).key(2).map(1).key(0).bytes(&id.0);
            }
            Call::Attest(nonce) => {
                w.uint(5).key(2).map(1).key(0).bytes(nonce.as_bytes());
            }
            Call::Health => {
                w.uint(6).key(2).map(0);
            }
        }
        w.finish()
    }

    /// Decodes the content of a frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new("request", bytes);
        let mut m = r.map("map")?;
        let id = read_id(&mut m, r)?;
        m.key(r, "method")?;
        let method = r.uint("method")?;
        m.key(r, "parameters")?;
        let mut p = r.map("parameters")?;
        let call = match method {
            1 => Call::Issue(read_issue(&mut p, r)?),
            2 => Call::Open(read_open(&mut p, r)?),
            3 => Call::Status(read_key_id(&mut p, r)?),
            4 => Call::Destroy(read_key_id(&mut p, r)?),
            5 => {
                p.key(r, "nonce")?;
                Call::Attest(read_nonce(r, "nonce")?)
            }
            6 => Call::Health,
            _ => return Err(r.error("method", Rule::UnknownValue)),
        };
        p.end(r)?;
        m.end(r)?;
        r.end()?;
        Ok(Self { id, call })
    }
}

fn read_issue(p: &mut Map, r: &mut Reader<'_>) -> Result<Issue, DecodeError> {
    p.key(r, "nonce")?;
    let nonce = read_nonce(r, "nonce")?;
    p.key(r, "purpose")?;
    let purpose = Purpose::new(r.text("purpose", 1..=64)?).map_err(|e| r.error("purpose", e.rule))?;
    p.key(r, "ttl")?;
    let ttl = r.uint("ttl")?;
    p.key(r, "release_to")?;
    let deliver_to = DeliverTo::read(r)?;
    p.key(r, "count")?;
    let count = r.number("count")?;
    if !(1..=MAX_COUNT).contains(&count) {
        return Err(r.error("count", Rule::Range));
    }
    Ok(Issue { nonce, purpose, ttl, deliver_to, count })
}

fn read_open(p: &mut Map, r: &mut Reader<'_>) -> Result<Open, DecodeError> {
    let key_id = read_key_id(p, r)?;
    p.key(r, "enc")?;
    let enc = PublicKey::read(r, "enc")?;
    p.key(r, "ciphertext")?;
    let ciphertext = r.bytes("ciphertext", 16..=MAX_CIPHERTEXT)?.to_vec();
    p.key(r, "aad")?;
    let aad = r.bytes("aad", 0..=MAX_AAD)?.to_vec();
    Ok(Open { key_id, enc, ciphertext, aad })
}

fn read_key_id(p: &mut Map, r: &mut Reader<'_>) -> Result<KeyId, DecodeError> {
    p.key(r, "key_id")?;
    Ok(KeyId(r.array_of("key_id")?))
}

/// The first entry of every frame.
pub(super) fn read_id(m: &mut Map, r: &mut Reader<'_>) -> Result<u64, DecodeError> {
    m.key(r, "id")?;
    r.uint("id")
}
