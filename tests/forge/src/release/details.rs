//! Rules that a reader of the specifications would guess otherwise: spellings of base64, of Ed25519 points,
//! and of what a client remembers.

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use super::cases::{ReleaseCase, bad, edit, good, relog, rotated, without_log, witnessed};
use super::fixture::{
    BUILDERS, DAY_MS, Key, LIST_KEYS, NEW_ROOT_KEYS, NoteKey, ROOT_KEYS, ReleaseFixture, hex, pinned_digest,
    root,
};
use super::small_order;
use crate::NOW_MS;

pub(super) fn cases() -> Vec<ReleaseCase> {
    [base64(), points(), root_documents(), list_keys(), times(), states(), bundles()].concat()
}

/// A bundle whose list has this signature in the place of its own, which has all characters that spellings of
/// base64 differ in.
fn with_signature(change: impl Fn(&str) -> String) -> String {
    let worlds =
        (0..).map(|n| ReleaseFixture::with(|w| w.list.body["expires_at"] = (NOW_MS + 6 * DAY_MS - n).into()));
    let signed = |world: &ReleaseFixture| {
        let bundle = world.bundle();
        let envelope: Value = serde_json::from_str(bundle["list"]["envelope"].as_str().unwrap()).unwrap();
        let signature = envelope["signatures"][0]["sig"].as_str().unwrap().to_owned();
        let has_all = signature.contains('+') && signature.contains('/') && signature.ends_with('=');
        has_all.then_some((bundle, signature))
    };
    let (mut bundle, signature) = worlds.into_iter().find_map(|world| signed(&world)).unwrap();
    edit(&mut bundle["list"], |envelope| envelope["signatures"][0]["sig"] = change(&signature).into());
    relog(&mut bundle);
    bundle.to_string()
}

/// The last character before the padding, with the lowest of its unused bits set.
fn with_unused_bit(base64: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = base64.trim_end_matches('=');
    let (rest, last) = digits.split_at(digits.len() - 1);
    let at = DIGITS.iter().position(|digit| last.as_bytes()[0] == *digit).unwrap();
    format!("{rest}{}{}", char::from(DIGITS[at | 1]), &base64[digits.len()..])
}

