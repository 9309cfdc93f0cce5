//! A service's client: its requests, and its work on responses between timed phases.

use crate::{
    Outcome,
    dialect::{Kept, write_post},
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_client::KeyRequest;

/// The plaintext for every key, as long as a padded PIN.
pub const PLAINTEXT: &[u8; 16] = b"1234567890123456";
pub const AAD: &[u8] = b"order 17";

/// A request for keys and its response.
pub struct Asked {
    pub request: Option<KeyRequest>,
    pub answer: Option<Kept>,
}

/// A message to one key.
pub struct Sealed {
    pub key_id: [u8; 24],
    pub enc: Vec<u8>,
    pub ciphertext: Vec<u8>,
}

/// A client of one service.
pub trait Peer: Sync {
    /// Writes a request for keys.
    fn ask(&self, number: u64, to: &mut Vec<u8>) -> Outcome<Option<KeyRequest>>;
    /// Verifies keys, where the service attests them, and seals to each.
    fn seal(&self, asked: Asked) -> Outcome<Vec<Sealed>>;
    /// Writes the request to open a message.
    fn write_open(&self, number: u64, sealed: &Sealed, to: &mut Vec<u8>) -> Outcome<()>;
    /// Checks that these replies hold the plaintext.
    fn check(&self, replies: Vec<Kept>) -> Outcome<()>;
}

/// The request to open a message, equal for ok2cry and the baseline.
pub fn write_open_post(sealed: &Sealed, to: &mut Vec<u8>) {
    let text = Base64UrlUnpadded::encode_string;
    let path = format!("/v1/keys/{}/open", text(&sealed.key_id));
    let (enc, ciphertext, aad) = (text(&sealed.enc), text(&sealed.ciphertext), text(AAD));
    let json = format!(r#"{{"enc":"{enc}","ciphertext":"{ciphertext}","aad":"{aad}"}}"#);
    write_post(&path, &json, to);
}

/// Seals on both cores, as nothing is timed meanwhile.
pub fn seal_all(peer: &dyn Peer, mut asked: Vec<Asked>) -> Outcome<Vec<Sealed>> {
    let second = asked.split_off(asked.len() / 2);
    let seal = |part: Vec<Asked>| {
        let sealed = part.into_iter().map(|asked| peer.seal(asked).map_err(|error| error.to_string()));
        sealed.collect::<Result<Vec<_>, _>>()
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(move || seal(second));
        let first = seal(asked)?;
        let second = second.join().map_err(|_| "sealing panicked")??;
        Ok(first.into_iter().chain(second).flatten().collect())
    })
}
