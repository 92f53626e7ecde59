//! Values as Kubernetes reads them: booleans, integers, durations, quantities. Each reader answers with what was expected,
//! never with the value itself, which may be a secret.

use std::net::IpAddr;

/// Go's `strconv.ParseBool`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A base-10 integer. Leading zeros are refused: the flag library would read them as octal.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !plain || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    text.strip_prefix('+').unwrap_or(text).parse().ok()
}

/// A finite decimal number.
pub(crate) fn float(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    if !plain {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Go's `time.ParseDuration`, in nanoseconds.
pub(crate) fn duration(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 18 {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total += whole.checked_mul(scale)?;
        // More than eighteen digits of a fraction are below a nanosecond for every unit.
        let fraction = &fraction[..fraction.len().min(18)];
        if !fraction.is_empty() {
            let digits: i128 = fraction.parse().ok()?;
            total += digits * scale / 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        }
        rest = next;
    }
    if total > i128::from(i64::MAX) {
        return None;
    }
    Some(if negative { -total } else { total })
}

/// The sign of a Kubernetes quantity; `None` when it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Negative,
    Zero,
    Positive,
}

/// A Kubernetes quantity such as `512Mi`, `200m`, `1.5`, `1e3`.
pub(crate) fn quantity(text: &str) -> Option<Sign> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 || number.len() - digits > 1 {
        return None;
    }
    let known = matches!(
        suffix,
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei"
    );
    let exponent = suffix
        .strip_prefix(['e', 'E'])
        .map(|e| e.strip_prefix(['-', '+']).unwrap_or(e))
        .is_some_and(|e| !e.is_empty() && e.len() < 3 && e.bytes().all(|b| b.is_ascii_digit()));
    if !known && !exponent {
        return None;
    }
    let zero = number.bytes().all(|b| matches!(b, b'0' | b'.'));
    Some(match (zero, negative) {
        (true, _) => Sign::Zero,
        (false, true) => Sign::Negative,
        (false, false) => Sign::Positive,
    })
}

/// A percentage such as `10%`; the number before the sign.
pub(crate) fn percentage(text: &str) -> Option<f64> {
    text.strip_suffix('%').and_then(float)
}

/// An IP address.
pub(crate) fn ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// A list of processors such as `0-3,8`; ranges must rise.
pub(crate) fn cpuset(text: &str) -> bool {
    text.split(',').all(|part| {
        let bounds: Vec<Option<i64>> = part
            .split('-')
            .map(|bound| {
                bound
                    .bytes()
                    .all(|b| b.is_ascii_digit())
                    .then(|| integer(bound))?
            })
            .collect();
        match bounds.as_slice() {
            [Some(_)] => true,
            [Some(low), Some(high)] => low <= high,
            _ => false,
        }
    })
}

/// An unsafe sysctl that the kubelet lets a pod set: namespaced ones alone, a prefix may end in `*`.
pub(crate) fn sysctl(text: &str) -> bool {
    let name = text.strip_suffix('*').unwrap_or(text);
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-' | b'/'));
    let namespaced = ["kernel.shm", "kernel.msg", "fs.mqueue.", "net."]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    plain && (namespaced || name == "kernel.sem")
}

/// A range of ports, `30000-32767`.
pub(crate) fn port_range(text: &str) -> bool {
    let port = |part: &str| integer(part).filter(|port| (1..=65535).contains(port));
    matches!(text.split_once('-').map(|(low, high)| (port(low), port(high))),
        Some((Some(low), Some(high))) if low <= high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        assert_eq!(duration("1m30s"), Some(90_000_000_000));
        assert_eq!(duration("1.5h"), Some(5_400_000_000_000));
        assert_eq!(duration("-20ms"), Some(-20_000_000));
        assert_eq!(duration("0"), Some(0));
        for bad in ["", "30", "s", "1d", "1m 30s", ".s", "1..2s", "999999999999h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn quantities_know_their_sign() {
        for (text, sign) in [
            ("512Mi", Sign::Positive),
            ("200m", Sign::Positive),
            ("1e3", Sign::Positive),
            ("0", Sign::Zero),
            ("-1", Sign::Negative),
        ] {
            assert_eq!(quantity(text), Some(sign), "{text}");
        }
        for bad in ["", "Mi", "5mi", "1.2.3", "5 Gi", "1e", "10%"] {
            assert_eq!(quantity(bad), None, "{bad}");
        }
    }

    #[test]
    fn integers_are_decimal() {
        assert_eq!(integer("-999"), Some(-999));
        assert_eq!(integer("+5"), Some(5));
        for bad in ["", "-", "010", "0x10", "1.0", "five", "99999999999999999999"] {
            assert_eq!(integer(bad), None, "{bad}");
        }
    }

    #[test]
    fn sets_and_ranges() {
        assert!(cpuset("0-3,8") && !cpuset("3-0") && !cpuset("") && !cpuset("a") && !cpuset("1,,2"));
        assert!(
            port_range("30000-32767") && !port_range("30000") && !port_range("0-1") && !port_range("9-8")
        );
        assert!(sysctl("net.core.somaxconn") && sysctl("kernel.shm*") && !sysctl("vm.swappiness"));
    }
}