fn base64() -> Vec<ReleaseCase> {
    const FIELD: &str = "release_field_invalid";
    const JSON: &str = "release_json_invalid";
    fn tile(bundle: &mut Value, change: impl Fn(&str) -> String) {
        let tile = &mut bundle["tiles"]["tile/0/000.p/4"];
        *tile = change(tile.as_str().unwrap()).into();
    }
    fn note(bundle: &mut Value, change: impl Fn(&str) -> String) {
        let note = bundle["checkpoint"].as_str().unwrap();
        let (before, signature) = note.trim_end().rsplit_once(' ').unwrap();
        bundle["checkpoint"] = format!("{before} {}\n", change(signature)).into();
    }
    let signature =
        |case: ReleaseCase, change: fn(&str) -> String| case.with(|c| c.bundle = with_signature(change));
    let refused = |name, change| signature(bad(FIELD, name, |_| {}), change);
    vec![
        signature(good("a signature in the URL-safe alphabet", |_| {}), |s| {
            s.replace('+', "-").replace('/', "_")
        }),
        refused("a signature in both alphabets", |s| s.replace('+', "-")),
        refused("a signature in both alphabets, the other way round", |s| s.replace('/', "_")),
        refused("a signature without padding", |s| s.trim_end_matches('=').into()),
        refused("a signature in the URL-safe alphabet without padding", |s| {
            s.replace('+', "-").replace('/', "_").trim_end_matches('=').into()
        }),
        refused("a signature with too much padding", |s| format!("{s}=")),
        refused("a signature whose unused bits are set", with_unused_bit),
        refused("a signature in two lines", |s| format!("{}\n{}", &s[..64], &s[64..])),
        refused("a signature with a space at its end", |s| format!("{s} ")),
        bad(JSON, "a role's key in the URL-safe alphabet", |w| {
            let keys = (0x60..0x90).map(|n| (Key(n), Base64::encode_string(&Key(n).der())));
            let (key, text) = keys.into_iter().find(|(_, text)| text.contains(['+', '/'])).unwrap();
            let text = text.replace('+', "-").replace('/', "_");
            w.roots[0].body["lists"] = json!({"threshold": 1, "keys": [text]});
            w.list.by = vec![key];
        }),
        bad("tile_missing", "a tile in the URL-safe alphabet", |w| {
            w.on_bundle = |b| {
                tile(b, |text| {
                    assert!(text.contains(['+', '/']));
                    text.replace('+', "-").replace('/', "_")
                });
            };
        }),
        bad("tile_missing", "a tile without padding", |w| {
            w.on_bundle = |b| tile(b, |text| text.trim_end_matches('=').into());
        }),
        bad("tile_missing", "a tile whose unused bits are set", |w| {
            w.on_bundle = |b| tile(b, with_unused_bit);
        }),
        bad("note_invalid", "a checkpoint's signature without padding", |w| {
            w.on_bundle = |b| note(b, |text| text.trim_end_matches('=').into());
        }),
        bad("note_invalid", "a checkpoint's signature whose unused bits are set", |w| {
            w.on_bundle = |b| note(b, with_unused_bit);
        }),
        bad("checkpoint_invalid", "a root hash without padding", |w| {
            w.on_checkpoint = |text| text.replace('=', "");
        }),
        bad("checkpoint_unsigned", "a signature under the log's name and another id", |w| {
            w.on_bundle = |b| {
                note(b, |text| {
                    let mut bytes = Base64::decode_vec(text).unwrap();
                    bytes[0] ^= 1;
                    Base64::encode_string(&bytes)
                });
            };
        }),
    ]
}

