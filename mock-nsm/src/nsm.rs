//! The module: limits, latency, faults, and a leaf that is renewed before it expires.

use std::thread;
use std::time::Instant;

use ok2cry_enclave::platform::nsm::{AttestationRequest, Nsm, NsmError};

use crate::certificate::Certified;
use crate::document::Document;
use crate::handle::CallPlan;
use crate::pki::random_id;
use crate::{Answer, MockConfig, MockError, MockHandle, MockPki, PayloadMap, Pcrs};

/// A Nitro Secure Module under its own root. The crate's documentation says what its documents prove.
#[derive(Debug)]
pub struct MockNsm {
    genuine: Signer,
    /// Signs under another root; made when [`Answer::OtherRoot`] first asks for it.
    foreign: Option<Signer>,
    /// Made with the first document, because `new` cannot report a lack of randomness.
    module_id: Option<String>,
    pcrs: Pcrs,
    payload_map: PayloadMap,
    handle: MockHandle,
}

impl MockNsm {
    /// A module of the instance that `pki` certifies. Modules from clones of one PKI have different ids.
    pub fn new(pki: MockPki, config: MockConfig) -> Self {
        let handle = MockHandle::new(&config);
        let MockConfig { pcrs, payload_map, .. } = config;
        Self { genuine: Signer::new(pki), foreign: None, module_id: None, pcrs, payload_map, handle }
    }

    /// The handle by which a test controls this module once the enclave owns it.
    pub fn handle(&self) -> MockHandle {
        self.handle.clone()
    }

    fn answer(&mut self, request: &AttestationRequest<'_>, call: &CallPlan) -> Result<Vec<u8>, NsmError> {
        check_limits(request)?;
        if call.fails {
            return Err(NsmError::Refused("the mock is set to fail".to_owned()));
        }
        self.answer_with_faults(request, call).map_err(|error| NsmError::Refused(error.to_string()))
    }

    /// Answers as the faults say; honestly by default.
    fn answer_with_faults(
        &mut self,
        request: &AttestationRequest<'_>,
        call: &CallPlan,
    ) -> Result<Vec<u8>, MockError> {
        match call.answer {
            Answer::Honest | Answer::OtherRoot => self.document(*request, call),
            Answer::Garbage => Ok(GARBAGE.to_vec()),
            Answer::BrokenSignature => {
                // A document ends with its signature.
                self.document(*request, call).map(with_last_bit_flipped)
            }
            Answer::WrongUserData => {
                let wrong = other_than(request.user_data);
                self.document(AttestationRequest { user_data: Some(&wrong), ..*request }, call)
            }
            Answer::WrongPublicKey => {
                let wrong = other_than(request.public_key);
                self.document(AttestationRequest { public_key: Some(&wrong), ..*request }, call)
            }
        }
    }

    fn document(&mut self, request: AttestationRequest<'_>, call: &CallPlan) -> Result<Vec<u8>, MockError> {
        let module_id = match self.module_id.take() {
            Some(module_id) => module_id,
            None => format!("{}-enc{}", self.genuine.pki.instance_id(), random_id()?),
        };
        let module_id = self.module_id.insert(module_id);
        let signer = match call.answer {
            Answer::OtherRoot => {
                let foreign = match self.foreign.take() {
                    Some(foreign) => foreign,
                    None => self.genuine.under_another_root(call.now_ms)?,
                };
                self.foreign.insert(foreign)
            }
            _ => &mut self.genuine,
        };
        let (pki, leaf) = signer.ready(module_id, call.now_ms / 1000)?;
        let document = Document {
            module_id,
            timestamp: call.now_ms.saturating_add_signed(call.timestamp_offset_ms),
            pcrs: &self.pcrs,
            certificate: leaf.der(),
            cabundle: pki.bundle(),
            request,
        };
        document.sign(self.payload_map, leaf.key())
    }
}

impl Nsm for MockNsm {
    fn attest(&mut self, request: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError> {
        let call = self.handle.begin_call();
        let began = Instant::now();
        let answer = self.answer(request, &call);
        // Signing is part of the latency; only the rest is slept.
        thread::sleep(call.latency.saturating_sub(began.elapsed()));
        answer
    }

    fn root_certificate(&self) -> &[u8] {
        self.genuine.pki.root_der()
    }
}

/// A chain with its current leaf.
#[derive(Debug)]
struct Signer {
    pki: MockPki,
    leaf: Option<Certified>,
}

impl Signer {
    fn new(pki: MockPki) -> Self {
        Self { pki, leaf: None }
    }

    /// The same instance with new keys, from the root down.
    fn under_another_root(&self, now_ms: u64) -> Result<Self, MockError> {
        let instance_id = self.pki.instance_id().to_owned();
        Ok(Self::new(MockPki::generate_for(instance_id, now_ms)?))
    }

    /// The leaf for a document signed now, and the authorities above it. AWS reuses a leaf for more than two
    /// hours; here a new leaf, with a new key, replaces one that has less than an hour left.
    ///
    /// The chain is checked only when a leaf is made, because every authority outlives the certificates that
    /// it signs.
    fn ready(&mut self, module_id: &str, now_s: u64) -> Result<(&MockPki, &Certified), MockError> {
        let leaf = match self.leaf.take().filter(|leaf| leaf.is_valid_for(LEAF_RESERVE, now_s)) {
            Some(leaf) => leaf,
            None => {
                self.pki = self.pki.renewed(now_s)?;
                self.pki.leaf(module_id, now_s)?
            }
        };
        Ok((&self.pki, self.leaf.insert(leaf)))
    }
}

/// A leaf with less than these seconds left is replaced.
const LEAF_RESERVE: u64 = 60 * 60;

const GARBAGE: &[u8] = b"This is no attestation document.";

fn check_limits(request: &AttestationRequest<'_>) -> Result<(), NsmError> {
    for (name, field, limit) in [
        ("user_data", request.user_data, 512),
        ("public_key", request.public_key, 1024),
        ("nonce", request.nonce, 512),
    ] {
        let length = field.map_or(0, <[u8]>::len);
        if length > limit {
            return Err(NsmError::Refused(format!("{name} has {length} bytes, more than {limit}")));
        }
    }
    Ok(())
}

fn other_than(field: Option<&[u8]>) -> Vec<u8> {
    match field {
        None | Some([]) => vec![0],
        Some(bytes) => with_last_bit_flipped(bytes.to_vec()),
    }
}

fn with_last_bit_flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes
}
