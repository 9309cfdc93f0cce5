//! The reference: the `hpke` crate's own DHKEM, on the `p384` crate. It needs no C compiler.
//!
//! A private key is 48 bytes of scalar, which `p384` overwrites when it is dropped. The public key is computed again at
//! every open.

use super::{
    Provider,
    suite::{Hpke, P384Kem},
};
use hpke::{Kem as _, kem::DhP384HkdfSha384};
use zeroize::Zeroizing;

pub(super) const PROVIDER: &dyn Provider = &Hpke::<DhP384HkdfSha384>::new();

impl P384Kem for DhP384HkdfSha384 {
    /// As [`hpke::Kem::gen_keypair`] does, from the kernel's random generator, but for its panic.
    fn generate() -> Option<(Self::PrivateKey, Self::PublicKey)> {
        let mut ikm = Zeroizing::new([0; 48]);
        getrandom::fill(ikm.as_mut()).ok()?;
        Some(Self::derive_keypair(ikm.as_ref()))
    }
}