/// Ed25519 points: which are keys, and which may be R.
fn points() -> Vec<ReleaseCase> {
    const JSON: &str = "release_json_invalid";
    const SIGNATURE: &str = "checkpoint_signature_invalid";
    fn log_key(world: &mut ReleaseFixture, point: [u8; 32]) {
        world.roots[0].body["log"]["key"] = small_order::vkey_of("releases.example/log", 1, &point).into();
    }
    fn sign(bundle: &mut Value, sign: fn(&str) -> [u8; 64]) {
        let key = ReleaseFixture::new().log_key;
        let text = bundle["checkpoint"].as_str().unwrap().split_once("\n\n").unwrap().0.to_owned() + "\n";
        bundle["checkpoint"] = format!("{text}\n{}", key.line_with(&sign(&text))).into();
    }
    fn mixed(world: &mut ReleaseFixture) {
        log_key(world, small_order::MIXED);
    }
    fn sign_mixed(bundle: &mut Value) {
        let vkey = small_order::vkey_of("releases.example/log", 1, &small_order::MIXED);
        let text = bundle["checkpoint"].as_str().unwrap().split_once("\n\n").unwrap().0.to_owned() + "\n";
        let id = u32::from_str_radix(vkey.split('+').nth(1).unwrap(), 16).unwrap().to_be_bytes();
        let bytes = [&id[..], &small_order::mixed_signature(0x51, &text)].concat();
        let line = format!("— releases.example/log {}\n", Base64::encode_string(&bytes));
        bundle["checkpoint"] = format!("{text}\n{line}").into();
    }
    vec![
        bad(JSON, "a log key of order 2", |w| log_key(w, small_order::ORDER_2)),
        bad(JSON, "a log key of order 4", |w| log_key(w, [0; 32])),
        bad(JSON, "a log key of order 8", |w| log_key(w, small_order::ORDER_8)),
        bad(JSON, "a log key of order 8, of the other sign", |w| {
            let mut point = small_order::ORDER_8;
            point[31] |= 0x80;
            log_key(w, point);
        }),
        bad(JSON, "a log key of order 1, spelt as y = p + 1", |w| {
            log_key(w, small_order::above_the_prime(1))
        }),
        bad(JSON, "a log key of order 4, spelt as y = p", |w| log_key(w, small_order::above_the_prime(0))),
        bad(JSON, "a log key of order 1, spelt as minus zero", |w| {
            let mut point = [0; 32];
            (point[0], point[31]) = (1, 0x80);
            log_key(w, point);
        }),
        bad(JSON, "a log key that is not a point", |w| {
            let mut point = [0; 32];
            point[0] = 2;
            log_key(w, point);
        }),
        bad(JSON, "a witness's key of order 8", |w| {
            witnessed(w);
            w.roots[0].body["log"]["witnesses"][2] =
                small_order::vkey_of("witness.example/w3", 4, &small_order::ORDER_8).into();
        }),
        good("a witness's key that is spelt as y = p + 3", |w| {
            witnessed(w);
            w.roots[0].body["log"]["witnesses"][2] =
                small_order::vkey_of("witness.example/w3", 4, &small_order::above_the_prime(3)).into();
        }),
        good("two witnesses' keys that are two spellings of one point", |w| {
            witnessed(w);
            let mut point = [0; 32];
            point[0] = 3;
            let witnesses = w.roots[0].body["log"]["witnesses"].as_array_mut().unwrap();
            for (name, point) in [("w4", point), ("w5", small_order::above_the_prime(3))] {
                let name = format!("witness.example/{name}");
                witnesses.push(small_order::vkey_of(&name, 4, &point).into());
            }
        }),
        bad(SIGNATURE, "a log's signature whose R has order 8", |w| {
            w.on_bundle = |b| {
                sign(b, |text| small_order::signature_with(&small_order::ORDER_8, 0x51, text));
            };
        }),
        bad(SIGNATURE, "a log's signature whose R has order 1, spelt as y = p + 1", |w| {
            w.on_bundle = |b| {
                sign(b, |text| small_order::signature_with(&small_order::above_the_prime(1), 0x51, text));
            };
        }),
        bad(SIGNATURE, "a log's signature whose R is not a point", |w| {
            w.on_bundle = |b| {
                sign(b, |text| {
                    let mut r = [0; 32];
                    r[0] = 2;
                    small_order::signature_with(&r, 0x51, text)
                });
            };
        }),
        bad(
            SIGNATURE,
            "a log key with a part of order 8, and a signature that the cofactor alone mends",
            |w| {
                mixed(w);
                w.on_bundle = sign_mixed;
            },
        ),
    ]
}

/// Root keys are exchanged, and the pinned keys have signed both documents.
fn two(world: &mut ReleaseFixture) {
    rotated(world);
}

/// A state of the form of before, in which nothing but the pins and these members is known.
fn state(change: impl FnOnce(&mut Value)) -> Option<Value> {
    let mut state = json!({
        "pinned_sha384": pinned_digest(2, &ROOT_KEYS),
        "root_version": 0,
        "root_sha384": null,
        "list_version": 0,
        "list_sha384": null,
        "checkpoint": null,
    });
    change(&mut state);
    Some(state)
}

/// What is remembered of root documents.
fn root_documents() -> Vec<ReleaseCase> {
    let second_alone = |w: &mut ReleaseFixture| {
        two(w);
        w.on_bundle = |b| drop(b["roots"].as_array_mut().unwrap().remove(0));
    };
    let first = || ReleaseFixture::new().memory()["root_sha384"].clone();
    let second = || ReleaseFixture::with(two).memory()["root_sha384"].clone();
    vec![
        good("a root version without a hash, from before the bundle begins", second_alone)
            .with(|c| c.memory = state(|s| s["root_version"] = 1.into())),
        bad("root_forked", "a remembered root document from before the bundle begins", second_alone).with(
            |c| {
                c.memory = state(|s| (s["root_version"], s["root_sha384"]) = (1.into(), first()));
            },
        ),
        good("a remembered hash that is another version's than the one beside it", two).with(|c| {
            c.memory = state(|s| (s["root_version"], s["root_sha384"]) = (1.into(), second()));
        }),
        bad(
            "root_rolled_back",
            "an older root document than the one that is remembered, and another",
            |_| {},
        )
        .with(|c| {
            c.memory = state(|s| (s["root_version"], s["root_sha384"]) = (2.into(), second()));
        }),
        bad("root_forked", "a remembered hash without a version, of a document that is not there", |_| {})
            .with(|c| c.memory = state(|s| s["root_sha384"] = second())),
    ]
}

