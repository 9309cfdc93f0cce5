//! Validity times: `UTCTime` until 2049, `GeneralizedTime` from 2050, both to the second and in UTC (RFC 5280
//! §4.1.2.5).

use crate::der::{self, DerReader};
use crate::error::CertificateFault;

/// Reads one time as Unix milliseconds. Times before 1970 are refused: no certificate here is that old.
pub(crate) fn read(validity: &mut DerReader<'_>) -> Result<u64, CertificateFault> {
    let (tag, value) = validity.element()?;
    let malformed = validity.malformed();
    let seconds = match (tag, value) {
        (der::UTC_TIME, [yy @ .., b'Z']) => match yy.split_first_chunk::<2>() {
            Some((yy, rest)) => number(yy).and_then(|yy| {
                // Two digits: 50 to 99 are the last century.
                let year = if yy < 50 { 2000 } else { 1900 } + yy;
                unix_seconds(year, rest)
            }),
            None => None,
        },
        (der::GENERALIZED_TIME, [yyyy @ .., b'Z']) => match yyyy.split_first_chunk::<4>() {
            Some((yyyy, rest)) => {
                number(yyyy).filter(|year| *year >= 2050).and_then(|year| unix_seconds(year, rest))
            }
            None => None,
        },
        _ => None,
    };
    seconds.and_then(|seconds| seconds.checked_mul(1000)).ok_or(malformed)
}

/// `MMDDHHMMSS` of a year. No leap seconds, as Unix time has none.
fn unix_seconds(year: u64, rest: &[u8]) -> Option<u64> {
    let [mo1, mo2, d1, d2, h1, h2, mi1, mi2, s1, s2] = *<&[u8; 10]>::try_from(rest).ok()?;
    let month = number(&[mo1, mo2])?;
    let day = number(&[d1, d2])?;
    let hour = number(&[h1, h2]).filter(|hour| *hour < 24)?;
    let minute = number(&[mi1, mi2]).filter(|minute| *minute < 60)?;
    let second = number(&[s1, s2]).filter(|second| *second < 60)?;
    let days = days_since_1970(year, month, day)?;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Days of the proleptic Gregorian calendar from 1970 on, counted as complete years plus days before the
/// month.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (before, len) = match month {
        1 => (0, 31),
        2 => (31, if is_leap { 29 } else { 28 }),
        3 => (59, 31),
        4 => (90, 30),
        5 => (120, 31),
        6 => (151, 30),
        7 => (181, 31),
        8 => (212, 31),
        9 => (243, 30),
        10 => (273, 31),
        11 => (304, 30),
        12 => (334, 31),
        _ => return None,
    };
    if year < 1970 || day < 1 || day > len {
        return None;
    }
    let leap_day_passed = u64::from(is_leap && month > 2);
    let past = year - 1;
    // Leap years up to and including 1969: 477.
    let leap_days = past / 4 - past / 100 + past / 400 - 477;
    Some((year - 1970) * 365 + leap_days + before + leap_day_passed + day - 1)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'9' => Some(value * 10 + u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(tag: u8, text: &str) -> Option<u64> {
        let mut der = vec![tag, u8::try_from(text.len()).unwrap()];
        der.extend_from_slice(text.as_bytes());
        read(&mut DerReader::new(&der, "validity")).ok().map(|ms| ms / 1000)
    }

    #[test]
    fn times_are_read_as_dates() {
        for (text, seconds) in [
            ("700101000000Z", 0),
            ("191028132805Z", 1_572_269_285),
            ("000229000000Z", 951_782_400),
            ("491028142805Z", 2_519_044_085),
            ("261122162707Z", 1_795_364_827),
        ] {
            assert_eq!(parse(der::UTC_TIME, text), Some(seconds), "{text}");
        }
        assert_eq!(parse(der::GENERALIZED_TIME, "21000301000000Z"), Some(4_107_542_400));
        assert_eq!(parse(der::GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "250229000000Z",
            "250431000000Z",
            "250001000000Z",
            "251301000000Z",
            "250101240000Z",
            "250101006000Z",
            "250101000060Z",
            "2501010000Z",
            "250101000000+0000",
            "250101000000",
            "25010100000aZ",
            "500101000000Z",
            "Z",
            "",
        ] {
            assert_eq!(parse(der::UTC_TIME, text), None, "{text}");
        }
        for text in ["20490101000000Z", "20500101000000.5Z", "Z"] {
            assert_eq!(parse(der::GENERALIZED_TIME, text), None, "{text}");
        }
    }
}
