//! Prints documents for people, before they sign and from a log, with times and named keys.

use crate::Error;
use ok2cry_release::{
    moment,
    publication::{PublicationFault, Site},
};
use ok2cry_release_verify::{
    Bundle, Envelope, LIST_PAYLOAD_TYPE, Manifest, Predicate, ROOT_PAYLOAD_TYPE, ReleaseList, Role,
    RootDocument, STATEMENT_PAYLOAD_TYPE, SignerKey,
};
use ok2cry_tlog::VerifierKey;
use serde_json::Value;

/// A document's content, times and signatures. Keys are named by `root`; a root document names its own.
pub(crate) fn document(
    envelope: &Envelope,
    root: Option<&RootDocument>,
    now_ms: u64,
) -> Result<String, Error> {
    let unknown = || PublicationFault::Kind(envelope.payload_type().chars().take(100).collect());
    let payload = envelope.unverified_payload();
    let value: Value = serde_json::from_slice(payload).map_err(|_| unknown())?;
    // Written JSON escapes terminal control characters.
    let mut said = vec![serde_json::to_string_pretty(&value).unwrap_or_default()];
    said.extend(times(&value, now_ms));
    let own = match envelope.payload_type() {
        ROOT_PAYLOAD_TYPE => Some(RootDocument::decode(payload)?),
        _ => None,
    };
    said.extend(own.iter().flat_map(keys));
    said.extend(match role(envelope, own.as_ref().or(root)) {
        Some((name, role)) => signatures(envelope, name, role),
        None => envelope.key_ids().map(|id| format!("a signature names {}", named(id))).collect(),
    });
    if envelope.key_ids().next().is_none() {
        said.push("not signed yet".into());
    }
    Ok(said.join("\n"))
}

/// Every document in the log, listed or not, and whether it is signed as the newest root document requires.
pub(crate) fn entries(site: &Site, bundle: &Bundle) -> Result<Vec<String>, Error> {
    let newest = bundle.roots.last().ok_or(PublicationFault::NoRoot)?;
    let newest = Envelope::decode("root", newest.envelope.as_bytes())?;
    let root = RootDocument::decode(newest.unverified_payload())?;
    let lines = site.entries().iter().enumerate();
    Ok(lines
        .map(|(n, entry)| format!("entry {n}: {}", about(entry, &root).unwrap_or("something else".into())))
        .collect())
}

fn about(entry: &[u8], root: &RootDocument) -> Option<String> {
    let envelope = Envelope::decode("entry", entry).ok()?;
    let payload = envelope.unverified_payload();
    Some(match envelope.payload_type() {
        ROOT_PAYLOAD_TYPE => {
            let root = RootDocument::decode(payload).ok()?;
            format!("root document {}, until {}", root.version, moment::shown(root.expires_at))
        }
        LIST_PAYLOAD_TYPE => {
            let list = ReleaseList::decode(payload).ok()?;
            let versions: Vec<_> = list.releases.iter().map(|release| release.version.to_string()).collect();
            let versions = if versions.is_empty() { "nothing".into() } else { versions.join(", ") };
            let (from, until) = (moment::shown(list.issued_at), moment::shown(list.expires_at));
            let by = by(&envelope, "list key", &root.lists);
            format!("list {} of {versions}, from {from} until {until}, {by}", list.version)
        }
        STATEMENT_PAYLOAD_TYPE => {
            let Predicate { version, source, created_at, .. } = Manifest::decode(payload).ok()?.predicate;
            let (at, by) = (moment::shown(created_at), by(&envelope, "builder", &root.manifests));
            format!("manifest of {version}, commit {}, of {at}, {by}", source.commit)
        }
        _ => return None,
    })
}

fn by(envelope: &Envelope, name: &str, role: &Role) -> String {
    match envelope.verify("entry", envelope.payload_type(), role) {
        Ok(_) => {
            let who = |id: &str| position(role, id).map(|at| format!("{name} {at} ({})", short(id)));
            let who: Vec<_> = envelope.key_ids().filter_map(who).collect();
            format!("signed by present keys: {}", who.join(", "))
        }
        Err(error) => {
            let who: Vec<_> = envelope.key_ids().map(named).collect();
            let who = if who.is_empty() { "nothing".into() } else { who.join(", ") };
            format!("not signed by enough present keys: {error}; its signatures name {who}")
        }
    }
}

/// The times in a document, which are in Unix milliseconds.
fn times(value: &Value, now_ms: u64) -> Vec<String> {
    let line = |name: &str| {
        let ms = value.get(name).or_else(|| value.get("predicate")?.get(name))?.as_u64()?;
        let away = match ms.checked_sub(now_ms) {
            Some(ahead) => format!("in {}", moment::length(ahead)),
            None => format!("{} ago", moment::length(now_ms.saturating_sub(ms))),
        };
        Some(format!("{name} is {}, {away}", moment::shown(ms)))
    };
    ["created_at", "issued_at", "expires_at"].into_iter().filter_map(line).collect()
}

/// The keys of a root document, with the ids that signatures and notes use.
fn keys(root: &RootDocument) -> Vec<String> {
    let roles = [("root key", &root.root), ("builder", &root.manifests), ("list key", &root.lists)];
    let mut lines = Vec::new();
    for (name, role) in roles {
        let ids = role.keys().iter().map(SignerKey::id);
        lines.extend((1..).zip(ids).map(|(at, id)| format!("{name} {at} is {id}")));
        lines.push(format!("{} of {} {name}s must sign", role.threshold(), role.keys().len()));
    }
    let of_log = |key: &VerifierKey| format!("{} ({:08x})", key.name(), u32::from_be_bytes(key.id()));
    lines.push(format!("the log is {}", of_log(&root.log.key)));
    lines.extend(root.log.witnesses.iter().map(|key| format!("a witness is {}", of_log(key))));
    lines
}

/// The role that signs documents of this kind.
fn role<'a>(envelope: &Envelope, root: Option<&'a RootDocument>) -> Option<(&'static str, &'a Role)> {
    let root = root?;
    match envelope.payload_type() {
        ROOT_PAYLOAD_TYPE => Some(("root key", &root.root)),
        LIST_PAYLOAD_TYPE => Some(("list key", &root.lists)),
        STATEMENT_PAYLOAD_TYPE => Some(("builder", &root.manifests)),
        _ => None,
    }
}

fn signatures(envelope: &Envelope, name: &str, role: &Role) -> Vec<String> {
    let line = |id: &str| {
        let Some(at) = position(role, id) else {
            return format!("a signature names {}, which is not a known {name}", named(id));
        };
        let key = role.keys().iter().find(|key| key.id() == id).cloned();
        let only = key.and_then(|key| Role::new(1, vec![key]).ok());
        let verified = only.map(|only| envelope.verify("document", envelope.payload_type(), &only));
        match verified {
            Some(Ok(_)) => format!("signed by {name} {at} ({id})"),
            _ => format!("A SIGNATURE NAMES {name} {at} ({id}) AND IS NOT BY IT"),
        }
    };
    envelope.key_ids().map(line).collect()
}

fn position(role: &Role, id: &str) -> Option<usize> {
    role.keys().iter().position(|key| key.id() == id).map(|at| at + 1)
}

/// A `keyid`. It is the sender's text, so it is escaped.
fn named(id: &str) -> String {
    match id {
        "" => "no key (its keyid is missing)".into(),
        id => id.chars().take(64).flat_map(char::escape_default).collect(),
    }
}

fn short(id: &str) -> &str {
    id.get(..16).unwrap_or(id)
}
