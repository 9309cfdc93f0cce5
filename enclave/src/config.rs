//! The configuration. In an image it is a file of the measured ramdisk, so that changing it changes PCR2.

use crate::keys::crypto::CryptoProvider;
use ok2cry_protocol::{batch::MAX_BATCH, ids::Purpose};
use serde::Deserialize;
use std::collections::BTreeMap;

/// An enclave's configuration. Unknown keys are errors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The longest time that a key may live, in milliseconds. At most an hour.
    pub max_ttl_ms: u64,
    /// The most live keys.
    pub capacity: usize,
    /// The most tombstones while all keys live. At the limit, issue is refused until one is removed.
    #[serde(default = "default_tombstones")]
    pub max_tombstones: usize,
    /// The most bytes of sealed replies that are kept for retries.
    #[serde(default = "default_reply_budget")]
    pub reply_budget_bytes: usize,
    /// The most recipients with a reply context.
    #[serde(default = "default_contexts")]
    pub max_reply_contexts: usize,
    /// The most records in one attestation document, unless one request has more. With 1, each request has
    /// its own.
    #[serde(default = "default_batch")]
    pub max_batch: usize,
    /// The most streams from the parent.
    #[serde(default = "default_connections")]
    pub max_connections: usize,
    /// The provider of elliptic-curve keys. A provider that this build does not have is an error.
    #[serde(default)]
    pub crypto_provider: CryptoProvider,
    /// The vsock port to listen on (the device provider only).
    #[serde(default = "default_port")]
    pub vsock_port: u32,
    /// The purposes of keys. A purpose that is not listed does not exist.
    pub purposes: BTreeMap<String, PurposeConfig>,
    /// The checks that a development image skips. A release image has none of these.
    #[serde(default)]
    pub development: Development,
}

/// Checks that a development image skips, one per flag. The flags are measured, so such an image cannot pass
/// for a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Development {
    /// The Nitro Secure Module's documents may chain to any root, such as an emulator's.
    #[serde(default)]
    pub any_root: bool,
    /// The kernel may use another clock source than kvm-clock, which emulators do not have.
    #[serde(default)]
    pub any_clock_source: bool,
    /// PCR0, 1 and 2 may be zero, as in debug mode, in which the host reads the console.
    #[serde(default)]
    pub debug_mode: bool,
}

impl Development {
    /// The skipped checks in words; `None` for a release image.
    pub fn dropped(self) -> Option<String> {
        let flags = [
            (self.any_root, "the root of attestation"),
            (self.any_clock_source, "the clock source"),
            (self.debug_mode, "debug mode"),
        ];
        let dropped: Vec<_> = flags.iter().filter(|(on, _)| *on).map(|(_, what)| *what).collect();
        if dropped.is_empty() { None } else { Some(dropped.join(", ")) }
    }
}

/// The rules of one purpose.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurposeConfig {
    /// Whether the caller of open may get the plaintext.
    #[serde(default)]
    pub caller: bool,
    /// The longest ttl for this purpose, in milliseconds, if it is shorter than the general one.
    pub max_ttl_ms: Option<u64>,
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not valid TOML, or has other fields than expected.
    #[error("the configuration is not valid: {0}")]
    Syntax(String),
    /// A value is outside its limits.
    #[error("the configuration's {field} {rule}")]
    Value {
        /// The key.
        field: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// The longest `max_ttl_ms` that any configuration may have: an hour.
pub const TTL_LIMIT_MS: u64 = 3_600_000;

impl Config {
    /// Reads a configuration.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|e| ConfigError::Syntax(e.message().to_owned()))?;
        config.check()?;
        Ok(config)
    }

    /// The rules of `purpose`; `None` if there is no such purpose.
    pub fn rules(&self, purpose: &Purpose) -> Option<PurposeRules> {
        let rules = self.purposes.get(purpose.as_str())?;
        Some(PurposeRules { caller: rules.caller, max_ttl_ms: rules.max_ttl_ms.unwrap_or(self.max_ttl_ms) })
    }

    fn check(&self) -> Result<(), ConfigError> {
        let within = |field: &str, ok: bool, rule| {
            if ok { Ok(()) } else { Err(ConfigError::Value { field: field.to_owned(), rule }) }
        };
        within("max_ttl_ms", (1..=TTL_LIMIT_MS).contains(&self.max_ttl_ms), "must be 1 to 3600000")?;
        within("capacity", (1..=10_000_000).contains(&self.capacity), "must be 1 to 10000000")?;
        within("max_tombstones", (1..=100_000_000).contains(&self.max_tombstones), "must be 1 to 100000000")?;
        within("max_reply_contexts", self.max_reply_contexts > 0, "must not be 0")?;
        within("max_batch", (1..=MAX_BATCH).contains(&(self.max_batch as u64)), "must be 1 to 4096")?;
        within("max_connections", (1..=1024).contains(&self.max_connections), "must be 1 to 1024")?;
        within("reply_budget_bytes", self.reply_budget_bytes >= 65_536, "must be 65536 or more")?;
        within("purposes", !self.purposes.is_empty(), "must have one entry at least")?;
        for (name, rules) in &self.purposes {
            within(
                &format!("purposes.{name}"),
                Purpose::new(name).is_ok(),
                "must be 1 to 64 of [a-z0-9._-]",
            )?;
            let ttl_ok = rules.max_ttl_ms.is_none_or(|ttl| (1..=self.max_ttl_ms).contains(&ttl));
            within(&format!("purposes.{name}.max_ttl_ms"), ttl_ok, "must be 1 to the general max_ttl_ms")?;
        }
        Ok(())
    }
}

