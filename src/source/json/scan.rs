//! Tokens of a JSON text with their paths, to tell where something stands.

/// A key, a scalar or a bracket.
pub(super) struct Token {
    /// Path of the value that it belongs to; of a closing bracket, the path of what it closes.
    pub path: String,
    /// Byte offset at which it starts.
    pub start: usize,
    /// For a closing bracket, the offset of its opening one.
    pub open: Option<usize>,
}

enum Frame {
    Object {
        open: usize,
        path: usize,
        in_value: bool,
    },
    List {
        open: usize,
        path: usize,
        index: usize,
    },
}

/// Yields the tokens of a JSON text with their paths. It never fails: on text that is not JSON the paths mean little.
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    path: String,
    frames: Vec<Frame>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            text,
            at: 0,
            path: "$".to_string(),
            frames: Vec::new(),
        }
    }

    fn token(&self, start: usize) -> Token {
        Token {
            path: self.path.clone(),
            start,
            open: None,
        }
    }

    /// Appends a key that needs quotes, short. JSON's escapes stay; control characters that JSON lets stand are escaped.
    fn push_odd_key(&mut self, start: usize, end: usize) {
        let key = self
            .text
            .get(start + 1..end.saturating_sub(1))
            .unwrap_or_default();
        self.path.push_str("[\"");
        for c in key.chars().take(64) {
            if c.is_control() {
                self.path.extend(c.escape_unicode());
            } else {
                self.path.push(c);
            }
        }
        self.path.push_str("\"]");
    }

    /// The offset behind a string that starts at `at`.
    fn string_end(&self, at: usize) -> usize {
        let mut end = at + 1;
        while let Some(byte) = self.bytes.get(end) {
            match byte {
                b'"' => return end + 1,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        self.bytes.len()
    }
}

impl Iterator for Scanner<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let start = self.at;
            let byte = *self.bytes.get(start)?;
            self.at += 1;
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b':' => {
                    if let Some(Frame::Object { in_value, .. }) = self.frames.last_mut() {
                        *in_value = true;
                    }
                }
                b',' => match self.frames.last_mut() {
                    Some(Frame::Object { path, in_value, .. }) => {
                        self.path.truncate(*path);
                        *in_value = false;
                    }
                    Some(Frame::List { path, index, .. }) => {
                        *index += 1;
                        self.path.truncate(*path);
                        self.path.push_str(&format!("[{index}]"));
                    }
                    None => {}
                },
                b'{' => {
                    let token = self.token(start);
                    self.frames.push(Frame::Object {
                        open: start,
                        path: self.path.len(),
                        in_value: false,
                    });
                    return Some(token);
                }
                b'[' => {
                    let token = self.token(start);
                    self.frames.push(Frame::List {
                        open: start,
                        path: self.path.len(),
                        index: 0,
                    });
                    self.path.push_str("[0]");
                    return Some(token);
                }
                b'}' | b']' => {
                    let (Frame::Object { open, path, .. } | Frame::List { open, path, .. }) =
                        self.frames.pop()?;
                    self.path.truncate(path);
                    return Some(Token {
                        open: Some(open),
                        ..self.token(start)
                    });
                }
                b'"' => {
                    let end = self.string_end(start);
                    self.at = end;
                    if let Some(Frame::Object {
                        path,
                        in_value: false,
                        ..
                    }) = self.frames.last()
                    {
                        self.path.truncate(*path);
                        let key = self
                            .text
                            .get(start + 1..end.saturating_sub(1))
                            .unwrap_or_default();
                        let plain = (1..=64).contains(&key.len())
                            && key
                                .bytes()
                                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
                        if plain {
                            self.path.push('.');
                            self.path.push_str(key);
                        } else {
                            self.push_odd_key(start, end);
                        }
                    }
                    return Some(self.token(start));
                }
                _ => {
                    while self
                        .bytes
                        .get(self.at)
                        .is_some_and(|b| !b" \t\r\n,:{}[]\"".contains(b))
                    {
                        self.at += 1;
                    }
                    return Some(self.token(start));
                }
            }
        }
    }
}
