//! The manifest of an image.

use super::PublicationFault;
use crate::{eif::Eif, error::Error, measure::Measurements};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_release_verify::{
    Digests, Envelope, Hex, Manifest, PREDICATE_TYPE, Predicate, STATEMENT_PAYLOAD_TYPE, STATEMENT_TYPE,
    Source, Subject, Version,
};
use serde_json::Value;
use sha2::{Digest, Sha256, Sha384};
use std::collections::BTreeMap;

/// The files that a build has written, as bytes.
#[derive(Clone, Copy)]
pub struct BuildOutput<'a> {
    /// The image.
    pub image: &'a [u8],
    /// The manifest beside it. It may describe the image before it was signed.
    pub manifest: &'a [u8],
    /// The kernel's configuration fragment.
    pub kernel_fragment: Option<&'a [u8]>,
}

/// An image as this machine has built it.
pub struct Built {
    /// The image without its signature section: two builders' signatures differ, and one of them may not have
    /// the key.
    subject: Vec<u8>,
    measurements: BTreeMap<String, String>,
    build: BTreeMap<String, Value>,
    development: Option<String>,
    attestation_root: Hex<32>,
}

/// The parts of a manifest that no build knows.
pub struct Described {
    /// The product, as the root document calls it.
    pub product: String,
    /// The version.
    pub version: Version,
    /// The time, in Unix milliseconds.
    pub created_at: u64,
    /// The repository's address.
    pub repository: String,
    /// The commit.
    pub commit: Hex<20>,
    /// SHA-256 of the bill of materials.
    pub sbom_sha256: Option<Hex<32>>,
}

impl Built {
    /// Measures an enclave image and reads the manifest of its build. The signature of a signed image is
    /// verified, and its certificate must be valid at `time`.
    ///
    /// # Errors
    ///
    /// Those of [`Measurements::with_signer`] and [`crate::signature::SigningCertificate::valid_at`], and
    /// [`PublicationFault::Build`] for a manifest of another image.
    pub fn image(output: &BuildOutput<'_>, anchor: &TrustAnchor, time: &CheckTime) -> Result<Self, Error> {
        let eif = Eif::parse(output.image)?;
        let (measurements, signer) = Measurements::with_signer(&eif)?;
        signer.map(|signer| signer.valid_at(time)).transpose()?;
        let unsigned = serde_json::to_value(measurements.without_signer());
        let measurements = serde_json::to_value(measurements).unwrap_or_default();
        let mut build: BTreeMap<String, Value> = serde_json::from_slice(output.manifest)
            .map_err(|_| PublicationFault::Build("it is not a JSON object"))?;
        let said = build.remove("measurements");
        if said.as_ref() != Some(&measurements) && said != unsigned.ok() {
            return Err(PublicationFault::Build("its measurements are another image's").into());
        }
        build.remove("eif");
        let development = match build.remove("development") {
            None => None,
            Some(Value::String(dropped)) => Some(dropped),
            Some(_) => return Err(PublicationFault::Build("development is not a string").into()),
        };
        if let Some(fragment) = output.kernel_fragment {
            build.insert("kernel_fragment_sha256".into(), sha256(fragment).to_string().into());
        }
        let measurements = serde_json::from_value(measurements);
        let measurements = measurements
            .map_err(|_| PublicationFault::Build("its measurements are not a map of registers"))?;
        Ok(Self {
            subject: eif.without_signature(),
            measurements,
            build,
            development,
            attestation_root: Hex(anchor.fingerprint()),
        })
    }

    /// A mock: a program, and the measurements that its mock NSM reports (as `nitro-cli` prints them). Never
    /// under AWS's root.
    ///
    /// # Errors
    ///
    /// [`PublicationFault::Unmeasured`] and [`PublicationFault::Build`].
    pub fn mock(program: Vec<u8>, measurements: &[u8], anchor: &TrustAnchor) -> Result<Self, Error> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Printed {
            measurements: BTreeMap<String, String>,
        }

        if *anchor == TrustAnchor::aws_nitro() {
            return Err(PublicationFault::Unmeasured.into());
        }
        let printed: Printed = serde_json::from_slice(measurements)
            .map_err(|_| PublicationFault::Build("the measurements are not what nitro-cli prints"))?;
        Ok(Self {
            subject: program,
            measurements: printed.measurements,
            build: BTreeMap::new(),
            development: Some("a mock: nothing measured it".into()),
            attestation_root: Hex(anchor.fingerprint()),
        })
    }

    /// The manifest, in an envelope without signatures.
    ///
    /// # Errors
    ///
    /// The refusal that a client would give.
    pub fn describe(&self, described: Described) -> Result<Envelope, Error> {
        let manifest = self.manifest(described).encode();
        Manifest::decode(&manifest)?;
        Ok(Envelope::new(STATEMENT_PAYLOAD_TYPE, manifest))
    }

    /// Refuses a manifest that differs from the one that this machine would write. A second builder confirms
    /// the first with this. The parts that no build knows (version, commit, time, bill of materials) are
    /// taken from the manifest.
    ///
    /// # Errors
    ///
    /// [`PublicationFault::NotAsBuilt`], which names the first difference.
    pub fn agrees(&self, manifest: &Manifest) -> Result<(), Error> {
        let image = manifest.image().ok_or(PublicationFault::NotAsBuilt("the subject"))?;
        let ours = self.manifest(Described {
            product: image.name.clone(),
            version: manifest.predicate.version,
            created_at: manifest.predicate.created_at,
            repository: manifest.predicate.source.repository.clone(),
            commit: manifest.predicate.source.commit,
            sbom_sha256: manifest.predicate.sbom_sha256,
        });
        let (theirs, predicate) = (&manifest.predicate, &ours.predicate);
        let differs = |what| Err(PublicationFault::NotAsBuilt(what).into());
        if manifest.subject != ours.subject {
            return differs("the image");
        }
        match [theirs, predicate].map(|predicate| predicate.measurements.contains_key("PCR8")) {
            [true, false] => {
                return differs("PCR8, which your image lacks (`attach` the signature first),");
            }
            [false, true] => return differs("PCR8, which only your image has,"),
            _ => {}
        }
        if theirs.measurements != predicate.measurements {
            return differs("a register");
        }
        if theirs.attestation_root != predicate.attestation_root {
            return differs("the attestation root");
        }
        if theirs.build != predicate.build {
            return differs("what it was built from");
        }
        match *manifest == ours {
            true => Ok(()),
            false => differs("the development flag"),
        }
    }

    fn manifest(&self, described: Described) -> Manifest {
        Manifest {
            statement_type: STATEMENT_TYPE.into(),
            subject: vec![Subject {
                name: described.product,
                digest: Digests {
                    sha256: sha256(&self.subject),
                    sha384: Hex(Sha384::digest(&self.subject).into()),
                },
            }],
            predicate_type: PREDICATE_TYPE.into(),
            predicate: Predicate {
                version: described.version,
                created_at: described.created_at,
                source: Source { repository: described.repository, commit: described.commit },
                measurements: self.measurements.clone(),
                attestation_root: self.attestation_root,
                development: self.development.clone(),
                sbom_sha256: described.sbom_sha256,
                build: self.build.clone(),
            },
        }
    }
}

fn sha256(bytes: &[u8]) -> Hex<32> {
    Hex(Sha256::digest(bytes).into())
}
