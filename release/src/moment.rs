//! Times as text: UTC, RFC 3339.

use jiff::Timestamp;

/// Unix milliseconds as `2026-11-28T03:37:04Z`; as the number alone beyond the year 9999.
#[must_use]
pub fn shown(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| format!("{ms} ms"), |time| format!("{time:.0}"))
}

/// Reads `2026-11-28T03:37:04Z` (any offset), or Unix milliseconds, as release documents hold.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    u64::try_from(text.parse::<Timestamp>().ok()?.as_millisecond()).ok()
}

/// A length of time in one unit, truncated: minutes below two hours, hours below two days, then days.
#[must_use]
pub fn length(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0..=119 => format!("{minutes} minutes"),
        120..=2879 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_shown() {
        assert_eq!(shown(1_795_837_024_000), "2026-11-28T03:37:04Z");
        assert_eq!(shown(1_795_837_024_999), "2026-11-28T03:37:04Z");
        assert_eq!(shown(u64::MAX), format!("{} ms", u64::MAX));
        for text in ["2026-11-28T03:37:04Z", "2026-11-28T04:37:04+01:00", "1795837024000"] {
            assert_eq!(parse(text), Some(1_795_837_024_000), "{text}");
        }
        for text in ["", "2026-11-28", "yesterday", "-1", "1969-12-31T23:59:59Z", "99999999999999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_length_is_shown_in_one_unit() {
        let shown = [59_999, 90 * 60_000, 25 * 3_600_000, 3 * 86_400_000].map(length);
        assert_eq!(shown, ["0 minutes", "90 minutes", "25 hours", "3 days"]);
    }
}
