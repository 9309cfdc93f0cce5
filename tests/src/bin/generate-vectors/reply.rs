//! Reply contexts and replies: what they hold, how they are derived, and what must be refused.

use crate::{
    Result,
    fixtures::{self, Hex, KeyPair, SUITE, TIME, context_id, hex, instance, log_key},
    key_descriptor::above_the_prime,
    raw::{RawMap, Refused, array, bytes, text, uint},
    seal,
};
use ok2cry_attest_forge::Y_ABOVE_THE_PRIME;
use ok2cry_protocol::{
    Encoded, MAX_AAD, MAX_CIPHERTEXT, MAX_PLAINTEXT, Record, Rule,
    descriptor::KeyDescriptor,
    hash,
    ids::{ContextId, InstanceId},
    reply::{Binding, MAX_DESCRIPTOR, Reply, ReplyContext, ReplySecret},
    suite::{PublicKey, Suite, reply_info},
};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct File {
    about: &'static str,
    made_by: &'static str,
    confirmed_by: &'static str,
    recipient: KeyPair,
    context: Context,
    replies: Vec<ReplyCase>,
    must_be_refused: Vec<MustBeRefused>,
    invalid_contexts: Vec<Refused>,
    invalid_replies: Vec<Refused>,
}

#[derive(Serialize)]
struct Context {
    log_key: Hex,
    instance_id: Hex,
    context_id: Hex,
    info: Hex,
    ephemeral: KeyPair,
    suite: [u16; 3],
    recipient: Hex,
    enc: Hex,
    created_at: u64,
    expires_at: u64,
    record: Hex,
}

#[derive(Serialize)]
struct ReplyCase {
    name: &'static str,
    descriptor: Hex,
    aad: Hex,
    request_digest: Hex,
    binding: Hex,
    exporter_context: Hex,
    secret: Hex,
    plaintext: Hex,
    ciphertext: Hex,
    record: Hex,
}

#[derive(Serialize)]
struct MustBeRefused {
    name: &'static str,
    /// The instance that the document's log key names.
    instance_id: Hex,
    context: Hex,
    reply: Hex,
}

pub(crate) fn file() -> Result<File> {
    let context = context()?;
    let card_pin = seal::card_pin()?;
    let pattern = |n: usize| (0..=u8::MAX).cycle().take(n).collect::<Vec<u8>>();
    let (nothing, _) = reply_of(&context, b"", &hash(&[b"a request without aad"]), b"")?;
    let (longest, _) =
        reply_of(&context, &pattern(MAX_AAD), &hash(&[b"the longest request"]), &pattern(MAX_PLAINTEXT))?;
    let (first, good) =
        reply_of(&context, &card_pin.aad.0, &digest(&card_pin.request_digest)?, &card_pin.plaintext.0)?;
    Ok(File {
        about: "Reply contexts and replies (docs/protocol.md, Reply). replies[0] answers sealed[0] of seal.json.",
        made_by: "hpke 0.15.1 and aes-gcm 0.11 (Rust, RustCrypto primitives)",
        confirmed_by: "tests/interop/check_vectors.py with pyhpke 0.6.5 (Python, OpenSSL primitives): key \
            pairs, enc, secret, ciphertext and plaintext; hashlib: ids, info and binding",
        recipient: KeyPair::of("recipient")?,
        replies: vec![
            ReplyCase { name: "a card PIN", ..first },
            ReplyCase { name: "nothing, in no context", ..nothing },
            ReplyCase { name: "the longest plaintext and aad", ..longest },
        ],
        must_be_refused: must_be_refused(&context, &good)?,
        invalid_contexts: invalid_contexts(&context)?,
        invalid_replies: invalid_replies(&good)?,
        context: Context {
            log_key: hex(log_key("log key")),
            instance_id: hex(instance().0),
            context_id: hex(context.context_id.0),
            info: hex(reply_info(instance(), context.context_id)),
            ephemeral: KeyPair::of("reply ephemeral")?,
            suite: SUITE,
            recipient: hex(context.recipient.as_bytes()),
            enc: hex(context.enc.as_bytes()),
            created_at: context.created_at,
            expires_at: context.expires_at,
            record: hex(context.encode()),
        },
    })
}

fn context() -> Result<ReplyContext> {
    Ok(ReplyContext {
        context_id: context_id(),
        suite: Suite::P384,
        recipient: KeyPair::of("recipient")?.public_key,
        enc: KeyPair::of("reply ephemeral")?.public_key,
        created_at: TIME + 30_000,
        expires_at: TIME + 90_000,
    })
}

fn reply_of(
    context: &ReplyContext,
    aad: &[u8],
    request_digest: &[u8; 48],
    plaintext: &[u8],
) -> Result<(ReplyCase, Reply)> {
    let descriptor: Encoded<KeyDescriptor> = Encoded::new(fixtures::descriptor()?);
    let binding = Binding::new(descriptor.hash(), aad, request_digest);
    let exporter_context = binding.exporter_context();
    let info = reply_info(instance(), context.context_id);
    let sender = KeyPair::of("reply ephemeral")?.sender(&context.recipient, &info)?;
    let secret: [u8; 44] = sender.export(&exporter_context)?;
    let ciphertext = ReplySecret(secret).seal(plaintext, &binding).ok_or("the reply cannot be sealed")?;
    let case = ReplyCase {
        name: "",
        descriptor: hex(descriptor.bytes()),
        aad: hex(aad),
        request_digest: hex(request_digest),
        binding: hex([*descriptor.hash(), hash(&[aad]), *request_digest].concat()),
        exporter_context: Hex(exporter_context),
        secret: hex(secret),
        plaintext: hex(plaintext),
        ciphertext: hex(&ciphertext),
        record: Hex(Vec::new()),
    };
    let reply = Reply {
        context_id: context.context_id,
        descriptor,
        aad: aad.to_vec(),
        request_digest: *request_digest,
        ciphertext,
    };
    Ok((ReplyCase { record: hex(reply.encode()), ..case }, reply))
}

fn must_be_refused(context: &ReplyContext, good: &Reply) -> Result<Vec<MustBeRefused>> {
    let case = |name| MustBeRefused {
        name,
        instance_id: hex(instance().0),
        context: hex(context.encode()),
        reply: hex(good.encode()),
    };
    let reply = |name, reply: Reply| MustBeRefused { reply: hex(reply.encode()), ..case(name) };
    let other = |label: &str| -> Result<PublicKey> { Ok(KeyPair::of(label)?.public_key) };
    let mut changed = good.ciphertext.clone();
    if let Some(last) = changed.last_mut() {
        *last ^= 1;
    }
    let descriptor =
        KeyDescriptor { expires_at: good.descriptor.expires_at + 1, ..(*good.descriptor).clone() };
    let of_instance = InstanceId::of_log_key(&log_key("another log key"));
    Ok(vec![
        MustBeRefused { instance_id: hex(of_instance.0), ..case("a document of another instance") },
        MustBeRefused {
            context: hex(ReplyContext { enc: other("ephemeral 1")?, ..context.clone() }.encode()),
            ..case("a context with another encapsulated key")
        },
        MustBeRefused {
            context: hex(ReplyContext { recipient: other("disposable key")?, ..context.clone() }.encode()),
            ..case("a context for somebody else")
        },
        MustBeRefused {
            context: hex(ReplyContext { context_id: ContextId([0; 16]), ..context.clone() }.encode()),
            ..case("a context of another id")
        },
        reply("another descriptor", Reply { descriptor: Encoded::new(descriptor), ..good.clone() }),
        reply("another aad", Reply { aad: b"order 4712".to_vec(), ..good.clone() }),
        reply("another request", Reply { request_digest: [0; 48], ..good.clone() }),
        reply("another context id", Reply { context_id: ContextId([0; 16]), ..good.clone() }),
        reply("tag changed", Reply { ciphertext: changed, ..good.clone() }),
    ])
}

