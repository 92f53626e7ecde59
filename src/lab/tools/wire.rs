//! What a stand-in and the model say to each other: frames of a kind, a length and that many bytes.

use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Largest frame, and so the largest file that the model reads or writes at once.
pub(crate) const MOST: usize = 32 << 20;

/// How much of a stream goes into one frame.
pub(crate) const PIECE: usize = 1 << 16;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Stand-in: [`Call`], once, first.
    Call = b'C',
    /// Model: give me standard input. Stand-in: a piece of it, empty at its end.
    Input = b'I',
    /// Model: write to standard output.
    Output = b'O',
    /// Model: write to standard error.
    Error = b'E',
    /// Model: [`FileOp`]. Stand-in: [`FileDone`].
    File = b'F',
    /// Model: exit with this status, four bytes.
    Exit = b'X',
    /// Model: end with everything in the process group, at once.
    Kill = b'K',
}

/// What a stand-in was called with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    /// Base name it was called by, then its arguments.
    pub argv: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// The variables that the programs it stands in for look at.
    pub env: Vec<(String, String)>,
}

/// Something to do in the root that the stand-in runs in. Paths are absolute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FileOp {
    /// Content of a file.
    Read(String),
    /// Whether something is there.
    Exists(String),
    /// Names in a directory, sorted; none when it is not there.
    List(String),
    /// Writes a file beside and renames it.
    Write {
        path: String,
        #[serde(with = "base64")]
        bytes: Vec<u8>,
        mode: u32,
    },
    /// Makes a directory and its parents.
    MakeDirectory(String),
    /// Removes a file, or a directory with all that is in it.
    Remove(String),
    /// Makes a symbolic link, over one that is there.
    Link { path: String, target: String },
    /// Renames.
    Rename { from: String, to: String },
    /// Runs a program with this standard input; its output is the content.
    Run {
        argv: Vec<String>,
        #[serde(with = "base64")]
        input: Vec<u8>,
    },
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FileDone {
    /// Done.
    Done,
    /// Content.
    Bytes(#[serde(with = "base64")] Vec<u8>),
    /// Whether it is there.
    Is(bool),
    /// Names.
    Names(Vec<String>),
    /// The system's error.
    Failed(String),
}

/// Bytes as text: JSON has no other short form.
mod base64 {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        BASE64
            .decode(String::deserialize(from)?.as_bytes())
            .map_err(D::Error::custom)
    }
}

fn kind(byte: u8) -> io::Result<Kind> {
    [
        Kind::Call,
        Kind::Input,
        Kind::Output,
        Kind::Error,
        Kind::File,
        Kind::Exit,
        Kind::Kill,
    ]
    .into_iter()
    .find(|kind| *kind as u8 == byte)
    .ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("frame of unknown kind {byte}"),
        )
    })
}

pub(crate) fn send(to: &mut impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|_| bytes.len() <= MOST)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "frame too large"))?;
    let mut head = [0; 5];
    head[0] = kind as u8;
    head[1..].copy_from_slice(&length.to_be_bytes());
    to.write_all(&head)?;
    to.write_all(bytes)?;
    to.flush()
}

pub(crate) fn receive(from: &mut impl Read) -> io::Result<(Kind, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let kind = kind(head[0])?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too large"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok((kind, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_and_wrong_ones_are_refused() {
        let mut line = Vec::new();
        send(&mut line, Kind::Output, b"hello").unwrap();
        send(&mut line, Kind::Input, b"").unwrap();
        let mut from = line.as_slice();
        assert_eq!(receive(&mut from).unwrap(), (Kind::Output, b"hello".to_vec()));
        assert_eq!(receive(&mut from).unwrap(), (Kind::Input, Vec::new()));
        assert!(receive(&mut from).is_err(), "nothing is left");
        assert!(send(&mut Vec::new(), Kind::Output, &vec![0; MOST + 1]).is_err());
        assert!(receive(&mut b"?\0\0\0\0".as_slice()).is_err());
        assert!(receive(&mut b"O\xff\xff\xff\xff".as_slice()).is_err());
    }
}
