//! Messages sealed to disposable keys, and messages that must not open.

use crate::{
    Result,
    fixtures::{self, Hex, KeyPair, hex},
};
use ok2cry_protocol::{
    Encoded, MAX_AAD, MAX_PLAINTEXT,
    descriptor::{DeliverTo, KeyDescriptor},
    reply::DigestInput,
    suite::seal_info,
};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct File {
    about: &'static str,
    made_by: &'static str,
    confirmed_by: &'static str,
    /// The disposable key that everything here is sealed to.
    key: KeyPair,
    sealed: Vec<Sealed>,
    must_not_open: Vec<MustNotOpen>,
}

/// One message, with everything that it was made from.
#[derive(Clone, Serialize)]
pub(crate) struct Sealed {
    name: &'static str,
    pub(crate) descriptor: Hex,
    info: Hex,
    ephemeral: KeyPair,
    pub(crate) aad: Hex,
    pub(crate) plaintext: Hex,
    enc: Hex,
    ciphertext: Hex,
    pub(crate) request_digest: Hex,
}

#[derive(Serialize)]
struct MustNotOpen {
    name: &'static str,
    descriptor: Hex,
    aad: Hex,
    enc: Hex,
    ciphertext: Hex,
}

pub(crate) fn file() -> Result<File> {
    let descriptor = Encoded::new(fixtures::descriptor()?);
    let caller = Encoded::new(KeyDescriptor { deliver_to: DeliverTo::Caller, ..fixtures::descriptor()? });
    let pattern = |n: usize| (0..=u8::MAX).cycle().take(n).collect::<Vec<u8>>();
    Ok(File {
        about: "Messages sealed to a disposable key (docs/protocol.md, Seal).",
        made_by: "hpke 0.15.1 (Rust, RustCrypto primitives): key pairs, enc and ciphertext",
        confirmed_by: "tests/interop/check_vectors.py with pyhpke 0.6.5 (Python, OpenSSL primitives): key \
            pairs, enc, ciphertext and plaintext; hashlib: info and request_digest",
        key: KeyPair::of("disposable key")?,
        sealed: vec![
            card_pin()?,
            sealed("released to the caller", &caller, "ephemeral 2", b"order 4711", b"0000")?,
            sealed("nothing, in no context", &descriptor, "ephemeral 3", b"", b"")?,
            sealed("one byte", &descriptor, "ephemeral 4", b"\0", b"\0")?,
            sealed(
                "the longest plaintext and aad",
                &descriptor,
                "ephemeral 5",
                &pattern(MAX_AAD),
                &pattern(MAX_PLAINTEXT),
            )?,
        ],
        must_not_open: must_not_open(&card_pin()?, &caller)?,
    })
}

/// The message that `reply.json` answers.
pub(crate) fn card_pin() -> Result<Sealed> {
    let descriptor = Encoded::new(fixtures::descriptor()?);
    sealed(
        "a card PIN, padded to 16 bytes",
        &descriptor,
        "ephemeral 1",
        b"order 4711",
        b"1234\x80\0\0\0\0\0\0\0\0\0\0\0",
    )
}

fn sealed(
    name: &'static str,
    descriptor: &Encoded<KeyDescriptor>,
    ephemeral: &str,
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Sealed> {
    let ephemeral = KeyPair::of(ephemeral)?;
    let info = seal_info(descriptor.hash());
    let ciphertext = ephemeral.sender(&descriptor.public_key, &info)?.seal(plaintext, aad)?;
    let enc = ephemeral.public_key;
    if KeyPair::of("disposable key")?.open(&enc, &info, aad, &ciphertext)? != plaintext {
        return Err("a message does not open".into());
    }
    let input = DigestInput { descriptor: descriptor.hash(), enc: &enc, aad, ciphertext: &ciphertext };
    Ok(Sealed {
        name,
        descriptor: hex(descriptor.bytes()),
        info: Hex(info),
        aad: hex(aad),
        plaintext: hex(plaintext),
        enc: hex(enc.as_bytes()),
        request_digest: hex(input.request_digest()),
        ciphertext: Hex(ciphertext),
        ephemeral,
    })
}

fn must_not_open(good: &Sealed, other: &Encoded<KeyDescriptor>) -> Result<Vec<MustNotOpen>> {
    let case = |name| MustNotOpen {
        name,
        descriptor: good.descriptor.clone(),
        aad: good.aad.clone(),
        enc: good.enc.clone(),
        ciphertext: good.ciphertext.clone(),
    };
    let flipped = |bytes: &Hex, at: usize| {
        Hex(bytes.0.iter().enumerate().map(|(i, b)| b ^ u8::from(i == at)).collect())
    };
    let last = good.ciphertext.0.len() - 1;
    let shorter = good.ciphertext.0.iter().take(last).copied().collect();
    let longer = [&good.ciphertext.0[..], &[0]].concat();
    Ok(vec![
        MustNotOpen { descriptor: hex(other.bytes()), ..case("another descriptor of the same key") },
        MustNotOpen { aad: hex(b"order 4712"), ..case("another aad") },
        MustNotOpen { aad: hex(b""), ..case("no aad") },
        MustNotOpen { aad: hex(b"order 4711\0"), ..case("aad with a byte more") },
        MustNotOpen {
            enc: hex(KeyPair::of("ephemeral 2")?.public_key.as_bytes()),
            ..case("another encapsulated key")
        },
        MustNotOpen {
            ciphertext: flipped(&good.ciphertext, 0),
            ..case("first bit of the ciphertext changed")
        },
        MustNotOpen { ciphertext: flipped(&good.ciphertext, last), ..case("tag changed") },
        MustNotOpen { ciphertext: Hex(shorter), ..case("last byte of the tag missing") },
        MustNotOpen { ciphertext: Hex(longer), ..case("ciphertext with a byte more") },
        MustNotOpen { ciphertext: Hex(vec![0; 16]), ..case("nothing but a tag of zeros") },
    ])
}
