//! [c2sp.org/signed-note](https://c2sp.org/signed-note): notes, and the verifier keys that name who signed
//! them.

use std::fmt;

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The longest note that is read, in bytes.
pub const MAX_NOTE_LEN: usize = 1 << 16;
/// The most signatures of a note. The specification asks for at least 16.
const MAX_SIGNATURES: usize = 64;

/// A signed note whose signatures are not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    text: &'a str,
    signatures: Vec<NoteSignature<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature<'a> {
    name: &'a str,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl<'a> Note<'a> {
    /// Reads a note of at most [`MAX_NOTE_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Note`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let refused = |rule| Error::Note { rule };
        if bytes.len() > MAX_NOTE_LEN {
            return Err(refused("it has more than 65536 bytes"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| refused("it is not UTF-8"))?;
        if note.chars().any(|c| c.is_ascii_control() && c != '\n') {
            return Err(refused("it holds control characters"));
        }
        let end = note.rfind("\n\n").ok_or_else(|| refused("no empty line is before its signatures"))?;
        let (text, rest) = note.split_at_checked(end + 1).ok_or_else(|| refused("it holds no text"))?;
        let lines = rest.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.ok_or_else(|| refused("it must end with a signature line"))?;
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Option<Vec<_>>>();
        let signatures = signatures.ok_or_else(|| refused("a signature line is not '— NAME BASE64'"))?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(refused("it has more than 64 signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// The text, with its final newline, unverified.
    #[must_use]
    pub fn unverified_text(&self) -> &'a str {
        self.text
    }

    /// The note with only the signatures that name these keys.
    #[must_use]
    pub fn signed_only_by<'k>(&self, keys: impl IntoIterator<Item = &'k VerifierKey>) -> String {
        let keys: Vec<_> = keys.into_iter().map(|key| (key.name(), key.id())).collect();
        let known = |s: &&NoteSignature<'_>| keys.contains(&(s.name, s.id));
        let lines = self.signatures.iter().filter(known).map(|signature| {
            let bytes = [signature.id.as_slice(), &signature.signature].concat();
            format!("— {} {}\n", signature.name, Base64::encode_string(&bytes))
        });
        format!("{}\n{}", self.text, lines.collect::<String>())
    }

    /// Whether `key`, a log's, has signed. A signature that names the key and does not verify is an error.
    ///
    /// # Errors
    ///
    /// [`Error::Signature`].
    pub fn is_signed_by(&self, key: &VerifierKey) -> Result<bool, Error> {
        let mut signed = false;
        for signature in self.signatures_of(key) {
            let bytes: Option<&[u8; 64]> = signature.try_into().ok();
            if !bytes.is_some_and(|bytes| key.verify(self.text.as_bytes(), bytes)) {
                return Err(Error::Signature { name: key.name().to_owned() });
            }
            signed = true;
        }
        Ok(signed)
    }

    pub(crate) fn signatures_of(&self, key: &VerifierKey) -> impl Iterator<Item = &[u8]> {
        let (name, id) = (key.name().to_owned(), key.id());
        self.signatures.iter().filter(move |s| s.name == name && s.id == id).map(|s| s.signature.as_slice())
    }
}

impl<'a> NoteSignature<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = Base64::decode_vec(encoded).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        (is_key_name(name) && !signature.is_empty()).then(|| Self {
            name,
            id: *id,
            signature: signature.to_vec(),
        })
    }
}

/// The type of an Ed25519 signature of the note's text.
const TYPE_ED25519: u8 = 0x01;
/// The type of a witness's Ed25519 signature, over a time and the text.
const TYPE_COSIGNATURE: u8 = 0x04;

/// A verifier key (`vkey`) of [C2SP signed notes](https://c2sp.org/signed-note): `NAME+ID+BASE64(TYPE ‖
/// KEY)`, where the ID is the first 4 bytes of SHA-256(NAME ‖ "\n" ‖ TYPE ‖ KEY), hexadecimal. Type 1 is a
/// log's Ed25519 key, type 4 a witness's.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: u8,
    key: VerifyingKey,
}

