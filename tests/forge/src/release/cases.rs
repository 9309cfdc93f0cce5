//! Cases: what a client receives, and the expected verdict.

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

use super::fixture::{
    AWS_ROOT, BUILDERS, DAY_MS, Key, LIST_KEYS, NEW_ROOT_KEYS, NoteKey, ROOT_KEYS, ReleaseFixture, STRANGER,
    envelope, hex, manifest, pinned_digest, root,
};
use crate::NOW_MS;

/// An expected verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// These versions are accepted.
    Accepted(&'static [&'static str]),
    /// Refused with this code.
    Refused(&'static str),
}

/// One check by one client.
#[derive(Clone, Debug)]
pub struct ReleaseCase {
    /// The name of the case.
    pub name: &'static str,
    /// The keys that the client pins.
    pub pinned: Vec<Key>,
    /// The threshold.
    pub threshold: usize,
    /// The client's attestation root (SHA-256): AWS's, or that of [`crate::Enclave::new`].
    pub attestation_root: String,
    /// The client's saved state.
    pub memory: Option<Value>,
    /// How many spaces follow the state.
    pub memory_spaces: usize,
    /// The current time, in Unix milliseconds.
    pub now_ms: u64,
    /// The client's maximum age of lists, in milliseconds.
    pub max_list_age_ms: u64,
    /// The lowest version that the client accepts.
    pub minimum_version: &'static str,
    /// The bundle, as JSON.
    pub bundle: String,
    /// How many spaces follow the bundle.
    pub spaces: usize,
    /// The expected verdict.
    pub expected: Expected,
}

impl ReleaseCase {
    fn of(name: &'static str, world: &ReleaseFixture, expected: Expected) -> Self {
        Self {
            name,
            pinned: ROOT_KEYS.to_vec(),
            threshold: 2,
            attestation_root: AWS_ROOT.to_owned(),
            memory: None,
            memory_spaces: 0,
            now_ms: NOW_MS,
            max_list_age_ms: 7 * DAY_MS,
            minimum_version: "0.0.0",
            bundle: world.bundle().to_string(),
            spaces: 0,
            expected,
        }
    }

    /// The bundle, byte for byte.
    #[must_use]
    pub fn whole_bundle(&self) -> String {
        format!("{}{}", self.bundle, " ".repeat(self.spaces))
    }

    /// The state, byte for byte, if there is one.
    #[must_use]
    pub fn whole_memory(&self) -> Option<String> {
        self.memory.as_ref().map(|memory| format!("{memory}{}", " ".repeat(self.memory_spaces)))
    }

    /// The case in the form of `tests/vectors/v1/releases.json`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let keys: Vec<_> = self.pinned.iter().map(|key| Base64::encode_string(&key.der())).collect();
        let mut case = json!({
            "name": self.name,
            "pinned": {"threshold": self.threshold, "keys": keys},
            "attestation_root": self.attestation_root,
            "memory": self.memory,
            "now_ms": self.now_ms,
            "max_list_age_ms": self.max_list_age_ms,
            "minimum_version": self.minimum_version,
            "bundle": self.bundle,
            "expected": match &self.expected {
                Expected::Accepted(versions) => json!({"accepted": versions}),
                Expected::Refused(code) => json!({"refused": code}),
            },
        });
        if self.memory_spaces > 0 {
            case["memory_then"] = json!({"text": " ", "count": self.memory_spaces});
        }
        if self.spaces > 0 {
            case["bundle_then"] = json!({"text": " ", "count": self.spaces});
        }
        case
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Every case. The first is the normal one.
#[must_use]
pub fn cases() -> Vec<ReleaseCase> {
    [
        accepted(),
        signatures(),
        roots(),
        lists(),
        manifests(),
        logs(),
        encodings(),
        json_rule(),
        super::rotation::cases(),
        super::forged::cases(),
        super::limits::cases(),
        super::details::cases(),
        super::rules::cases(),
    ]
    .concat()
}

/// SHA-256 of the root certificate of [`crate::Enclave::new`].
pub(super) fn mock_root() -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(crate::Enclave::new().root()))
}

/// The largest integer that every language reads exactly.
const MAX_NUMBER: u64 = (1 << 53) - 1;

const BOTH: Expected = Expected::Accepted(&["1.2.0", "1.3.0"]);

pub(super) fn good(name: &'static str, change: impl FnOnce(&mut ReleaseFixture)) -> ReleaseCase {
    ReleaseCase::of(name, &ReleaseFixture::with(change), BOTH)
}

pub(super) fn bad(
    code: &'static str,
    name: &'static str,
    change: impl FnOnce(&mut ReleaseFixture),
) -> ReleaseCase {
    ReleaseCase::of(name, &ReleaseFixture::with(change), Expected::Refused(code))
}

