//! [c2sp.org/tlog-cosignature](https://c2sp.org/tlog-cosignature): witnesses sign a time and a checkpoint.

use crate::error::Error;
use crate::note::{Note, NoteSigner, VerifierKey};

impl Note<'_> {
    /// When `key`, a witness's, has cosigned, in Unix seconds: the latest time, if there are several. A
    /// cosignature that names the key and does not verify is an error.
    ///
    /// # Errors
    ///
    /// [`Error::Signature`].
    pub fn cosigned_at(&self, key: &VerifierKey) -> Result<Option<u64>, Error> {
        let mut latest = None;
        for signature in self.signatures_of(key) {
            let parts = signature.split_first_chunk::<8>();
            let parts =
                parts.and_then(|(time, rest)| Some((u64::from_be_bytes(*time), rest.try_into().ok()?)));
            let verified = parts.filter(|(time, signature)| {
                key.verify(message(*time, self.unverified_text()).as_bytes(), signature)
            });
            let Some((time, _)) = verified else {
                return Err(Error::Signature { name: key.name().to_owned() });
            };
            latest = latest.max(Some(time));
        }
        Ok(latest)
    }
}

impl NoteSigner {
    /// Cosigns a checkpoint as a witness at `seconds`, in Unix seconds, and returns the signature line.
    ///
    /// The witness must have checked the log's signature, and that the checkpoint continues its last one.
    ///
    /// # Errors
    ///
    /// [`Error::Note`] for a log's key.
    pub fn cosign(&self, note: &Note<'_>, seconds: u64) -> Result<String, Error> {
        if !self.verifier_key().is_witness() {
            return Err(Error::Note { rule: "a log's key does not cosign" });
        }
        Ok(self.line(&seconds.to_be_bytes(), message(seconds, note.unverified_text()).as_bytes()))
    }
}

/// The bytes that a cosignature covers.
fn message(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}