impl VerifierKey {
    /// The key of a log with this origin.
    #[must_use]
    pub fn log(origin: &str, key: &[u8; 32]) -> Option<Self> {
        Self::new(origin, TYPE_ED25519, key)
    }

    /// The key of a witness with this name.
    #[must_use]
    pub fn witness(name: &str, key: &[u8; 32]) -> Option<Self> {
        Self::new(name, TYPE_COSIGNATURE, key)
    }

    /// Reads `NAME+ID+BASE64`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('+')?;
        let (_, encoded) = rest.split_once('+')?;
        let mut bytes = [0; 33];
        let key = Base64::decode(encoded, &mut bytes).ok()?;
        let (kind, key) = key.split_first()?;
        let parsed = Self::new(name, *kind, key.try_into().ok()?)?;
        // Each key has one spelling.
        (parsed.to_string() == text).then_some(parsed)
    }

    /// The name in signature lines. A log's is its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ID before the signature bytes.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', self.kind])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    /// Whether this is a key of type 1, a log's.
    #[must_use]
    pub fn is_log(&self) -> bool {
        self.kind == TYPE_ED25519
    }

    /// Whether this is a key of type 4, a witness's.
    #[must_use]
    pub fn is_witness(&self) -> bool {
        self.kind == TYPE_COSIGNATURE
    }

    /// Whether both are the same Ed25519 key, under whichever name and type.
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Whether `signature` is this key's over `message`. Strict: no small-order keys, one encoding only.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    fn new(name: &str, kind: u8, key: &[u8; 32]) -> Option<Self> {
        let named = is_key_name(name) && name.len() <= 255;
        if !named || !matches!(kind, TYPE_ED25519 | TYPE_COSIGNATURE) {
            return None;
        }
        let key = VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak())?;
        Some(Self { name: name.to_owned(), kind, key })
    }
}

/// A private key that signs notes, or cosigns checkpoints. It is zeroized on drop.
pub struct NoteSigner {
    key: SigningKey,
    public: VerifierKey,
}

impl NoteSigner {
    /// The signer of a log with this origin. `seed` is the private key of RFC 8032.
    #[must_use]
    pub fn log(origin: &str, seed: &[u8; 32]) -> Option<Self> {
        let key = SigningKey::from_bytes(seed);
        let public = VerifierKey::log(origin, key.verifying_key().as_bytes())?;
        Some(Self { key, public })
    }

    /// The signer of a witness with this name. `seed` is the private key of RFC 8032.
    #[must_use]
    pub fn witness(name: &str, seed: &[u8; 32]) -> Option<Self> {
        let key = SigningKey::from_bytes(seed);
        let public = VerifierKey::witness(name, key.verifying_key().as_bytes())?;
        Some(Self { key, public })
    }

    /// The public key.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.public
    }

    /// Signs a text as a log, and returns the note.
    ///
    /// # Errors
    ///
    /// [`Error::Note`] for a witness's key, and for a text that a note cannot have: too long, with control
    /// characters, or without a final newline.
    pub fn sign(&self, text: &str) -> Result<String, Error> {
        if !self.public.is_log() {
            return Err(Error::Note { rule: "a witness's key does not sign notes" });
        }
        let note = format!("{text}\n{}", self.line(&[], text.as_bytes()));
        match Note::parse(note.as_bytes())?.text == text {
            true => Ok(note),
            false => Err(Error::Note { rule: "its text must end with a newline" }),
        }
    }

    /// A signature line: the signature of `message`, after the bytes `prefix`.
    pub(crate) fn line(&self, prefix: &[u8], message: &[u8]) -> String {
        let bytes = [&self.public.id()[..], prefix, &self.key.sign(message).to_bytes()].concat();
        format!("— {} {}\n", self.public.name, Base64::encode_string(&bytes))
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.public)
    }
}

/// Whether a name is allowed: not empty, without spaces, plus signs and control characters.
fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+' || c.is_control())
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut encoded = vec![self.kind];
        encoded.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), Base64::encode_string(&encoded))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}
