//! From a configuration and an NSM to a service that listens.

use crate::{
    api::dispatch::Service,
    api::server::{self, Listener},
    attest::batcher::Attester,
    config::Config,
    platform::clock::{BootClock, KernelClock, TrustedTime},
    platform::compute_pool::Cpu,
    platform::nsm::{AttestationRequest, Nsm, NsmError},
};
use ed25519_dalek::{SigningKey, pkcs8::EncodePublicKey};
use ok2cry_attest_verify::{TrustAnchor, Verifier};
use std::{future::Future, sync::Arc};
use tokio::sync::oneshot;

/// Why an enclave does not start. It serves nobody then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no Nitro Secure Module, or it gives no document.
    #[error(transparent)]
    Nsm(#[from] NsmError),
    /// Its document would not be accepted by anybody: unsigned, in debug mode, under another root.
    #[error("the Nitro Secure Module's document is refused: {0}")]
    Document(#[from] ok2cry_attest_verify::Error),
    /// The kernel's random generator failed.
    #[error("the random generator failed")]
    Entropy,
    /// A key could not be encoded, or a thread not be started.
    #[error("starting failed: {0}")]
    Internal(&'static str),
}

/// An enclave that has checked its ground and can serve.
pub struct Enclave {
    /// What answers requests.
    pub service: Arc<Service>,
    /// Fails when the thread that erases has ended.
    eraser: oneshot::Receiver<()>,
    max_connections: usize,
}

impl Enclave {
    /// Makes the boot's log key, and checks with one document that this NSM is one that verifiers will accept.
    pub fn start(config: Config, nsm: Box<dyn Nsm>) -> Result<Self, StartError> {
        Self::start_with_clock(config, nsm, Arc::new(KernelClock))
    }

    /// The same, with another clock than the kernel's.
    pub fn start_with_clock(
        config: Config,
        mut nsm: Box<dyn Nsm>,
        boot: Arc<dyn BootClock>,
    ) -> Result<Self, StartError> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|_| StartError::Entropy)?;
        let log_key = SigningKey::from_bytes(&seed)
            .verifying_key()
            .to_public_key_der()
            .map_err(|_| StartError::Internal("the log key cannot be encoded"))?
            .into_vec();

        let time = TrustedTime::new(boot);
        let asked = time.since_boot();
        let document =
            nsm.attest(&AttestationRequest { public_key: Some(&log_key), ..Default::default() })?;
        let anchor = TrustAnchor::from_der(nsm.root_certificate())?;
        let mut verifier = Verifier::with_provider(anchor, config.crypto_provider.of_verifiers());
        if config.development.debug_mode {
            verifier = verifier.insecure_allow_debug();
        }
        time.observe(verifier.verify_historical(&document)?.timestamp_ms(), asked);

        let (max_connections, crypto_provider) = (config.max_connections, config.crypto_provider);
        let cpu = Cpu::start().map_err(|_| StartError::Internal("the processor's threads do not start"))?;
        let (own_time, own_cpu) = (time.clone(), cpu.clone());
        let attester = Attester::start(nsm, verifier, log_key.clone(), own_time, own_cpu, config.max_batch)
            .map_err(|_| StartError::Internal("the NSM's thread does not start"))?;
        let service = Arc::new(Service::new(config, &log_key, time, attester, cpu));
        let eraser =
            service.start_eraser().map_err(|_| StartError::Internal("the eraser's thread does not start"))?;
        tracing::info!(instance = %service.instance(), %crypto_provider, "enclave started");
        Ok(Self { service, eraser, max_connections })
    }

    /// Serves until `shutdown` is ready.
    pub async fn serve(self, listener: Listener, shutdown: impl Future<Output = ()>) {
        // An enclave that cannot erase must not serve.
        tokio::select! {
            () = server::serve(self.service, listener, self.max_connections, shutdown) => {}
            _ = self.eraser => tracing::error!("the eraser has ended"),
        }
    }
}
