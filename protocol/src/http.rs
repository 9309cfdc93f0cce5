//! The JSON bodies of the parent's HTTP API. Byte strings are base64url without padding. Unknown, missing and
//! repeated fields are errors.

use crate::{
    batch::Inclusion,
    document::Document,
    rpc::{Answer, Attested, Issued, KeyState, SealedReply},
};
use base64ct::{Base64UrlUnpadded, Encoding};
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use zeroize::Zeroizing;

/// The body of `POST /v1/keys`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueRequest {
    /// 16 to 64 random bytes, used for this request only.
    pub nonce: Bytes,
    /// The purpose of the keys, one of the enclave's measured configuration.
    pub purpose: String,
    /// The lifetime of the keys, in milliseconds.
    pub ttl: u64,
    /// To whom the plaintext is delivered.
    pub recipient: RecipientField,
    /// The number of keys, 1 to 100; 1 if absent.
    #[serde(default = "one")]
    pub count: u32,
}

fn one() -> u32 {
    1
}

/// To whom the plaintext of a key is delivered: `"caller"`, or a suite and a public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RecipientField {
    /// The text `"caller"`; any other text is refused.
    Named(String),
    /// The recipient's public key.
    Key(RecipientKeyBody),
}

/// A recipient's public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientKeyBody {
    /// IANA numbers of KEM, KDF and AEAD: `[17, 2, 2]`.
    pub suite: [u16; 3],
    /// The uncompressed P-384 point, 97 bytes.
    pub public_key: Bytes,
}

/// The answer to `POST /v1/keys`: the document and the descriptors that it attests. No attested value is
/// repeated outside the descriptors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueResponse {
    /// The attestation document of the batch that holds all the keys.
    pub document: Document,
    /// The keys, in the order of their derived nonces.
    pub keys: Vec<IssuedKey>,
}

/// One key of an [`IssueResponse`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuedKey {
    /// The key descriptor's bytes.
    pub descriptor: Bytes,
    /// Its position in the batch, from 0.
    pub index: u64,
    /// Its inclusion path, nearest sibling first.
    pub path: Vec<Bytes>,
}

/// The body of `POST /v1/keys/{id}/open`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRequest {
    /// HPKE's encapsulated key, 97 bytes.
    pub enc: Bytes,
    /// HPKE's ciphertext, 16 to 4,112 bytes.
    pub ciphertext: Bytes,
    /// The `aad` that the message was sealed with, at most 1,024 bytes. It may be empty but not absent.
    pub aad: Bytes,
}

/// The answer to an open.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum OpenResponse {
    /// A reply that is sealed to the recipient.
    Sealed(SealedBody),
    /// The plaintext, if the key delivers to the caller.
    Plaintext(SecretBytes),
}

/// A sealed reply and its reply context.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedBody {
    /// The reply record.
    pub reply: Bytes,
    /// The reply context that it is sealed under.
    pub context: AttestedBody,
}

/// An attested record: its bytes, its inclusion path, and the document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestedBody {
    /// The record's bytes.
    pub record: Bytes,
    /// Its position in the batch, from 0.
    pub index: u64,
    /// Its inclusion path, nearest sibling first.
    pub path: Vec<Bytes>,
    /// The attestation document of the batch.
    pub document: Document,
}

/// The answer to `GET` and `DELETE /v1/keys/{id}`. Readers ignore unknown fields, so that receipts can be
/// added.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateResponse {
    /// `live`, `used`, `expired`, `destroyed` or `unknown`. Advisory: it is not signed.
    pub state: String,
}

/// An RFC 9457 problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// A URI reference for the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short sentence, the same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// The stable code, see `docs/errors.md`.
    pub code: String,
}

impl Problem {
    /// The stable code.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl From<Issued> for IssueResponse {
    fn from(issued: Issued) -> Self {
        let keys = issued.keys.into_iter().map(|(descriptor, inclusion)| {
            let (index, path) = inclusion_fields(&inclusion);
            IssuedKey { descriptor: Bytes(descriptor), index, path }
        });
        Self { document: issued.document, keys: keys.collect() }
    }
}

impl From<Attested> for AttestedBody {
    fn from(attested: Attested) -> Self {
        let (index, path) = inclusion_fields(&attested.inclusion);
        Self { record: Bytes(attested.record), index, path, document: attested.document }
    }
}

impl From<SealedReply> for SealedBody {
    fn from(sealed: SealedReply) -> Self {
        Self { reply: Bytes(sealed.reply), context: sealed.context.into() }
    }
}

impl OpenResponse {
    /// The answer to an open; `None` if `answer` answers something else.
    pub fn from_answer(answer: Answer) -> Option<Self> {
        match answer {
            Answer::Sealed(sealed) => Some(Self::Sealed(sealed.into())),
            Answer::Plaintext(plaintext) => Some(Self::Plaintext(SecretBytes(plaintext.0))),
            _ => None,
        }
    }
}

