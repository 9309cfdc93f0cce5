//! The signature section of an EIF, as far as measuring needs it: which certificate signed.

use crate::error::{Error, SignatureFault};
use base64ct::{Base64, Encoding};
use serde::Deserialize;

/// The signing certificate, DER.
///
/// The section is a CBOR array of one map, `signing_certificate` and `signature`, each an array of small integers
/// (`PcrSignature` in `aws-nitro-enclaves-image-format` 0.8.1); the certificate is PEM. Whether the signature is right
/// is for the hypervisor to say, which refuses to start an image whose signature is wrong.
///
/// # Errors
///
/// [`Error::Signature`] with the rule that the section breaks.
pub fn certificate(section: &[u8]) -> Result<Vec<u8>, Error> {
    let mut rest = section;
    let signatures: Vec<PcrSignature> = ciborium::from_reader(&mut rest).map_err(|_| SignatureFault::Cbor)?;
    if !rest.is_empty() {
        return Err(SignatureFault::Cbor.into());
    }
    let [signature] = signatures.as_slice() else { return Err(SignatureFault::Count.into()) };
    der_of_pem(&signature.signing_certificate)
}

/// The DER in a PEM file of one certificate. Text before and after the block is allowed, as RFC 7468 §2 does.
pub(crate) fn der_of_pem(pem: &[u8]) -> Result<Vec<u8>, Error> {
    let text = std::str::from_utf8(pem).map_err(|_| SignatureFault::Pem)?;
    let (_, block) = text.split_once("-----BEGIN CERTIFICATE-----").ok_or(SignatureFault::Pem)?;
    let (base64, after) = block.split_once("-----END CERTIFICATE-----").ok_or(SignatureFault::Pem)?;
    if after.contains("-----BEGIN") {
        return Err(SignatureFault::Pem.into());
    }
    let base64: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let der = Base64::decode_vec(&base64).map_err(|_| SignatureFault::Pem)?;
    if !is_one_sequence(&der) {
        return Err(SignatureFault::Der.into());
    }
    Ok(der)
}

/// Whether the bytes are one DER SEQUENCE and nothing else. Certificates are longer than 255 bytes and shorter than 64 KiB.
fn is_one_sequence(der: &[u8]) -> bool {
    match der {
        [0x30, 0x82, high, low, content @ ..] => {
            *high != 0 && content.len() == usize::from(*high) << 8 | usize::from(*low)
        }
        _ => false,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PcrSignature {
    signing_certificate: Vec<u8>,
    #[serde(rename = "signature")]
    _signature: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ciborium::{Value, cbor};

    fn pem(der: &[u8]) -> Vec<u8> {
        let block = Base64::encode_string(der);
        format!("-----BEGIN CERTIFICATE-----\n{block}\n-----END CERTIFICATE-----\n").into_bytes()
    }

    fn der() -> Vec<u8> {
        [&[0x30, 0x82, 1, 0][..], &[7; 256]].concat()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    fn section(pems: &[Vec<u8>]) -> Vec<u8> {
        let one = |pem: &Vec<u8>| cbor!({"signing_certificate" => pem, "signature" => [1, 2]}).unwrap();
        bytes(&Value::Array(pems.iter().map(one).collect()))
    }

    fn fault(section: &[u8]) -> SignatureFault {
        match certificate(section) {
            Err(Error::Signature(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_certificate_is_what_the_pem_holds() {
        assert_eq!(certificate(&section(&[pem(&der())])).unwrap(), der());
        let with_text = [b"Certificate:\n    Data:\n".to_vec(), pem(&der())].concat();
        assert_eq!(certificate(&section(&[with_text])).unwrap(), der());
    }

    #[test]
    fn a_section_that_names_no_signer_or_several_is_refused() {
        assert_eq!(fault(&section(&[])), SignatureFault::Count);
        assert_eq!(fault(&section(&[pem(&der()), pem(&der())])), SignatureFault::Count);
        assert_eq!(fault(&[section(&[pem(&der())]), vec![0]].concat()), SignatureFault::Cbor);
        let unknown = cbor!([{"signing_certificate" => [1], "signature" => [1], "more" => 1}]).unwrap();
        assert_eq!(fault(&bytes(&unknown)), SignatureFault::Cbor);
        assert_eq!(fault(&section(&[b"no PEM".to_vec()])), SignatureFault::Pem);
        assert_eq!(fault(&section(&[[pem(&der()), pem(&der())].concat()])), SignatureFault::Pem);
        assert_eq!(fault(&section(&[pem(&[der(), vec![0]].concat())])), SignatureFault::Der);
        for length in 0..section(&[pem(&der())]).len() {
            assert_eq!(fault(&section(&[pem(&der())])[..length]), SignatureFault::Cbor);
        }
    }
}
