//! Reports about a document, as text and as JSON.
//!
//! Refused documents are not shown: their contents are not authenticated.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use ok2cry_attest_verify::{AcceptedDocument, AppraisalFault, CheckTime, Error, Provider, TrustAnchor};
use serde_json::{Value, json};

use crate::style::{bad, faint, good, label, warn};

/// What was checked besides the document being genuine.
pub(crate) struct Checks {
    pub(crate) pcrs: Vec<u8>,
    /// The measurements file that matched.
    pub(crate) measurements: Option<String>,
    pub(crate) max_age_ms: Option<u64>,
    pub(crate) nonce: bool,
    pub(crate) user_data: bool,
    pub(crate) debug: bool,
    pub(crate) historical: bool,
    pub(crate) own_root: bool,
    pub(crate) provider: Provider,
}

pub(crate) struct Report<'a> {
    document: &'a AcceptedDocument<'a>,
    time: CheckTime,
    anchor: &'a TrustAnchor,
    checks: Checks,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        document: &'a AcceptedDocument<'a>,
        time: CheckTime,
        anchor: &'a TrustAnchor,
        checks: Checks,
    ) -> Self {
        Self { document, time, anchor, checks }
    }

    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut out);
        out
    }

    pub(crate) fn json(&self) -> String {
        let document = self.document;
        let pcrs: serde_json::Map<_, _> =
            document.pcrs().iter().map(|(index, value)| (index.to_string(), hex(value).into())).collect();
        let chain: Vec<_> = document
            .chain()
            .map(|certificate| {
                json!({
                    "subject": certificate.subject(),
                    "serial": hex(certificate.serial()),
                    "not_before": rfc3339(certificate.not_before_ms()),
                    "not_after": rfc3339(certificate.not_after_ms()),
                })
            })
            .collect();
        let value = json!({
            "verdict": "accepted",
            "reason": Value::Null,
            "checked_at": rfc3339(self.time.now_ms),
            "provider": self.checks.provider.name(),
            "root_sha256": hex(&self.anchor.fingerprint()),
            "checked": self.checked(),
            "not_checked": self.not_checked(),
            "document": {
                "module_id": document.module_id(),
                "region": self.region(),
                "timestamp": rfc3339(document.timestamp_ms()),
                "timestamp_ms": document.timestamp_ms(),
                "age_ms": self.age_ms(),
                "debug": document.is_debug(),
                "pcrs": pcrs,
                "public_key": document.public_key().map(hex),
                "user_data": document.user_data().map(hex),
                "nonce": document.nonce().map(hex),
                "chain": chain,
            },
        });
        format!("{value:#}\n")
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let document = self.document;
        match document.is_debug() {
            true => writeln!(out, "{}\n", bad("accepted (a DEBUG enclave)"))?,
            false => writeln!(out, "{}\n", good("accepted"))?,
        }
        writeln!(out, "{} {}", label("module"), document.module_id().escape_debug())?;
        if let Some(region) = self.region() {
            writeln!(out, "{} {}", label("region"), region.escape_debug())?;
        }
        let age = duration(self.age_ms());
        let now = match self.checks.historical {
            true => "used as the present time".to_owned(),
            false => format!("{age:#} before {}", rfc3339(self.time.now_ms)),
        };
        writeln!(out, "{} {} ({now})", label("time"), rfc3339(document.timestamp_ms()))?;
        self.write_pcrs(out)?;
        for (name, value) in [
            ("public key", document.public_key()),
            ("user data", document.user_data()),
            ("nonce", document.nonce()),
        ] {
            if let Some(value) = value {
                writeln!(out, "{} {} ({} bytes)", label(name), hex(value), value.len())?;
            }
        }
        for (index, certificate) in document.chain().enumerate() {
            let title = if index == 0 { "chain" } else { "" };
            let name = certificate.common_name().map_or_else(|| certificate.subject(), str::to_owned);
            let (from, to) = (rfc3339(certificate.not_before_ms()), rfc3339(certificate.not_after_ms()));
            writeln!(out, "{} {from} to {to}  {}", label(title), faint(&name.escape_debug().to_string()))?;
        }
        for check in self.checked() {
            writeln!(out, "{} {check}", label("checked"))?;
        }
        for gap in self.not_checked() {
            writeln!(out, "{}  {gap}", warn("UNCHECKED"))?;
        }
        Ok(())
    }

    fn write_pcrs(&self, out: &mut String) -> std::fmt::Result {
        let is_zero = |value: &[u8]| value.iter().all(|byte| *byte == 0);
        for (index, value) in self.document.pcrs().iter().filter(|(_, value)| !is_zero(*value)) {
            let name = match index {
                0 => "image",
                1 => "kernel and boot ramdisk",
                2 => "application",
                3 => "IAM role of the parent",
                4 => "parent instance",
                8 => "signing certificate",
                _ => "",
            };
            let name = if name.is_empty() { String::new() } else { format!("  {}", faint(name)) };
            writeln!(out, "{} {}{name}", label(&format!("PCR{index}")), hex(value))?;
        }
        let zero = self.document.pcrs().iter().filter(|(_, value)| is_zero(*value));
        let zero: Vec<_> = zero.map(|(index, _)| index.to_string()).collect();
        if !zero.is_empty() {
            writeln!(out, "{} {}", label("zero PCRs"), zero.join(" "))?;
        }
        Ok(())
    }

    fn checked(&self) -> Vec<String> {
        let root = if self.checks.own_root { "the root given" } else { "AWS's root" };
        let mut checked = vec![
            "encoding, fields and lengths".to_owned(),
            format!("certificate chain to {root}, sha256 {}", hex(&self.anchor.fingerprint())),
            format!("signature of the document (ECDSA by {})", self.checks.provider.name()),
        ];
        if self.checks.historical {
            checked.push("every certificate valid at the document's own time".to_owned());
        } else {
            checked.push(format!("every certificate valid at {}", rfc3339(self.time.now_ms)));
        }
        if self.checks.debug {
            checked.push("not a debug enclave".to_owned());
        }
        if !self.checks.pcrs.is_empty() {
            let indices: Vec<_> = self.checks.pcrs.iter().map(u8::to_string).collect();
            let place = self.checks.measurements.as_ref();
            let place = place.map_or("expected".to_owned(), |file| format!("in {}", file.escape_debug()));
            checked.push(format!("PCR {} as {place}", indices.join(" ")));
        }
        if let Some(max_age_ms) = self.checks.max_age_ms {
            checked.push(format!("not older than {:#}", duration(max_age_ms)));
        }
        for (asked, name) in [(self.checks.nonce, "nonce"), (self.checks.user_data, "user data")] {
            if asked {
                checked.push(format!("{name} as expected"));
            }
        }
        checked
    }

    fn not_checked(&self) -> Vec<String> {
        let gaps = [
            (self.checks.pcrs.is_empty(), "which image this is (--insecure-without-pcrs)"),
            (!self.checks.debug, "whether it is a debug enclave (--insecure-allow-debug)"),
            (self.checks.historical, "whether it is valid now (--at document)"),
            (
                self.checks.max_age_ms.is_none() && !self.checks.historical,
                "age, beyond its certificates' validity (no --max-age)",
            ),
            (!self.checks.nonce, "nonce (no --nonce)"),
            (!self.checks.user_data, "user data (no --user-data)"),
        ];
        gaps.into_iter().filter(|(gap, _)| *gap).map(|(_, text)| text.to_owned()).collect()
    }

    /// A leaf is named `<module_id>.<region>.aws`.
    fn region(&self) -> Option<&'a str> {
        let name = self.document.leaf().common_name()?;
        name.strip_prefix(self.document.module_id())?.strip_prefix('.')?.strip_suffix(".aws")
    }

    fn age_ms(&self) -> u64 {
        self.time.now_ms.saturating_sub(self.document.timestamp_ms())
    }
}

