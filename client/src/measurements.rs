//! Measurements as `nitro-cli build-enclave` and `describe-eif` print them.

use crate::Error;
use ok2cry_attest_verify::{Error as VerifyError, Measurements, MeasurementsFault};

/// Reads one release's measurements: the object that `nitro-cli` prints, or its inner object alone.
///
/// A leading byte order mark is ignored. Names must be unique at every level.
///
/// # Errors
///
/// [`Error::Measurements`] unless the values are SHA-384 PCRs; [`Error::Trust`] for a set that cannot be used
/// as reference values (no PCR0, zeros).
pub fn from_nitro_cli_json(json: &str) -> Result<Measurements, Error> {
    Measurements::from_nitro_cli_json(json).map_err(|error| match error {
        VerifyError::Measurements(MeasurementsFault::Json { why }) => Error::Measurements(why),
        other => Error::Trust(other),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_nitro_cli_is_read() {
        let inner = format!(
            r#"{{"HashAlgorithm":"Sha384 {{ ... }}","PCR0":"{0}","PCR1":"{0}","PCR2":"{0}"}}"#,
            "ab".repeat(48)
        );
        let outer = format!(r#"{{"Measurements":{inner}}}"#);
        let read = from_nitro_cli_json(&outer).unwrap();
        assert_eq!(read, from_nitro_cli_json(&inner).unwrap());
        assert_eq!(read, from_nitro_cli_json(&format!("\u{feff}{outer}")).unwrap());
        let described = outer.replace("{\"Meas", "{\"EifVersion\":4,\"IsSigned\":false,\"Meas");
        assert_eq!(read, from_nitro_cli_json(&described).unwrap());
        assert_eq!(read.iter().next().unwrap().1, &[0xab; 48]);
    }

    #[test]
    fn a_faulty_file_is_not_a_refused_document() {
        let zeros = format!(r#"{{"PCR0":"{}"}}"#, "0".repeat(96));
        let error = from_nitro_cli_json(&zeros).unwrap_err();
        assert_eq!(error.code(), "measurements_zero");
        assert!(!error.to_string().contains("document"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        let refused = |json: &str| from_nitro_cli_json(json).unwrap_err().code();
        assert_eq!(refused("[]"), "measurements_invalid");
        let pcr = format!(r#""PCR0":"{}""#, "ab".repeat(48));
        for algorithm in ["Sha256", "Sha384/256", "Sha384 { ... }x", "sha384", "Sha384{ ... }", ""] {
            let file = format!(r#"{{"HashAlgorithm":"{algorithm}",{pcr}}}"#);
            assert_eq!(refused(&file), "measurements_invalid", "{algorithm}");
        }
        for file in [
            format!("{{{pcr},{pcr}}}"),
            format!(r#"{{"Measurements":{{{pcr},{pcr}}}}}"#),
            format!(r#"{{"Measurements":{{{pcr}}},"Measurements":{{{pcr}}}}}"#),
            format!(r#"{{"Measurements":[["PCR0","{}"]]}}"#, "ab".repeat(48)),
            format!(r#"{{"Measurements":null,{pcr}}}"#),
            format!("{{{pcr},{}}}", pcr.replace("PCR0", "PCR+1")),
            format!("{{{pcr},{}}}", pcr.replace("PCR0", "PCR01")),
            format!("{{{pcr},{}}}", pcr.replace("PCR0", "PCR100")),
            format!("{{{pcr},\"PCR1\":1}}"),
            format!(r#"{{"Measurements":{{{pcr}}},{pcr}}}"#),
        ] {
            assert_eq!(refused(&file), "measurements_invalid", "{file}");
        }
        assert_eq!(refused(&format!("{{{}}}", pcr.replace("PCR0", "PCR1"))), "measurements_without_pcr0");
        let above = refused(&format!("{{{pcr},{}}}", pcr.replace("PCR0", "PCR32")));
        assert_eq!(above, "measurements_index");
        assert_eq!(refused(r#"{"PCR0":"xy"}"#), "measurements_invalid");
        assert_eq!(refused(r#"{"PCRx":"00"}"#), "measurements_invalid");
        assert!(parse_pcr(&"+f".repeat(48)).is_none());
    }
}
