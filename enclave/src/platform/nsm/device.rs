use super::{AttestationRequest, Nsm, NsmError};
use aws_nitro_enclaves_nsm_api::{
    api::{Request, Response},
    driver::{nsm_exit, nsm_init, nsm_process_request},
};
use ok2cry_attest_verify::TrustAnchor;

/// The kernel's `/dev/nsm`, whose documents chain to AWS's root.
pub struct DeviceNsm {
    fd: i32,
    root: Vec<u8>,
}

impl DeviceNsm {
    /// Opens the device.
    pub fn open() -> Result<Self, NsmError> {
        let fd = nsm_init();
        if fd < 0 {
            return Err(NsmError::Absent("/dev/nsm cannot be opened".into()));
        }
        Ok(Self { fd, root: TrustAnchor::aws_nitro().as_der().to_vec() })
    }

    /// Reads one register.
    pub fn pcr(&mut self, index: u16) -> Result<Pcr, NsmError> {
        match nsm_process_request(self.fd, Request::DescribePCR { index }) {
            Response::DescribePCR { lock, data } => Ok(Pcr { locked: lock, value: data }),
            other => Err(refused(&other)),
        }
    }

    /// Locks one register. Its value can no longer change until the enclave ends.
    pub fn lock_pcr(&mut self, index: u16) -> Result<(), NsmError> {
        match nsm_process_request(self.fd, Request::LockPCR { index }) {
            Response::LockPCR => Ok(()),
            other => Err(refused(&other)),
        }
    }

    /// Makes the first certificate of this module's own documents the trust anchor. For emulators only: the
    /// module then vouches for itself, and only clients that are configured with its root may trust it.
    pub fn trust_own_root(&mut self) -> Result<(), NsmError> {
        let document = self.attest(&AttestationRequest::default())?;
        let document =
            ok2cry_attest_verify::decode(&document).map_err(|e| NsmError::Refused(e.to_string()))?;
        self.root = document.cabundle().first().ok_or(NsmError::UnexpectedAnswer)?.to_vec();
        Ok(())
    }
}

/// One platform configuration register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcr {
    /// Whether it can no longer be extended.
    pub locked: bool,
    /// SHA-384: 48 bytes.
    pub value: Vec<u8>,
}

impl Pcr {
    /// Whether it was never extended.
    pub fn is_zero(&self) -> bool {
        self.value == [0; 48]
    }
}

impl Nsm for DeviceNsm {
    fn attest(&mut self, request: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError> {
        let field = |bytes: Option<&[u8]>| bytes.map(|b| b.to_vec().into());
        let request = Request::Attestation {
            user_data: field(request.user_data),
            nonce: field(request.nonce),
            public_key: field(request.public_key),
        };
        match nsm_process_request(self.fd, request) {
            Response::Attestation { document } => Ok(document),
            other => Err(refused(&other)),
        }
    }

    fn root_certificate(&self) -> &[u8] {
        &self.root
    }
}

impl Drop for DeviceNsm {
    fn drop(&mut self) {
        nsm_exit(self.fd);
    }
}

fn refused(answer: &Response) -> NsmError {
    match answer {
        Response::Error(code) => NsmError::Refused(format!("{code:?}")),
        _ => NsmError::UnexpectedAnswer,
    }
}