impl From<KeyState> for StateResponse {
    fn from(state: KeyState) -> Self {
        Self { state: state.as_str().to_owned() }
    }
}

/// The inclusion with this `index` and `path`; `None` if the path has too many items, or one that is not a
/// hash.
pub fn inclusion(index: u64, path: &[Bytes]) -> Option<Inclusion> {
    if path.len() > crate::batch::MAX_PATH {
        return None;
    }
    let path = path.iter().map(|h| h.0.as_slice().try_into().ok()).collect::<Option<_>>()?;
    Some(Inclusion { index, path })
}

// Not derived: errors of serde's untagged enums do not name the wrong field.
impl<'de> Deserialize<'de> for RecipientField {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = RecipientField;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"caller\" or an object of suite and public_key")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RecipientField, E> {
                Ok(RecipientField::Named(text.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RecipientField, A::Error> {
                let key = RecipientKeyBody::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(RecipientField::Key(key))
            }
        }

        d.deserialize_any(Visitor)
    }
}

fn inclusion_fields(inclusion: &Inclusion) -> (u64, Vec<Bytes>) {
    (inclusion.index, inclusion.path.iter().map(|h| Bytes(h.to_vec())).collect())
}

/// A byte string; base64url without padding in JSON.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&Base64UrlUnpadded::encode_string(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        let bytes = Base64UrlUnpadded::decode_vec(&text);
        bytes.map(Self).map_err(|_| de::Error::custom("is not base64url without padding"))
    }
}

/// For `serde_json` only: other formats do not support its raw text.
impl Serialize for Document {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.json().ok_or_else(|| ser::Error::custom("is not a JSON text"))?.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Bytes::deserialize(d).map(|bytes| bytes.0.into())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

/// Plaintext; base64url in JSON. Overwritten when dropped; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(pub Zeroizing<Vec<u8>>);

impl Serialize for SecretBytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&Zeroizing::new(Base64UrlUnpadded::encode_string(&self.0)))
    }
}

impl<'de> Deserialize<'de> for SecretBytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Bytes::deserialize(d).map(|bytes| Self(Zeroizing::new(bytes.0)))
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        serde_json::from_str::<IssueRequest>(json).unwrap_err().to_string()
    }

    #[test]
    fn requests_are_exact() {
        let good = r#"{"nonce":"AAAA","purpose":"p","ttl":5,"recipient":"caller"}"#;
        let request: IssueRequest = serde_json::from_str(good).unwrap();
        assert_eq!((request.nonce.0, request.count), (vec![0; 3], 1));
        assert!(refused(&good.replace("\"ttl\"", "\"tll\"")).contains("unknown field `tll`"));
        assert!(refused(&good.replace("\"ttl\":5,", "")).contains("missing field `ttl`"));
        assert!(refused(&good.replace("\"ttl\":5", "\"ttl\":5,\"ttl\":6")).contains("duplicate field `ttl`"));
        assert!(refused(&good.replace("AAAA", "AAA=")).contains("base64url"));
        assert!(refused(&good.replace("5", "-5")).contains("invalid value"));
        assert!(refused(&format!("{good} x")).contains("trailing"));
    }

    #[test]
    fn errors_name_the_wrong_field_of_a_recipient() {
        let key =
            r#"{"nonce":"AAAA","purpose":"p","ttl":5,"recipient":{"suite":[17,2,2],"public_key":"AAAA"}}"#;
        let request: IssueRequest = serde_json::from_str(key).unwrap();
        assert!(matches!(request.recipient, RecipientField::Key(RecipientKeyBody { suite: [17, 2, 2], .. })));
        assert!(refused(&key.replace("public_key\":\"AAAA", "public_key\":\"A+AA")).contains("base64url"));
        assert!(refused(&key.replace("public_key", "key")).contains("unknown field `key`"));
        assert!(refused(&key.replace("\"suite\":[17,2,2],", "")).contains("missing field `suite`"));
        assert!(refused(&key.replace("[17,2,2]", "[17,2,2],\"suite\":[1,1,1]")).contains("duplicate field"));
    }

    #[test]
    fn a_plaintext_answer_has_one_named_field() {
        let plain = OpenResponse::Plaintext(SecretBytes(Zeroizing::new(b"1234".to_vec())));
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"plaintext":"MTIzNA"}"#);
    }

    #[test]
    fn a_document_is_written_as_base64url() {
        let document = Document::from((0..=255).collect::<Vec<u8>>());
        let text = format!("\"{}\"", Base64UrlUnpadded::encode_string(&document));
        for _ in 0..2 {
            assert_eq!(serde_json::to_string(&document.clone()).unwrap(), text);
        }
        assert_eq!(serde_json::to_value(&document).unwrap().to_string(), text);
        assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document);
        let issued = IssueResponse { document, keys: Vec::new() };
        assert_eq!(serde_json::to_string(&issued).unwrap(), format!("{{\"document\":{text},\"keys\":[]}}"));
    }
}