pub(super) fn rotated(world: &mut ReleaseFixture) {
    let mut second = root(2, &NEW_ROOT_KEYS, &world.log_key);
    second.by.extend_from_slice(&ROOT_KEYS[..2]);
    world.roots.push(second);
}

pub(super) fn witnessed(world: &mut ReleaseFixture) {
    let witnesses = [1_u8, 2, 3].map(|n| NoteKey::new(&format!("witness.example/w{n}"), 4, 0x80 + n));
    let log = &mut world.roots[0].body["log"];
    log["witnesses"] = witnesses.iter().map(NoteKey::vkey).collect();
    log["witness_threshold"] = 2.into();
    let seconds = NOW_MS / 1000 - 60;
    world.cosigners = witnesses.into_iter().take(2).map(|witness| (witness, seconds)).collect();
}

fn accepted() -> Vec<ReleaseCase> {
    let before = ReleaseFixture::with(|w| {
        w.list.body["version"] = 6.into();
        w.manifests.pop();
    });
    vec![
        good("two releases overlap", |_| {}),
        good("the same again", |_| {}).with(|c| c.memory = Some(ReleaseFixture::new().memory())),
        good("the log is long", |w| w.earlier = 700),
        good("the log has grown since", |w| w.earlier = 300).with(|c| {
            // Its documents are the first entries of the log, which has grown by one list since.
            let mut longer = ReleaseFixture::with(|w| w.earlier = 300);
            longer.on_log = |log| log.0.push(b"something else".to_vec());
            c.memory = Some(ReleaseFixture::with(|w| w.earlier = 300).memory());
            c.bundle = longer.bundle().to_string();
        }),
        good("the older of two releases is revoked", |w| {
            w.manifests.remove(0);
        })
        .with(|c| c.expected = Expected::Accepted(&["1.3.0"])),
        good("the client insists on a newer version than the list", |_| {}).with(|c| {
            c.minimum_version = "1.2.1";
            c.expected = Expected::Accepted(&["1.3.0"]);
        }),
        good("the release before is listed again, after a rollback", |w| {
            w.manifests.pop();
            w.list.body["version"] = 8.into();
        })
        .with(|c| {
            c.expected = Expected::Accepted(&["1.2.0"]);
            c.memory = Some(json!({
                "pinned_sha384": pinned_digest(2, &ROOT_KEYS),
                "root_version": 1,
                "root_sha384": null,
                "list_version": 7,
                "list_sha384": before.memory()["list_sha384"],
                "checkpoint": null
            }));
        }),
        good("the root keys were exchanged, and the client holds the old ones", rotated),
        good("the root keys were exchanged, and the client holds the new ones", rotated)
            .with(|c| c.pinned = NEW_ROOT_KEYS.to_vec()),
        good("one pinned key suffices", |_| {}).with(|c| {
            c.pinned = vec![ROOT_KEYS[1]];
            c.threshold = 1;
        }),
        good("all builders have signed, and a stranger too", |w| {
            w.manifests[0].by = [BUILDERS.as_slice(), &[STRANGER]].concat();
        }),
        good("two of three witnesses have cosigned", witnessed),
        good("a signature that does not say whose it is", |w| {
            w.on_bundle = |_| {};
            w.on_log = |log| {
                let last = log.0.len() - 1;
                log.0[last] = without_keyid(&log.0[last]);
            };
            w.on_bundle = |b| {
                let envelope = without_keyid(b["list"]["envelope"].as_str().unwrap().as_bytes());
                b["list"]["envelope"] = String::from_utf8(envelope).unwrap().into();
            };
        })
        .with(|c| c.expected = Expected::Refused("signature_key_unknown")),
        good("what is remembered was followed from other keys", rotated).with(|c| {
            let mut memory = ReleaseFixture::with(rotated).memory();
            memory["pinned_sha384"] = pinned_digest(2, &NEW_ROOT_KEYS).into();
            memory["root_sha384"] = "00".repeat(48).into();
            memory["root_version"] = 1000.into();
            c.memory = Some(memory);
        }),
        good("the root keys were exchanged since", rotated)
            .with(|c| c.memory = Some(without_log(ReleaseFixture::new().memory()))),
        good("the list keys were exchanged, and the old ones had signed the last version there is", |w| {
            rotated(w);
            let old = w.roots[0].body["lists"].clone();
            w.roots[1].body["lists"] = w.roots[1].body["manifests"].clone();
            w.list.by = BUILDERS.to_vec();
            w.list.body["version"] = 1.into();
            assert_ne!(old, w.roots[1].body["lists"]);
        })
        .with(|c| {
            let mut memory = without_log(ReleaseFixture::new().memory());
            memory["list_version"] = MAX_NUMBER.into();
            c.memory = Some(memory);
        }),
        good("mock releases under a mock's root", |w| {
            w.roots[0].body["attestation_root"] = mock_root().into();
            for manifest in &mut w.manifests {
                manifest.body["predicate"]["attestation_root"] = mock_root().into();
                manifest.body["predicate"]["development"] = "everything".into();
            }
        })
        .with(|c| c.attestation_root = mock_root()),
    ]
}

