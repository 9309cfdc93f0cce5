//! The PCRs of an image.
//!
//! A PCR is SHA-384(0⁴⁸ ‖ SHA-384(content)): a register that starts as 48 zeros and is extended once
//! (<https://docs.aws.amazon.com/enclaves/latest/user/set-up-attestation.html>). The contents:
//!
//! | | |
//! |---|---|
//! | PCR0 | kernel ‖ command line ‖ all ramdisks |
//! | PCR1 | kernel ‖ command line ‖ first ramdisk |
//! | PCR2 | the other ramdisks |
//! | PCR8 | the signing certificate, DER; only in signed images |
//!
//! This computation shares no code with AWS's library; hash and parser are also different ones.

use crate::{
    eif::Eif,
    error::Error,
    signature::{ImageSignature, SigningCertificate},
};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha384};
use std::fmt;

/// The measured parts of an image.
#[derive(Clone, Copy, Debug)]
pub struct ImageParts<'a> {
    /// The kernel.
    pub kernel: &'a [u8],
    /// The kernel's command line.
    pub cmdline: &'a [u8],
    /// The ramdisks; the first boots, the others are the application.
    pub ramdisks: &'a [&'a [u8]],
    /// The signing certificate, DER.
    pub certificate: Option<&'a [u8]>,
}

/// The measurements of an image. They serialize as `nitro-cli` prints them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Measurements {
    #[serde(rename = "HashAlgorithm")]
    hash_algorithm: HashAlgorithm,
    /// The whole image.
    #[serde(rename = "PCR0")]
    pub pcr0: Pcr,
    /// Kernel, command line and first ramdisk.
    #[serde(rename = "PCR1")]
    pub pcr1: Pcr,
    /// The application: every ramdisk but the first.
    #[serde(rename = "PCR2")]
    pub pcr2: Pcr,
    /// The certificate that signed the image.
    #[serde(rename = "PCR8", skip_serializing_if = "Option::is_none")]
    pub pcr8: Option<Pcr>,
}

impl Measurements {
    /// Measures an image. The signature of a signed image must be by its certificate's key, over this image's
    /// PCR0.
    ///
    /// # Errors
    ///
    /// [`Error::Signature`] if the image is signed and its signature section breaks a rule.
    pub fn of(eif: &Eif<'_>) -> Result<Self, Error> {
        Self::with_signer(eif).map(|(measurements, _)| measurements)
    }

    /// Measures an image, and returns its signer. Does not check the certificate's validity: see
    /// [`SigningCertificate::valid_at`].
    ///
    /// # Errors
    ///
    /// As [`Measurements::of`].
    pub fn with_signer(eif: &Eif<'_>) -> Result<(Self, Option<SigningCertificate>), Error> {
        let unsigned = Self::of_parts(&ImageParts {
            kernel: eif.kernel(),
            cmdline: eif.cmdline(),
            ramdisks: eif.ramdisks(),
            certificate: None,
        });
        let Some(section) = eif.signature() else { return Ok((unsigned, None)) };
        let signer = ImageSignature::parse(section)?.verify(&unsigned.pcr0)?;
        let pcr8 = Some(Pcr::of(vec![signer.as_der()]));
        Ok((Self { pcr8, ..unsigned }, Some(signer)))
    }

    /// The measurements of the image without its signature.
    #[must_use]
    pub fn without_signer(&self) -> Self {
        Self { pcr8: None, ..self.clone() }
    }

    /// Measures the parts of an image.
    #[must_use]
    pub fn of_parts(parts: &ImageParts<'_>) -> Self {
        let ImageParts { kernel, cmdline, ramdisks, certificate } = *parts;
        let (boot, application) = ramdisks.split_at(ramdisks.len().min(1));
        Self {
            hash_algorithm: HashAlgorithm,
            pcr0: Pcr::of([&[kernel, cmdline], boot, application].concat()),
            pcr1: Pcr::of([&[kernel, cmdline], boot].concat()),
            pcr2: Pcr::of(application.to_vec()),
            pcr8: certificate.map(|der| Pcr::of(vec![der])),
        }
    }

    /// Indented `{"Measurements": {…}}`, identical to the output of `nitro-cli build-enclave`.
    #[must_use]
    pub fn to_nitro_cli_json(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Block<'a> {
            measurements: &'a Measurements,
        }
        // Every field has a JSON form.
        serde_json::to_string_pretty(&Block { measurements: self }).unwrap_or_default()
    }
}

/// The value of a register. `Display` writes lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pcr(pub [u8; 48]);

impl Pcr {
    fn of(parts: Vec<&[u8]>) -> Self {
        let mut content = Sha384::new();
        for part in parts {
            content.update(part);
        }
        Self(Sha384::new().chain_update([0; 48]).chain_update(content.finalize()).finalize().into())
    }
}

impl fmt::Display for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Pcr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The only algorithm, as in AWS's documentation: `nitro-cli` prints the Debug text of its hasher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HashAlgorithm;

impl Serialize for HashAlgorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("Sha384 { ... }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_forty_eight_zeros_extended_once() {
        // By coreutils: printf abc | sha384sum, then sha384sum of 48 zeros and that digest.
        let expected = "93732e3733514a841c982cfa75ea76ab55fe011acb9cd980ef4523913c65be1b0998e04d77f8c174f81a82151619ca40";
        assert_eq!(Pcr::of(vec![b"a", b"bc"]).to_string(), expected);
    }

    #[test]
    fn each_part_changes_its_own_registers_only() {
        let of = |kernel: &[u8], cmdline: &[u8], boot: &[u8], application: &[u8], certificate: &[u8]| {
            let ramdisks = &[boot, application];
            let m = Measurements::of_parts(&ImageParts {
                kernel,
                cmdline,
                ramdisks,
                certificate: Some(certificate),
            });
            [Some(m.pcr0), Some(m.pcr1), Some(m.pcr2), m.pcr8]
        };
        let base = of(b"k", b"c", b"b", b"a", b"x");
        for (changed, expected) in [
            (of(b"K", b"c", b"b", b"a", b"x"), [true, true, false, false]),
            (of(b"k", b"C", b"b", b"a", b"x"), [true, true, false, false]),
            (of(b"k", b"c", b"B", b"a", b"x"), [true, true, false, false]),
            (of(b"k", b"c", b"b", b"A", b"x"), [true, false, true, false]),
            (of(b"k", b"c", b"b", b"a", b"X"), [false, false, false, true]),
        ] {
            let differs: Vec<_> = base.iter().zip(changed).map(|(a, b)| *a != b).collect();
            assert_eq!(differs, expected);
        }
    }

    #[test]
    fn the_block_is_what_nitro_cli_prints() {
        let parts = ImageParts { kernel: b"k", cmdline: b"c", ramdisks: &[b"b", b"a"], certificate: None };
        let measurements = Measurements::of_parts(&parts);
        let expected = format!(
            "{{\n  \"Measurements\": {{\n    \"HashAlgorithm\": \"Sha384 {{ ... }}\",\n    \"PCR0\": \"{}\",\n    \
             \"PCR1\": \"{}\",\n    \"PCR2\": \"{}\"\n  }}\n}}",
            measurements.pcr0, measurements.pcr1, measurements.pcr2
        );
        assert_eq!(measurements.to_nitro_cli_json(), expected);
        let parts = ImageParts { certificate: Some(b"x"), ..parts };
        let signed = Measurements::of_parts(&parts).to_nitro_cli_json();
        assert!(signed.contains("    \"PCR8\": \""), "{signed}");
    }
}
