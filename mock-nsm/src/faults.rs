//! The ways in which a mock misbehaves on demand.

/// What is wrong with the module, from the next call on. The default is nothing.
///
/// A call is held first, then it fails or answers. The size limits of the real module hold whatever the faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// So many calls fail with [`NsmError::Refused`](ok2cry_enclave::platform::nsm::NsmError::Refused); each counts one down.
    pub fail_next: u32,
    /// Every call fails with [`NsmError::Refused`](ok2cry_enclave::platform::nsm::NsmError::Refused).
    pub fail_always: bool,
    /// Calls do not return until this is false again: see [`MockHandle::release`](crate::MockHandle::release).
    /// A held call reads the clock and signs after its release.
    pub hang: bool,
    /// What a call that does not fail answers with.
    pub answer: Answer,
    /// Milliseconds added to the timestamp in the document. The certificates keep to the module's clock.
    pub timestamp_offset_ms: i64,
}

/// What the module answers with. Each variant but the first is wrong in one respect and right in all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The document that was asked for.
    #[default]
    Honest,
    /// Bytes that are no attestation document.
    Garbage,
    /// The document, with one bit of its signature flipped.
    BrokenSignature,
    /// A document of the same module and instance, but under another root of the same name.
    OtherRoot,
    /// A correctly signed document whose user data differs in one bit, or is one zero byte if none was asked for.
    WrongUserData,
    /// A correctly signed document whose public key differs in one bit, or is one zero byte if none was asked for.
    WrongPublicKey,
}