/// A saved state without the log: the forge does not append, so a later fixture has another log.
pub(super) fn without_log(mut memory: Value) -> Value {
    memory["checkpoint"] = Value::Null;
    memory
}

fn without_keyid(envelope: &[u8]) -> Vec<u8> {
    let mut envelope: Value = serde_json::from_slice(envelope).unwrap();
    envelope["signatures"][0].as_object_mut().unwrap().remove("keyid");
    envelope.to_string().into_bytes()
}

fn signatures() -> Vec<ReleaseCase> {
    vec![
        bad("signature_key_unknown", "the list is signed by a stranger", |w| w.list.by = vec![STRANGER]),
        bad("signature_key_unknown", "a manifest is signed by strangers", |w| {
            w.manifests[1].by = vec![STRANGER, Key(0x42)];
        }),
        bad("signature_key_unknown", "the list is signed by builders", |w| w.list.by = BUILDERS.to_vec()),
        bad("signature_key_unknown", "a manifest is signed by nobody", |w| w.manifests[0].by.clear()),
        bad("signatures_below_threshold", "a manifest is signed by one builder of two", |w| {
            w.manifests[1].by.truncate(1);
        }),
        bad("signature_repeated", "a manifest is signed by one builder twice", |w| {
            w.manifests[1].by = vec![BUILDERS[0], BUILDERS[0]];
        }),
        bad("release_signature_invalid", "a manifest changed after it was signed", |w| {
            w.on_bundle = |b| {
                let text = b["manifests"][0]["envelope"].as_str().unwrap();
                let mut envelope: Value = serde_json::from_str(text).unwrap();
                let payload = Base64::decode_vec(envelope["payload"].as_str().unwrap()).unwrap();
                let payload = String::from_utf8(payload).unwrap().replace("1.95.0", "1.96.0");
                envelope["payload"] = Base64::encode_string(payload.as_bytes()).into();
                b["manifests"][0]["envelope"] = envelope.to_string().into();
                relist(b, payload.as_bytes());
            };
        }),
        bad("payload_type_mismatch", "a list in the place of a manifest", |w| {
            w.manifests[0].payload_type = "application/vnd.ok2cry.release-list.v1+json";
        }),
    ]
}

/// The bundle of `world` with any payload as its list, signed and logged.
#[must_use]
pub fn bundle_with_list(world: &ReleaseFixture, payload: &[u8]) -> String {
    let mut bundle = world.bundle();
    let text = bundle["list"]["envelope"].as_str().unwrap();
    let list: Value = serde_json::from_str(text).unwrap();
    let payload_type = list["payloadType"].as_str().unwrap();
    bundle["list"]["envelope"] = envelope(payload_type, payload, &LIST_KEYS).to_string().into();
    relog(&mut bundle);
    bundle.to_string()
}

/// Signs the list again, with this manifest as its first.
fn relist(bundle: &mut Value, manifest: &[u8]) {
    use sha2::Digest as _;
    let text = bundle["list"]["envelope"].as_str().unwrap();
    let old: Value = serde_json::from_str(text).unwrap();
    let payload = Base64::decode_vec(old["payload"].as_str().unwrap()).unwrap();
    let mut list: Value = serde_json::from_slice(&payload).unwrap();
    list["releases"][0]["manifest_sha384"] = hex(&sha2::Sha384::digest(manifest)).into();
    let payload_type = old["payloadType"].as_str().unwrap();
    bundle["list"]["envelope"] =
        envelope(payload_type, list.to_string().as_bytes(), &LIST_KEYS).to_string().into();
    relog(bundle);
}

/// Makes a log of the bundle's documents, so that only the change is wrong.
pub(super) fn relog(bundle: &mut Value) {
    let entries: Vec<Value> = bundle["roots"]
        .as_array()
        .unwrap()
        .iter()
        .chain(bundle["manifests"].as_array().unwrap())
        .chain([&bundle["list"]])
        .cloned()
        .collect();
    log_of(bundle, &entries);
}

/// Makes a log of these documents.
fn log_of(bundle: &mut Value, entries: &[Value]) {
    let log =
        super::Log(entries.iter().map(|e| e["envelope"].as_str().unwrap().as_bytes().to_vec()).collect());
    let key = ReleaseFixture::new().log_key;
    let text = format!("{}\n{}\n{}\n", key.name, log.0.len(), Base64::encode_string(&log.root(log.0.len())));
    bundle["checkpoint"] = format!("{text}\n{}", key.line(&text, 0)).into();
    let tiles = log.tiles().into_iter().map(|(path, bytes)| (path, Base64::encode_string(&bytes).into()));
    bundle["tiles"] = Value::Object(tiles.collect());
}

