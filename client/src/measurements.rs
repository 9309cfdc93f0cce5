//! Measurements as `nitro-cli build-enclave` and `describe-eif` print them.

use crate::Error;
use ok2cry_attest_verify::Measurements;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Reads one release's measurements: `{"Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0": "…", …}}`, or
/// the inner object alone.
///
/// # Errors
///
/// [`Error::Measurements`] for anything else than SHA-384 PCRs; [`Error::Document`] for a set that cannot be used
/// as reference values (no PCR0, zeros).
pub fn from_nitro_cli_json(json: &str) -> Result<Measurements, Error> {
    let bad = |m: String| Error::Measurements(m);
    let File { measurements } = match serde_json::from_str(json) {
        Ok(file) => file,
        Err(_) => File { measurements: serde_json::from_str(json).map_err(|e| bad(e.to_string()))? },
    };
    let mut pcrs = Vec::new();
    for (name, value) in measurements {
        if name == "HashAlgorithm" {
            if !value.starts_with("Sha384") {
                return Err(bad(format!("HashAlgorithm is {value:?}, not Sha384")));
            }
            continue;
        }
        let index = name
            .strip_prefix("PCR")
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| bad(format!("{name:?} is no PCR")))?;
        pcrs.push((index, parse_pcr(&value).ok_or_else(|| bad(format!("{name} is not 96 hex digits")))?));
    }
    Ok(Measurements::new(pcrs)?)
}

/// Reads one PCR: 96 hex digits.
pub fn parse_pcr(hex: &str) -> Option<[u8; 48]> {
    let digits = hex.as_bytes();
    if digits.len() != 96 {
        return None;
    }
    let mut pcr = [0; 48];
    for (byte, pair) in pcr.iter_mut().zip(digits.chunks(2)) {
        let pair = core::str::from_utf8(pair).ok().filter(|p| p.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(pcr)
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "Measurements")]
    measurements: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nitro_clis_own_form_is_read() {
        let inner = format!(
            r#"{{"HashAlgorithm":"Sha384 {{ ... }}","PCR0":"{0}","PCR1":"{0}","PCR2":"{0}"}}"#,
            "ab".repeat(48)
        );
        let outer = format!(r#"{{"Measurements":{inner}}}"#);
        let read = from_nitro_cli_json(&outer).unwrap();
        assert_eq!(read, from_nitro_cli_json(&inner).unwrap());
        assert_eq!(read.iter().next().unwrap().1, &[0xab; 48]);
    }

    #[test]
    fn anything_else_is_refused() {
        let refused = |json: &str| from_nitro_cli_json(json).unwrap_err().code();
        assert_eq!(refused("[]"), "measurements_invalid");
        assert_eq!(refused(r#"{"HashAlgorithm":"Sha256"}"#), "measurements_invalid");
        assert_eq!(refused(r#"{"PCR0":"xy"}"#), "measurements_invalid");
        assert_eq!(refused(r#"{"PCRx":"00"}"#), "measurements_invalid");
        assert!(parse_pcr(&"+f".repeat(48)).is_none());
    }
}