/// When versions of lists count anew: if the list keys of the remembered root document are not those of the
/// newest.
fn list_keys() -> Vec<ReleaseCase> {
    fn role(threshold: u8, keys: &[Key]) -> Value {
        let keys: Vec<_> = keys.iter().map(|key| Base64::encode_string(&key.der())).collect();
        json!({"threshold": threshold, "keys": keys})
    }
    /// Two root documents with these list keys; a list of version 1 is signed by `by`.
    fn from_to(world: &mut ReleaseFixture, from: Value, to: Value, by: &[Key]) {
        world.roots[0].body["lists"] = from;
        two(world);
        world.roots[1].body["lists"] = to;
        world.list.by = by.to_vec();
        world.list.body["version"] = 1.into();
    }
    /// The first root document of `world` is remembered, and a list of version 9.
    fn remembering(case: ReleaseCase, world: fn(&mut ReleaseFixture)) -> ReleaseCase {
        case.with(|c| {
            let mut first = ReleaseFixture::with(world);
            first.roots.truncate(1);
            let mut state = without_log(first.memory());
            (state["list_version"], state["list_sha384"]) = (9.into(), "00".repeat(48).into());
            c.memory = Some(state);
        })
    }
    const OLD: Key = LIST_KEYS[0];
    const OTHER: Key = BUILDERS[0];
    const NAME: &str = "list_rolled_back";
    let exchanged: fn(&mut ReleaseFixture) = |w| from_to(w, role(1, &[OLD]), role(1, &[OTHER]), &[OTHER]);
    let threshold: fn(&mut ReleaseFixture) =
        |w| from_to(w, role(1, &[OLD, OTHER]), role(2, &[OLD, OTHER]), &[OLD, OTHER]);
    let order: fn(&mut ReleaseFixture) =
        |w| from_to(w, role(1, &[OLD, OTHER]), role(1, &[OTHER, OLD]), &[OLD]);
    let same: fn(&mut ReleaseFixture) =
        |w| from_to(w, role(1, &[OLD, OTHER]), role(1, &[OLD, OTHER]), &[OTHER]);
    let back: fn(&mut ReleaseFixture) = |w| {
        from_to(w, role(1, &[OLD]), role(1, &[OTHER]), &[OLD]);
        w.roots.push(root(3, &NEW_ROOT_KEYS, &w.log_key));
    };
    vec![
        remembering(good("the list keys were exchanged: versions count anew", exchanged), exchanged),
        remembering(
            good("the threshold of the list keys was changed: versions count anew", threshold),
            threshold,
        ),
        remembering(good("the list keys are in another order: versions count anew", order), order),
        remembering(bad(NAME, "the list keys are the same, and another of them has signed", same), same),
        remembering(bad(NAME, "the list keys were exchanged and exchanged back", back), back),
        remembering(
            bad(NAME, "the list keys were exchanged since a root document without a hash", exchanged),
            exchanged,
        )
        .with(|c| c.memory.as_mut().unwrap()["root_sha384"] = Value::Null),
        good("the list keys were exchanged, and another list of the same version was seen", exchanged).with(
            |c| {
                let mut first = ReleaseFixture::with(exchanged);
                first.roots.truncate(1);
                let mut state = without_log(first.memory());
                state["list_sha384"] = "00".repeat(48).into();
                c.memory = Some(state);
            },
        ),
    ]
}

