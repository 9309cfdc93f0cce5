//! Releases: any bytes as each of the documents, and as a list that is signed and logged. The first byte chooses.
#![no_main]

use std::fmt::Debug;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ok2cry_attest_forge::NOW_MS;
use ok2cry_attest_forge::release::{ReleaseFixture, bundle_with_list, pinned_keys};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_release_verify::{
    Bundle, Envelope, Manifest, ReleaseKey, ReleaseList, ReleaseState, Role, RootDocument, SignerKey,
};
use ok2cry_tlog::{Checkpoint, Note, VerifierKey};

static KEY: LazyLock<ReleaseKey> = LazyLock::new(|| {
    let keys = pinned_keys().iter().map(|key| SignerKey::from_der(&key.der()).expect("a key")).collect();
    ReleaseKey::from_role(Role::new(2, keys).expect("a role"))
});
static ANCHOR: LazyLock<TrustAnchor> = LazyLock::new(TrustAnchor::aws_nitro);
static WORLD: LazyLock<ReleaseFixture> = LazyLock::new(ReleaseFixture::new);

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    match choice % 10 {
        0 => {
            if let Ok(bundle) = Bundle::decode(bytes) {
                same_again(&bundle, Bundle::decode(&bundle.encode()));
                check(&bundle);
            }
        }
        1 => {
            if let Ok(envelope) = Envelope::decode("document", bytes) {
                same_again(&envelope, Envelope::decode("document", &envelope.encode()));
            }
        }
        2 => {
            if let Ok(manifest) = Manifest::decode(bytes) {
                assert!(
                    manifest.measurements().is_ok_and(|m| m.iter().take(3).all(|(_, pcr)| *pcr != [0; 48]))
                );
                same_again(&manifest, Manifest::decode(&manifest.encode()));
            }
        }
        3 => {
            if let Ok(list) = ReleaseList::decode(bytes) {
                same_again(&list, ReleaseList::decode(&list.encode()));
            }
        }
        4 => {
            if let Ok(root) = RootDocument::decode(bytes) {
                assert!(root.root.threshold() >= 1 && root.log.witness_threshold <= root.log.witnesses.len());
                same_again(&root, RootDocument::decode(&root.encode()));
            }
        }
        5 => drop(Note::parse(bytes)),
        6 => {
            if let Some(checkpoint) =
                std::str::from_utf8(bytes).ok().and_then(|text| Checkpoint::parse(text).ok())
            {
                same_again(&checkpoint, Checkpoint::parse(&checkpoint.to_text()));
            }
        }
        7 => {
            if let Some((text, key)) =
                std::str::from_utf8(bytes).ok().and_then(|t| Some((t, VerifierKey::parse(t)?)))
            {
                assert_eq!(key.to_string(), text, "a key has one spelling");
            }
        }
        8 => {
            if let Ok(memory) = ReleaseState::decode(bytes) {
                same_again(&memory, ReleaseState::decode(&memory.encode()));
            }
        }
        // A list of any content, by the list's own key, in the log.
        _ => {
            if let Ok(bundle) = Bundle::decode(bundle_with_list(&WORLD, bytes).as_bytes()) {
                check(&bundle);
            }
        }
    }
});

/// Whatever is accepted is remembered in a form that can be read again, and accepted again.
fn check(bundle: &Bundle) {
    let (mut memory, time) = (ReleaseState::default(), CheckTime::at(NOW_MS));
    if let Ok(accepted) = KEY.check(bundle, &ANCHOR, &mut memory, &time) {
        assert!(!accepted.releases().is_empty() && accepted.ends_ms() > NOW_MS);
        assert!(accepted.releases().iter().all(|release| release.manifest().predicate.development.is_none()));
        let mut again = ReleaseState::decode(&memory.encode()).expect("a memory that was written");
        assert!(KEY.check(bundle, &ANCHOR, &mut again, &time).is_ok());
    }
}

fn same_again<T: Debug + PartialEq, E: Debug + PartialEq>(value: &T, again: Result<T, E>) {
    assert_eq!(again.as_ref(), Ok(value), "what was read, written and read again");
}
