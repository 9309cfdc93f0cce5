//! Rules that no earlier case holds: JSON's grammar, forms of keys and notes, and the order of the checks.

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use super::cases::{ReleaseCase, bad, bundle_with_unknown, edit, good, is_good, mock_root, relog, witnessed};
use super::fixture::{DAY_MS, Key, NoteKey, ROOT_KEYS, ReleaseFixture, STRANGER, pinned_digest, root};
use super::small_order;
use crate::NOW_MS;

const JSON: &str = "release_json_invalid";
const FIELD: &str = "release_field_invalid";
const NOTE: &str = "note_invalid";
const SIGNATURE: &str = "checkpoint_signature_invalid";

pub(super) fn cases() -> Vec<ReleaseCase> {
    [
        strings(),
        grammar(),
        white_space(),
        signature_lines(),
        verifier_keys(),
        role_keys(),
        types(),
        tiles(),
        times(),
        orders(),
        logs(),
        states(),
    ]
    .concat()
}

/// Texts in an unknown field of an envelope, which are read by the same rule.
fn strings() -> Vec<ReleaseCase> {
    let text = |name, text: &str| {
        bad(JSON, name, |_| {}).with(|c| c.bundle = bundle_with_unknown(&format!("\"{text}\"")))
    };
    vec![
        text("a tab in a text", "a\tb"),
        text("a line break in a text", "a\nb"),
        text("a zero byte in a text", "a\0b"),
        text("the last control character in a text", "a\u{1f}b"),
        text("a delete character in a text", "a\u{7f}b").with(is_good),
        text("a line separator in a text", "a\u{2028}b").with(is_good),
        text("all escapes in a text", r#"\"\\\/\b\f\n\r\t\u00e9\u00E9"#).with(is_good),
        text("an unknown escape in a text", r"\a"),
        text("an escape of JavaScript in a text", r"\x41"),
        text("an escaped single quote in a text", r"\'"),
        text("an escape in capitals in a text", r"\U0041"),
        text("an escape of three digits in a text", r"\u004"),
        text("an escape with a letter among its digits in a text", r"\u004g"),
        text("an escape with a sign among its digits in a text", r"\u+041"),
        text("an escape in braces in a text", r"\u{41}"),
        text("the first half of a surrogate pair before an escape that is not the second", r"\ud83d\u0041"),
        text("the first half of a surrogate pair before another escape", r"\ud83d\n"),
        text("the first half of a surrogate pair twice", r"\ud83d\ud83d\ude00"),
        text("a text without its end", r"\"),
    ]
}

/// Values in the same place that RFC 8259 does not have.
fn grammar() -> Vec<ReleaseCase> {
    let value = |name, value: &str| bad(JSON, name, |_| {}).with(|c| c.bundle = bundle_with_unknown(value));
    vec![
        value("a number with a plus sign where nothing looks", "+1"),
        value("a number with a leading zero where nothing looks", "01"),
        value("a number without its digits where nothing looks", "-"),
        value("not a number where nothing looks", "NaN"),
        value("true in capitals where nothing looks", "True"),
        value("a comma at the end of a list where nothing looks", "[1,]"),
        value("a comma at the end of an object where nothing looks", r#"{"a":1,}"#),
        value("a list without a comma where nothing looks", "[1 2]"),
        value("a name without quotes where nothing looks", "{a:1}"),
        value("a comment where nothing looks", "1/**/"),
        value("no value where nothing looks", ""),
        value("127 levels with a number in the last", &format!("{}1{}", "[".repeat(126), "]".repeat(126)))
            .with(is_good),
    ]
}

/// White space is space, tab, line feed and carriage return.
fn white_space() -> Vec<ReleaseCase> {
    let between = |name, space: char| {
        bad(JSON, name, |_| {}).with(|c| c.bundle = c.bundle.replacen(',', &format!(",{space}"), 1))
    };
    vec![
        between("a vertical tab between fields", '\u{b}'),
        between("a form feed between fields", '\u{c}'),
        between("a no-break space between fields", '\u{a0}'),
        between("a next-line character between fields", '\u{85}'),
        between("a line separator between fields", '\u{2028}'),
        between("a byte order mark between fields", '\u{feff}'),
    ]
}

fn with_line(bundle: &mut Value, line: &str) {
    bundle["checkpoint"] = (bundle["checkpoint"].as_str().unwrap().to_owned() + line).into();
}

fn signature_lines() -> Vec<ReleaseCase> {
    vec![
        bad(NOTE, "a signature line that begins with a hyphen", |w| {
            w.on_bundle = |b| with_line(b, "- stranger AAAAAAA=\n");
        }),
        bad(NOTE, "a signature line that begins with another dash", |w| {
            w.on_bundle = |b| with_line(b, "\u{2013} stranger AAAAAAA=\n");
        }),
        bad(NOTE, "a signature line without the space after its dash", |w| {
            w.on_bundle = |b| with_line(b, "\u{2014}stranger AAAAAAA=\n");
        }),
        bad(NOTE, "a signature line without its dash", |w| {
            w.on_bundle = |b| with_line(b, "stranger AAAAAAA=\n");
        }),
        bad(NOTE, "a signature line behind a space", |w| {
            w.on_bundle = |b| with_line(b, " \u{2014} stranger AAAAAAA=\n");
        }),
        bad(NOTE, "a signature line with an empty name", |w| {
            w.on_bundle = |b| with_line(b, "\u{2014}  AAAAAAA=\n");
        }),
        bad(NOTE, "a signature line without a name", |w| {
            w.on_bundle = |b| with_line(b, "\u{2014} AAAAAAA=\n");
        }),
        bad(NOTE, "a signature line with a plus sign in its name", |w| {
            w.on_bundle = |b| with_line(b, "\u{2014} stran+ger AAAAAAA=\n");
        }),
        bad(NOTE, "a signature line with a no-break space in its name", |w| {
            w.on_bundle = |b| with_line(b, "\u{2014} stran\u{a0}ger AAAAAAA=\n");
        }),
        bad(NOTE, "a signature line with a C1 control character in its name", |w| {
            w.on_bundle = |b| with_line(b, "\u{2014} stran\u{80}ger AAAAAAA=\n");
        }),
        bad(NOTE, "a signature line of three parts", |w| {
            w.on_bundle = |b| with_line(b, "\u{2014} stranger AAAAAAA= AAAAAAA=\n");
        }),
        bad(NOTE, "a signature line with a space at its end", |w| {
            w.on_bundle = |b| with_line(b, "\u{2014} stranger AAAAAAA= \n");
        }),
        bad(NOTE, "a signature line in the URL-safe alphabet", |w| {
            w.on_bundle = |b| with_line(b, "\u{2014} stranger AAAAA_8=\n");
        }),
        good("a signature line in the standard alphabet", |w| {
            w.on_bundle = |b| with_line(b, "\u{2014} stranger AAAAA/8=\n");
        }),
        good("a signature line with a name of 256 bytes", |w| {
            w.on_bundle = |b| with_line(b, &format!("\u{2014} {} AAAAAAA=\n", "n".repeat(256)));
        }),
        bad(NOTE, "a delete character in a checkpoint", |w| {
            w.on_checkpoint = |text| format!("{text}an\u{7f}extension\n");
        }),
        bad(NOTE, "a zero byte in a checkpoint", |w| w.on_checkpoint = |text| format!("{text}\0\n")),
        good("a C1 control character in a checkpoint", |w| {
            w.on_checkpoint = |text| format!("{text}an\u{80}extension\n");
        }),
        bad("checkpoint_invalid", "a root hash in the URL-safe alphabet", |w| {
            w.on_checkpoint = |_| {
                format!("releases.example/log\n4\n{}\n", Base64::encode_string(&[0xff; 32]).replace('/', "_"))
            };
        }),
    ]
}

fn verifier_keys() -> Vec<ReleaseCase> {
    fn log_key(world: &mut ReleaseFixture, text: String) {
        world.roots[0].body["log"]["key"] = text.into();
    }
    fn key() -> String {
        ReleaseFixture::new().log_key.vkey()
    }
    /// A key of these bytes, type included, under the hash that they have.
    fn of(bytes: &[u8]) -> String {
        let id = &crate::sha256(&[b"releases.example/log\n", bytes].concat())[..4];
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("releases.example/log+{id}+{}", Base64::encode_string(bytes))
    }
    fn public() -> Vec<u8> {
        Base64::decode_vec(key().splitn(3, '+').nth(2).unwrap()).unwrap()
    }
    vec![
        bad(JSON, "a log key without a plus sign", |w| log_key(w, "releases.example/log".into())),
        bad(JSON, "a log key of two parts", |w| {
            let key = key();
            log_key(w, key[..key.rfind('+').unwrap()].into());
        }),
        bad(JSON, "an empty log key", |w| log_key(w, String::new())),
        bad(JSON, "a log key of 32 bytes", |w| log_key(w, of(&public()[..32]))),
        bad(JSON, "a log key of 34 bytes", |w| log_key(w, of(&[&public()[..], &[0]].concat()))),
        bad(JSON, "a log key of its type alone", |w| log_key(w, of(&[1]))),
        bad(JSON, "a log key of no bytes", |w| log_key(w, of(&[]))),
        bad(JSON, "a log key with an empty name", |w| log_key(w, NoteKey::new("", 1, 0x51).vkey())),
        bad(JSON, "a log key with a no-break space in its name", |w| {
            log_key(w, NoteKey::new("releases\u{a0}example", 1, 0x51).vkey());
        }),
        bad(JSON, "a log key with an ideographic space in its name", |w| {
            log_key(w, NoteKey::new("releases\u{3000}example", 1, 0x51).vkey());
        }),
        bad(JSON, "a log key with a C1 control character in its name", |w| {
            log_key(w, NoteKey::new("releases\u{80}example", 1, 0x51).vkey());
        }),
        bad(JSON, "a log key with a delete character in its name", |w| {
            log_key(w, NoteKey::new("releases\u{7f}example", 1, 0x51).vkey());
        }),
        bad(JSON, "a log key in the URL-safe alphabet", |w| {
            let key = (0x51..).map(|n| NoteKey::new("releases.example/log", 1, n).vkey());
            let slash = |key: &String| key.splitn(3, '+').nth(2).unwrap().contains('/');
            let key = key.into_iter().find(slash).unwrap();
            let (name, encoded) = key.rsplit_once('+').unwrap();
            log_key(w, format!("{name}+{}", encoded.replace('/', "_")));
        }),
        bad(JSON, "a log key with padding that it does not need", |w| log_key(w, of(&public()) + "=")),
        bad(JSON, "a log key of order 2, spelt as minus zero", |w| {
            let mut point = small_order::ORDER_2;
            point[31] |= 0x80;
            log_key(w, small_order::vkey_of("releases.example/log", 1, &point));
        }),
        bad(SIGNATURE, "a log's signature whose R is minus zero", |w| {
            w.on_bundle = |b| {
                let key = ReleaseFixture::new().log_key;
                let text = b["checkpoint"].as_str().unwrap().split_once("\n\n").unwrap().0.to_owned() + "\n";
                let mut r = [0; 32];
                (r[0], r[31]) = (1, 0x80);
                let signature = small_order::signature_with(&r, 0x51, &text);
                b["checkpoint"] = format!("{text}\n{}", key.line_with(&signature)).into();
            };
        }),
    ]
}

/// `SubjectPublicKeyInfo` of 120 bytes that are not the one form of a P-384 key.
fn role_keys() -> Vec<ReleaseCase> {
    fn lists(world: &mut ReleaseFixture, der: &[u8]) {
        world.roots[0].body["lists"]["keys"] = json!([Base64::encode_string(der)]);
    }
    fn changed(at: usize, to: u8) -> impl Fn(&mut ReleaseFixture) {
        move |w| {
            let mut der = Key(0x31).der();
            der[at] = to;
            assert_eq!(der.len(), 120);
            lists(w, &der);
        }
    }
    vec![
        bad(JSON, "a role's key that names P-521", changed(19, 0x23)),
        bad(JSON, "a role's key that is an OCTET STRING", changed(20, 4)),
        bad(JSON, "a role's key of a hybrid point", changed(23, 6)),
        bad(JSON, "a role's key off the curve", |w| {
            let mut der = Key(0x31).der();
            der[119] ^= 1;
            lists(w, &der);
        }),
        bad(JSON, "a role's key whose y is above the prime", |w| {
            lists(w, &[&Key(0x31).der()[..23], &crate::Y_ABOVE_THE_PRIME].concat());
        }),
        bad(JSON, "a role's key and a byte", |w| lists(w, &[&Key(0x31).der()[..], &[0]].concat())),
    ]
}

/// Fields of another type, and fields that are missing.
fn types() -> Vec<ReleaseCase> {
    fn measured(world: &mut ReleaseFixture) -> &mut Value {
        &mut world.manifests[1].body["predicate"]["Measurements"]
    }
    let bundle = |name, field: &'static str, value: Value| {
        bad(JSON, name, |_| {}).with(|c| {
            let mut bundle: Value = serde_json::from_str(&c.bundle).unwrap();
            bundle[field] = value;
            c.bundle = bundle.to_string();
        })
    };
    let envelope = |name, change: fn(&mut Value)| {
        bad(JSON, name, |_| {}).with(|c| {
            let mut bundle: Value = serde_json::from_str(&c.bundle).unwrap();
            edit(&mut bundle["list"], change);
            relog(&mut bundle);
            c.bundle = bundle.to_string();
        })
    };
    fn remove(value: &mut Value, field: &str) {
        value.as_object_mut().unwrap().remove(field).unwrap();
    }
    vec![
        bundle("tiles that are a list", "tiles", json!([])),
        bundle("tiles that are null", "tiles", Value::Null),
        bundle("root documents that are null", "roots", Value::Null),
        bundle("manifests that are a number", "manifests", 0.into()),
        bundle("manifests that are an object", "manifests", json!({})),
        bundle("a list that is null", "list", Value::Null),
        bundle("a checkpoint that is null", "checkpoint", Value::Null),
        bundle("a bundle with an unknown field", "etag", "1".into()),
        envelope("an envelope without a payload", |e| remove(e, "payload")),
        envelope("an envelope without a payloadType", |e| remove(e, "payloadType")),
        envelope("an envelope without signatures", |e| remove(e, "signatures")),
        envelope("an envelope whose signatures are null", |e| e["signatures"] = Value::Null),
        envelope("an envelope whose signatures are an object", |e| e["signatures"] = json!({})),
        envelope("a signature without its bytes", |e| remove(&mut e["signatures"][0], "sig")),
        envelope("a signature that is text", |e| e["signatures"][0] = e["signatures"][0]["sig"].clone()),
        envelope("a signature whose bytes are null", |e| e["signatures"][0]["sig"] = Value::Null),
        envelope("a payloadType that is null", |e| e["payloadType"] = Value::Null),
        bad(JSON, "Measurements that are a list", |w| *measured(w) = json!([])),
        bad(JSON, "Measurements that are text", |w| *measured(w) = "PCR0".into()),
        bad(FIELD, "Measurements without a HashAlgorithm", |w| remove(measured(w), "HashAlgorithm")),
        bad(FIELD, "Measurements of nothing", |w| *measured(w) = json!({})),
        bad(FIELD, "Measurements with a PCR3", |w| measured(w)["PCR3"] = "00".repeat(48).into()),
        bad(JSON, "releases that are null", |w| w.list.body["releases"] = Value::Null),
        bad(JSON, "a release that is text", |w| w.list.body["releases"] = json!(["1.2.0"])),
        bad(JSON, "a list of a negative version", |w| w.list.body["version"] = (-1).into()),
        bad(JSON, "witnesses that are null", |w| w.roots[0].body["log"]["witnesses"] = Value::Null),
        bad(JSON, "a negative threshold", |w| w.roots[0].body["lists"]["threshold"] = (-1).into()),
        bad(JSON, "a role's keys that are null", |w| w.roots[0].body["lists"]["keys"] = Value::Null),
    ]
}

fn tiles() -> Vec<ReleaseCase> {
    fn tile(bundle: &mut Value, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let tile = &mut bundle["tiles"]["tile/0/000.p/4"];
        let bytes = Base64::decode_vec(tile.as_str().unwrap()).unwrap();
        *tile = Base64::encode_string(&change(bytes)).into();
    }
    vec![
        bad("tile_length", "a tile that is a byte too long", |w| {
            w.on_bundle = |b| tile(b, |t| [t, vec![0]].concat());
        }),
        bad("tile_length", "a tile that is a hash too long", |w| {
            w.on_bundle = |b| tile(b, |t| [t, vec![0; 32]].concat());
        }),
        bad("tile_length", "a tile of no bytes", |w| w.on_bundle = |b| tile(b, |_| vec![])),
        good("a tile that no proof needs is not base64", |w| {
            w.on_bundle = |b| b["tiles"]["tile/7/000"] = "?".into();
        }),
        bad(JSON, "a tile that no proof needs is null", |w| {
            w.on_bundle = |b| b["tiles"]["tile/7/000"] = Value::Null;
        }),
        bad(JSON, "a tile that no proof needs is a list", |w| {
            w.on_bundle = |b| b["tiles"]["?"] = json!([]);
        }),
    ]
}

/// A state of the form of now, in which the latest time is this.
fn later(latest_ms: u64) -> Option<Value> {
    let pins = pinned_digest(2, &ROOT_KEYS);
    Some(json!({"memories": {pins: {"root_version": 1, "list_version": 7, "latest_ms": latest_ms}}}))
}

fn times() -> Vec<ReleaseCase> {
    const LATEST_MS: u64 = NOW_MS + DAY_MS;
    let cosigned = |seconds: u64| {
        move |w: &mut ReleaseFixture| {
            witnessed(w);
            w.cosigners[0].1 = seconds;
        }
    };
    vec![
        good("a cosignature from a minute after the latest time", cosigned(LATEST_MS / 1000 + 60))
            .with(|c| c.memory = later(LATEST_MS)),
        bad(
            "witness_from_future",
            "a cosignature from 61 seconds after the latest time",
            cosigned(LATEST_MS / 1000 + 61),
        )
        .with(|c| c.memory = later(LATEST_MS)),
        good("a cosignature from the beginning of time", cosigned(0)),
        // For appraisals: the list's own end comes before the greatest age that the client takes.
        good("a list that ends before it is too old", |w| {
            w.list.body["expires_at"] = (NOW_MS + DAY_MS).into();
        }),
        // For appraisals: what is accepted ends before the documents of the vectors were made.
        good("a check of two days ago, whose root document has ended since", |w| {
            w.roots[0].body["expires_at"] = (NOW_MS - DAY_MS).into();
            w.list.body["issued_at"] = (NOW_MS - 3 * DAY_MS).into();
        })
        .with(|c| c.now_ms = NOW_MS - 2 * DAY_MS),
    ]
}

/// Two rules broken at once: the first is reported.
fn orders() -> Vec<ReleaseCase> {
    fn predicate(world: &mut ReleaseFixture) -> &mut Value {
        &mut world.manifests[1].body["predicate"]
    }
    fn other_product(world: &mut ReleaseFixture) {
        world.manifests[1].body["subject"][0]["name"] = "another-enclave".into();
    }
    /// The signatures of the second manifest: each by a builder, good or forged.
    fn signed(bundle: &mut Value, by: &[(usize, bool)]) {
        edit(&mut bundle["manifests"][1], |envelope| {
            let all = envelope["signatures"].clone();
            let of = |&(builder, genuine): &(usize, bool)| {
                let mut signature = all[builder].clone();
                if !genuine {
                    signature["sig"] = all[1 - builder]["sig"].clone();
                }
                signature
            };
            envelope["signatures"] = by.iter().map(of).collect();
        });
        relog(bundle);
    }
    /// A cosignature of this witness that is not by it.
    fn forged(bundle: &mut Value, witness: u8) {
        let key = NoteKey::new(&format!("witness.example/w{witness}"), 4, 0x80 + witness);
        with_line(bundle, &key.line_with(&[0; 72]));
    }
    fn from_future(world: &mut ReleaseFixture, witness: usize) {
        witnessed(world);
        world.cosigners[witness].1 += 86_400;
    }
    vec![
        bad("release_signature_invalid", "a builder's second signature is forged", |w| {
            w.on_bundle = |b| signed(b, &[(0, true), (0, false)]);
        }),
        bad("signature_repeated", "a builder has signed twice, before a forged signature", |w| {
            w.on_bundle = |b| signed(b, &[(0, true), (0, true), (1, false)]);
        }),
        bad("release_signature_invalid", "a forged signature, before a builder has signed twice", |w| {
            w.on_bundle = |b| signed(b, &[(1, false), (0, true), (0, true)]);
        }),
        bad("payload_type_mismatch", "a manifest in the place of the list, signed by a stranger", |w| {
            w.list.payload_type = "application/vnd.in-toto+json";
            w.list.by = vec![STRANGER];
        }),
        bad("payload_type_mismatch", "a list in the place of a root document, signed by strangers", |w| {
            w.roots[0].payload_type = "application/vnd.ok2cry.release-list.v1+json";
            w.roots[0].by = vec![STRANGER];
        }),
        bad("root_expired", "a root document that has expired, of another attestation root", |w| {
            w.roots[0].body["expires_at"] = (NOW_MS - 1).into();
        })
        .with(|c| c.attestation_root = mock_root()),
        bad("witness_from_future", "the first witness from the future, and the second forged", |w| {
            from_future(w, 0);
            w.on_bundle = |b| forged(b, 2);
        }),
        bad(SIGNATURE, "the first witness forged, and the second from the future", |w| {
            from_future(w, 1);
            w.on_bundle = |b| forged(b, 1);
        }),
        bad(SIGNATURE, "one witness from the future, and then forged", |w| {
            from_future(w, 0);
            w.on_bundle = |b| forged(b, 1);
        }),
        bad("list_below_minimum", "a release below the list's own minimum, of another product", |w| {
            w.list.body["minimum_version"] = "1.2.1".into();
            w.list.body["product"] = "another-enclave".into();
        }),
        bad("manifest_subject_mismatch", "another product's list, from the future", |w| {
            w.list.body["product"] = "another-enclave".into();
        })
        .with(|c| c.now_ms = NOW_MS - 2 * DAY_MS),
        bad("list_expired", "a list that has expired, and is too old", |_| {}).with(|c| {
            c.now_ms = NOW_MS + 6 * DAY_MS + 1;
            c.max_list_age_ms = DAY_MS;
        }),
        bad("manifest_subject_mismatch", "a manifest of another product and of a mock", |w| {
            other_product(w);
            predicate(w)["attestation_root"] = mock_root().into();
        }),
        bad("manifest_attestation_root_mismatch", "a manifest of a mock, for development", |w| {
            predicate(w)["attestation_root"] = mock_root().into();
            predicate(w)["development"] = "clock".into();
        }),
        bad("manifest_for_development", "a manifest for development, of another version than listed", |w| {
            predicate(w)["development"] = "clock".into();
            relist_as(w, "1.9.0");
        }),
        bad("manifest_version_mismatch", "a manifest of another version than listed, not in the log", |w| {
            relist_as(w, "1.9.0");
            w.on_log = |log| log.0[2] = b"something else".to_vec();
        }),
        bad("measurements_zero", "a manifest of a debug enclave, of another product", |w| {
            other_product(w);
            predicate(w)["Measurements"]["PCR0"] = "00".repeat(48).into();
        }),
        bad("manifest_pcr_missing", "a manifest without PCR2, of a debug enclave", |w| {
            predicate(w)["Measurements"]["PCR0"] = "00".repeat(48).into();
            predicate(w)["Measurements"].as_object_mut().unwrap().remove("PCR2");
        }),
        bad("manifest_not_listed", "a manifest too many, and one witness of two", |w| {
            witnessed(w);
            w.cosigners.pop();
            w.on_bundle = |b| {
                let extra = b["manifests"][0].clone();
                b["manifests"].as_array_mut().unwrap().push(extra);
            };
        }),
        bad("witnesses_below_threshold", "one witness of two, and every release below the minimum", |w| {
            witnessed(w);
            w.cosigners.pop();
        })
        .with(|c| c.minimum_version = "2.0.0"),
    ]
}

/// The list names the second manifest under another version.
fn relist_as(world: &mut ReleaseFixture, version: &str) {
    use sha2::Digest as _;
    let listed = world.manifests.iter().map(|manifest| {
        let digest = super::fixture::hex(&sha2::Sha384::digest(manifest.payload()));
        json!({"version": manifest.body["predicate"]["version"], "manifest_sha384": digest})
    });
    let mut listed: Vec<_> = listed.collect();
    listed[1]["version"] = version.into();
    world.list.body["releases"] = listed.into();
}

/// The order of entries in the log: the list is behind the newest root document, and nothing else is asked.
fn logs() -> Vec<ReleaseCase> {
    vec![
        good("root documents in descending order in the log", |w| {
            w.roots.push(root(2, &ROOT_KEYS, &w.log_key));
            w.on_log = |log| log.0.swap(0, 1);
            w.on_bundle = |b| {
                b["roots"][0]["index"] = 1.into();
                b["roots"][1]["index"] = 0.into();
            };
        }),
        good("manifests behind the list in the log", |w| {
            w.on_log = |log| log.0.swap(1, 3);
            w.on_bundle = |b| {
                b["manifests"][0]["index"] = 3.into();
                b["list"]["index"] = 1.into();
            };
        }),
        bad("list_before_root", "a list in the place of the newest root document", |w| {
            w.on_bundle = |b| b["list"]["index"] = 0.into();
        }),
    ]
}

/// Both sides of 1 MiB, with spaces after the state.
fn states() -> Vec<ReleaseCase> {
    let longer = |case: ReleaseCase, length: usize| {
        case.with(|c| {
            let state = json!({"memories": {}});
            c.memory_spaces = length - state.to_string().len();
            c.memory = Some(state);
        })
    };
    vec![
        longer(good("a state of 1 MiB", |_| {}), 1 << 20),
        longer(bad("release_document_too_large", "a state of 1 MiB and a byte", |_| {}), (1 << 20) + 1),
    ]
}