fn roots() -> Vec<ReleaseCase> {
    vec![
        bad("root_not_pinned", "other people's root document", |w| w.roots[0].by = vec![STRANGER, Key(0x42)]),
        bad("root_not_pinned", "one pinned key of two has signed", |w| w.roots[0].by.truncate(1)),
        bad("root_not_pinned", "no root document", |w| w.roots.clear()),
        bad("signature_key_unknown", "a root document that its own keys have not signed", |w| {
            w.roots.push(root(2, &NEW_ROOT_KEYS, &w.log_key));
            w.roots[1].by = ROOT_KEYS[..2].to_vec();
        }),
        bad("signature_key_unknown", "a root document that the keys before have not signed", |w| {
            w.roots.push(root(2, &NEW_ROOT_KEYS, &w.log_key));
        }),
        bad("signatures_below_threshold", "a root document that one of the keys before has signed", |w| {
            rotated(w);
            w.roots[1].by.pop();
        }),
        bad("root_out_of_sequence", "a version of the root document is left out", |w| {
            rotated(w);
            w.roots[1].body["version"] = 3.into();
        }),
        bad("root_rolled_back", "a newer root document was seen before", |_| {}).with(|c| {
            c.memory = Some(json!({
                "pinned_sha384": pinned_digest(2, &ROOT_KEYS),
                "root_version": 2,
                "root_sha384": null,
                "list_version": 0,
                "list_sha384": null,
                "checkpoint": null
            }));
        }),
        bad("root_forked", "stolen pinned keys sign a root document of a much later version", |w| {
            w.roots[0].body["version"] = 1000.into();
        })
        .with(|c| c.memory = Some(ReleaseFixture::with(rotated).memory())),
        bad("root_forked", "another root document of the version that was seen", |w| {
            w.roots[0].body["expires_at"] = (NOW_MS + DAY_MS).into();
        })
        .with(|c| c.memory = Some(ReleaseFixture::new().memory())),
        bad("root_out_of_sequence", "a much later version behind the one that was seen", |w| {
            rotated(w);
            w.roots[1].body["version"] = 1000.into();
        })
        .with(|c| c.memory = Some(ReleaseFixture::new().memory())),
        bad("root_expired", "the root document has expired", |w| {
            w.roots[0].body["expires_at"] = (NOW_MS - 1).into()
        }),
        bad("attestation_root_mismatch", "the client holds a mock's root", |_| {})
            .with(|c| c.attestation_root = mock_root()),
        bad("manifest_subject_mismatch", "the next root document is another product's", |w| {
            rotated(w);
            w.roots[1].body["product"] = "another-enclave".into();
        }),
        bad("release_field_invalid", "a witness under two names", |w| {
            witnessed(w);
            let twin = NoteKey::new("witness.example/twin", 4, 0x81);
            w.roots[0].body["log"]["witnesses"].as_array_mut().unwrap().push(twin.vkey().into());
        }),
        bad("release_json_invalid", "a threshold of no keys", |w| {
            w.roots[0].body["lists"]["threshold"] = 0.into()
        }),
        bad("release_json_invalid", "a key twice in a role", |w| {
            let key = w.roots[0].body["lists"]["keys"][0].clone();
            w.roots[0].body["lists"]["keys"].as_array_mut().unwrap().push(key);
        }),
    ]
}

