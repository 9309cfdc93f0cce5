//! Faults that a mock can inject.

/// The faults from the next call on. The default is none.
///
/// A call is held first, then it fails or answers. The size limits of the real module always apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// How many calls fail next, with
    /// [`NsmError::Refused`](ok2cry_enclave::platform::nsm::NsmError::Refused).
    pub fail_next: u32,
    /// Every call fails with [`NsmError::Refused`](ok2cry_enclave::platform::nsm::NsmError::Refused).
    pub fail_always: bool,
    /// Calls are held until this is false again, for example by
    /// [`MockHandle::release`](crate::MockHandle::release). A held call reads the clock and signs after its
    /// release.
    pub hang: bool,
    /// The answer of a call that does not fail.
    pub answer: Answer,
    /// Milliseconds added to the timestamp in the document. Certificates follow the module's clock.
    pub timestamp_offset_ms: i64,
}

/// The answer of the module. Each variant but the first is wrong in one respect only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The requested document.
    #[default]
    Honest,
    /// Bytes that are not an attestation document.
    Garbage,
    /// The document, with one bit of its signature flipped.
    BrokenSignature,
    /// A document of the same module and instance, but under another root of the same name.
    OtherRoot,
    /// A correctly signed document whose user data differs in one bit, or is one zero byte if none was
    /// requested.
    WrongUserData,
    /// A correctly signed document whose public key differs in one bit, or is one zero byte if none was
    /// requested.
    WrongPublicKey,
}
