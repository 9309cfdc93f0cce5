//! Forged signatures, and both sides of every limit.

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

use super::cases::{
    Expected, ReleaseCase, bad, good, mock_root, payload_of, relog, rotated, without_log, witnessed,
};
use super::fixture::{
    BUILDERS, DAY_MS, Key, LIST_KEYS, NEW_ROOT_KEYS, NoteKey, ROOT_KEYS, ReleaseFixture, STRANGER, envelope,
    manifest, root,
};
use super::small_order;
use crate::NOW_MS;

pub(super) fn cases() -> Vec<ReleaseCase> {
    [envelopes(), thresholds(), notes(), walks(), logs(), lists(), manifests(), roots(), times()].concat()
}

/// Signatures in another key's name: a name proves nothing.
fn envelopes() -> Vec<ReleaseCase> {
    const CODE: &str = "release_signature_invalid";
    vec![
        bad(CODE, "a list whose signature is a stranger's under the list key's name", |w| {
            w.on_bundle = |b| forge(b, "list", 0);
        }),
        bad(CODE, "a manifest whose second signature is a stranger's under a builder's name", |w| {
            w.on_bundle = |b| forge(b, "manifests", 1);
        }),
        bad(CODE, "a root document whose second signature is a stranger's under a pinned key's name", |w| {
            w.on_bundle = |b| forge(b, "roots", 1);
        }),
        bad(CODE, "a next root document, forged in the name of the keys before", |w| {
            rotated(w);
            w.on_bundle = |b| forge_root(b, 2);
        }),
        bad(CODE, "a next root document, forged in the name of its own keys", |w| {
            rotated(w);
            w.on_bundle = |b| forge_root(b, 0);
        }),
        bad(CODE, "a list whose signature is of another list", |w| {
            w.on_bundle = |b| {
                let other = ReleaseFixture::with(|w| w.list.body["version"] = 6.into()).bundle();
                let other: Value = serde_json::from_str(other["list"]["envelope"].as_str().unwrap()).unwrap();
                edit(&mut b["list"], |envelope| envelope["signatures"] = other["signatures"].clone());
                relog(b);
            };
        }),
        bad(CODE, "a list that was signed without its type", |w| {
            w.on_bundle = |b| {
                let payload = payload_of(b["list"]["envelope"].as_str().unwrap());
                let signature = LIST_KEYS[0].sign(payload.as_bytes());
                edit(&mut b["list"], |e| {
                    e["signatures"][0]["sig"] = Base64::encode_string(&signature).into()
                });
                relog(b);
            };
        }),
        bad(CODE, "a signature of no bytes", |w| w.on_bundle = |b| sign_list_with(b, &[])),
        bad(CODE, "a signature of r and s as 96 bytes", |w| w.on_bundle = |b| sign_list_with(b, &[1; 96])),
        bad(CODE, "a signature of zeros in DER", |w| {
            w.on_bundle = |b| sign_list_with(b, &[0x30, 6, 2, 1, 0, 2, 1, 0]);
        }),
        bad("signature_key_unknown", "a signature whose name is in capitals", |w| {
            w.on_bundle = |b| {
                edit(&mut b["list"], |envelope| {
                    let name = &mut envelope["signatures"][0]["keyid"];
                    *name = name.as_str().unwrap().to_uppercase().into();
                });
                relog(b);
            };
        }),
        good("an envelope of 16 signatures", |w| {
            w.list.by = vec![STRANGER; 15];
            w.list.by.push(LIST_KEYS[0]);
        }),
        good("a payload in the URL-safe alphabet", |w| {
            w.on_bundle = |b| {
                edit(&mut b["list"], |envelope| {
                    let payload = envelope["payload"].as_str().unwrap().replace('+', "-").replace('/', "_");
                    envelope["payload"] = payload.into();
                });
                relog(b);
            };
        }),
        bad("release_field_invalid", "a signature that is no base64", |w| {
            w.on_bundle = |b| {
                edit(&mut b["list"], |envelope| envelope["signatures"][0]["sig"] = "?".into());
                relog(b);
            };
        }),
    ]
}

