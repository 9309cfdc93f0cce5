//! From a configuration and an NSM to a service that listens.

use crate::{
    api::{
        dispatch::Service,
        server::{self, Listener},
    },
    attest::{Attester, AttesterConfig},
    config::Config,
    platform::{
        clock::{BootClock, KernelClock, TrustedTime},
        compute_pool::ComputePool,
        nsm::{AttestationRequest, Nsm, NsmError},
    },
};
use ed25519_dalek::{SigningKey, pkcs8::EncodePublicKey};
use ok2cry_attest_verify::{TrustAnchor, Verifier};
use std::{future::Future, sync::Arc};
use tokio::sync::oneshot;

/// Why an enclave does not start, and serves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no Nitro Secure Module, or it gives no document.
    #[error(transparent)]
    Nsm(#[from] NsmError),
    /// No client would accept its document: wrong signature, debug mode, or another root.
    #[error("the Nitro Secure Module's document is refused: {0}")]
    Document(#[from] ok2cry_attest_verify::Error),
    /// The kernel's random generator failed.
    #[error("the random generator failed")]
    Entropy,
    /// A key could not be encoded, or a thread did not start.
    #[error("starting failed: {0}")]
    Internal(&'static str),
}

/// An enclave that is ready to serve.
pub struct Enclave {
    /// Answers requests.
    pub service: Arc<Service>,
    /// Closes when the reaper has ended.
    reaper: oneshot::Receiver<()>,
    max_connections: usize,
}

impl Enclave {
    /// Makes the boot's log key, and checks with one document that clients can accept documents of this NSM.
    pub fn start(config: Config, nsm: Box<dyn Nsm>) -> Result<Self, StartError> {
        Self::start_with_clock(config, nsm, Arc::new(KernelClock))
    }

    /// The same, with another clock than the kernel's.
    pub fn start_with_clock(
        config: Config,
        mut nsm: Box<dyn Nsm>,
        boot: Arc<dyn BootClock>,
    ) -> Result<Self, StartError> {
        let log_key = make_log_key()?;
        let time = TrustedTime::new(boot);
        let called_at = time.since_boot();
        let document =
            nsm.attest(&AttestationRequest { public_key: Some(&log_key), ..Default::default() })?;
        let anchor = TrustAnchor::from_der(nsm.root_certificate())?;
        let mut verifier = Verifier::new(anchor).with_provider(config.crypto_provider.of_verifiers());
        if config.development.debug_mode {
            verifier = verifier.insecure_allow_debug();
        }
        time.observe(verifier.verify_historical(&document)?.timestamp_ms(), called_at);

        let (max_connections, crypto_provider) = (config.max_connections, config.crypto_provider);
        let pool =
            ComputePool::start().map_err(|_| StartError::Internal("the compute pool does not start"))?;
        let attester = Attester::start(AttesterConfig {
            nsm,
            verifier,
            log_key: log_key.clone(),
            time: time.clone(),
            pool: pool.clone(),
            max_batch: config.max_batch,
        })
        .map_err(|_| StartError::Internal("the attester's threads do not start"))?;
        let service = Arc::new(Service::new(config, &log_key, time, attester, pool));
        let reaper =
            service.start_reaper().map_err(|_| StartError::Internal("the reaper's thread does not start"))?;
        tracing::info!(instance = %service.instance(), %crypto_provider, "enclave started");
        Ok(Self { service, reaper, max_connections })
    }

    /// Serves until `shutdown` is ready.
    pub async fn serve(self, listener: Listener, shutdown: impl Future<Output = ()>) {
        // An enclave that cannot erase must not serve.
        tokio::select! {
            () = server::serve(self.service, listener, self.max_connections, shutdown) => {}
            _ = self.reaper => tracing::error!("the reaper has ended"),
        }
    }
}

/// A new log key for this boot: the public half (SPKI, DER).
fn make_log_key() -> Result<Vec<u8>, StartError> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|_| StartError::Entropy)?;
    let public_key = SigningKey::from_bytes(&seed).verifying_key().to_public_key_der();
    Ok(public_key.map_err(|_| StartError::Internal("the log key cannot be encoded"))?.into_vec())
}
