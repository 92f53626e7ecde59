//! Text for people: width, wrapping, folding, numbers, and making foreign text harmless.
//!
//! Everything that a plan holds was named by somebody else: hosts, teams, flags, values. Nothing of it may reach a
//! terminal, a comment or a page before it went through [`sanitize`].

mod clean;
mod hosts;

pub use clean::{is_unsafe, sanitize, visible};
pub use hosts::{fold_hosts, unfold_hosts};

use unicode_width::UnicodeWidthChar;

/// Columns that a character takes on a terminal; control characters take none.
pub fn char_width(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Columns that a text takes on a terminal, at most: sequences that terminals draw narrower are counted by their parts.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Shortens a text to at most `max` columns; `mark` (such as `…`) stands for what is missing.
pub fn truncate(text: &str, max: usize, mark: &str) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let (mark, room) = match max.checked_sub(width(mark)) {
        Some(room) => (mark, room),
        None => ("", max),
    };
    let mut out = take(text, room).to_owned();
    out.push_str(mark);
    out
}

/// The longest beginning of a text that takes at most `max` columns.
fn take(text: &str, max: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += char_width(c);
        if used > max {
            return &text[..at];
        }
    }
    text
}

/// Fills a text up with spaces to `to` columns; a longer one stays as it is.
pub fn pad(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(width(text))))
}

/// Breaks a text into lines of at most `max` columns, at spaces where there are some, inside a word where it is longer
/// than a line. At least one line; runs of spaces become one.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let size = width(word);
        if used > 0 && used + 1 + size <= max {
            line.push(' ');
            line.push_str(word);
            used += 1 + size;
            continue;
        }
        if used > 0 {
            lines.push(std::mem::take(&mut line));
        }
        let mut rest = word;
        while width(rest) > max {
            let cut = break_at(rest, max);
            lines.push(rest[..cut].to_owned());
            rest = &rest[cut..];
        }
        line.push_str(rest);
        used = width(rest);
    }
    lines.push(line);
    lines
}

/// Where to break a word that is wider than `max`: after a separator in the later half, else at the edge. Never 0.
pub(crate) fn break_at(word: &str, max: usize) -> usize {
    let fits = take(word, max).len();
    if fits == 0 {
        return word.chars().next().map_or(0, char::len_utf8);
    }
    let half = fits / 2;
    word[..fits]
        .char_indices()
        .filter(|(_, c)| matches!(c, '/' | '.' | ',' | '-' | '_' | ':' | '=' | ';' | '@'))
        .map(|(at, c)| at + c.len_utf8())
        .rfind(|end| *end > half)
        .unwrap_or(fits)
}

/// `12345` as `12,345`.
pub fn number(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, c) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 host`, `12,000 users`: the number and its noun, which gets an `s` unless the number is one (`ies` for a final `y`
/// after a consonant).
pub fn count(n: usize, noun: &str) -> String {
    format!("{} {}", number(n), plural(n, noun))
}

/// The noun alone, as [`count`] writes it.
pub fn plural(n: usize, noun: &str) -> String {
    if n == 1 {
        return noun.to_owned();
    }
    let vowel_before_y = ["ay", "ey", "oy", "uy"].iter().any(|end| noun.ends_with(end));
    match noun.strip_suffix('y') {
        Some(stem) if !vowel_before_y => format!("{stem}ies"),
        _ => format!("{noun}s"),
    }
}

/// Seconds as `0s`, `45s`, `4m 20s`, `1h 05m`, `2d 03h`: two units, no more exact than a person needs.
pub fn duration(seconds: u64) -> String {
    let (m, h, d) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{m}m"),
        60..3600 => format!("{m}m {:02}s", seconds % 60),
        3600..86_400 => format!("{h}h {:02}m", m % 60),
        _ => format!("{d}d {:02}h", h % 24),
    }
}

/// A size as `512 B`, `1.5 KiB`, `64 MiB`, `8 GiB`: one decimal below ten, when it is not zero.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut scale: u64 = 1;
    while unit < 6 && size / scale >= 1024 {
        scale *= 1024;
        unit += 1;
    }
    let whole = size / scale;
    let tenth = (u128::from(size % scale) * 10 / u128::from(scale)) as u64;
    if whole < 10 && tenth > 0 {
        format!("{whole}.{tenth} {}", UNITS[unit])
    } else {
        format!("{whole} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(count(1, "user"), "1 user");
        assert_eq!(count(12_000, "user"), "12,000 users");
        assert_eq!(count(2, "entry"), "2 entries");
        assert_eq!(count(2, "gateway"), "2 gateways");
    }

    #[test]
    fn durations_and_sizes_have_at_most_two_units() {
        let texts: Vec<String> = [0, 59, 60, 260, 3599, 3600, 3900, 90_000].map(duration).to_vec();
        assert_eq!(
            texts,
            [
                "0s", "59s", "1m", "4m 20s", "59m 59s", "1h 00m", "1h 05m", "1d 01h"
            ]
        );
        let sizes: Vec<String> = [0, 1023, 1536, 64 << 20, 8 << 30, u64::MAX].map(bytes).to_vec();
        assert_eq!(sizes, ["0 B", "1023 B", "1.5 KiB", "64 MiB", "8 GiB", "15 EiB"]);
    }

    #[test]
    fn truncate_counts_columns_not_bytes() {
        assert_eq!(truncate("größer", 6, "…"), "größer");
        assert_eq!(truncate("größere", 6, "…"), "größe…");
        assert_eq!(truncate("日本語", 5, "…"), "日本…");
        assert_eq!(truncate("abcdef", 2, "..."), "ab");
    }

    #[test]
    fn wrap_prefers_spaces_then_separators() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(
            wrap("spec.network.serviceCIDR", 14),
            ["spec.network.", "serviceCIDR"]
        );
        assert_eq!(wrap("", 10), [""]);
    }

    proptest! {
        #[test]
        fn wrap_fits_and_loses_nothing(text in "[a-z日/ ]{0,120}", max in 2usize..40) {
            let lines = wrap(&text, max);
            for line in &lines {
                prop_assert!(width(line) <= max, "{line:?}");
            }
            let joined: String = lines.concat().split_whitespace().collect();
            let before: String = text.split_whitespace().collect();
            prop_assert_eq!(joined, before);
        }

        #[test]
        fn truncate_and_pad_keep_their_promise(text in "\\PC{0,40}", max in 0usize..30) {
            prop_assert!(width(&truncate(&text, max, "…")) <= max);
            prop_assert!(width(&pad(&text, max)) >= max);
        }
    }
}
