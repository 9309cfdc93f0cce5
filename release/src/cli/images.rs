//! The commands for images: measure, remove a signature, attach a signature.

use crate::output::Report;
use ok2cry_attest_verify::CheckTime;
use ok2cry_release::{
    durable::{Readers, replace},
    eif::Eif,
    error::{EifFault, Error},
    measure::Measurements,
    moment,
    signature::SigningCertificate,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha384};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

pub(crate) fn measure(file: &Path, json: bool, at_ms: Option<u64>) -> Result<Report, Error> {
    let bytes = read_image(file)?;
    let eif = Eif::parse(&bytes)?;
    let (measurements, signer) = Measurements::with_signer(&eif)?;
    // A time from the command line is exact; the system's clock may be a little behind.
    let time = at_ms.map_or_else(CheckTime::system, CheckTime::exactly);
    signer.as_ref().map(|signer| signer.valid_at(&time)).transpose()?;
    if json {
        return Ok(format!("{:#}", described(&eif, &measurements, signer.as_ref())).into());
    }
    Ok(Report {
        text: measurements.to_nitro_cli_json(),
        notes: vec![
            format!(
                "EIF version {}, {} (flags {:#06x}), {} sections, {} bytes",
                eif.version(),
                eif.arch().name(),
                eif.flags(),
                eif.section_count(),
                bytes.len()
            ),
            signer.as_ref().map_or_else(|| "not signed".into(), signed_by),
        ],
        if_lost: None,
    })
}

pub(crate) fn unsigned(file: &Path, out: &Path) -> Result<Report, Error> {
    let bytes = read_image(file)?;
    let eif = Eif::parse(&bytes)?;
    let unsigned = eif.without_signature();
    replace(out, &unsigned, Readers::All)?;
    let was = if eif.signature().is_some() { "without the signature of" } else { "unchanged, not signed:" };
    Ok(format!("{}: {was} {}, sha384 {}", out.display(), file.display(), sha384(&unsigned)).into())
}

pub(crate) fn attach(image: &Path, signature_of: &Path, out: &Path) -> Result<Report, Error> {
    let (ours, theirs) = (read_image(image)?, read_image(signature_of)?);
    let (ours, theirs) = (Eif::parse(&ours)?, Eif::parse(&theirs)?);
    let section = theirs.signature().ok_or(EifFault::Missing { what: "signature to attach" })?;
    let signed = ours.with_signature(section);
    // Verified like every image: the signature must be over our PCR0.
    let (_, signer) = Measurements::with_signer(&Eif::parse(&signed)?)?;
    let signer = signer.ok_or(EifFault::Missing { what: "signature to attach" })?;
    signer.valid_at(&CheckTime::system())?;
    replace(out, &signed, Readers::All)?;
    Ok(format!("{}: {}", out.display(), signed_by(&signer)).into())
}

/// One line about the signer of an image.
pub(crate) fn signed_by(signer: &SigningCertificate) -> String {
    let issuers = match signer.issuers() {
        0 => String::new(),
        count => format!("; {count} more certificates, which are not checked"),
    };
    format!(
        "signed by {} ({}), certificate valid from {} until {}, issued by {}{issuers}",
        signer.subject(),
        signer.algorithm(),
        moment::shown(signer.not_before_ms()),
        moment::shown(signer.not_after_ms()),
        signer.issuer(),
    )
}

/// The output of `nitro-cli describe-eif`, under its names, with further fields.
fn described(eif: &Eif<'_>, measurements: &Measurements, signer: Option<&SigningCertificate>) -> Value {
    let certificate = signer.map(|signer| {
        json!({
            "Subject": signer.subject(),
            "Issuer": signer.issuer(),
            "Algorithm": signer.algorithm(),
            "NotBefore": moment::shown(signer.not_before_ms()),
            "NotAfter": moment::shown(signer.not_after_ms()),
            "FurtherCertificates": signer.issuers(),
        })
    });
    json!({
        "EifVersion": eif.version(),
        "Flags": eif.flags(),
        "Architecture": eif.arch().name(),
        "Measurements": measurements,
        "IsSigned": certificate.is_some(),
        "SigningCertificate": certificate,
        "Sha384WithoutSignature": sha384(&eif.without_signature()),
    })
}

fn sha384(bytes: &[u8]) -> String {
    Sha384::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads an enclave image file. Reads no more than its header implies.
pub(crate) fn read_image(path: &Path) -> Result<Vec<u8>, Error> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| Error::Io { path: name.clone(), source })?;
    Eif::read(file, &name)
}

/// Reads a file of at most `max` bytes. A longer file is not read.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let whole = File::open(path).and_then(|file| {
        if file.metadata()?.len() <= max {
            file.take(max + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 <= max {
                return Ok(());
            }
        }
        Err(io::ErrorKind::FileTooLarge.into())
    });
    whole.map_err(|source| Error::Io { path: path.display().to_string(), source })?;
    Ok(bytes)
}
