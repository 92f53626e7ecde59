//! Texts of other programs as values.

use crate::model::Bytes;
use jiff::fmt::strtime;

/// `23.62GB` as `docker system df` prints it: decimal units, as many digits as it has.
pub(super) fn human_size(text: &str) -> Option<Bytes> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit.trim() {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "PB" => 1_000_000_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
    let mut bytes = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let mut part = scale;
    for digit in fraction.chars() {
        part /= 10;
        bytes = bytes.checked_add(u64::from(digit.to_digit(10)?).checked_mul(part)?)?;
    }
    Some(Bytes(bytes))
}

/// Kibibytes as `df` and the kernel count them.
pub(super) fn kibibytes(text: &str) -> Option<Bytes> {
    text.parse::<u64>().ok()?.checked_mul(1024).map(Bytes)
}

/// Whole days from `now` (seconds since 1970) until `Jan  1 00:00:00 2027 GMT`; 0 when it has passed.
pub(super) fn days_until(text: &str, now: u64) -> Option<u32> {
    let text = text.trim().strip_suffix(" GMT")?;
    let civil = strtime::parse("%b %e %H:%M:%S %Y", text)
        .ok()?
        .to_datetime()
        .ok()?;
    let end = civil
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()?
        .timestamp()
        .as_second();
    let left = end.saturating_sub(i64::try_from(now).ok()?);
    u32::try_from(left.max(0) / 86_400).ok()
}

/// `true` and `false`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_docker_are_decimal() {
        let size = |text: &str| human_size(text).map(|bytes| bytes.0);
        assert_eq!(size("23.62GB"), Some(23_620_000_000));
        assert_eq!(size("0B"), Some(0));
        assert_eq!(size("612kB"), Some(612_000));
        assert_eq!(size("1.5TB"), Some(1_500_000_000_000));
        for wrong in ["", "GB", "12", "-3GB", "1.x GB", "99999999999PB", "1.5ZB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn days_of_certificates_are_whole_and_never_negative() {
        // 2026-01-01.
        let now = 1_767_225_600;
        assert_eq!(days_until("Jan  1 00:00:00 2027 GMT", now), Some(365));
        assert_eq!(days_until("Jan 10 23:59:59 2026 GMT", now), Some(9));
        assert_eq!(days_until("Dec 31 23:59:59 2025 GMT", now), Some(0));
        assert_eq!(days_until("tomorrow", now), None);
    }
}
