//! What `ok2cry` prints and reads: a sealed message with the id of its key.

use crate::Failure;
use ok2cry_client::SealedMessage;
use ok2cry_protocol::{
    Hash,
    http::{Bytes, OpenRequest},
    ids::KeyId,
    suite::PublicKey,
};
use serde::{Deserialize, Serialize};
use std::{fs, io::Read as _, path::Path};
use zeroize::Zeroizing;

/// A sealed message on its way to whoever has it opened.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageFile {
    key_id: String,
    descriptor_hash: Bytes,
    enc: Bytes,
    ciphertext: Bytes,
    aad: Bytes,
}

impl MessageFile {
    pub(crate) fn new(message: &SealedMessage) -> Self {
        let OpenRequest { enc, ciphertext, aad } = message.body();
        Self {
            key_id: message.key_id.to_base64url(),
            descriptor_hash: Bytes(message.descriptor_hash.to_vec()),
            enc,
            ciphertext,
            aad,
        }
    }

    pub(crate) fn into_message(self) -> Result<SealedMessage, Failure> {
        let bad = |what: String| Failure::Unusable(format!("the message's {what}"));
        let descriptor_hash: Hash = self
            .descriptor_hash
            .0
            .try_into()
            .map_err(|_| bad("descriptor_hash must have 48 bytes".into()))?;
        Ok(SealedMessage {
            key_id: KeyId::from_base64url(&self.key_id).map_err(|e| bad(e.to_string()))?,
            descriptor_hash,
            enc: PublicKey::new(&self.enc.0).map_err(|rule| bad(format!("enc {rule}")))?,
            ciphertext: self.ciphertext.0,
            aad: self.aad.0,
        })
    }
}

/// Reads a file, or standard input for `-`; at most a megabyte.
pub(crate) fn read_input(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    read_bytes(path, 1 << 20)
}

/// Reads a file of at most `max` bytes, or standard input for `-`.
pub(crate) fn read_bytes(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |e: std::io::Error| Failure::Unusable(format!("{}: {e}", path.display()));
    let mut bytes = Zeroizing::new(Vec::new());
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        fs::File::open(path).map_err(failed)?.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > max {
        return Err(Failure::Unusable(format!("{}: longer than {max} bytes", path.display())));
    }
    Ok(bytes)
}

/// Reads a file of text.
pub(crate) fn read_text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = read_input(path)?;
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| Failure::Unusable(format!("{}: not UTF-8", path.display())))?;
    Ok(Zeroizing::new(text.to_owned()))
}
