//! Foreign text made harmless.
//!
//! Host names, team names, flags and values come from the cluster, so anybody who can name something there can try to
//! write to the reviewer's terminal: colours that hide a line, cursor movements, right-to-left overrides that turn
//! `txt.exe` round, invisible characters that make two names look alike.

/// True for characters that may not be shown as they are: control characters, what reorders text, what is invisible.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// One line of harmless text: line ends and tabs become a space, every other unsafe character becomes `�`, so that a
/// reader sees that something stood there. The result holds no character for which [`is_unsafe`] is true.
pub fn sanitize(text: &str) -> String {
    if !text.chars().any(is_unsafe) {
        return text.to_owned();
    }
    text.replace("\r\n", " ")
        .chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            c if is_unsafe(c) => '\u{FFFD}',
            c => c,
        })
        .collect()
}

/// A text of several lines, its unsafe characters written as `\u{1b}`: for scripts and documents, where a reader must
/// see which character it is. Line ends stay; a tab becomes spaces to the next multiple of eight columns.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\n' => {
                out.push(c);
                column = 0;
            }
            '\t' => {
                let spaces = 8 - column % 8;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            c if is_unsafe(c) => {
                let shown = c.escape_unicode().to_string();
                column += shown.len();
                out.push_str(&shown);
            }
            c => {
                out.push(c);
                column += super::char_width(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ansi_bidi_and_line_ends_do_no_harm() {
        assert_eq!(sanitize("a\u{1b}[31mred"), "a\u{FFFD}[31mred");
        assert_eq!(sanitize("one\r\ntwo\tthree"), "one two three");
        assert_eq!(sanitize("\u{202E}txt.exe\u{200B}"), "\u{FFFD}txt.exe\u{FFFD}");
        assert_eq!(sanitize("Größe 日本"), "Größe 日本");
        assert_eq!(visible("\tx\u{7}\n"), "        x\\u{7}\n");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_survives(chars in prop::collection::vec(any::<char>(), 0..60)) {
            let text: String = chars.into_iter().collect();
            prop_assert!(!sanitize(&text).chars().any(is_unsafe));
            prop_assert!(!visible(&text).chars().any(|c| c != '\n' && is_unsafe(c)));
            let once = sanitize(&text);
            prop_assert_eq!(sanitize(&once), once);
        }
    }
}
