//! Blocks on a terminal: wrapping, columns, colours.
//!
//! Invariant: with a width of 80 or more no line is wider than that. Every line leaves through [`Page::emit`].

use super::doc::{Bar, Block, Line, Row, Rule, Section, Span, Table, Tone, Trees};
use super::layout::{GAP, Spans, arrange, flow, total, wrap_spans};
use crate::text::{truncate, width};
use console::Style as Paint;

/// How to write for a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns; below 40 counts as 40.
    pub width: usize,
    /// Escape sequences for colour.
    pub color: bool,
    /// Characters beyond ASCII; without, ours have stand-ins and others read `\u{e9}`.
    pub unicode: bool,
}

impl Default for Style {
    fn default() -> Self {
        Style {
            width: 100,
            color: false,
            unicode: true,
        }
    }
}

/// Two trees stand side by side from this width on.
const SIDE_BY_SIDE: usize = 100;

pub(super) struct Page {
    style: Style,
    out: String,
    blank: bool,
}

/// What the tables of a section with the same columns need together.
struct Layout {
    head: Vec<&'static str>,
    natural: Vec<usize>,
    /// Per row, what the last two columns need.
    ends: Vec<[usize; 2]>,
}

impl Page {
    pub(super) fn new(style: &Style) -> Page {
        Page {
            style: Style {
                width: style.width.max(40),
                ..*style
            },
            out: String::new(),
            blank: true,
        }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) fn section(&mut self, section: &Section) {
        self.gap();
        self.heading(&section.title, &section.gist);
        self.gap();
        self.blocks(&section.blocks);
    }

    pub(super) fn blocks(&mut self, blocks: &[Block]) {
        let mut layouts: Vec<Layout> = Vec::new();
        for block in blocks {
            if let Block::Table(table) = block {
                self.measure(table, &mut layouts);
            }
        }
        for block in blocks {
            self.block(block, &layouts);
        }
    }

    fn block(&mut self, block: &Block, layouts: &[Layout]) {
        match block {
            Block::Text { indent, mark, line } => {
                let mark = mark.as_ref().map(|mark| self.span(mark));
                let lead = mark.as_ref().map_or(0, |(_, text)| width(text) + 1);
                let lines = self.hung(line, self.style.width.saturating_sub(indent + lead));
                for (at, spans) in lines.into_iter().enumerate() {
                    let mut out: Spans = vec![(Tone::Plain, " ".repeat(*indent))];
                    match (&mark, at) {
                        (Some((tone, text)), 0) => out.push((*tone, format!("{text} "))),
                        _ => out.push((Tone::Plain, " ".repeat(lead))),
                    }
                    out.extend(spans);
                    self.emit(out);
                }
            }
            Block::Facts(rows) => self.facts(rows),
            Block::Table(table) => self.table(table, layouts),
            Block::Trees(trees) => self.trees(trees),
            Block::Rule(rule) => self.rule(rule),
            Block::Bars(bars) => self.bars(bars),
            Block::Heading(line) => {
                self.gap();
                for spans in self.wrapped(line, self.style.width - 2) {
                    self.emit([vec![(Tone::Plain, "  ".to_owned())], spans].concat());
                }
            }
            Block::Gap => self.gap(),
        }
    }

    pub(super) fn gap(&mut self) {
        if !self.blank {
            self.out.push('\n');
            self.blank = true;
        }
    }

    pub(super) fn heading(&mut self, title: &str, gist: &str) {
        let line = Line::new()
            .strong(title)
            .dim(if gist.is_empty() { "" } else { "  " })
            .dim(gist);
        for spans in self.wrapped(&line, self.style.width) {
            self.emit(spans);
        }
        let rule = self.glyphs("─").repeat(self.style.width);
        self.emit(vec![(Tone::Dim, rule)]);
    }

