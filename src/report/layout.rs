//! Widths of columns, and lines of spans broken to a width.

use super::doc::Tone;
use crate::text::{break_at, width};

/// Pieces of a line, ready to be written.
pub(super) type Spans = Vec<(Tone, String)>;

/// Space between columns.
pub(super) const GAP: usize = 2;
/// A text column of this width is broken into lines rather than put beneath.
const READABLE: usize = 44;
/// Narrowest column that is still broken into lines.
const NARROW: usize = 8;

/// Columns of a row of such cells.
pub(super) fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// Widths of the columns that stand side by side, and whether the others go beneath.
pub(super) fn arrange(natural: &[usize], stack: Option<usize>, room: usize) -> (bool, Vec<usize>) {
    let Some(upright) = stack.filter(|at| *at < natural.len() && total(natural) > room) else {
        return (false, fit(natural.to_vec(), room));
    };
    let rest = room.saturating_sub(total(&natural[..upright]) + GAP);
    if upright + 1 == natural.len() && rest >= READABLE {
        return (false, [&natural[..upright], &[rest]].concat());
    }
    (true, fit(natural[..upright].to_vec(), room))
}

/// Narrows the widest columns until all fit; narrow ones keep what they need.
fn fit(mut widths: Vec<usize>, room: usize) -> Vec<usize> {
    while total(&widths) > room {
        let excess = total(&widths) - room;
        let Some(widest) = (0..widths.len()).rev().max_by_key(|at| widths[*at]) else {
            break;
        };
        let next = widths
            .iter()
            .copied()
            .filter(|size| *size < widths[widest])
            .max()
            .unwrap_or(0);
        let step = excess.min((widths[widest] - next).max(1));
        let floor = if widths[widest] > NARROW { NARROW } else { 1 };
        if widths[widest] <= 1 {
            break;
        }
        widths[widest] = widths[widest].saturating_sub(step).max(floor);
    }
    widths
}

/// Breaks spans into lines of at most `room` columns; see [`crate::text::wrap`]. Spaces inside a line stay as they are.
pub(super) fn wrap_spans(spans: impl Iterator<Item = (Tone, String)>, room: usize) -> Vec<Spans> {
    let mut lines: Vec<Spans> = Vec::new();
    let mut line: Spans = Vec::new();
    let mut used = 0;
    // A word may run over spans, so pieces wait here until the word ends.
    let mut word: Spans = Vec::new();
    let mut space: Spans = Vec::new();
    let flush =
        |word: &mut Spans, space: &mut Spans, line: &mut Spans, used: &mut usize, lines: &mut Vec<Spans>| {
            let size: usize = word.iter().map(|(_, text)| width(text)).sum();
            let between: usize = space.iter().map(|(_, text)| width(text)).sum();
            if size == 0 {
                return;
            }
            if *used > 0 && *used + between + size > room {
                lines.push(std::mem::take(line));
                *used = 0;
                space.clear();
            } else {
                line.append(space);
                *used += between;
            }
            for (tone, text) in word.drain(..) {
                let mut rest = text.as_str();
                while *used + width(rest) > room {
                    let left = room - *used;
                    let cut = if left == 0 { 0 } else { break_at(rest, left) };
                    if width(&rest[..cut]) <= left {
                        line.push((tone, rest[..cut].to_owned()));
                        rest = &rest[cut..];
                    } else if line.is_empty() {
                        // One character wider than the whole column: nothing can be done but to let it stand.
                        line.push((tone, rest[..cut].to_owned()));
                        rest = &rest[cut..];
                    }
                    lines.push(std::mem::take(line));
                    *used = 0;
                    if rest.is_empty() {
                        break;
                    }
                }
                *used += width(rest);
                if !rest.is_empty() {
                    line.push((tone, rest.to_owned()));
                }
            }
        };
    for (tone, text) in spans {
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let blank = rest.len() - rest.trim_start_matches(' ').len();
            if blank > 0 {
                flush(&mut word, &mut space, &mut line, &mut used, &mut lines);
                space.push((tone, rest[..blank].to_owned()));
                rest = &rest[blank..];
                continue;
            }
            let end = rest.find(' ').unwrap_or(rest.len());
            word.push((tone, rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    flush(&mut word, &mut space, &mut line, &mut used, &mut lines);
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}
