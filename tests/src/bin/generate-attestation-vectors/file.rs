//! What a file of cases looks like.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use ciborium::Value;
use ok2cry_attest_forge::cases::{self, Judged, Raw};
use ok2cry_attest_forge::{Enclave, NOW_MS};
use serde::Serialize;

use crate::Result;

const LEEWAY_MS: u64 = 60_000;

#[derive(Serialize)]
pub(crate) struct File {
    /// The trust anchor of every case that has none of its own: DER in base64.
    root: String,
    pub(crate) cases: Vec<Case>,
}

/// One document, how it is to be judged, and the verdict.
#[derive(Serialize)]
pub(crate) struct Case {
    name: String,
    /// Base64.
    document: String,
    #[serde(skip)]
    bytes: Vec<u8>,
    /// The document goes on with this byte, so many times.
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<Repeat>,
    /// Another trust anchor than the file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    now_ms: u64,
    leeway_ms: u64,
    allow_debug: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
    expected: Expected,
}

#[derive(Serialize)]
struct Repeat {
    byte: u8,
    count: usize,
}

/// What a caller expects of a verified document. What is absent is not looked at.
#[derive(Clone, Default, Serialize)]
pub(crate) struct Policy {
    /// Whole sets, of which one must match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) releases: Vec<BTreeMap<u8, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_data: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase", tag = "verdict")]
pub(crate) enum Expected {
    Refused {
        code: String,
    },
    Accepted {
        #[serde(flatten)]
        claims: Claims,
    },
}

/// What an accepted document says, read by another decoder. Byte strings are lower-case hex; an unset
/// field is null.
#[derive(Serialize)]
pub(crate) struct Claims {
    module_id: String,
    timestamp_ms: u64,
    pcrs: BTreeMap<u8, String>,
    public_key: Option<String>,
    user_data: Option<String>,
    nonce: Option<String>,
    /// How many certificates, root and leaf included.
    chain_len: usize,
}

impl File {
    pub(crate) fn new(cases: Vec<Case>) -> Self {
        Self { root: base64(&Enclave::new().root()), cases }
    }

    pub(crate) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

impl Case {
    pub(crate) fn refused((name, code, change): &cases::Case) -> Self {
        Self::of(name, &Enclave::with(change), Expected::Refused { code: (*code).to_owned() })
    }

    pub(crate) fn judged(case: &Judged) -> Result<Self> {
        let enclave = Enclave::with(case.change);
        let expected = match case.code {
            Some(code) => Expected::Refused { code: code.to_owned() },
            None => Expected::accepted(&enclave)?,
        };
        let Judged { now_ms, leeway_ms, allow_debug, .. } = *case;
        Ok(Self { now_ms, leeway_ms, allow_debug, ..Self::of(case.name, &enclave, expected) })
    }

    pub(crate) fn raw(raw: &Raw) -> Self {
        let expected = Expected::Refused { code: raw.code.to_owned() };
        let then = Some(Repeat { byte: raw.byte, count: raw.count });
        let (document, bytes) = (base64(raw.head), raw.head.to_vec());
        Self { document, bytes, then, root: None, ..Self::of(raw.name, &Enclave::new(), expected) }
    }

    pub(crate) fn of(name: &str, enclave: &Enclave, expected: Expected) -> Self {
        let bytes = enclave.document();
        let root = enclave.root();
        Self {
            name: name.to_owned(),
            document: base64(&bytes),
            bytes,
            then: None,
            root: (root != Enclave::new().root()).then(|| base64(&root)),
            now_ms: NOW_MS,
            leeway_ms: LEEWAY_MS,
            allow_debug: false,
            policy: None,
            expected,
        }
    }

    pub(crate) fn under(self, policy: Policy) -> Self {
        Self { policy: Some(policy), ..self }
    }

    /// The bytes without what `then` repeats.
    pub(crate) fn document(&self) -> &[u8] {
        &self.bytes
    }
}

impl Expected {
    pub(crate) fn accepted(enclave: &Enclave) -> Result<Self> {
        let bytes = enclave.document();
        let untagged = bytes.strip_prefix(&[0xd2]).unwrap_or(&bytes);
        let envelope: Value = ciborium::from_reader(untagged)?;
        let payload = envelope.as_array().and_then(|items| items.get(2)).and_then(Value::as_bytes);
        let payload: Value = ciborium::from_reader(payload.ok_or("no payload")?.as_slice())?;
        let entries = payload.as_map().ok_or("no map")?;
        let field =
            |name: &str| entries.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value);
        let optional = |name: &str| field(name).and_then(Value::as_bytes).map(|bytes| hex(bytes));
        let number = |value: &Value| value.as_integer().and_then(|number| u64::try_from(number).ok());
        let mut pcrs = BTreeMap::new();
        for (index, value) in field("pcrs").and_then(Value::as_map).ok_or("no pcrs")? {
            let index = number(index).and_then(|index| u8::try_from(index).ok()).ok_or("no index")?;
            pcrs.insert(index, hex(value.as_bytes().ok_or("no value")?));
        }
        let claims = Claims {
            module_id: field("module_id").and_then(Value::as_text).ok_or("no module_id")?.to_owned(),
            timestamp_ms: field("timestamp").and_then(number).ok_or("no timestamp")?,
            pcrs,
            // An empty public key counts as unset: no key has no bytes.
            public_key: optional("public_key").filter(|key| !key.is_empty()),
            user_data: optional("user_data"),
            nonce: optional("nonce"),
            chain_len: enclave.certs.len(),
        };
        Ok(Self::Accepted { claims })
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}