fn thresholds() -> Vec<ReleaseCase> {
    let role = |threshold: u64, keys: &[Key]| {
        let keys: Vec<_> = keys.iter().map(|key| Base64::encode_string(&key.der())).collect();
        json!({"threshold": threshold, "keys": keys})
    };
    let many: Vec<_> = (0x60..0x71).map(Key).collect();
    vec![
        bad("signatures_below_threshold", "a list that one key of two has signed", |w| {
            w.roots[0].body["lists"] = role(2, &[LIST_KEYS[0], BUILDERS[0]]);
        }),
        good("a list that two keys of two have signed", |w| {
            w.roots[0].body["lists"] = role(2, &[LIST_KEYS[0], BUILDERS[0]]);
            w.list.by.push(BUILDERS[0]);
        }),
        bad("root_not_pinned", "a first root document that its own keys have not signed", |w| {
            w.roots[0].body["root"] = role(2, &NEW_ROOT_KEYS);
        }),
        bad("root_not_pinned", "a first root document that too few of its own keys have signed", |w| {
            w.roots[0].body["root"]["threshold"] = 3.into();
        }),
        bad(
            "signatures_below_threshold",
            "a next root document that too few of its own keys have signed",
            |w| {
                rotated(w);
                w.roots[1].body["root"]["threshold"] = 3.into();
            },
        ),
        bad("release_json_invalid", "a role of 17 keys", |w| w.roots[0].body["lists"] = role(1, &many)),
        good("a role of 16 keys", |w| {
            w.roots[0].body["lists"] = role(1, &many[..16]);
            w.list.by = vec![many[15]];
        }),
        bad("release_json_invalid", "a threshold above the number of keys", |w| {
            w.roots[0].body["lists"]["threshold"] = 2.into();
        }),
        bad("release_json_invalid", "a role without keys", |w| w.roots[0].body["lists"] = role(1, &[])),
        bad("release_json_invalid", "a key of another curve in a role", |w| {
            let key = [&[0x30, 0x59][..], &[0x30, 0x13], crate::EC_P256, &[3, 0x42, 0, 4], &[1; 64]].concat();
            w.roots[0].body["lists"]["keys"] = json!([Base64::encode_string(&key)]);
        }),
        bad("release_json_invalid", "a key that is no base64 in a role", |w| {
            w.roots[0].body["lists"]["keys"] = json!(["?"]);
        }),
    ]
}

