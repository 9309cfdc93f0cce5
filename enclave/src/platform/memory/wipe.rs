//! Overwrites secrets.
//!
//! Every type that holds a secret overwrites it when it is dropped. A private key is such a type of its
//! provider: `p384::SecretKey` in `keys/crypto/portable.rs`, whose drop overwrites the scalar, and
//! `aws_lc_rs::agreement::PrivateKey` in `keys/crypto/aws_lc.rs`, whose memory AWS-LC overwrites when it is
//! freed. This module covers the two cases that are not the end of a scope: secrets that are removed from the
//! store, and what computations leave on the stack.
//! The test that searches a process's memory switches wiping off here, to show that the search finds secrets
//! then.

use zeroize::Zeroize as _;

/// How many bytes of stack are overwritten after work on secrets. Elliptic-curve work of both providers was
/// seen to fit into the smallest thread stack, 16 KiB.
const STACK: usize = 32 * 1024;

/// Drops secrets, which overwrites them.
pub(crate) fn wipe<T>(secret: T) {
    #[cfg(test)]
    if tests::is_switched_off() {
        std::mem::forget(secret);
        return;
    }
    drop(secret);
}

/// Runs work on secrets on a part of the stack that is overwritten afterwards.
pub(crate) fn on_wiped_stack<T>(work: impl FnOnce() -> T) -> T {
    let result = on_deeper_stack(work);
    #[cfg(test)]
    if tests::is_switched_off() {
        return result;
    }
    wipe_stack();
    result
}

/// Keeps the work's frames below this function's caller, where [`wipe_stack`] reaches them.
#[inline(never)]
fn on_deeper_stack<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe_stack() {
    // In words of 16 bytes: byte by byte it would take as long as making a key.
    let mut below = [0_u128; STACK / size_of::<u128>()];
    std::hint::black_box(&mut below);
    below.zeroize();
    std::hint::black_box(&mut below);
}

#[cfg(test)]
mod tests;
