//! The root document: which keys sign what, until when. It is replaced by its own rules.

use ok2cry_attest_verify::CheckTime;
use ok2cry_tlog::{Checkpoint, Note, VerifierKey};
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::error::Error;
use crate::fault::ReleaseFault;
use crate::json::{self, Hex};
use crate::key::Role;

/// The payload type of a root document's envelope.
pub const ROOT_PAYLOAD_TYPE: &str = "application/vnd.ok2cry.release-root.v1+json";
pub(crate) const WHAT: &str = "root";
/// The most witnesses that a root document names.
const MAX_WITNESSES: usize = 16;

/// The keys and the log of a product's releases. Signed by its own root keys and, unless it is the first, by
/// those of the version before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootDocument {
    /// 1 for the first; increases by one each time.
    pub version: u64,
    /// The product: the name of every manifest's subject. 1 to 64 of `[a-z0-9._-]`.
    pub product: String,
    /// When the document expires, in Unix milliseconds.
    pub expires_at: u64,
    /// SHA-256 of the root certificate (DER) under which these releases attest: AWS's in production.
    pub attestation_root: Hex<32>,
    /// The signers of root documents.
    pub root: Role,
    /// The signers of manifests.
    pub manifests: Role,
    /// The signers of lists.
    pub lists: Role,
    /// The log of all documents.
    pub log: ReleaseLog,
}

/// A release log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseLog {
    /// The key that signs its checkpoints. Its name is the log's origin.
    #[serde(with = "json::verifier_key")]
    pub key: VerifierKey,
    /// Witnesses that may cosign them.
    #[serde(with = "json::verifier_keys")]
    pub witnesses: Vec<VerifierKey>,
    /// How many of them must cosign.
    pub witness_threshold: usize,
}

impl ReleaseLog {
    /// Verifies a checkpoint that the log has signed. Returns it with the number of the log's witnesses that
    /// have cosigned it.
    ///
    /// # Errors
    ///
    /// [`Error::Log`] and [`ReleaseFault::WitnessFromFuture`].
    pub fn verify_checkpoint(&self, note: &[u8], time: &CheckTime) -> Result<(Checkpoint, usize), Error> {
        let note = Note::parse(note)?;
        let checkpoint = Checkpoint::verify(&note, &self.key)?;
        let mut found = 0;
        for witness in &self.witnesses {
            let Some(seconds) = note.cosigned_at(witness)? else { continue };
            if time.beyond_leeway(seconds.saturating_mul(1000)).is_some() {
                return Err(ReleaseFault::WitnessFromFuture { name: json::shown(witness.name()) }.into());
            }
            found += 1;
        }
        Ok((checkpoint, found))
    }

    /// The keys that may sign its checkpoints: its own and those of its witnesses.
    pub fn keys(&self) -> impl Iterator<Item = &VerifierKey> {
        std::iter::once(&self.key).chain(&self.witnesses)
    }
}

impl RootDocument {
    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::Json`] or [`ReleaseFault::Field`].
    pub fn decode(payload: &[u8]) -> Result<Self, Error> {
        let root: Self = json::read(WHAT, payload, crate::MAX_ENVELOPE_LEN)?;
        root.check()?;
        Ok(root)
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(self)
    }

    /// Verifies a root document that `signers` and the document's own root keys have signed.
    pub(crate) fn verify(envelope: &Envelope, signers: &Role) -> Result<Self, Error> {
        let root = Self::decode(envelope.verify(WHAT, ROOT_PAYLOAD_TYPE, signers)?)?;
        envelope.verify(WHAT, ROOT_PAYLOAD_TYPE, &root.root)?;
        Ok(root)
    }

    fn check(&self) -> Result<(), Error> {
        let refused = |field, rule| Err(ReleaseFault::Field { what: WHAT, field, rule }.into());
        if self.version == 0 {
            return refused("version", "1 or more");
        }
        if !is_name(&self.product) {
            return refused("product", "1 to 64 of a to z, 0 to 9, '.', '_' and '-'");
        }
        if !self.log.key.is_log() {
            return refused("log.key", "a key of type 1 (Ed25519)");
        }
        let witnesses = &self.log.witnesses;
        if witnesses.len() > MAX_WITNESSES || !witnesses.iter().all(VerifierKey::is_witness) {
            return refused("log.witnesses", "at most 16 keys of type 4 (cosignature/v1)");
        }
        // Compared by key: a witness under two names is one witness.
        let distinct = witnesses
            .iter()
            .enumerate()
            .all(|(i, a)| witnesses.iter().skip(i + 1).all(|b| !a.is_same_key(b)));
        if !distinct || witnesses.iter().any(|witness| witness.is_same_key(&self.log.key)) {
            return refused("log.witnesses", "distinct keys, and none the log's own");
        }
        if self.log.witness_threshold > witnesses.len() {
            return refused("log.witness_threshold", "at most the number of witnesses");
        }
        Ok(())
    }
}

pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b))
}