/// The checkpoint's signatures, the log's and its witnesses'.
fn notes() -> Vec<ReleaseCase> {
    const CODE: &str = "checkpoint_signature_invalid";
    vec![
        bad(CODE, "a checkpoint that a stranger has signed in the log's name", |w| {
            w.on_bundle = |b| {
                sign_note(b, |key, text| NoteKey { secret: 0x52, ..key.clone() }.signature(text).to_vec())
            };
        }),
        bad(CODE, "a log's signature of zeros", |w| w.on_bundle = |b| sign_note(b, |_, _| vec![0; 64])),
        bad(CODE, "a log's signature of 63 bytes", |w| {
            w.on_bundle = |b| sign_note(b, |key, text| key.signature(text)[..63].to_vec());
        }),
        bad(CODE, "a log's signature and a byte more", |w| {
            w.on_bundle = |b| sign_note(b, |key, text| [&key.signature(text)[..], &[0]].concat());
        }),
        bad(CODE, "a log's signature whose R has a small order", |w| {
            w.on_bundle = |b| sign_note(b, |key, text| small_order::signature(key.secret, text).to_vec());
        }),
        bad(CODE, "a log's signature whose S is not reduced", |w| {
            w.on_bundle = |b| sign_note(b, |key, text| small_order::unreduced(&key.signature(text)).to_vec());
        }),
        bad(CODE, "a log's second signature, which is another's", |w| {
            w.on_bundle = |b| {
                let key = ReleaseFixture::new().log_key;
                let line =
                    key.line_with(&NoteKey { secret: 0x52, ..key.clone() }.signature("another text\n"));
                b["checkpoint"] = (b["checkpoint"].as_str().unwrap().to_owned() + &line).into();
            };
        }),
        good("a log that has signed twice", |w| {
            w.on_bundle = |b| {
                let note = b["checkpoint"].as_str().unwrap();
                let line = note.split_inclusive('\n').next_back().unwrap();
                b["checkpoint"] = format!("{note}{line}").into();
            };
        }),
        good("signatures of strangers", |w| {
            w.cosigners =
                (0..63).map(|n| (NoteKey::new(&format!("stranger.example/{n}"), 4, 0x90), 1)).collect();
        }),
        bad("note_invalid", "a note of 65 signatures", |w| {
            w.cosigners =
                (0..64).map(|n| (NoteKey::new(&format!("stranger.example/{n}"), 4, 0x90), 1)).collect();
        }),
        bad("note_invalid", "a tab in a checkpoint", |w| {
            w.on_checkpoint = |text| format!("{text}an\textension\n")
        }),
        bad("note_invalid", "a note of more than 65,536 bytes", |w| {
            w.on_checkpoint = |text| format!("{text}{}\n", "e".repeat(65_536));
        }),
        good("a checkpoint with extension lines", |w| {
            w.on_checkpoint = |text| format!("{text}an extension\nanother\n")
        }),
        bad("checkpoint_invalid", "a checkpoint with an empty line among its extensions", |w| {
            w.on_checkpoint = |text| format!("{text}\nan extension\n");
        }),
        bad("checkpoint_invalid", "a checkpoint of more than 2^48 entries", |w| {
            w.on_checkpoint = |text| text.replacen("\n4\n", "\n281474976710657\n", 1);
        }),
        bad(CODE, "a cosignature of a stranger in a witness's name", |w| {
            witnessed(w);
            w.cosigners[1].0.secret = 0x52;
            w.on_bundle = |b| {
                // The name and the id are the witness's.
                let (mine, his) = (
                    NoteKey::new("witness.example/w2", 4, 0x52),
                    NoteKey::new("witness.example/w2", 4, 0x82),
                );
                let note = b["checkpoint"].as_str().unwrap();
                let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
                let line = mine.line(&text, NOW_MS / 1000 - 60);
                let forged = his.line_with(
                    &Base64::decode_vec(line.trim_end().rsplit(' ').next().unwrap()).unwrap()[4..],
                );
                assert!(note.contains(&line));
                b["checkpoint"] = note.replace(&line, &forged).into();
            };
        }),
        bad(CODE, "a cosignature whose time was changed", |w| {
            witnessed(w);
            w.on_bundle = |b| {
                let witness = NoteKey::new("witness.example/w1", 4, 0x81);
                let note = b["checkpoint"].as_str().unwrap();
                let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
                let line = witness.line(&text, NOW_MS / 1000 - 60);
                let bytes = Base64::decode_vec(line.trim_end().rsplit(' ').next().unwrap()).unwrap();
                let mut changed = bytes[4..].to_vec();
                changed[7] ^= 1;
                b["checkpoint"] = note.replace(&line, &witness.line_with(&changed)).into();
            };
        }),
        bad(CODE, "a cosignature without a time", |w| {
            witnessed(w);
            w.on_bundle = |b| {
                let witness = NoteKey::new("witness.example/w3", 4, 0x83);
                let note = b["checkpoint"].as_str().unwrap();
                let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
                b["checkpoint"] = format!("{note}{}", witness.line_with(&witness.signature(&text))).into();
            };
        }),
        good("a witness that is not needed has not cosigned", |w| {
            witnessed(w);
            w.roots[0].body["log"]["witness_threshold"] = 1.into();
            w.cosigners.pop();
        }),
    ]
}

