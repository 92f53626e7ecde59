//! Writes a plan: one JSON document, one row a line, so that `grep` and text diffs are of use.

use crate::model::Plan;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use std::io::{self, Write};

/// The text of a plan, with a final newline.
///
/// # Errors
///
/// When a value cannot be written as JSON; no type of `model` can cause that.
pub fn write(plan: &Plan) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1 << 16);
    let mut serializer = Serializer::with_formatter(&mut out, Rows::default());
    plan.serialize(&mut serializer)?;
    out.push(b'\n');
    Ok(out)
}

/// Breaks lines in the first three levels, and in lists on the fourth; below, everything is on one line.
#[derive(Default)]
struct Rows {
    /// For each open container: does it break lines, and has it an element yet.
    open: Vec<(bool, bool)>,
}

impl Rows {
    fn begin(&mut self, list: bool) {
        let parent_breaks = self.open.last().is_none_or(|(breaks, _)| *breaks);
        let depth = self.open.len() + 1;
        self.open
            .push((parent_breaks && (depth <= 3 || (depth == 4 && list)), false));
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if let Some((true, true)) = self.open.pop() {
            self.new_line(writer)?;
        }
        Ok(())
    }

    fn element<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        let breaks = self.open.last_mut().is_some_and(|open| {
            open.1 = true;
            open.0
        });
        if breaks { self.new_line(writer) } else { Ok(()) }
    }

    fn new_line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        for _ in 0..self.open.len() {
            writer.write_all(b" ")?;
        }
        Ok(())
    }
}

impl Formatter for Rows {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(true);
        CompactFormatter.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer)?;
        CompactFormatter.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.element(writer, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(false);
        CompactFormatter.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer)?;
        CompactFormatter.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.element(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let breaks = self.open.last().is_some_and(|(breaks, _)| *breaks);
        writer.write_all(if breaks { b": " } else { b":" })
    }
}
