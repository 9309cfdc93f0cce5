//! Where secrets end.
//!
//! Every type that holds a secret overwrites it when it is dropped; this module is for the two ends that are not the end of
//! a scope: secrets that are taken out of the store, and what computations leave on the stack. It is also where the
//! test that reads a whole process's memory switches erasure off, to show that it would notice.

use zeroize::Zeroize as _;

/// How much stack is overwritten after work on secrets. Elliptic-curve work of both providers was seen to run in threads of
/// the smallest stack there is, 16 KiB.
const STACK: usize = 32 * 1024;

/// Drops secrets, which overwrites them.
pub(crate) fn erase<T>(secret: T) {
    #[cfg(test)]
    if tests::is_switched_off() {
        std::mem::forget(secret);
        return;
    }
    drop(secret);
}

/// Works with secrets on a stack that is overwritten afterwards.
pub(crate) fn on_erased_stack<T>(work: impl FnOnce() -> T) -> T {
    let result = on_deeper_stack(work);
    #[cfg(test)]
    if tests::is_switched_off() {
        return result;
    }
    wipe_stack();
    result
}

/// Keeps the work's frames below this one's caller, where [`wipe_stack`] will reach.
#[inline(never)]
fn on_deeper_stack<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe_stack() {
    // In words: byte by byte it would take as long as making a key.
    let mut below = [0_u128; STACK / size_of::<u128>()];
    std::hint::black_box(&mut below);
    below.zeroize();
    std::hint::black_box(&mut below);
}

#[cfg(test)]
mod tests;