    fn facts(&mut self, rows: &[(&'static str, Line)]) {
        let label = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
        let room = self.style.width.saturating_sub(label + 4);
        for (name, line) in rows {
            for (at, spans) in self.wrapped(line, room).into_iter().enumerate() {
                let name = if at == 0 { *name } else { "" };
                let mut out: Spans = vec![(Tone::Dim, format!("  {name:label$}  "))];
                out.extend(spans);
                self.emit(out);
            }
        }
    }

    /// Tables of one section with the same columns stand under each other, so they share widths.
    fn measure(&self, table: &Table, layouts: &mut Vec<Layout>) {
        let at = match layouts.iter().position(|layout| layout.head == table.head) {
            Some(at) => at,
            None => {
                let title = |title: &&str| if table.show_head { width(title) } else { 0 };
                let natural = table.head.iter().map(title).collect();
                layouts.push(Layout {
                    head: table.head.clone(),
                    natural,
                    ends: Vec::new(),
                });
                layouts.len() - 1
            }
        };
        for row in &table.rows {
            let cells = if row.wide { 1 } else { table.head.len() };
            for (at_cell, cell) in row.cells.iter().enumerate().take(cells) {
                let natural = &mut layouts[at].natural[at_cell];
                *natural = (*natural).max(self.size(cell));
            }
            if let [.., one, two] = row.cells.as_slice()
                && !row.wide
                && !two.is_empty()
            {
                layouts[at].ends.push([self.size(one), self.size(two)]);
            }
        }
    }

    fn size(&self, line: &Line) -> usize {
        line.spans().iter().map(|span| width(&self.span(span).1)).sum()
    }

    fn table(&mut self, table: &Table, layouts: &[Layout]) {
        let layout = layouts.iter().find(|layout| layout.head == table.head);
        let (natural, ends) = layout.map_or((&[][..], &[][..]), |found| (&found.natural, &found.ends));
        let room = self.style.width.saturating_sub(table.indent);
        let (stacked, widths) = arrange(natural, table.stack, room);
        let upright = widths.len();
        // Beneath the second column, so that the signs in the first stand free.
        let sign = table.indent + widths.first().map_or(0, |mark| mark + GAP);
        let under = match (stacked, table.stack) {
            (true, _) => sign + 2,
            (false, Some(at)) if at < widths.len() => table.indent + total(&widths[..at]) + GAP,
            (false, _) => sign,
        };
        // Rows that fit stand on one line although others do not.
        let flow = if stacked && upright + 1 == natural.len() {
            flow(natural, ends, room)
        } else {
            None
        };
        if table.show_head {
            let head: Vec<Line> = table.head[..upright.min(table.head.len())]
                .iter()
                .map(|title| Line::new().dim(title))
                .collect();
            self.cells(table.indent, &head, &widths);
        }
        for row in &table.rows {
            if row.wide {
                let rest = self.style.width.saturating_sub(sign);
                self.cells(table.indent, &row.cells, &[sign - table.indent - GAP, rest]);
                self.beneath(sign, &[], row);
                continue;
            }
            let split = upright.min(row.cells.len());
            let Some(flow) = &flow else {
                self.cells(table.indent, &row.cells[..split], &widths);
                self.beneath(under, &row.cells[split..], row);
                continue;
            };
            let fits = match row.cells.as_slice() {
                [.., one, two] => self.size(one) <= flow[upright - 1] && self.size(two) <= flow[upright],
                _ => false,
            };
            if fits {
                self.cells(table.indent, &row.cells, flow);
                self.beneath(table.indent + total(&flow[..upright]) + GAP, &[], row);
            } else {
                let first = &flow[..upright - 1];
                let rest = room.saturating_sub(total(first) + if first.is_empty() { 0 } else { GAP });
                self.cells(table.indent, &row.cells[..split], &[first, &[rest]].concat());
                self.beneath(under, &row.cells[split..], row);
            }
        }
    }

    fn beneath(&mut self, indent: usize, cells: &[Line], row: &Row) {
        for line in cells.iter().filter(|cell| !cell.is_empty()).chain(&row.notes) {
            for spans in self.hung(line, self.style.width.saturating_sub(indent)) {
                self.emit([vec![(Tone::Plain, " ".repeat(indent))], spans].concat());
            }
        }
    }

    fn cells(&mut self, indent: usize, cells: &[Line], widths: &[usize]) {
        let mut columns: Vec<std::vec::IntoIter<Spans>> = cells
            .iter()
            .zip(widths)
            .map(|(cell, size)| self.hung(cell, *size).into_iter())
            .collect();
        let height = columns.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        for _ in 0..height {
            let mut out: Spans = vec![(Tone::Plain, " ".repeat(indent))];
            for (at, column) in columns.iter_mut().enumerate() {
                let spans = column.next().unwrap_or_default();
                let used: usize = spans.iter().map(|(_, text)| width(text)).sum();
                out.extend(spans);
                out.push((Tone::Plain, " ".repeat(widths[at].saturating_sub(used) + GAP)));
            }
            self.emit(out);
        }
    }

    fn trees(&mut self, trees: &Trees) {
        let prefixes = [trees.lines(0), trees.lines(1)];
        if self.style.width < SIDE_BY_SIDE {
            for (side, title) in trees.titles.iter().enumerate() {
                self.gap();
                self.emit(vec![(Tone::Dim, format!("  {title}"))]);
                for (row, prefix) in trees.rows.iter().zip(&prefixes[side]) {
                    if row[side].line.is_empty() {
                        continue;
                    }
                    for spans in self.branch(&row[side].line, prefix, self.style.width - 2) {
                        self.emit([vec![(Tone::Plain, "  ".to_owned())], spans].concat());
                    }
                }
            }
            return;
        }
        let half = (self.style.width - 2 - GAP) / 2;
        self.emit(vec![(
            Tone::Dim,
            format!("  {:half$}  {}", trees.titles[0], trees.titles[1]),
        )]);
        for (at, row) in trees.rows.iter().enumerate() {
            let mut sides = [0, 1].map(|side| self.branch(&row[side].line, &prefixes[side][at], half));
            let height = sides[0].len().max(sides[1].len());
            for (side, lines) in sides.iter_mut().enumerate() {
                lines.resize(height, vec![(Tone::Dim, self.glyphs(&prefixes[side][at][1]))]);
            }
            let [left, right] = sides;
            for (left, right) in left.into_iter().zip(right) {
                let used: usize = left.iter().map(|(_, text)| width(text)).sum();
                let mut out: Spans = vec![(Tone::Plain, "  ".to_owned())];
                out.extend(left);
                out.push((Tone::Plain, " ".repeat(half.saturating_sub(used) + GAP)));
                out.extend(right);
                self.emit(out);
            }
        }
    }

    fn branch(&self, line: &Line, prefix: &[String; 2], room: usize) -> Vec<Spans> {
        let prefix = [self.glyphs(&prefix[0]), self.glyphs(&prefix[1])];
        let room = room.saturating_sub(width(&prefix[0])).max(1);
        self.wrapped(line, room)
            .into_iter()
            .enumerate()
            .map(|(at, spans)| [vec![(Tone::Dim, prefix[at.min(1)].clone())], spans].concat())
            .collect()
    }

    fn rule(&mut self, rule: &Rule) {
        let room = self.style.width - 2;
        if rule.heavy {
            let bar = self.glyphs("━").repeat(room);
            self.gap();
            self.emit(vec![(rule.tone, format!("  {bar}"))]);
            for line in std::iter::once(&rule.label).chain(&rule.notes) {
                for spans in self.wrapped(line, room - 2) {
                    self.emit([vec![(Tone::Plain, "    ".to_owned())], spans].concat());
                }
            }
            self.emit(vec![(rule.tone, format!("  {bar}"))]);
            self.gap();
            return;
        }
        let dash = self.glyphs("─");
        let mut lines = self.wrapped(&rule.label, room - 8);
        let last = lines.pop().unwrap_or_default();
        for spans in lines {
            self.emit([vec![(Tone::Plain, "       ".to_owned())], spans].concat());
        }
        let used: usize = last.iter().map(|(_, text)| width(text)).sum();
        let mut out: Spans = vec![(rule.tone, format!("  {} ", dash.repeat(4)))];
        out.extend(last);
        out.push((
            rule.tone,
            format!(" {}", dash.repeat(room.saturating_sub(used + 6))),
        ));
        self.gap();
        self.emit(out);
        for note in &rule.notes {
            for spans in self.wrapped(note, room - 5) {
                self.emit([vec![(Tone::Plain, "       ".to_owned())], spans].concat());
            }
        }
        self.gap();
    }

    fn bars(&mut self, bars: &[Bar]) {
        let times: Vec<String> = bars
            .iter()
            .map(|bar| {
                let (start, end) = (crate::text::duration(bar.start), crate::text::duration(bar.end));
                self.glyphs(&format!("{start} – {end}"))
            })
            .collect();
        let label = bars
            .iter()
            .map(|bar| width(&self.glyphs(bar.label.text())))
            .max()
            .unwrap_or(0)
            .min(24);
        let time = times.iter().map(|time| width(time)).max().unwrap_or(0);
        let room = self.style.width.saturating_sub(label + time + 8).clamp(10, 80);
        let end = bars.iter().map(|bar| bar.end).max().unwrap_or(0).max(1);
        let (full, empty) = (self.glyphs("█"), self.glyphs("░"));
        for (bar, time) in bars.iter().zip(times) {
            let scale = |seconds: u64| (u128::from(seconds) * room as u128 / u128::from(end)) as usize;
            let from = scale(bar.start).min(room - 1);
            let to = scale(bar.end).clamp(from + 1, room);
            let name = crate::text::truncate(&self.glyphs(bar.label.text()), label, &self.glyphs("…"));
            let out = vec![
                (Tone::Plain, format!("    {}  ", crate::text::pad(&name, label))),
                (Tone::Dim, empty.repeat(from)),
                (bar.tone, full.repeat(to - from)),
                (Tone::Dim, empty.repeat(room - to)),
                (Tone::Dim, format!("  {time}")),
            ];
            self.emit(out);
        }
    }

    fn span(&self, span: &Span) -> (Tone, String) {
        (span.tone(), self.glyphs(span.text()))
    }

    fn glyphs(&self, text: &str) -> String {
        if self.style.unicode || text.is_ascii() {
            return text.to_owned();
        }
        ascii(text)
    }

    /// As [`Page::wrapped`]; what follows a leading arrow hangs behind it.
    fn hung(&self, line: &Line, room: usize) -> Vec<Spans> {
        let arrow = self.glyphs("→ ");
        let lead = width(&arrow);
        match line.spans().split_first() {
            Some((first, rest)) if first.text() == "→ " && room > 2 * lead => {
                let rest = rest.iter().map(|span| self.span(span));
                let lines = wrap_spans(rest, room - lead).into_iter().enumerate();
                let hang = |at| {
                    if at == 0 {
                        (first.tone(), arrow.clone())
                    } else {
                        (Tone::Plain, " ".repeat(lead))
                    }
                };
                lines
                    .map(|(at, spans)| [vec![hang(at)], spans].concat())
                    .collect()
            }
            _ => self.wrapped(line, room),
        }
    }

    fn wrapped(&self, line: &Line, room: usize) -> Vec<Spans> {
        wrap_spans(line.spans().iter().map(|span| self.span(span)), room.max(1))
    }

    fn emit(&mut self, mut spans: Spans) {
        let mut last = spans.len();
        while last > 0 && spans[last - 1].1.trim_end().is_empty() {
            last -= 1;
        }
        // Neighbours of one tone become one, so that a line carries few escape sequences.
        let mut merged: Spans = Vec::with_capacity(last);
        for (tone, text) in spans.drain(..last) {
            // The space that keeps a figure on one line has done its work.
            let text = text.replace('\u{a0}', " ");
            match merged.last_mut() {
                Some((known, before)) if *known == tone || text.bytes().all(|b| b == b' ') => {
                    before.push_str(&text)
                }
                _ => merged.push((tone, text)),
            }
        }
        if let Some((_, text)) = merged.last_mut() {
            text.truncate(text.trim_end().len());
        }
        for (tone, text) in &merged {
            let blank = text.bytes().all(|b| b == b' ');
            match paint(*tone).filter(|_| self.style.color && !blank) {
                Some(paint) => self
                    .out
                    .push_str(&paint.force_styling(true).apply_to(text).to_string()),
                None => self.out.push_str(text),
            }
        }
        self.out.push('\n');
        self.blank = last == 0;
    }
}

/// Our signs, and everybody's letters, in ASCII where the terminal has no more.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '→' => out.push_str("->"),
            '…' => out.push_str("..."),
            '─' | '–' | '—' => out.push('-'),
            '━' => out.push('='),
            '│' => out.push('|'),
            '├' => out.push('|'),
            '└' => out.push('`'),
            '·' | '•' => out.push('*'),
            '≈' => out.push('~'),
            '✗' => out.push('x'),
            '✓' => out.push('+'),
            '█' => out.push('#'),
            '░' => out.push('.'),
            '×' => out.push('x'),
            '▲' => out.push('!'),
            '○' => out.push('o'),
            '●' => out.push('*'),
            '\u{FFFD}' => out.push('?'),
            '\u{a0}' => out.push(c),
            c if c.is_ascii() => out.push(c),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// One line for a terminal, cut off at its width.
pub(super) fn cut(line: &Line, style: &Style) -> String {
    let mut out = String::new();
    let mut room = style.width;
    for span in line.spans() {
        let text = if style.unicode {
            span.text().to_owned()
        } else {
            ascii(span.text())
        };
        let mark = if style.unicode { "…" } else { "..." };
        let shown = truncate(&text, room, mark);
        room -= width(&shown);
        match paint(span.tone()).filter(|_| style.color && !shown.trim().is_empty()) {
            Some(paint) => out.push_str(&paint.force_styling(true).apply_to(&shown).to_string()),
            None => out.push_str(&shown),
        }
        if shown != text {
            break;
        }
    }
    let end = out.trim_end().len();
    out.truncate(end);
    out
}

fn paint(tone: Tone) -> Option<Paint> {
    let new = Paint::new();
    Some(match tone {
        Tone::Plain => return None,
        Tone::Strong => new.bold(),
        Tone::Dim => new.dim(),
        Tone::Good => new.green(),
        Tone::Change => new.yellow(),
        Tone::Bad => new.red(),
        Tone::Danger => new.red().bold(),
        Tone::Warn => new.yellow().bold(),
        Tone::Info => new.cyan(),
    })
}