fn lists() -> Vec<ReleaseCase> {
    let seen = |version: u64| {
        json!({
            "pinned_sha384": pinned_digest(2, &ROOT_KEYS),
            "root_version": 1,
            "root_sha384": null,
            "list_version": version,
            "list_sha384": "00".repeat(48),
            "checkpoint": null
        })
    };
    vec![
        bad("list_expired", "the list has expired", |_| {}).with(|c| c.now_ms = NOW_MS + 6 * DAY_MS + 1),
        bad("list_too_old", "the list is frozen: valid still, and older than this client takes", |_| {})
            .with(|c| c.max_list_age_ms = DAY_MS - 1),
        bad("list_before_root", "a list from before a root document that exchanges the list keys", |w| {
            rotated(w);
            // The old list key may still sign, with others.
            let mut keys = w.roots[1].body["manifests"]["keys"].clone();
            keys.as_array_mut().unwrap().push(w.roots[0].body["lists"]["keys"][0].clone());
            w.roots[1].body["lists"]["keys"] = keys;
            w.on_bundle = |b| {
                // The same documents, with the root document last.
                let mut entries: Vec<_> = b["manifests"].as_array().unwrap().clone();
                entries.insert(0, b["roots"][0].clone());
                entries.extend([b["list"].clone(), b["roots"][1].clone()]);
                log_of(b, &entries);
                b["roots"][1]["index"] = 4.into();
                b["list"]["index"] = 3.into();
                b["manifests"][0]["index"] = 1.into();
                b["manifests"][1]["index"] = 2.into();
            };
        }),
        bad("list_from_future", "the list is from the future", |_| {})
            .with(|c| c.now_ms = NOW_MS - 2 * DAY_MS),
        bad("list_rolled_back", "a newer list was seen before", |_| {}).with(|c| c.memory = Some(seen(8))),
        bad("list_forked", "another list of the same version was seen before", |_| {})
            .with(|c| c.memory = Some(seen(7))),
        bad("list_below_minimum", "a release below the list's own minimum", |w| {
            w.list.body["minimum_version"] = "1.2.1".into();
        }),
        bad("no_release_accepted", "every release is below what the client takes", |_| {})
            .with(|c| c.minimum_version = "2.0.0"),
        bad("no_release_accepted", "everything is revoked", |w| w.manifests.clear()),
        bad("manifest_subject_mismatch", "another product's list", |w| {
            w.list.body["product"] = "another-enclave".into()
        }),
        bad("release_field_invalid", "a list that ends before it begins", |w| {
            w.list.body["expires_at"] = w.list.body["issued_at"].clone();
        }),
        bad("release_field_invalid", "a version twice", |w| {
            let digest = |fill: &str| fill.repeat(48);
            w.list.body["releases"] = json!([
                {"version": "1.2.0", "manifest_sha384": digest("01")},
                {"version": "1.2.0", "manifest_sha384": digest("02")},
            ]);
        }),
    ]
}

fn manifests() -> Vec<ReleaseCase> {
    let predicate =
        |w: &mut ReleaseFixture, field: &str, value: Value| w.manifests[1].body["predicate"][field] = value;
    vec![
        bad("manifest_missing", "a listed manifest is not there", |w| {
            w.on_bundle = |b| drop(b["manifests"].as_array_mut().unwrap().pop());
        }),
        bad("manifest_not_listed", "a manifest that nobody has listed", |w| {
            w.on_bundle = |b| {
                let extra = b["manifests"][0].clone();
                b["manifests"].as_array_mut().unwrap().push(extra);
            };
        }),
        bad("manifest_not_listed", "a revoked manifest in the place of a listed one", |w| {
            w.on_bundle = |b| {
                let entry = json!({"index": 1, "envelope": manifest("1.2.0", 0x50).envelope()});
                b["manifests"][0] = entry;
            };
        }),
        bad("manifest_subject_mismatch", "a manifest of another product", |w| {
            w.manifests[1].body["subject"][0]["name"] = "another-enclave".into();
        }),
        bad("manifest_version_mismatch", "a manifest of another version than listed", |w| {
            use sha2::Digest as _;
            let listed = w.manifests.iter().map(
                |m| json!({"version": "1.9.0", "manifest_sha384": hex(&sha2::Sha384::digest(m.payload()))}),
            );
            let mut listed: Vec<_> = listed.collect();
            listed[0]["version"] = "1.2.0".into();
            w.list.body["releases"] = listed.into();
        }),
        bad("measurements_zero", "a manifest of a debug enclave", |w| {
            w.manifests[1].body["predicate"]["Measurements"]["PCR0"] = "00".repeat(48).into();
        }),
        bad("manifest_pcr_missing", "a manifest without PCR0", |w| {
            w.manifests[1].body["predicate"]["Measurements"].as_object_mut().unwrap().remove("PCR0");
        }),
        bad("manifest_pcr_missing", "a manifest without PCR2", |w| {
            w.manifests[1].body["predicate"]["Measurements"].as_object_mut().unwrap().remove("PCR2");
        }),
        bad("release_field_invalid", "a manifest with a register that images do not have", |w| {
            w.manifests[1].body["predicate"]["Measurements"]["PCR4"] = "01".repeat(48).into();
        }),
        bad("release_field_invalid", "a manifest with upper-case digits", |w| {
            w.manifests[1].body["predicate"]["Measurements"]["PCR0"] = "AB".repeat(48).into();
        }),
        bad("release_field_invalid", "a manifest of SHA-256", |w| {
            w.manifests[1].body["predicate"]["Measurements"]["HashAlgorithm"] = "Sha256 { ... }".into();
        }),
        bad("release_field_invalid", "a statement about two images", |w| {
            let subject = w.manifests[1].body["subject"][0].clone();
            w.manifests[1].body["subject"].as_array_mut().unwrap().push(subject);
        }),
        bad("release_field_invalid", "another predicate", |w| {
            w.manifests[1].body["predicateType"] = "https://slsa.dev/provenance/v1".into();
        }),
        bad("manifest_attestation_root_mismatch", "a mock image under production keys", |w| {
            predicate(w, "attestation_root", mock_root().into());
        }),
        bad("manifest_for_development", "an image that drops checks under production keys", |w| {
            predicate(w, "development", "clock".into());
        }),
        bad("release_json_invalid", "a manifest that says more than is known here", |w| {
            predicate(w, "only_in", "eu-central-1".into());
        }),
    ]
}