/// A state of the form of now, whose latest time is this.
fn later(pins: &str, latest_ms: u64) -> Option<Value> {
    let mut entry = ReleaseFixture::new().memory();
    let members = entry.as_object_mut().unwrap();
    members.remove("pinned_sha384");
    members.insert("latest_ms".into(), latest_ms.into());
    Some(json!({"memories": {pins: entry}}))
}

/// The latest time at which a list was valid for this client: it is never earlier.
fn times() -> Vec<ReleaseCase> {
    let at = |case: ReleaseCase, now_ms: u64, latest_ms: u64| {
        case.with(|c| {
            c.now_ms = now_ms;
            c.memory = later(&pinned_digest(2, &ROOT_KEYS), latest_ms);
        })
    };
    let ends = NOW_MS + 6 * DAY_MS;
    let issued = NOW_MS - DAY_MS;
    vec![
        // For appraisals: what is accepted ends three days earlier by this clock.
        at(good("a clock that was set back by three days", |_| {}), NOW_MS, NOW_MS + 3 * DAY_MS),
        at(good("a clock that was set back from the list's end", |_| {}), NOW_MS, ends),
        at(
            bad("list_expired", "a clock that was set back from after the list's end", |_| {}),
            NOW_MS,
            ends + 1,
        ),
        at(
            bad("list_too_old", "a clock that was set back, and a list too old by the latest time", |_| {}),
            NOW_MS,
            NOW_MS + DAY_MS + 1,
        )
        .with(|c| c.max_list_age_ms = 2 * DAY_MS),
        at(
            bad("root_expired", "a clock that was set back from after the root document's end", |w| {
                w.roots[0].body["expires_at"] = (NOW_MS + DAY_MS).into();
            }),
            NOW_MS,
            NOW_MS + DAY_MS + 1,
        )
        .with(|c| {
            // The root document is not the one that is remembered, which is looked at before the clock.
            let entry = &mut c.memory.as_mut().unwrap()["memories"][pinned_digest(2, &ROOT_KEYS)];
            (entry["root_sha384"], entry["checkpoint"]) = (Value::Null, Value::Null);
        }),
        at(
            good("a clock that is far behind, and a latest time that is not", |_| {}),
            issued - DAY_MS,
            issued,
        ),
        at(good("a latest time before the clock", |_| {}), NOW_MS, 1),
        good("a latest time of clients that pin other keys", |_| {})
            .with(|c| c.memory = later(&pinned_digest(1, &ROOT_KEYS), ends + 1)),
    ]
}