/// From the pinned keys to the newest root document.
fn walks() -> Vec<ReleaseCase> {
    fn third(world: &mut ReleaseFixture) {
        rotated(world);
        world.roots.push(root(3, &NEW_ROOT_KEYS, &world.log_key));
    }
    vec![
        good("three root documents", third),
        bad(
            "root_not_pinned",
            "a bundle that begins at the root document that was seen, and not at the pinned one",
            |w| {
                third(w);
                w.on_bundle = |b| drop(b["roots"].as_array_mut().unwrap().drain(..2));
            },
        )
        .with(|c| {
            // The newest is signed by keys that are not pinned. A saved state that has it does not help.
            c.memory = Some(without_log(ReleaseFixture::with(third).memory()));
        }),
        bad("root_out_of_sequence", "a root document twice", |w| {
            w.on_bundle = |b| {
                let first = b["roots"][0].clone();
                b["roots"].as_array_mut().unwrap().push(first);
            };
        }),
        good("an older root document has expired", |w| {
            rotated(w);
            w.roots[0].body["expires_at"] = (NOW_MS - DAY_MS).into();
        }),
        bad("root_expired", "the newest root document has expired, and an older one has not", |w| {
            rotated(w);
            w.roots[1].body["expires_at"] = (NOW_MS - 1).into();
        }),
        bad("attestation_root_mismatch", "the newest root document is for another attestation root", |w| {
            rotated(w);
            w.roots[1].body["attestation_root"] = mock_root().into();
        }),
        bad(
            "manifest_subject_mismatch",
            "a next root document that takes everything over to another product",
            |w| {
                rotated(w);
                w.roots[1].body["product"] = "another-enclave".into();
                w.list.body["product"] = "another-enclave".into();
                for manifest in &mut w.manifests {
                    manifest.body["subject"][0]["name"] = "another-enclave".into();
                }
            },
        ),
        bad("payload_type_mismatch", "a list in the place of a root document", |w| {
            w.roots[0].payload_type = "application/vnd.ok2cry.release-list.v1+json";
        }),
        bad("payload_type_mismatch", "a manifest in the place of the list", |w| {
            w.list.payload_type = "application/vnd.in-toto+json";
        }),
    ]
}

fn logs() -> Vec<ReleaseCase> {
    vec![
        bad("not_in_log", "an older root document is not in the log", |w| {
            rotated(w);
            w.on_log = |log| log.0[0] = b"something else".to_vec();
        }),
        good("a root document from before the pinned keys is not in the log", |w| {
            rotated(w);
            w.on_log = |log| log.0[0] = b"something else".to_vec();
        })
        .with(|c| c.pinned = NEW_ROOT_KEYS.to_vec()),
        good("a new root document names another log", |w| {
            w.log_key = NoteKey::new("releases.example/new", 1, 0x53);
            let mut second = root(2, &NEW_ROOT_KEYS, &w.log_key);
            second.by.extend_from_slice(&ROOT_KEYS[..2]);
            w.roots.push(second);
        })
        .with(|c| c.memory = Some(ReleaseFixture::with(|w| w.earlier = 100).memory())),
        bad("checkpoint_unsigned", "the log before, after a root document that names another", |w| {
            let mut second = root(2, &NEW_ROOT_KEYS, &NoteKey::new("releases.example/new", 1, 0x53));
            second.by.extend_from_slice(&ROOT_KEYS[..2]);
            w.roots.push(second);
        }),
        good("tiles that nobody needs", |w| {
            w.on_bundle = |b| {
                b["tiles"]["tile/9/not a number"] = "?".into();
                b["tiles"]["tile/0/001"] = "AAAA".into();
            };
        }),
        bad("tile_missing", "a tile that is no base64", |w| {
            w.on_bundle = |b| b["tiles"]["tile/0/000.p/4"] = "?".into();
        }),
        bad("tile_missing", "a tile of another width", |w| {
            w.on_bundle = |b| {
                let tile = b["tiles"]["tile/0/000.p/4"].take();
                b["tiles"] = json!({"tile/0/000": tile});
            };
        }),
        bad("list_before_root", "a list in the place of the newest root document", |w| {
            w.on_bundle = |b| b["list"]["index"] = b["roots"][0]["index"].clone();
        }),
    ]
}

