//! The store's locks and counters: the standard library's, or `loom`'s for the interleaving tests.

#[cfg(ok2cry_loom)]
pub use loom::sync::atomic::AtomicUsize;
#[cfg(ok2cry_loom)]
pub(super) use loom::sync::{Mutex, MutexGuard, atomic::Ordering};
#[cfg(not(ok2cry_loom))]
pub use std::sync::atomic::AtomicUsize;
#[cfg(not(ok2cry_loom))]
pub(super) use std::sync::{Mutex, MutexGuard, atomic::Ordering};

/// Locks, and ignores poisoning.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(test)]
    LOCKS.with(|locks| locks.set(locks.get() + 1));
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
thread_local!(pub(super) static LOCKS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });
