//! Replacement of large roles, and the beginning of a walk for a client with a saved root document.

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use super::cases::{ReleaseCase, bad, good};
use super::fixture::{
    BUILDERS, Key, LIST_KEYS, NEW_ROOT_KEYS, ROOT_KEYS, ReleaseFixture, STRANGER, pinned_digest, root,
};

/// Root keys that come after [`NEW_ROOT_KEYS`].
const LAST_ROOT_KEYS: [Key; 3] = [Key(0x17), Key(0x18), Key(0x19)];

pub(super) fn cases() -> Vec<ReleaseCase> {
    [large_roles(), beginnings()].concat()
}

/// `count` keys of no other role.
fn keys(first: u8, count: u8) -> Vec<Key> {
    (first..first + count).map(Key).collect()
}

fn role(threshold: usize, keys: &[Key]) -> Value {
    let keys: Vec<_> = keys.iter().map(|key| Base64::encode_string(&key.der())).collect();
    json!({"threshold": threshold, "keys": keys})
}

/// `threshold` of 16 root keys are replaced by as many of 16 others.
fn exchanged(world: &mut ReleaseFixture, threshold: usize) {
    let (old, new) = (keys(0x90, 16), keys(0xa0, 16));
    world.roots[0].body["root"] = role(threshold, &old);
    world.roots[0].by = old[..threshold].to_vec();
    let mut second = root(2, &new, &world.log_key);
    second.body["root"] = role(threshold, &new);
    second.by = [&old[..threshold], &new[..threshold]].concat();
    world.roots.push(second);
}

fn large_roles() -> Vec<ReleaseCase> {
    let pins = |threshold: usize| {
        move |c: &mut ReleaseCase| {
            c.pinned = keys(0x90, 16);
            c.threshold = threshold;
        }
    };
    vec![
        good("nine of sixteen root keys are exchanged", |w| exchanged(w, 9)).with(pins(9)),
        good("sixteen of sixteen root keys are exchanged", |w| exchanged(w, 16)).with(pins(16)),
        bad("release_field_invalid", "a root document with 33 signatures", |w| {
            exchanged(w, 16);
            w.roots[1].by.push(STRANGER);
        })
        .with(pins(16)),
        good("a list with 32 signatures, of which one counts", |w| {
            w.list.by = [LIST_KEYS.to_vec(), keys(0x90, 31)].concat();
        }),
        bad("release_field_invalid", "a list with 33 signatures", |w| {
            w.list.by = [LIST_KEYS.to_vec(), keys(0x90, 32)].concat();
        }),
        bad("signature_key_unknown", "a manifest is signed by strangers, of whom there are many", |w| {
            w.manifests[0].by = keys(0x90, 30);
        }),
        good("a manifest with 32 signatures", |w| {
            w.manifests[0].by = [BUILDERS.to_vec(), keys(0x90, 29)].concat();
        }),
    ]
}

/// Root keys were replaced twice: the pinned keys have signed the first two documents and not the third.
fn twice(world: &mut ReleaseFixture) {
    let mut second = root(2, &NEW_ROOT_KEYS, &world.log_key);
    second.by.extend_from_slice(&ROOT_KEYS[..2]);
    let mut third = root(3, &LAST_ROOT_KEYS, &world.log_key);
    third.by.extend_from_slice(&NEW_ROOT_KEYS[..2]);
    world.roots.extend([second, third]);
}

/// A saved state can cause refusals. It never decides where the walk begins.
fn beginnings() -> Vec<ReleaseCase> {
    const CODE: &str = "root_not_pinned";
    let remembers_the_third = |c: &mut ReleaseCase| c.memory = Some(ReleaseFixture::with(twice).memory());
    vec![
        good("the remembered root document comes last", twice).with(remembers_the_third),
        good("a bundle begins at the second document that the pinned keys have signed", |w| {
            twice(w);
            w.on_bundle = |b| drop(b["roots"].as_array_mut().unwrap().remove(0));
        })
        .with(remembers_the_third),
        bad(CODE, "a bundle begins at the root document that is remembered", |w| {
            twice(w);
            w.on_bundle = |b| drop(b["roots"].as_array_mut().unwrap().drain(..2));
        })
        .with(remembers_the_third),
        bad(CODE, "a bundle begins behind the root document that is remembered", |w| {
            twice(w);
            w.on_bundle = |b| drop(b["roots"].as_array_mut().unwrap().drain(..2));
        })
        .with(|c| {
            let mut memory = ReleaseFixture::with(twice).memory();
            let second = ReleaseFixture::with(|w| {
                twice(w);
                w.roots.pop();
            });
            memory["root_version"] = 2.into();
            memory["root_sha384"] = second.memory()["root_sha384"].clone();
            c.memory = Some(memory);
        }),
        bad(CODE, "a memory that was forged names a stranger's root document", stranger).with(|c| {
            let mut memory = ReleaseFixture::with(stranger).memory();
            memory["pinned_sha384"] = pinned_digest(2, &ROOT_KEYS).into();
            c.memory = Some(memory);
        }),
    ]
}

/// Another publisher's releases, complete and logged.
fn stranger(world: &mut ReleaseFixture) {
    world.roots = vec![root(1, &LAST_ROOT_KEYS, &world.log_key)];
}
