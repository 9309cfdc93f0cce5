//! A module for tests, with documents signed by the forge and a clock that the tests move.

use super::{AttestationRequest, Nsm, NsmError};
use crate::platform::clock::{BootClock as _, ManualClock};
use ok2cry_attest_forge as forge;

/// A module on `clock`.
pub(crate) struct ForgedNsm {
    clock: ManualClock,
    root: Vec<u8>,
}

impl ForgedNsm {
    pub(crate) fn new(clock: ManualClock) -> Self {
        Self { clock, root: forge::Enclave::new().root() }
    }
}

impl Nsm for ForgedNsm {
    fn attest(&mut self, request: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError> {
        let bytes = |field: Option<&[u8]>| field.map_or(forge::cbor::NULL.to_vec(), forge::cbor::bytes);
        let elapsed = u64::try_from(self.clock.since_boot().as_millis()).unwrap_or(u64::MAX);
        Ok(forge::Enclave::with(|e| {
            e.set("timestamp", forge::cbor::uint(forge::TIMESTAMP_MS + elapsed));
            e.set("user_data", bytes(request.user_data));
            e.set("public_key", bytes(request.public_key));
            e.set("nonce", bytes(request.nonce));
        })
        .document())
    }

    fn root_certificate(&self) -> &[u8] {
        &self.root
    }
}
