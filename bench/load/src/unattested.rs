//! A client of the baseline, which attests nothing.

use crate::{
    Outcome,
    dialect::{Kept, write_post},
    peer::{AAD, Asked, PLAINTEXT, Peer, Sealed, write_open_post},
    processes::TTL_MS,
    seal,
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_client::KeyRequest;
use serde::Deserialize;

pub struct Unattested;

#[derive(Deserialize)]
struct Issued {
    id: String,
    public_key: String,
}

#[derive(Deserialize)]
struct Opened {
    plaintext: String,
}

impl Peer for Unattested {
    fn ask(&self, _: u64, to: &mut Vec<u8>) -> Outcome<Option<KeyRequest>> {
        write_post("/v1/keys", &format!("{{\"ttl\":{TTL_MS}}}"), to);
        Ok(None)
    }

    fn seal(&self, asked: Asked) -> Outcome<Vec<Sealed>> {
        let issued: Issued = serde_json::from_slice(&json(asked.answer.ok_or("no answer")?)?)?;
        let public = Base64UrlUnpadded::decode_vec(&issued.public_key)?;
        let (enc, ciphertext) = seal::plain(&public, AAD, PLAINTEXT)?;
        let key_id = Base64UrlUnpadded::decode_vec(&issued.id)?;
        let key_id = key_id.try_into().map_err(|_| "an id of another length")?;
        Ok(vec![Sealed { key_id, enc, ciphertext }])
    }

    fn write_open(&self, _: u64, sealed: &Sealed, to: &mut Vec<u8>) -> Outcome<()> {
        write_open_post(sealed, to);
        Ok(())
    }

    fn check(&self, replies: Vec<Kept>) -> Outcome<()> {
        for reply in replies {
            let opened: Opened = serde_json::from_slice(&json(reply)?)?;
            if Base64UrlUnpadded::decode_vec(&opened.plaintext)? != PLAINTEXT {
                return Err("a reply holds another plaintext".into());
            }
        }
        Ok(())
    }
}

fn json(answer: Kept) -> Outcome<Vec<u8>> {
    match answer {
        Kept::Json(json) => Ok(json),
        Kept::Frame(_) => Err("a frame from the baseline".into()),
    }
}
