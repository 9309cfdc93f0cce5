//! Settings from environment variables.

use super::{service_links::ServiceLinks, settings::Settings};
use crate::ConfigError;
use clap::{CommandFactory, Parser};

/// The prefix of the variables, without the underscore that follows.
pub(super) const ENV_NAME: &str = "OK2CRY_PARENT";

/// Reads the settings among these variables. Each is parsed as the flag of the same name, so the two cannot
/// differ.
///
/// # Errors
/// [`ConfigError`]: a variable with our prefix is not a setting, or its value is invalid.
pub(super) fn read(variables: impl IntoIterator<Item = (String, String)>) -> Result<Settings, ConfigError> {
    let command = Settings::command();
    let mut settings = Settings::default();
    let is_prefixed =
        |(name, _): &(String, String)| name.strip_prefix(ENV_NAME).is_some_and(|rest| rest.starts_with('_'));
    let variables: Vec<_> = variables.into_iter().filter(is_prefixed).collect();
    let links = ServiceLinks::among(&variables);
    for (variable, value) in variables {
        let name = variable.get(ENV_NAME.len() + 1..).unwrap_or_default();
        let flag = name.to_ascii_lowercase().replace('_', "-");
        let is_setting = name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            && command.get_arguments().any(|argument| argument.get_long() == Some(&flag));
        if !is_setting && links.contains(ENV_NAME, (&variable, &value)) {
            continue;
        }
        if !is_setting {
            return Err(ConfigError::UnknownVariable(variable));
        }
        let argument = format!("--{flag}={value}");
        let parsed = Settings::try_parse_from([env!("CARGO_PKG_NAME"), &argument]);
        let parsed = parsed.map_err(|error| {
            let text = error.to_string();
            let rule = text.lines().next().unwrap_or_default();
            ConfigError::Variable { rule: rule.trim_start_matches("error: ").to_owned(), variable }
        })?;
        settings = settings.or(parsed);
    }
    Ok(settings)
}
