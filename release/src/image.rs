//! Builds an image from checked inputs and measures it twice.

use crate::{
    eif::{Arch, Eif},
    error::Error,
    inputs::CheckedInputs,
    manifest::Manifest,
    measure::{ImageParts, Measurements},
    ramdisk,
    signature::SigningCertificate,
};
use aws_nitro_enclaves_image_format::{
    defs::{EifBuildInfo, EifIdentityInfo},
    utils::{EifBuilder, SignKeyData},
};
use ok2cry_attest_verify::CheckTime;
use sha2_0_10::{Digest, Sha384};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// The PEM files of the key that signs an image and of its certificate, which fills PCR8.
#[derive(Clone, Debug)]
pub struct SignerFiles {
    /// The private key, ECDSA over P-256, P-384 or P-521.
    pub key: PathBuf,
    /// The certificate. Its issuers may follow; only the first is measured.
    pub certificate: PathBuf,
}

/// An image, as the bytes of its files.
#[derive(Debug)]
pub struct Image {
    /// The enclave image file.
    pub eif: Vec<u8>,
    /// What it measures.
    pub measurements: Measurements,
    /// The manifest, JSON.
    pub manifest: String,
}

impl Image {
    /// Builds an image: ramdisks by [`ramdisk`], the file by AWS's library, the measurements by both.
    ///
    /// # Errors
    ///
    /// [`Error::Disagreement`] if the file does not hold exactly the inputs, or if AWS's library and
    /// [`Measurements`] measure it differently; [`Error::Library`] if the library fails, for example on an
    /// invalid key; [`Error::Signature`] for a certificate that cannot sign, is not valid at `time`, or
    /// belongs to another key.
    pub fn build(
        checked: &CheckedInputs,
        signer: Option<&SignerFiles>,
        time: &CheckTime,
    ) -> Result<Self, Error> {
        // First, because the certificate's file becomes part of the image with everything that it holds.
        let certificate = signer.map(certificate).transpose()?;
        certificate.as_ref().map(|certificate| certificate.valid_at(time)).transpose()?;
        let inputs = &checked.inputs;
        let (boot, application) = ramdisk::boot()
            .and_then(|boot| {
                Ok((
                    boot,
                    ramdisk::application(&inputs.init, &inputs.configuration, &checked.running_cmdline)?,
                ))
            })
            .map_err(|source| Error::Io { path: "a ramdisk".into(), source })?;
        let ramdisks: [&[u8]; 2] = [&boot, &application];
        let (eif, theirs) = write_eif(checked, ramdisks, signer)?;

        let parsed = Eif::parse(&eif)?;
        let measurements = Measurements::of(&parsed)?;
        let ours = registers(&measurements);
        if ours != theirs {
            return Err(disagreement(&format!("the measurements: {theirs:?}, and {ours:?}")));
        }
        let cmdline = checked.cmdline.as_bytes();
        let certificate = certificate.as_ref().map(SigningCertificate::as_der);
        let expected = Measurements::of_parts(&ImageParts {
            kernel: &checked.inputs.kernel,
            cmdline,
            ramdisks: &ramdisks,
            certificate,
        });
        let held = (parsed.arch(), parsed.kernel(), parsed.cmdline(), parsed.ramdisks());
        if held != (Arch::X86_64, &checked.inputs.kernel, cmdline, &ramdisks) || measurements != expected {
            return Err(disagreement("what the image holds"));
        }
        let manifest = Manifest::new(&eif, &measurements, checked, ramdisks).to_json();
        Ok(Self { eif, measurements, manifest })
    }
}

/// The file that AWS's library writes, and the measurements that it computes.
///
/// The library takes files, and panics in cases where it could return an error.
fn write_eif(
    checked: &CheckedInputs,
    ramdisks: [&[u8]; 2],
    signer: Option<&SignerFiles>,
) -> Result<(Vec<u8>, BTreeMap<String, String>), Error> {
    let directory =
        tempfile::tempdir().map_err(|source| Error::Io { path: "a temporary directory".into(), source })?;
    let put = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).map_err(in_file(&path)).map(|()| path)
    };
    let kernel = put("kernel", &checked.inputs.kernel)?;
    let [boot, application] = ramdisks;
    let (boot, application) = (put("boot", boot)?, put("application", application)?);
    let out = put("eif", &[])?;
    let sign_key = signer.map(sign_key).transpose()?;

    let measurements = catch_unwind(AssertUnwindSafe(|| {
        let flags_x86_64 = 0;
        let cmdline = checked.cmdline.clone();
        let mut builder =
            EifBuilder::new(&kernel, cmdline, sign_key, Sha384::new(), flags_x86_64, metadata(checked));
        builder.add_ramdisk(&boot);
        builder.add_ramdisk(&application);
        let mut file = File::options().read(true).write(true).open(&out).map_err(in_file(&out))?;
        Ok::<_, Error>(builder.write_to(&mut file))
    }))
    .map_err(|panic| Error::Library(message(&*panic)))??;
    // The Debug text of the hasher, which changes with its version.
    let registers = measurements.into_iter().filter(|(name, _)| name != "HashAlgorithm").collect();
    Ok((fs::read(&out).map_err(in_file(&out))?, registers))
}

/// Metadata that does not depend on the time or place of the build.
fn metadata(checked: &CheckedInputs) -> EifIdentityInfo {
    EifIdentityInfo {
        img_name: "ok2cry".into(),
        img_version: env!("CARGO_PKG_VERSION").into(),
        build_info: EifBuildInfo {
            build_time: "1970-01-01T00:00:00+00:00".into(),
            build_tool: env!("CARGO_PKG_NAME").into(),
            build_tool_version: env!("CARGO_PKG_VERSION").into(),
            img_os: "Linux".into(),
            img_kernel: checked.kernel_release.clone(),
        },
        docker_info: serde_json::json!({}),
        custom_info: serde_json::json!({}),
    }
}

/// A key in a file. The library would also accept the ARN of a KMS key, which is untested here.
fn sign_key(signer: &SignerFiles) -> Result<SignKeyData, Error> {
    let key = signer.key.to_str().filter(|_| signer.key.is_file());
    let key = key.ok_or_else(|| Error::Library("the signing key is not a file".into()))?;
    SignKeyData::new(key, &signer.certificate).map_err(Error::Library)
}

fn certificate(signer: &SignerFiles) -> Result<SigningCertificate, Error> {
    SigningCertificate::from_pem(&fs::read(&signer.certificate).map_err(in_file(&signer.certificate))?)
}

/// Our registers in the library's form.
fn registers(ours: &Measurements) -> BTreeMap<String, String> {
    let all = [
        ("PCR0", Some(ours.pcr0)),
        ("PCR1", Some(ours.pcr1)),
        ("PCR2", Some(ours.pcr2)),
        ("PCR8", ours.pcr8),
    ];
    all.into_iter().filter_map(|(name, pcr)| Some((name.to_owned(), pcr?.to_string()))).collect()
}

fn disagreement(what: &str) -> Error {
    Error::Disagreement { what: what.to_owned() }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn in_file(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    |source| Error::Io { path, source }
}