fn logs() -> Vec<ReleaseCase> {
    let forked = ReleaseFixture::with(|w| w.on_log = |log| log.0[0] = b"another first entry".to_vec());
    vec![
        bad("log_forked", "another log of the same size was seen before", |_| {})
            .with(|c| c.memory = Some(older_list(&forked))),
        bad("log_forked", "the log has grown, and forgotten an entry", |w| w.earlier = 300)
            .with(|c| c.memory = Some(older_list(&forked))),
        bad("log_rolled_back", "a longer log was seen before", |_| {})
            .with(|c| c.memory = Some(older_list(&ReleaseFixture::with(|w| w.earlier = 10)))),
        bad("not_in_log", "the list is not in the log", |w| {
            w.on_log = |log| *log.0.last_mut().unwrap() = b"something else".to_vec();
        }),
        bad("not_in_log", "a manifest is not in the log", |w| {
            w.on_log = |log| log.0[1] = b"something else".to_vec()
        }),
        bad("not_in_log", "the root document is not in the log", |w| {
            w.on_log = |log| log.0[0] = b"something".to_vec()
        }),
        bad("not_in_log", "an index beyond the log", |w| w.on_bundle = |b| b["list"]["index"] = 4.into()),
        bad("not_in_log", "the index of another entry", |w| w.on_bundle = |b| b["list"]["index"] = 2.into()),
        bad("not_in_log", "a tile of another log", |w| {
            w.on_bundle = |b| b["tiles"]["tile/0/000.p/4"] = Base64::encode_string(&[7; 128]).into();
        }),
        bad("tile_missing", "no tiles", |w| w.on_bundle = |b| b["tiles"] = json!({})),
        bad("tile_length", "a truncated tile", |w| {
            w.on_bundle = |b| {
                let tile = Base64::decode_vec(b["tiles"]["tile/0/000.p/4"].as_str().unwrap()).unwrap();
                b["tiles"]["tile/0/000.p/4"] = Base64::encode_string(&tile[..96]).into();
            };
        }),
        bad("tile_length", "a tile cut within a hash", |w| {
            w.on_bundle = |b| {
                let tile = Base64::decode_vec(b["tiles"]["tile/0/000.p/4"].as_str().unwrap()).unwrap();
                b["tiles"]["tile/0/000.p/4"] = Base64::encode_string(&tile[..127]).into();
            };
        }),
        bad("checkpoint_unsigned", "the checkpoint is signed by a stranger", |w| w.log_key.secret = 0x52),
        bad("checkpoint_signature_invalid", "the checkpoint changed after it was signed", |w| {
            w.on_bundle = |b| {
                let note = b["checkpoint"].as_str().unwrap().replacen("\n4\n", "\n5\n", 1);
                b["checkpoint"] = note.into();
            };
        }),
        bad("checkpoint_origin_mismatch", "the log's key has signed for another log", |w| {
            w.on_checkpoint = |text| text.replace("releases.example/log", "releases.example/other");
        }),
        bad("checkpoint_invalid", "a size with a leading zero", |w| {
            w.on_checkpoint = |text| text.replacen("\n4\n", "\n04\n", 1);
        }),
        bad("checkpoint_invalid", "a root hash that is too short", |w| {
            w.on_checkpoint = |_| "releases.example/log\n4\nAAAA\n".into();
        }),
        bad("note_invalid", "a checkpoint without signatures", |w| {
            w.on_bundle = |b| {
                let note = b["checkpoint"].as_str().unwrap();
                b["checkpoint"] = note.split_inclusive("\n\n").next().unwrap().into();
            };
        }),
        bad("note_invalid", "a checkpoint that is cut off", |w| {
            w.on_bundle = |b| b["checkpoint"] = b["checkpoint"].as_str().unwrap().trim_end().into();
        }),
        bad("note_invalid", "control characters", |w| {
            w.on_bundle =
                |b| b["checkpoint"] = b["checkpoint"].as_str().unwrap().replace('\n', "\r\n").into();
        }),
        bad("witnesses_below_threshold", "one witness of two has cosigned", |w| {
            witnessed(w);
            w.cosigners.pop();
        }),
        bad("witnesses_below_threshold", "one witness has cosigned twice", |w| {
            witnessed(w);
            w.cosigners[1] = w.cosigners[0].clone();
        }),
        bad("witness_from_future", "a witness has cosigned tomorrow", |w| {
            witnessed(w);
            w.cosigners[0].1 += 86_400;
        }),
    ]
}

/// The state of a client that saw `world` with an older list.
fn older_list(world: &ReleaseFixture) -> Value {
    let mut memory = world.memory();
    memory["list_version"] = 1.into();
    memory
}

