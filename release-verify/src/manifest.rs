//! The manifest of one release: an in-toto statement about an image, with its measurements.

use std::collections::BTreeMap;

use ok2cry_attest_verify::{Measurements, PCR_LEN, TrustAnchor};
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::error::Error;
use crate::fault::ReleaseFault;
use crate::json::{self, Hex};
use crate::root::RootDocument;
use crate::version::Version;

/// The payload type of in-toto statements.
pub const STATEMENT_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The type of a statement, version 1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of the predicate. `docs/releases.md` describes it.
pub const PREDICATE_TYPE: &str = "https://github.com/ok2cry/ok2cry/blob/main/docs/releases.md#manifest-v1";
pub(crate) const WHAT: &str = "manifest";
/// The hash algorithm, as `nitro-cli` writes it.
const HASH_ALGORITHM: &str = "Sha384 { ... }";

/// An [in-toto statement](https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md): that an
/// image has these measurements, and its sources.
///
/// Unknown fields are refused, because one could restrict the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The image: exactly one.
    pub subject: Vec<Subject>,
    /// [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// The predicate.
    pub predicate: Predicate,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The product, as the root document calls it.
    pub name: String,
    /// Digests of the file.
    pub digest: Digests,
}

/// Digests of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    /// SHA-256.
    pub sha256: Hex<32>,
    /// SHA-384.
    pub sha384: Hex<48>,
}

/// The predicate of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// The release's version.
    pub version: Version,
    /// When the manifest was made, in Unix milliseconds.
    pub created_at: u64,
    /// The source that it was built from.
    pub source: Source,
    /// The registers exactly as `nitro-cli` prints them.
    #[serde(rename = "Measurements")]
    pub measurements: BTreeMap<String, String>,
    /// SHA-256 of the root certificate (DER) under which the image attests.
    pub attestation_root: Hex<32>,
    /// The checks that a development image drops. Production images do not have this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub development: Option<String>,
    /// SHA-256 of the bill of materials, a `CycloneDX` document in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom_sha256: Option<Hex<32>>,
    /// How it was built: toolchain, inputs and their digests, configuration, crypto provider. For people and
    /// for rebuilds; no check reads it.
    #[serde(default)]
    pub build: BTreeMap<String, serde_json::Value>,
}

/// A commit of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The repository's address.
    pub repository: String,
    /// The commit's SHA-1, as git names it.
    pub commit: Hex<20>,
}

impl Manifest {
    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::Json`], [`ReleaseFault::Field`], [`ReleaseFault::ManifestPcrMissing`], and
    /// [`Error::Attestation`] for registers that no policy may hold (zeros).
    pub fn decode(payload: &[u8]) -> Result<Self, Error> {
        let manifest: Self = json::read(WHAT, payload, crate::MAX_ENVELOPE_LEN)?;
        let refused = |field, rule| Err(ReleaseFault::Field { what: WHAT, field, rule }.into());
        if manifest.statement_type != STATEMENT_TYPE {
            return refused("_type", "https://in-toto.io/Statement/v1");
        }
        if manifest.predicate_type != PREDICATE_TYPE {
            return refused("predicateType", PREDICATE_TYPE);
        }
        if manifest.subject.len() != 1 {
            return refused("subject", "exactly one image");
        }
        manifest.measurements()?;
        Ok(manifest)
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(self)
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> Option<&Subject> {
        self.subject.first()
    }

    /// The registers, as one set: PCR0, 1 and 2, and PCR8 of a signed image.
    ///
    /// # Errors
    ///
    /// As [`Manifest::decode`], which has checked them.
    pub fn measurements(&self) -> Result<Measurements, Error> {
        let refused = |rule| ReleaseFault::Field { what: WHAT, field: "Measurements", rule };
        let mut pcrs = Vec::new();
        let mut algorithm = None;
        for (name, value) in &self.predicate.measurements {
            let index = match name.as_str() {
                "HashAlgorithm" => {
                    algorithm = Some(value);
                    continue;
                }
                "PCR0" => 0,
                "PCR1" => 1,
                "PCR2" => 2,
                "PCR8" => 8,
                _ => return Err(refused("HashAlgorithm, PCR0, PCR1, PCR2 and at most PCR8").into()),
            };
            let value = Hex::<PCR_LEN>::parse(value)
                .ok_or_else(|| refused("96 lower-case hexadecimal digits each"))?;
            pcrs.push((index, value.0));
        }
        if algorithm.is_none_or(|algorithm| algorithm != HASH_ALGORITHM) {
            return Err(refused("under the HashAlgorithm \"Sha384 { ... }\"").into());
        }
        if let Some(index) = (0..=2).find(|index| pcrs.iter().all(|(there, _)| there != index)) {
            return Err(ReleaseFault::ManifestPcrMissing { index }.into());
        }
        Ok(Measurements::new(pcrs)?)
    }

    /// Verifies a manifest of the product of `root`, signed by its manifest keys.
    pub(crate) fn verify(envelope: &Envelope, root: &RootDocument) -> Result<Self, Error> {
        let manifest = Self::decode(envelope.verify(WHAT, STATEMENT_PAYLOAD_TYPE, &root.manifests)?)?;
        let name = manifest.image().map_or("", |image| image.name.as_str());
        if name != root.product {
            return Err(ReleaseFault::Subject { found: json::shown(name) }.into());
        }
        if manifest.predicate.attestation_root != root.attestation_root {
            return Err(ReleaseFault::ManifestAnchor.into());
        }
        if manifest.predicate.development.is_some()
            && root.attestation_root.0 == TrustAnchor::aws_nitro().fingerprint()
        {
            return Err(ReleaseFault::Development.into());
        }
        Ok(manifest)
    }
}
