//! What all inputs share: bytes to text, offsets to places, and "did you mean".

use super::InputError;
use std::borrow::Cow;

/// Largest configuration or hosts.yaml that is read. Real ones are a hundred times smaller.
pub(super) const MAX_TEXT: usize = 4 << 20;
/// Largest recording that is read: facts of ten thousand hosts fit.
pub(super) const MAX_RECORDING: usize = 64 << 20;
/// Tables and lists inside each other. MKE's deepest setting has five levels.
pub(super) const MAX_DEPTH: usize = 32;

const NUL_REMEDY: &str = "check that the right file was given and that it is not compressed or encrypted";

/// Turns bytes into text without a byte order mark. UTF-16 with a mark is accepted: PowerShell's `>` writes it.
///
/// `make` is how to get the file again, as a sentence; it is the remedy when the file is empty.
pub(super) fn decode<'a>(
    file: &str,
    bytes: &'a [u8],
    max: usize,
    make: &str,
) -> Result<Cow<'a, str>, InputError> {
    if bytes.len() > max {
        return Err(too_large(file, bytes.len(), max));
    }
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(file, rest, u16::from_le_bytes)?),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(file, rest, u16::from_be_bytes)?),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Err(error) => {
                let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                if bytes.contains(&0) {
                    return Err(InputError::new(file, None, "binary data, not text", NUL_REMEDY));
                }
                return Err(InputError::new(
                    file,
                    Some(place(&good, good.len())),
                    format!("byte 0x{:02x} is not UTF-8 text", bytes[error.valid_up_to()]),
                    "save the file as UTF-8, or fetch it again without a conversion in between",
                ));
            }
        },
    };
    check_text(file, &text, max, make)?;
    Ok(text)
}

/// The checks of [`decode`] for input that already is text.
pub(super) fn check_text(file: &str, text: &str, max: usize, make: &str) -> Result<(), InputError> {
    if text.len() > max {
        return Err(too_large(file, text.len(), max));
    }
    if let Some(offset) = text.find('\0') {
        let message = "binary data (a NUL byte), not text";
        return Err(InputError::new(
            file,
            Some(place(text, offset)),
            message,
            NUL_REMEDY,
        ));
    }
    if text.trim().is_empty() {
        return Err(InputError::new(file, None, "the file is empty", make));
    }
    Ok(())
}

fn too_large(file: &str, len: usize, max: usize) -> InputError {
    InputError::new(
        file,
        None,
        format!("{len} bytes are more than the {} MiB that are read", max >> 20),
        "check that the right file was given",
    )
}

fn utf16(file: &str, bytes: &[u8], join: fn([u8; 2]) -> u16) -> Result<String, InputError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| join(*pair)).collect();
    match String::from_utf16(&units) {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err(InputError::new(
            file,
            None,
            "the file starts as UTF-16 text and is not valid UTF-16",
            "save the file as UTF-8, or fetch it again without a conversion in between",
        )),
    }
}

/// Line and column, from 1, of a byte offset. Columns count characters, as editors do.
pub(super) fn place(text: &str, offset: usize) -> (u32, u32) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    (small(line), small(before[start..].chars().count() + 1))
}

/// Starts of all lines, for files in which many places are asked for.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(i, _)| i + 1))
            .collect();
        Self { text, starts }
    }

    /// As [`place`], in logarithmic time.
    pub(super) fn place(&self, offset: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1) - 1;
        let from = self.starts.get(line).copied().unwrap_or(0);
        let column = self
            .text
            .get(from..offset)
            .map_or(0, |before| before.chars().count());
        (small(line + 1), small(column + 1))
    }

    /// Text of the line that holds an offset.
    pub(super) fn line(&self, offset: usize) -> &'a str {
        let (line, _) = self.place(offset);
        let from = self.starts[line as usize - 1];
        self.text[from..].lines().next().unwrap_or("")
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The name that was probably meant, if one is near.
pub(super) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wanted.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
        .map(|(_, name)| name)
}

/// Remedy for an unknown name: the nearest one, else all of them.
pub(super) fn did_you_mean(wanted: &str, names: &[&str]) -> String {
    match nearest(wanted, names.iter().copied()) {
        Some(name) => format!("did you mean {name:?}?"),
        None => format!("use one of {}", names.join(", ")),
    }
}

/// `file` without directories, as findings name it.
pub(super) fn base_name(file: &str) -> String {
    file.rsplit(['/', '\\'])
        .find(|part| !part.is_empty())
        .unwrap_or(file)
        .to_string()
}

/// Text of an input, short and without control characters, for error messages.
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(64).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// One spelling for all ways to write an address: facts and hosts are joined by it.
pub(super) fn address_key(address: &str) -> String {
    let address = address.trim();
    match address.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.to_string(),
        Err(_) => address.trim_end_matches('.').to_lowercase(),
    }
}