/// States that cannot be read, or say nothing.
fn states() -> Vec<ReleaseCase> {
    const JSON: &str = "release_json_invalid";
    let with = |case: ReleaseCase, state: Value| case.with(|c| c.memory = Some(state));
    let pins = pinned_digest(2, &ROOT_KEYS);
    let entry = |checkpoint: &str| json!({"root_version": 1, "list_version": 7, "checkpoint": checkpoint});
    let mut unknown = later(&pins, NOW_MS).unwrap();
    unknown["memories"][&pins]["etag"] = "1".into();
    let empty_root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let log_of = |size: u8| format!("releases.example/log\n{size}\n{empty_root}\n\n— stranger AAAAAAA=\n");
    let no_checkpoint = "x\n\n— stranger AAAAAAA=\n";
    vec![
        with(good("a state without entries", |_| {}), json!({"memories": {}})),
        with(
            good("a state of versions alone", |_| {}),
            json!({"memories": {&pins: {"root_version": 1, "list_version": 7}}}),
        ),
        with(
            bad("list_rolled_back", "a state of versions alone, and an older list", |_| {}),
            json!({"memories": {&pins: {"root_version": 1, "list_version": 8}}}),
        ),
        with(
            good("a state of before, without its pins", |_| {}),
            json!({"root_version": 1000, "list_version": 1000}),
        ),
        with(
            good("a state of before, whose pins are null", |_| {}),
            json!({"pinned_sha384": null, "root_version": 1000, "list_version": 1000}),
        ),
        with(
            bad(JSON, "a state of before with a latest time", |_| {}),
            json!({"pinned_sha384": &pins, "root_version": 1, "list_version": 7, "latest_ms": 1}),
        ),
        with(
            bad(JSON, "a state with its pins within an entry", |_| {}),
            json!({"memories": {&pins: {"pinned_sha384": &pins, "root_version": 1, "list_version": 7}}}),
        ),
        with(bad(JSON, "a state with an unknown member", |_| {}), unknown),
        with(
            bad(JSON, "a state without a list's version", |_| {}),
            json!({"memories": {&pins: {"root_version": 1}}}),
        ),
        with(
            bad(JSON, "a state whose version is text", |_| {}),
            json!({"memories": {&pins: {"root_version": "1", "list_version": 7}}}),
        ),
        with(bad(JSON, "a state whose entries are null", |_| {}), json!({"memories": null})),
        with(bad(JSON, "a state that is an empty object", |_| {}), json!({})),
        with(bad(JSON, "a state that is a list", |_| {}), json!([])),
        with(bad(JSON, "a state that is a text", |_| {}), json!("state")),
        with(
            bad("note_invalid", "a remembered checkpoint that is not a note", |_| {}),
            json!({"memories": {&pins: entry("?")}}),
        ),
        with(
            bad("checkpoint_invalid", "a remembered note that is not a checkpoint", |_| {}),
            json!({"memories": {&pins: entry(no_checkpoint)}}),
        ),
        with(
            bad(
                "note_invalid",
                "a state of before, without its pins, whose checkpoint is not a note",
                |_| {},
            ),
            entry("?"),
        ),
        with(
            bad("release_json_invalid", "a state with two faults, of which its JSON is one", |_| {}),
            json!({"memories": {&pins: entry("?"), "01": entry("?")}}),
        ),
        with(good("an empty log was seen before", |_| {}), json!({"memories": {&pins: entry(&log_of(0))}})),
        // Its signatures were verified before it was remembered, and are not looked at again.
        with(
            bad("log_forked", "a remembered checkpoint that a stranger has signed", |_| {}),
            json!({"memories": {&pins: entry(&log_of(4))}}),
        ),
    ]
}

/// Both sides of 4 MiB, with spaces after the bundle.
fn bundles() -> Vec<ReleaseCase> {
    let longer = |case: ReleaseCase, length: usize| case.with(|c| c.spaces = length - c.bundle.len());
    vec![
        longer(good("a bundle of 4 MiB", |_| {}), 4 << 20),
        longer(bad("release_document_too_large", "a bundle of 4 MiB and a byte", |_| {}), (4 << 20) + 1),
        bad("manifest_missing", "a list that names a manifest, and a bundle without manifests", |w| {
            w.on_bundle = |b| b["manifests"] = json!([]);
        }),
        bad("release_field_invalid", "33 manifests", |w| {
            w.on_bundle = |b| {
                let entry = b["manifests"][0].clone();
                b["manifests"].as_array_mut().unwrap().resize(33, entry);
            };
        }),
        bad("manifest_not_listed", "a manifest in the place of another kind, and not the one listed", |w| {
            w.on_bundle = |b| b["manifests"][0] = b["list"].clone();
        }),
        bad("signature_repeated", "one key has signed twice, beside enough others", |w| {
            w.manifests[1].by = vec![BUILDERS[0], BUILDERS[1], BUILDERS[0]];
        }),
        bad("checkpoint_signature_invalid", "a witness's second cosignature is not by it", |w| {
            witnessed(w);
            w.on_bundle = |b| {
                let witness = NoteKey::new("witness.example/w1", 4, 0x81);
                let note = b["checkpoint"].as_str().unwrap().to_owned();
                b["checkpoint"] = (note + &witness.line_with(&[0; 72])).into();
            };
        }),
        bad("release_json_invalid", "a release's version of 2^32", |w| {
            w.list.body["releases"] =
                json!([{"version": "4294967296.0.0", "manifest_sha384": hex(&[1; 48])}]);
        }),
    ]
}