fn invalid_contexts(context: &ReplyContext) -> Result<Vec<Refused>> {
    const NAMES: &[&str] = &["type", "context_id", "suite", "recipient", "enc", "created_at", "expires_at"];
    let suite = array(&[uint(0x11), uint(2), uint(2)]);
    let values = [
        text("ok2cry/reply-context/v1"),
        bytes(&context.context_id.0),
        suite,
        bytes(context.recipient.as_bytes()),
        bytes(context.enc.as_bytes()),
        uint(context.created_at),
        uint(context.expires_at),
    ];
    let map = RawMap::new("reply context", NAMES, values);
    if map.encode() != context.encode() {
        return Err("the reply context by hand is not the reply context".into());
    }
    let exactly = |n| Rule::Length { min: n, max: n };
    let other_suite = array(&[uint(0x10), uint(1), uint(1)]);
    let mut all = map.structural();
    all.extend(map.typed("ok2cry/reply-context/v1", "ok2cry/key/v1"));
    all.extend([
        map.bad("context id of 15 bytes", "context_id", bytes(&[1; 15]), &exactly(16)),
        map.bad("context id of 17 bytes", "context_id", bytes(&[1; 17]), &exactly(16)),
        map.bad("suite of P-256", "suite", other_suite, &Rule::UnsupportedSuite),
        map.bad("recipient the identity", "recipient", bytes(&[0]), &exactly(97)),
        map.bad("recipient off the curve", "recipient", bytes(&[4; 97]), &Rule::NotOnCurve),
        map.bad("encapsulated key compressed", "enc", bytes(&[2; 49]), &exactly(97)),
        map.bad("encapsulated key off the curve", "enc", bytes(&[4; 97]), &Rule::NotOnCurve),
        map.bad("made after 2^53 - 1", "created_at", uint(1 << 53), &Rule::Range),
        map.bad("ends when it is made", "expires_at", uint(context.created_at), &Rule::Range),
        map.bad("ends before it is made", "expires_at", uint(0), &Rule::Range),
    ]);
    all.extend(map.renumbered());
    all.extend([
        map.bad("ends after 2^53 - 1", "expires_at", uint(1 << 53), &Rule::Range),
        map.bad("recipient's x above the prime", "recipient", above_the_prime(), &Rule::NotOnCurve),
        map.bad("encapsulated key's x above the prime", "enc", above_the_prime(), &Rule::NotOnCurve),
        map.bad("recipient's y above the prime", "recipient", bytes(&Y_ABOVE_THE_PRIME), &Rule::NotOnCurve),
        map.bad("encapsulated key's y above the prime", "enc", bytes(&Y_ABOVE_THE_PRIME), &Rule::NotOnCurve),
    ]);
    Ok(all)
}

fn invalid_replies(good: &Reply) -> Result<Vec<Refused>> {
    const NAMES: &[&str] = &["type", "context_id", "descriptor", "aad", "request_digest", "ciphertext"];
    let values = [
        text("ok2cry/reply/v1"),
        bytes(&good.context_id.0),
        bytes(good.descriptor.bytes()),
        bytes(&good.aad),
        bytes(&good.request_digest),
        bytes(&good.ciphertext),
    ];
    let map = RawMap::new("reply", NAMES, values);
    if map.encode() != good.encode() {
        return Err("the reply by hand is not the reply".into());
    }
    let length = |min, max| Rule::Length { min, max };
    let mut all = map.structural();
    all.extend(map.typed("ok2cry/reply/v1", "ok2cry/reply-context/v1"));
    all.extend([
        map.bad("context id of 17 bytes", "context_id", bytes(&[1; 17]), &length(16, 16)),
        map.bad("empty descriptor", "descriptor", bytes(&[]), &length(1, MAX_DESCRIPTOR)),
        map.bad(
            "descriptor longer than any",
            "descriptor",
            bytes(&[0; MAX_DESCRIPTOR + 1]),
            &length(1, MAX_DESCRIPTOR),
        ),
        map.bad("aad of 1025 bytes", "aad", bytes(&[0; MAX_AAD + 1]), &length(0, MAX_AAD)),
        map.bad("digest of SHA-256", "request_digest", bytes(&[0; 32]), &length(48, 48)),
        map.bad("ciphertext without a whole tag", "ciphertext", bytes(&[0; 15]), &length(16, MAX_CIPHERTEXT)),
        map.bad(
            "ciphertext of 4113 bytes",
            "ciphertext",
            bytes(&[0; MAX_CIPHERTEXT + 1]),
            &length(16, MAX_CIPHERTEXT),
        ),
    ]);
    // What is wrong inside the descriptor is said of the descriptor.
    let inner = RawMap::new("key descriptor", &["map"], []);
    let with = |descriptor: &[u8]| map.with("descriptor", bytes(descriptor)).encode();
    let longer = [good.descriptor.bytes(), &[0]].concat();
    all.extend([
        inner.refused("descriptor that is none", with(&[0]), "map", &Rule::WrongType),
        inner.refused("descriptor with a byte more", with(&longer), "end", &Rule::Trailing),
    ]);
    all.extend(map.renumbered());
    Ok(all)
}

fn digest(hex: &Hex) -> Result<[u8; 48]> {
    hex.0.as_slice().try_into().map_err(|_| "a digest has 48 bytes".into())
}
