//! Both sides of the limits of lengths and counts: documents, notes, bundles, names and states.

use serde_json::{Map, Value, json};

use super::cases::{ReleaseCase, bad, good, relog};
use super::fixture::{NoteKey, ReleaseFixture, hex};

pub(super) fn cases() -> Vec<ReleaseCase> {
    [envelopes(), counts(), notes(), memories()].concat()
}

/// An envelope is a log entry, whose length has 16 bits.
fn envelopes() -> Vec<ReleaseCase> {
    const CODE: &str = "release_document_too_large";
    fn padded(bundle: &mut Value, unknown: &str, characters: usize) {
        let envelope = bundle["list"]["envelope"].as_str().unwrap();
        let envelope = envelope.replacen('{', &format!(r#"{{"unknown":"{unknown}","#), 1);
        let padding = " ".repeat(characters - envelope.chars().count());
        bundle["list"]["envelope"] = (envelope + &padding).into();
        relog(bundle);
    }
    vec![
        good("an envelope of 65,535 bytes", |w| w.on_bundle = |b| padded(b, "e", 65_535)),
        bad(CODE, "an envelope of 65,536 bytes", |w| w.on_bundle = |b| padded(b, "e", 65_536)),
        bad(CODE, "an envelope of 65,535 characters, which are 65,536 bytes", |w| {
            w.on_bundle = |b| padded(b, "é", 65_535);
        }),
    ]
}

fn counts() -> Vec<ReleaseCase> {
    fn roots(bundle: &mut Value, count: usize) {
        bundle["roots"].as_array_mut().unwrap().resize(count, json!({"index": 0, "envelope": ""}));
    }
    let named = |length: usize| {
        move |w: &mut ReleaseFixture| {
            w.log_key = NoteKey::new(&"n".repeat(length), 1, 0x51);
            w.roots[0].body["log"]["key"] = w.log_key.vkey().into();
        }
    };
    vec![
        bad("release_field_invalid", "33 releases, and two manifests", |w| {
            let listed = |n: u8| json!({"version": format!("1.3.{n}"), "manifest_sha384": hex(&[n; 48])});
            w.list.body["releases"] = (0..33).map(listed).collect();
        }),
        bad("release_json_invalid", "256 root documents, of which the second is none", |w| {
            w.on_bundle = |b| roots(b, 256);
        }),
        bad("release_field_invalid", "257 root documents, of which the second is none", |w| {
            w.on_bundle = |b| roots(b, 257);
        }),
        good("a log whose name has 255 bytes", named(255)),
        bad("release_json_invalid", "a log whose name has 256 bytes", named(256)),
    ]
}

fn notes() -> Vec<ReleaseCase> {
    const CODE: &str = "note_invalid";
    fn padded(text: &str, length: usize) -> String {
        let line = ReleaseFixture::new().log_key.line(text, 0);
        let padding = length - text.len() - 2 - line.len();
        format!("{text}{}\n", "e".repeat(padding))
    }
    fn with_line(bundle: &mut Value, line: &str) {
        bundle["checkpoint"] = (bundle["checkpoint"].as_str().unwrap().to_owned() + line).into();
    }
    fn stranger() -> NoteKey {
        NoteKey::new("stranger.example", 1, 0x90)
    }
    vec![
        good("a note of 65,536 bytes", |w| w.on_checkpoint = |text| padded(&text, 65_536)),
        bad(CODE, "a note of 65,537 bytes", |w| w.on_checkpoint = |text| padded(&text, 65_537)),
        good("a stranger's signature of one byte", |w| {
            w.on_bundle = |b| with_line(b, &stranger().line_with(&[7]));
        }),
        bad(CODE, "a stranger's signature of no bytes", |w| {
            w.on_bundle = |b| with_line(b, &stranger().line_with(&[]));
        }),
        bad(CODE, "a character after the last signature line", |w| w.on_bundle = |b| with_line(b, "x")),
        bad(CODE, "a character in the place of the last newline", |w| {
            w.on_bundle =
                |b| b["checkpoint"] = (b["checkpoint"].as_str().unwrap().trim_end().to_owned() + "x").into();
        }),
        bad(CODE, "a note that is a signature line behind one character", |w| {
            w.on_bundle = |b| b["checkpoint"] = format!("x{}", stranger().line("x", 0)).into();
        }),
        bad("checkpoint_invalid", "a checkpoint without any text", |w| w.on_checkpoint = |_| "\n".into()),
        bad("checkpoint_invalid", "a checkpoint whose origin is empty", |w| {
            w.on_checkpoint = |text| text.replacen("releases.example/log", "", 1);
        }),
        bad("checkpoint_invalid", "a checkpoint of an origin", |w| {
            w.on_checkpoint = |_| "releases.example/log\n".into();
        }),
        bad("checkpoint_invalid", "a checkpoint of an origin and a size", |w| {
            w.on_checkpoint = |_| "releases.example/log\n4\n".into();
        }),
        bad("tile_missing", "a checkpoint of 2^48 entries", |w| {
            w.on_checkpoint = |text| text.replacen("\n4\n", "\n281474976710656\n", 1);
        }),
    ]
}

/// States of clients that pin other keys.
fn memories() -> Vec<ReleaseCase> {
    const CODE: &str = "release_json_invalid";
    let of = |names: Vec<String>| {
        let entry = json!({
            "root_version": 1,
            "root_sha384": null,
            "list_version": 1,
            "list_sha384": null,
            "checkpoint": null,
            "latest_ms": null,
        });
        let memories: Map<_, _> = names.into_iter().map(|name| (name, entry.clone())).collect();
        Some(json!({"memories": memories}))
    };
    let names = |count: u8| (0..count).map(|n| hex(&[n; 48])).collect::<Vec<_>>();
    vec![
        good("32 memories of other keys", |_| {}).with(|c| c.memory = of(names(32))),
        bad(CODE, "33 memories of other keys", |_| {}).with(|c| c.memory = of(names(33))),
        bad(CODE, "a memory of keys whose digest is too short", |_| {})
            .with(|c| c.memory = of(vec!["01".into()])),
        bad(CODE, "a memory of keys whose digest is in capitals", |_| {})
            .with(|c| c.memory = of(vec!["AB".repeat(48)])),
        bad(CODE, "memories beside another field", |_| {}).with(|c| {
            let mut memory = of(names(1));
            memory.as_mut().unwrap()["pinned_sha384"] = Value::Null;
            c.memory = memory;
        }),
        bad("note_invalid", "a memory whose checkpoint is none", |_| {}).with(|c| {
            let mut memory = of(names(1));
            memory.as_mut().unwrap()["memories"][hex(&[0; 48])]["checkpoint"] = "?".into();
            c.memory = memory;
        }),
    ]
}