/// A list whose payload is changed as text and signed again.
fn resigned(name: &'static str, code: &'static str, change: impl FnOnce(&str) -> String) -> ReleaseCase {
    let mut case = bad(code, name, |_| {});
    let bundle = ReleaseFixture::new().bundle();
    let payload = payload_of(bundle["list"]["envelope"].as_str().unwrap());
    case.bundle = bundle_with_list(&ReleaseFixture::new(), change(&payload).as_bytes());
    case
}

/// Changes an envelope within a bundle.
pub(super) fn edit(entry: &mut Value, change: impl FnOnce(&mut Value)) {
    let mut envelope: Value = serde_json::from_str(entry["envelope"].as_str().unwrap()).unwrap();
    change(&mut envelope);
    entry["envelope"] = envelope.to_string().into();
}

pub(super) fn payload_of(envelope: &str) -> String {
    let envelope: Value = serde_json::from_str(envelope).unwrap();
    String::from_utf8(Base64::decode_vec(envelope["payload"].as_str().unwrap()).unwrap()).unwrap()
}

fn encodings() -> Vec<ReleaseCase> {
    let good = ReleaseFixture::new().bundle().to_string();
    vec![
        resigned("a field twice in the list", "release_json_invalid", |list| {
            list.replacen('{', r#"{"version":9,"#, 1)
        }),
        resigned("a field of the list that is not known", "release_json_invalid", |list| {
            list.replacen('{', r#"{"except":["1.3.0"],"#, 1)
        }),
        resigned("bytes after the list", "release_json_invalid", |list| format!("{list}{{}}")),
        resigned("a version that is not three numbers", "release_json_invalid", |list| {
            list.replace(r#""1.2.0""#, r#""1.2""#)
        }),
        bad("release_field_invalid", "a payload that is no base64", |w| {
            w.on_bundle = |b| {
                let text = b["list"]["envelope"].as_str().unwrap();
                let mut envelope: Value = serde_json::from_str(text).unwrap();
                envelope["payload"] = "?".into();
                b["list"]["envelope"] = envelope.to_string().into();
            };
        }),
        bad("release_document_too_large", "a list of 64 KiB", |w| {
            w.on_bundle = |b| {
                let text = b["list"]["envelope"].as_str().unwrap();
                let padded = format!("{text}{}", " ".repeat(0x1_0000 - text.len()));
                b["list"]["envelope"] = padded.into();
            };
        }),
        bad("release_json_invalid", "a bundle with a tile twice", |_| {})
            .with(|c| c.bundle = good.replace(r#""tiles":{"#, r#""tiles":{"tile/0/000.p/4":"AAAA","#)),
        bad("release_json_invalid", "a bundle with bytes after its end", |_| {}).with(|c| c.bundle.push('}')),
        bad("release_json_invalid", "no bundle at all", |_| {}).with(|c| c.bundle = "<html>".into()),
    ]
}

/// The JSON rule holds in all input, also in unknown fields.
fn json_rule() -> Vec<ReleaseCase> {
    const CODE: &str = "release_json_invalid";
    let bundle = |name, from: &str, to: &str| {
        let good = ReleaseFixture::new().bundle().to_string();
        assert!(good.contains(from), "{from}");
        bad(CODE, name, |_| {}).with(|c| c.bundle = good.replacen(from, to, 1))
    };
    // The list's envelope with an unknown field, which DSSE allows.
    let unknown = |name, value: &str| bad(CODE, name, |_| {}).with(|c| c.bundle = bundle_with_unknown(value));
    let build = |name, value: &str| bad(CODE, name, |_| {}).with(|c| c.bundle = bundle_with_build(value));
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    vec![
        unknown(
            "numbers, texts and names at the ends of what the rule allows",
            r#"[9007199254740991,-9007199254740991,0,null,true,"\ud83d\ude00\u0000",{"":{"":1},"__proto__":{"":2}}]"#,
        )
        .with(is_good),
        unknown("an envelope with 127 levels", &nested(126)).with(is_good),
        unknown("an envelope with 128 levels", &nested(127)),
        build("what the build says may be named like anything", r#"{"__proto__":{"payload":1},"toString":[]}"#)
            .with(is_good),
        resigned("the name of a field is escaped", CODE, |list| {
            list.replacen(r#""version""#, r#""\u0076ersion""#, 1)
        })
        .with(is_good),
        good("a field that may be left out is null", |w| {
            let predicate = &mut w.manifests[1].body["predicate"];
            predicate["development"] = Value::Null;
            predicate["sbom_sha256"] = Value::Null;
        }),
        bad(CODE, "what the build says is null", |w| {
            w.manifests[1].body["predicate"]["build"] = Value::Null;
        }),
        bad(CODE, "a signature whose name is null", |w| {
            w.on_bundle = |b| {
                let text = b["list"]["envelope"].as_str().unwrap();
                let mut envelope: Value = serde_json::from_str(text).unwrap();
                envelope["signatures"][0]["keyid"] = Value::Null;
                b["list"]["envelope"] = envelope.to_string().into();
                relog(b);
            };
        }),
        bundle("a place with a fraction", r#""index":3}"#, r#""index":3.0}"#),
        bundle("a place with an exponent", r#""index":3}"#, r#""index":3e0}"#),
        bundle("a place of minus zero", r#""index":0}"#, r#""index":-0}"#),
        bundle("a negative place", r#""index":0}"#, r#""index":-1}"#),
        bundle("a place that is text", r#""index":3}"#, r#""index":"3"}"#),
        bundle("a byte order mark before the bundle", "{", "\u{feff}{"),
        bundle("a byte order mark before an envelope", r#""envelope":"{"#, "\"envelope\":\"\u{feff}{"),
        bundle("half of a surrogate pair in the bundle", r#""checkpoint":""#, r#""checkpoint":"\ud800"#),
        bundle("a tile twice, spelt in two ways", r#""tiles":{"#, r#""tiles":{"\u0074ile/0/000.p/4":"AAAA","#),
        resigned("a number that not every language can hold", CODE, |list| {
            list.replacen(r#""version":7"#, r#""version":9007199254740992"#, 1)
        }),
        unknown("a large number where nothing looks", "9007199254740992"),
        unknown("a large negative number where nothing looks", "[-9007199254740992]"),
        unknown("a fraction where nothing looks", r#"{"a":0.5}"#),
        unknown("an exponent where nothing looks", "[1E3]"),
        unknown("minus zero where nothing looks", "-0"),
        unknown("a field twice where nothing looks", r#"[{"a":1,"b":{"a":2},"a":3}]"#),
        unknown("a field twice where nothing looks, spelt in two ways", r#"{"a":1,"\u0061":2}"#),
        unknown("the first half of a surrogate pair where nothing looks", r#""\ud83d.""#),
        unknown("the second half of a surrogate pair where nothing looks", r#"{"\ude00":1}"#),
        unknown("the halves of a surrogate pair in the wrong order", r#""\ude00\ud83d""#),
        build("a fraction in what the build says", r#"{"seconds":1.5}"#),
        build("a field twice in what the build says", r#"{"toolchain":{"rustc":"1","rustc":"2"}}"#),
        build("half of a surrogate pair in what the build says", r#"{"host":"\udfff"}"#),
        bad(CODE, "an entry that is a list of its fields", |w| {
            w.on_bundle = |b| b["list"] = json!([b["list"]["index"], b["list"]["envelope"]]);
        }),
        bad(CODE, "an envelope that is a list of its fields", |w| {
            w.on_bundle = |b| {
                let text = b["list"]["envelope"].as_str().unwrap();
                let envelope: Value = serde_json::from_str(text).unwrap();
                let fields = json!([envelope["payloadType"], envelope["payload"], envelope["signatures"]]);
                b["list"]["envelope"] = fields.to_string().into();
                relog(b);
            };
        }),
        bad(CODE, "a role that is a list of its fields", |w| {
            let lists = &mut w.roots[0].body["lists"];
            *lists = json!([lists["threshold"], lists["keys"]]);
        }),
        resigned("a list that is a list of its fields", CODE, |list| {
            let list: Value = serde_json::from_str(list).unwrap();
            let of = |field: &str| list[field].clone();
            let fields = ["version", "product", "issued_at", "expires_at", "minimum_version", "releases"];
            json!(fields.map(of)).to_string()
        }),
    ]
}

/// Expects acceptance of both releases.
pub(super) fn is_good(case: &mut ReleaseCase) {
    case.expected = BOTH;
}

pub(super) fn bundle_with_unknown(value: &str) -> String {
    let mut bundle = ReleaseFixture::new().bundle();
    let envelope = bundle["list"]["envelope"].as_str().unwrap();
    bundle["list"]["envelope"] = envelope.replacen('{', &format!(r#"{{"unknown":{value},"#), 1).into();
    relog(&mut bundle);
    bundle.to_string()
}

fn bundle_with_build(value: &str) -> String {
    let mut bundle = ReleaseFixture::new().bundle();
    let payload = payload_of(bundle["manifests"][0]["envelope"].as_str().unwrap());
    let payload = payload.replacen(r#"{"toolchain":{"rustc":"1.95.0"}}"#, value, 1);
    assert!(payload.contains(value), "{payload}");
    let signed = envelope("application/vnd.in-toto+json", payload.as_bytes(), &BUILDERS[..2]);
    bundle["manifests"][0]["envelope"] = signed.to_string().into();
    relist(&mut bundle, payload.as_bytes());
    bundle.to_string()
}