/// The rules of one purpose, with defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurposeRules {
    /// Whether the caller of open may get the plaintext.
    pub caller: bool,
    /// The longest ttl, in milliseconds.
    pub max_ttl_ms: u64,
}

fn default_tombstones() -> usize {
    1_000_000
}

fn default_reply_budget() -> usize {
    64 << 20
}

fn default_contexts() -> usize {
    4096
}

fn default_batch() -> usize {
    4096
}

fn default_connections() -> usize {
    16
}

fn default_port() -> u32 {
    5000
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "max_ttl_ms = 300000\ncapacity = 1000\n[purposes.card-pin]\n";

    fn field(text: &str) -> String {
        match Config::from_toml(text) {
            Err(ConfigError::Value { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_purpose_has_its_own_rules_or_the_general_ones() {
        let text = format!("{GOOD}[purposes.open-box]\ncaller = true\nmax_ttl_ms = 5000\n");
        let config = Config::from_toml(&text).unwrap();
        let rules = |p| config.rules(&Purpose::new(p).unwrap());
        assert_eq!(rules("card-pin"), Some(PurposeRules { caller: false, max_ttl_ms: 300_000 }));
        assert_eq!(rules("open-box"), Some(PurposeRules { caller: true, max_ttl_ms: 5000 }));
        assert_eq!(rules("other"), None);
    }

    /// The rows of the table of keys in docs/image.md: key, default, allowed values.
    fn documented() -> Vec<[String; 3]> {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/image.md")).unwrap();
        let section = page.split("\n## Configuration\n").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            let mut cells = row.split('|').skip(1).map(|cell| cell.trim().replace(['`', ','], ""));
            [(); 3].map(|()| cells.next().unwrap())
        })
        .collect()
    }

    /// A good configuration in which the key has this value.
    fn with(key: &str, value: &str) -> String {
        let good = GOOD.lines().filter(|line| !line.starts_with(&format!("{key} = ")));
        let good = good.collect::<Vec<_>>().join("\n");
        // The last line of the good one is `[purposes.card-pin]`.
        match key.rsplit_once('.') {
            None => format!("{key} = {value}\n{good}"),
            Some(("purposes.NAME", key)) => format!("{good}\n{key} = {value}"),
            Some((table, key)) => format!("{good}\n[{table}]\n{key} = {value}"),
        }
    }

    #[test]
    fn the_documented_keys_are_those_that_exist() {
        let named: std::collections::BTreeSet<_> = documented().into_iter().map(|[key, ..]| key).collect();
        // The message for an unknown key lists the known ones.
        let fields = |table: &str, text: String| {
            let Err(ConfigError::Syntax(message)) = Config::from_toml(&text) else { panic!("{text}") };
            let known = message.split("expected ").nth(1).unwrap().split('`').skip(1).step_by(2);
            known.map(|key| format!("{table}{key}")).collect::<Vec<_>>()
        };
        let mut known = fields("", with("colour", "1"));
        known.retain(|key| key != "purposes" && key != "development");
        known.extend(fields("purposes.NAME.", with("purposes.NAME.colour", "1")));
        known.extend(fields("development.", with("development.colour", "1")));
        assert_eq!(named, known.into_iter().collect());
    }

    #[test]
    fn documented_defaults_and_ranges_hold() {
        for [key, default, allowed] in documented() {
            if default != "none" {
                let set = Config::from_toml(&with(&key, &default));
                let plain = Config::from_toml(GOOD);
                assert_eq!(format!("{set:?}"), format!("{plain:?}"), "the default of {key}");
            }
            let words: Vec<_> = allowed.split(' ').collect();
            let bound = |word: &str| word.parse::<u64>().unwrap();
            let (low, high) = match words[..] {
                [low, "to", high] => (bound(low), Some(bound(high))),
                [low, "or", "more"] => (bound(low), None),
                _ => continue,
            };
            let is_ok = |value: u64| Config::from_toml(&with(&key, &value.to_string())).is_ok();
            assert!(is_ok(low) && !is_ok(low.wrapping_sub(1)), "{key} from {low}");
            assert!(high.is_none_or(|high| is_ok(high) && !is_ok(high + 1)), "{key} to {high:?}");
        }
    }

    #[test]
    fn the_provider_is_one_of_this_build_and_portable_by_default() {
        assert_eq!(Config::from_toml(GOOD).unwrap().crypto_provider, CryptoProvider::Portable);
        for provider in CryptoProvider::ALL {
            let config = Config::from_toml(&format!("crypto_provider = \"{provider}\"\n{GOOD}")).unwrap();
            assert_eq!(config.crypto_provider, *provider);
        }
        let aws_lc = Config::from_toml(&format!("crypto_provider = \"aws-lc\"\n{GOOD}"));
        assert_eq!(aws_lc.is_ok(), cfg!(feature = "aws-lc"));
    }

    #[test]
    fn no_check_is_skipped_unless_the_configuration_says_so() {
        let config = Config::from_toml(GOOD).unwrap();
        assert_eq!((config.development, config.development.dropped()), (Development::default(), None));
        let text = format!("{GOOD}[development]\nany_clock_source = true\ndebug_mode = true\n");
        let development = Config::from_toml(&text).unwrap().development;
        assert!(!development.any_root);
        assert_eq!(development.dropped().unwrap(), "the clock source, debug mode");
        let unknown = Config::from_toml(&format!("{GOOD}[development]\nany_rng = true\n"));
        assert!(matches!(unknown, Err(ConfigError::Syntax(m)) if m.contains("any_rng")));
    }

    #[test]
    fn invalid_configurations_are_refused() {
        assert!(matches!(Config::from_toml("x"), Err(ConfigError::Syntax(_))));
        let unknown = Config::from_toml(&format!("colour = 1\n{GOOD}"));
        assert!(matches!(unknown, Err(ConfigError::Syntax(m)) if m.contains("colour")));
        for wrong in
            ["crypto_provider = \"openssl\"", "crypto_provider = \"Portable\"", "crypto_provider = 1"]
        {
            let refused = Config::from_toml(&format!("{wrong}\n{GOOD}"));
            assert!(matches!(refused, Err(ConfigError::Syntax(_))), "{wrong}");
        }
        assert_eq!(field(&GOOD.replace("300000", "0")), "max_ttl_ms");
        assert_eq!(field(&GOOD.replace("300000", "3600001")), "max_ttl_ms");
        assert_eq!(field(&GOOD.replace("= 1000", "= 0")), "capacity");
        assert_eq!(field(&GOOD.replace("card-pin", "\"Card PIN\"")), "purposes.Card PIN");
        assert_eq!(field(&format!("{GOOD}max_ttl_ms = 300001\n")), "purposes.card-pin.max_ttl_ms");
        for batch in ["0", "4097"] {
            assert_eq!(field(&format!("max_batch = {batch}\n{GOOD}")), "max_batch");
        }
        assert_eq!(field("max_ttl_ms = 1\ncapacity = 1\n[purposes]\n"), "purposes");
    }
}