pub(crate) fn refusal_text(error: &Error, hint: Option<&str>) -> String {
    let mut text = format!("{}: {}: {error}\n", bad("refused"), error.code());
    if let Some(hint) = hint {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {hint}", warn("hint"));
    }
    text
}

pub(crate) fn refusal_json(error: &Error, hint: Option<&str>) -> String {
    let mut value = json!({ "verdict": "refused", "reason": error.code(), "message": error.to_string() });
    if let Some(hint) = hint {
        insert(&mut value, "hint", hint.into());
    }
    if let Error::Appraisal(AppraisalFault::Pcrs { differing }) = error {
        let differing = differing.iter().map(|pcr| {
            json!({
                "pcr": pcr.index,
                "expected": hex(&pcr.expected),
                "found": pcr.found.as_ref().map(|found| hex(found)),
            })
        });
        insert(&mut value, "differing", differing.collect());
    }
    format!("{value:#}\n")
}

/// JSON without a verdict. `reason` is not the code of a rule.
pub(crate) fn failure_json(reason: &str, message: &str) -> String {
    let value = json!({ "verdict": Value::Null, "reason": reason, "message": message });
    format!("{value:#}\n")
}

fn insert(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn duration(ms: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

pub(crate) fn rfc3339(ms: u64) -> String {
    let timestamp = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(|| format!("{ms} ms"), |timestamp| timestamp.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