fn lists() -> Vec<ReleaseCase> {
    fn versions(world: &mut ReleaseFixture, numbers: [&'static str; 2]) {
        world.manifests = vec![manifest(numbers[0], 0x60), manifest(numbers[1], 0x70)];
    }
    let many = |count: u8| {
        move |w: &mut ReleaseFixture| {
            w.manifests = (0..count).map(|n| manifest(&format!("1.3.{n}"), 0x10 + 4 * n)).collect();
        }
    };
    vec![
        good("versions are compared as numbers", |w| versions(w, ["1.9.0", "1.10.0"])).with(|c| {
            c.minimum_version = "1.10.0";
            c.expected = Expected::Accepted(&["1.10.0"]);
        }),
        good("a list's minimum is compared as numbers", |w| {
            versions(w, ["1.9.0", "1.10.0"]);
            w.list.body["minimum_version"] = "1.9.0".into();
        })
        .with(|c| c.expected = Expected::Accepted(&["1.9.0", "1.10.0"])),
        bad("list_below_minimum", "a release that is above the list's minimum as text only", |w| {
            versions(w, ["1.9.0", "1.10.0"]);
            w.list.body["minimum_version"] = "1.10.0".into();
        }),
        good("the largest version", |w| versions(w, ["1.2.0", "4294967295.4294967295.4294967295"]))
            .with(|c| c.expected = Expected::Accepted(&["1.2.0", "4294967295.4294967295.4294967295"])),
        bad("release_json_invalid", "a version of 2^32", |w| versions(w, ["1.2.0", "1.4294967296.0"])),
        bad("release_json_invalid", "a version with a leading zero", |w| versions(w, ["1.2.0", "1.03.0"])),
        bad("release_json_invalid", "a version of four numbers", |w| versions(w, ["1.2.0", "1.3.0.0"])),
        bad("release_json_invalid", "a version with a suffix", |w| versions(w, ["1.2.0", "1.3.0-rc1"])),
        bad("release_field_invalid", "33 releases", many(33)),
        bad("release_field_invalid", "33 manifests, of which two are listed", |w| {
            w.on_bundle = |b| {
                let extra = b["manifests"][0].clone();
                b["manifests"].as_array_mut().unwrap().resize(33, extra);
            };
        }),
        good("32 releases", many(32)).with(|c| {
            c.minimum_version = "1.3.31";
            c.expected = Expected::Accepted(&["1.3.31"]);
        }),
        bad(
            "list_rolled_back",
            "a newer list was seen under the root document before, with the same list keys",
            rotated,
        )
        .with(|c| {
            let mut memory = without_log(ReleaseFixture::new().memory());
            memory["list_version"] = 8.into();
            c.memory = Some(memory);
        }),
        bad("manifest_not_listed", "two manifests in another order than the list's", |w| {
            w.on_bundle = |b| b["manifests"].as_array_mut().unwrap().reverse();
        }),
        bad("release_field_invalid", "a list of version 0", |w| w.list.body["version"] = 0.into()),
        bad("release_field_invalid", "a manifest twice", |w| {
            let digest = "01".repeat(48);
            w.list.body["releases"] = json!([
                {"version": "1.2.0", "manifest_sha384": digest},
                {"version": "1.3.0", "manifest_sha384": digest},
            ]);
        }),
        bad("release_json_invalid", "a digest in capitals", |w| {
            w.list.body["releases"] = json!([{"version": "1.2.0", "manifest_sha384": "AB".repeat(48)}]);
        }),
        bad("list_expired", "a list that has ended, and is not too old for this client", |_| {}).with(|c| {
            c.now_ms = NOW_MS + 6 * DAY_MS + 1;
            c.max_list_age_ms = 30 * DAY_MS;
        }),
        bad("list_expired", "a list that has ended and is too old", |_| {}).with(|c| {
            c.now_ms = NOW_MS + 30 * DAY_MS;
        }),
    ]
}

fn manifests() -> Vec<ReleaseCase> {
    const CODE: &str = "release_json_invalid";
    fn predicate(world: &mut ReleaseFixture) -> &mut Value {
        &mut world.manifests[1].body["predicate"]
    }
    vec![
        good("a manifest of a signed image", signed_image),
        bad("release_field_invalid", "another kind of statement", |w| {
            w.manifests[1].body["_type"] = "https://in-toto.io/Statement/v0.1".into();
        }),
        bad("release_field_invalid", "a manifest about no image", |w| {
            w.manifests[1].body["subject"] = json!([])
        }),
        bad("release_field_invalid", "a HashAlgorithm without its braces", |w| {
            predicate(w)["Measurements"]["HashAlgorithm"] = "Sha384".into();
        }),
        bad("release_field_invalid", "measurements without a HashAlgorithm", |w| {
            predicate(w)["Measurements"].as_object_mut().unwrap().remove("HashAlgorithm");
        }),
        bad("manifest_pcr_missing", "a manifest without PCR1", |w| {
            predicate(w)["Measurements"].as_object_mut().unwrap().remove("PCR1");
        }),
        bad("measurements_zero", "a manifest whose PCR2 is zero", |w| {
            predicate(w)["Measurements"]["PCR2"] = "00".repeat(48).into();
        }),
        bad("release_field_invalid", "a register of 47 bytes", |w| {
            predicate(w)["Measurements"]["PCR0"] = "60".repeat(47).into();
        }),
        bad(CODE, "a register that is a number", |w| predicate(w)["Measurements"]["PCR0"] = 0.into()),
        bad(CODE, "a commit of SHA-256", |w| predicate(w)["source"]["commit"] = "01".repeat(32).into()),
        bad(CODE, "a commit in capitals", |w| predicate(w)["source"]["commit"] = "AB".repeat(20).into()),
        bad(CODE, "no commit", |w| drop(predicate(w)["source"].as_object_mut().unwrap().remove("commit"))),
        bad(CODE, "a development that is true", |w| predicate(w)["development"] = true.into()),
        bad(CODE, "a digest of a bill of materials that is too short", |w| {
            predicate(w)["sbom_sha256"] = "01".into()
        }),
        bad(CODE, "what the build says is a list", |w| predicate(w)["build"] = json!([])),
        good("no bill of materials, and nothing from the build", |w| {
            let fields = predicate(w).as_object_mut().unwrap();
            fields.remove("sbom_sha256");
            fields.remove("build");
        }),
        bad(CODE, "no version", |w| drop(predicate(w).as_object_mut().unwrap().remove("version"))),
        bad(CODE, "an image without its SHA-256", |w| {
            drop(w.manifests[1].body["subject"][0]["digest"].as_object_mut().unwrap().remove("sha256"));
        }),
        bad("manifest_for_development", "an image that drops nothing, and says so", |w| {
            predicate(w)["development"] = "".into();
        }),
    ]
}

pub(super) fn signed_image(world: &mut ReleaseFixture) {
    world.manifests[1].body["predicate"]["Measurements"]["PCR8"] = "78".repeat(48).into();
}

fn roots() -> Vec<ReleaseCase> {
    const JSON: &str = "release_json_invalid";
    const FIELD: &str = "release_field_invalid";
    fn log(world: &mut ReleaseFixture) -> &mut Value {
        &mut world.roots[0].body["log"]
    }
    let witness = |n: u8| NoteKey::new(&format!("witness.example/w{n}"), 4, 0x80 + n).vkey();
    vec![
        bad(FIELD, "a log key of a witness's type", |w| {
            log(w)["key"] = NoteKey::new("releases.example/log", 4, 0x51).vkey().into();
        }),
        bad(FIELD, "a witness's key of a log's type", |w| {
            witnessed(w);
            log(w)["witnesses"][2] = NoteKey::new("witness.example/w3", 1, 0x83).vkey().into();
        }),
        bad(JSON, "a log key of an unknown type", |w| {
            log(w)["key"] = NoteKey::new("releases.example/log", 2, 0x51).vkey().into();
        }),
        bad(JSON, "a log key under another hash", |w| {
            let key = w.log_key.vkey();
            let (name, rest) = key.split_once('+').unwrap();
            log(w)["key"] = format!("{name}+00000000+{}", rest.split_once('+').unwrap().1).into();
        }),
        bad(JSON, "a log key whose hash is in capitals", |w| {
            let key = NoteKey::new("releases.example/log", 1, 0x54).vkey();
            let parts: Vec<_> = key.splitn(3, '+').collect();
            let capitals = parts[1].to_uppercase();
            assert_ne!(capitals, parts[1]);
            log(w)["key"] = format!("{}+{capitals}+{}", parts[0], parts[2]).into();
        }),
        bad(JSON, "a log key of a small order", |w| {
            log(w)["key"] = small_order::vkey("releases.example/log").into()
        }),
        bad(JSON, "a log key with a space in its name", |w| {
            log(w)["key"] = NoteKey::new("releases example", 1, 0x51).vkey().into();
        }),
        bad(FIELD, "a witness threshold above the number of witnesses", |w| {
            log(w)["witness_threshold"] = 1.into()
        }),
        bad(FIELD, "17 witnesses", |w| log(w)["witnesses"] = (0..17).map(witness).collect()),
        good("16 witnesses", |w| log(w)["witnesses"] = (0..16).map(witness).collect()),
        bad(FIELD, "the log as its own witness", |w| {
            log(w)["witnesses"] = json!([NoteKey::new("witness.example/log", 4, 0x51).vkey()]);
        }),
        bad(FIELD, "a root document of version 0", |w| w.roots[0].body["version"] = 0.into()),
        bad(FIELD, "a product with a capital", |w| w.roots[0].body["product"] = "Example-enclave".into()),
        bad(FIELD, "a product of 65 characters", |w| w.roots[0].body["product"] = "a".repeat(65).into()),
        bad(JSON, "an attestation root in capitals", |w| {
            w.roots[0].body["attestation_root"] = "AB".repeat(32).into()
        }),
        bad(JSON, "a root document without an end", |w| {
            drop(w.roots[0].body.as_object_mut().unwrap().remove("expires_at"));
        }),
    ]
}

/// Both sides of every bound of time. The list was issued a day ago, for a week.
fn times() -> Vec<ReleaseCase> {
    let at = |case: ReleaseCase, now_ms: u64| case.with(|c| c.now_ms = now_ms);
    let issued = NOW_MS - DAY_MS;
    let seconds = NOW_MS / 1000;
    vec![
        at(good("at the list's end", |_| {}), NOW_MS + 6 * DAY_MS),
        at(good("a list exactly as old as the client takes", |_| {}), issued + 3 * DAY_MS)
            .with(|c| c.max_list_age_ms = 3 * DAY_MS),
        at(
            bad("list_too_old", "a list a millisecond older than the client takes", |_| {}),
            issued + 3 * DAY_MS + 1,
        )
        .with(|c| c.max_list_age_ms = 3 * DAY_MS),
        at(good("a list from a minute ahead", |_| {}), issued - 60_000),
        at(bad("list_from_future", "a list from a minute and a millisecond ahead", |_| {}), issued - 60_001),
        good("at the root document's end", |w| w.roots[0].body["expires_at"] = NOW_MS.into()),
        good("a cosignature from a minute ahead", move |w| {
            witnessed(w);
            w.cosigners[0].1 = seconds + 60;
        }),
        bad("witness_from_future", "a cosignature from 61 seconds ahead", move |w| {
            witnessed(w);
            w.cosigners[0].1 = seconds + 61;
        }),
        bad("witness_from_future", "a cosignature from the end of time", |w| {
            witnessed(w);
            w.cosigners[0].1 = u64::MAX;
        }),
        // For appraisals: acceptance ends with the root document, or at the maximum age of the list.
        good("a root document that ends before the list", |w| {
            w.roots[0].body["expires_at"] = (NOW_MS + DAY_MS).into();
        }),
        good("a client that takes lists of two days", |_| {}).with(|c| c.max_list_age_ms = 2 * DAY_MS),
    ]
}

/// Changes an envelope within a bundle.
fn edit(entry: &mut Value, change: impl FnOnce(&mut Value)) {
    let mut envelope: Value = serde_json::from_str(entry["envelope"].as_str().unwrap()).unwrap();
    change(&mut envelope);
    entry["envelope"] = envelope.to_string().into();
}

/// Replaces a signature by another key's and keeps the name. The log has the result.
fn forge(bundle: &mut Value, document: &str, signature: usize) {
    let entry = match &mut bundle[document] {
        Value::Array(entries) => &mut entries[0],
        entry => entry,
    };
    forge_entry(entry, signature);
    relog(bundle);
}

fn forge_root(bundle: &mut Value, signature: usize) {
    forge_entry(&mut bundle["roots"][1], signature);
    relog(bundle);
}

fn forge_entry(entry: &mut Value, signature: usize) {
    edit(entry, |envelope_json| {
        let payload = Base64::decode_vec(envelope_json["payload"].as_str().unwrap()).unwrap();
        let forged = envelope(envelope_json["payloadType"].as_str().unwrap(), &payload, &[STRANGER]);
        envelope_json["signatures"][signature]["sig"] = forged["signatures"][0]["sig"].clone();
    });
}

fn sign_list_with(bundle: &mut Value, signature: &[u8]) {
    edit(&mut bundle["list"], |e| e["signatures"][0]["sig"] = Base64::encode_string(signature).into());
    relog(bundle);
}

/// Adds another signature of the log to its checkpoint.
fn sign_note(bundle: &mut Value, sign: fn(&NoteKey, &str) -> Vec<u8>) {
    let key = ReleaseFixture::new().log_key;
    let text = bundle["checkpoint"].as_str().unwrap().split_once("\n\n").unwrap().0.to_owned() + "\n";
    let line = key.line_with(&sign(&key, &text));
    bundle["checkpoint"] = format!("{text}\n{line}").into();
}
