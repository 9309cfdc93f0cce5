//! Measurements as `nitro-cli build-enclave` and `describe-eif` print them.

use serde_json::{Map, Value};

use crate::document::PCR_LEN;
use crate::error::{Error, MeasurementsFault};
use crate::measurements::Measurements;
use crate::strict_json::{self, shown};

impl Measurements {
    /// Reads the measurements of one release: `{"Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0":
    /// "…", …}}` with the other fields that `nitro-cli` prints, or the inner object alone.
    ///
    /// Values are 96 hexadecimal digits of either case. `HashAlgorithm` may be absent. The JSON must obey the
    /// rule of release documents (`docs/releases.md`). A byte order mark before it is allowed.
    ///
    /// # Errors
    ///
    /// [`MeasurementsFault::Json`] for anything else, also for a repeated name, and the errors of
    /// [`Measurements::new`].
    pub fn from_nitro_cli_json(json: &str) -> Result<Self, Error> {
        let json = json.strip_prefix('\u{feff}').unwrap_or(json);
        let all = match strict_json::read(json.as_bytes()) {
            Ok(Value::Object(all)) => all,
            Ok(_) => return Err(refused("expected a JSON object")),
            Err(error) => return Err(refused(&format!("expected JSON of nitro-cli: {error}"))),
        };
        let Some(inner) = all.get("Measurements") else { return Self::from_entries(&all) };
        if let Some(name) = all.keys().find(|name| is_entry(name)) {
            return Err(refused(&format!("{name} stands beside Measurements, and belongs into it")));
        }
        match inner {
            Value::Object(entries) => Self::from_entries(entries),
            _ => Err(refused("Measurements must be an object")),
        }
    }

    fn from_entries(entries: &Map<String, Value>) -> Result<Self, Error> {
        let mut pcrs = Vec::new();
        for (name, value) in entries {
            let Value::String(value) = value else {
                return Err(refused(&format!("{:?} must be a text", shown(name))));
            };
            match pcr_index(name) {
                Some(index) => {
                    let value = pcr_value(value)
                        .ok_or_else(|| refused(&format!("PCR{index} must be 96 hexadecimal digits")))?;
                    pcrs.push((index, value));
                }
                None if name == "HashAlgorithm" => check_algorithm(value)?,
                None => {
                    return Err(refused(&format!(
                        "expected HashAlgorithm and PCR0 to PCR31, found {:?}",
                        shown(name)
                    )));
                }
            }
        }
        Self::new(pcrs)
    }
}

/// Accepts what `nitro-cli` writes for SHA-384, and the bare name. `Sha384/256` is another algorithm.
fn check_algorithm(name: &str) -> Result<(), Error> {
    match name {
        "Sha384" | "Sha384 { ... }" => Ok(()),
        other => {
            Err(refused(&format!("HashAlgorithm must be \"Sha384 {{ ... }}\", found {:?}", shown(other))))
        }
    }
}

fn is_entry(name: &str) -> bool {
    name == "HashAlgorithm" || pcr_index(name).is_some()
}

/// The number of `PCR0` to `PCR99`, without leading zeros.
fn pcr_index(name: &str) -> Option<u8> {
    let digits = name.strip_prefix("PCR")?;
    let index = digits.parse().ok()?;
    (digits.len() <= 2 && digits == u8::to_string(&index)).then_some(index)
}

fn pcr_value(digits: &str) -> Option<[u8; PCR_LEN]> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}

fn refused(why: &str) -> Error {
    Error::Measurements(MeasurementsFault::Json { why: why.to_owned() })
}
