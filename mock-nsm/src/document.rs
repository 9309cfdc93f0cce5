//! An attestation document in the exact encoding of real ones: an untagged `COSE_Sign1` (RFC 9052 §4.2) with
//! ES384 in its protected header and an empty unprotected header. The payload is a CBOR map with keys in
//! AWS's order, which is not that of deterministic CBOR.

use coset::cbor::value::Value;
use coset::{CborSerializable, CoseSign1Builder, HeaderBuilder, iana};
use ok2cry_enclave::platform::nsm::AttestationRequest;
use p384::ecdsa::signature::Signer;
use p384::ecdsa::{Signature, SigningKey};

use crate::{MockError, PayloadMap, Pcrs};

/// The fields of one document.
pub(crate) struct Document<'a> {
    pub(crate) module_id: &'a str,
    /// Milliseconds since the Unix epoch.
    pub(crate) timestamp: u64,
    pub(crate) pcrs: &'a Pcrs,
    /// The leaf, DER.
    pub(crate) certificate: &'a [u8],
    /// The authorities, DER, root first.
    pub(crate) cabundle: [&'a [u8]; 4],
    pub(crate) request: AttestationRequest<'a>,
}

impl Document<'_> {
    /// Encodes the document and signs it with the leaf's key.
    pub(crate) fn sign(&self, form: PayloadMap, key: &SigningKey) -> Result<Vec<u8>, MockError> {
        let es384 = HeaderBuilder::new().algorithm(iana::Algorithm::ES384).build();
        CoseSign1Builder::new()
            .protected(es384)
            .payload(self.payload(form)?)
            .try_create_signature(b"", |to_be_signed| sign(key, to_be_signed))?
            .build()
            .to_vec()
            .map_err(|error| MockError::Encoding(error.to_string()))
    }

    fn payload(&self, form: PayloadMap) -> Result<Vec<u8>, MockError> {
        let mut payload = Vec::new();
        match form {
            PayloadMap::Definite => {
                let fields = self.fields().map(|(key, value)| (Value::from(key), value));
                encode(&Value::Map(fields.into()), &mut payload)?;
            }
            PayloadMap::Indefinite => {
                payload.push(BEGIN_INDEFINITE_MAP);
                for (key, value) in self.fields() {
                    encode(&Value::from(key), &mut payload)?;
                    encode(&value, &mut payload)?;
                }
                payload.push(BREAK);
            }
        }
        Ok(payload)
    }

    fn fields(&self) -> [(&'static str, Value); 9] {
        let pcrs =
            self.pcrs.iter().map(|(index, value)| (Value::from(*index), Value::from(value.as_slice())));
        let cabundle = self.cabundle.iter().copied().map(Value::from);
        [
            ("module_id", Value::from(self.module_id)),
            ("digest", Value::from("SHA384")),
            ("timestamp", Value::from(self.timestamp)),
            ("pcrs", Value::Map(pcrs.collect())),
            ("certificate", Value::from(self.certificate)),
            ("cabundle", Value::Array(cabundle.collect())),
            ("public_key", bytes_or_null(self.request.public_key)),
            ("user_data", bytes_or_null(self.request.user_data)),
            ("nonce", bytes_or_null(self.request.nonce)),
        ]
    }
}

/// RFC 8949 §3.2.2.
const BEGIN_INDEFINITE_MAP: u8 = 0xbf;
const BREAK: u8 = 0xff;

/// ES384 as COSE encodes it (RFC 9053 §2.1): r ‖ s, 48 bytes each.
fn sign(key: &SigningKey, to_be_signed: &[u8]) -> Result<Vec<u8>, MockError> {
    let signature: Signature = key.try_sign(to_be_signed)?;
    Ok(signature.to_bytes().to_vec())
}

fn bytes_or_null(field: Option<&[u8]>) -> Value {
    field.map_or(Value::Null, Value::from)
}

fn encode(value: &Value, into: &mut Vec<u8>) -> Result<(), MockError> {
    coset::cbor::into_writer(value, into).map_err(|error| MockError::Encoding(error.to_string()))
}
