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
            Response::Error(code) => Err(NsmError::Refused(format!("{code:?}"))),
            _ => Err(NsmError::UnexpectedAnswer),
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
