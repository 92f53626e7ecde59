//! A report before it has a form: sections of blocks of lines of spans.

use crate::text::sanitize;

/// What a piece of text means; a form decides how that looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// Names and headings.
    Strong,
    /// Secondary.
    Dim,
    /// New, gained, fine.
    Good,
    /// Changed.
    Change,
    /// Removed, lost.
    Bad,
    /// It stops the upgrade or cannot be undone.
    Danger,
    /// A person should look.
    Warn,
    /// A place or a command.
    Info,
}

/// A piece of text with one meaning. Its text is harmless: see [`sanitize`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    tone: Tone,
    text: String,
}

impl Span {
    /// Makes the text harmless and gives it a meaning.
    pub fn new(tone: Tone, text: impl AsRef<str>) -> Span {
        Span {
            tone,
            text: sanitize(text.as_ref()),
        }
    }

    /// Its meaning.
    pub fn tone(&self) -> Tone {
        self.tone
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A line of text, to be broken where the form needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<Span>);

impl Line {
    /// Nothing.
    pub fn new() -> Line {
        Line::default()
    }

    /// Appends text of a meaning; empty text is left out.
    #[must_use]
    pub fn tone(mut self, tone: Tone, text: impl AsRef<str>) -> Line {
        if !text.as_ref().is_empty() {
            self.0.push(Span::new(tone, text));
        }
        self
    }

    /// Appends plain text.
    #[must_use]
    pub fn plain(self, text: impl AsRef<str>) -> Line {
        self.tone(Tone::Plain, text)
    }

    /// Appends a name.
    #[must_use]
    pub fn strong(self, text: impl AsRef<str>) -> Line {
        self.tone(Tone::Strong, text)
    }

    /// Appends something secondary.
    #[must_use]
    pub fn dim(self, text: impl AsRef<str>) -> Line {
        self.tone(Tone::Dim, text)
    }

    /// Appends a place or command.
    #[must_use]
    pub fn info(self, text: impl AsRef<str>) -> Line {
        self.tone(Tone::Info, text)
    }

    /// Its spans.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// True when it has no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its text without meanings.
    pub fn text(&self) -> String {
        self.0.iter().map(Span::text).collect()
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Line {
        Line::new().plain(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Line {
        Line::new().plain(text)
    }
}

/// A row of a table, with lines beneath it that span the columns.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// One per column; fewer when it is wide.
    pub cells: Vec<Line>,
    /// Beneath.
    pub notes: Vec<Line>,
    /// The second cell takes the room of all that follow.
    pub wide: bool,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Columns of empty space before it, on a terminal.
    pub indent: usize,
    /// Title of each column.
    pub head: Vec<&'static str>,
    /// Whether a terminal shows the titles.
    pub show_head: bool,
    /// On a narrow terminal the columns from this one on go beneath the others.
    pub stack: Option<usize>,
    /// Rows.
    pub rows: Vec<Row>,
}

impl Table {
    /// A table with these column titles, which a terminal does not show.
    pub fn new(head: &[&'static str]) -> Table {
        Table {
            indent: 2,
            head: head.to_vec(),
            ..Table::default()
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Line>) {
        self.rows.push(Row {
            cells: cells.into_iter().collect(),
            ..Row::default()
        });
    }

    /// Adds a row whose text takes the room of all columns behind the sign.
    pub fn wide(&mut self, sign: Line, text: Line) {
        self.rows.push(Row {
            cells: vec![sign, text],
            wide: true,
            ..Row::default()
        });
    }

    /// Adds a line beneath the last row.
    pub fn note(&mut self, note: Line) {
        if let Some(row) = self.rows.last_mut() {
            row.notes.push(note);
        }
    }
}

/// One side of a row of two trees.
#[derive(Clone, Debug, Default)]
pub struct Branch {
    /// How deep it stands; 0 is a root.
    pub depth: usize,
    /// Text; empty when this side has nothing here.
    pub line: Line,
}

/// Two trees whose rows belong together.
#[derive(Clone, Debug, Default)]
pub struct Trees {
    /// Titles, left and right.
    pub titles: [&'static str; 2],
    /// Rows.
    pub rows: Vec<[Branch; 2]>,
}

impl Trees {
    /// The tree lines of one side, per row: before its text, and before the continuation of a text that was broken.
    pub fn lines(&self, side: usize) -> Vec<[String; 2]> {
        // From the end, because whether a line goes on depends on what follows.
        let mut follows: Vec<bool> = Vec::new();
        let mut out: Vec<[String; 2]> = Vec::with_capacity(self.rows.len());
        for row in self.rows.iter().rev() {
            let branch = &row[side];
            if branch.line.is_empty() {
                let through = follows
                    .iter()
                    .map(|more| if *more { "│   " } else { "    " })
                    .collect::<String>();
                out.push([through.clone(), through]);
                continue;
            }
            follows.resize(branch.depth + 1, false);
            let above: String = follows[..branch.depth]
                .iter()
                .map(|more| if *more { "│   " } else { "    " })
                .collect();
            let last = !std::mem::replace(&mut follows[branch.depth], true);
            let [first, rest] = if last {
                ["└── ", "    "]
            } else {
                ["├── ", "│   "]
            };
            out.push([format!("{above}{first}"), format!("{above}{rest}")]);
        }
        out.reverse();
        out
    }
}

/// A line drawn across.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it marks.
    pub label: Line,
    /// How it looks.
    pub tone: Tone,
    /// Drawn so that nobody overlooks it.
    pub heavy: bool,
    /// What it means.
    pub notes: Vec<Line>,
}

/// A bar of a time line.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What.
    pub label: Span,
    /// From, in seconds.
    pub start: u64,
    /// To, in seconds.
    pub end: u64,
    /// How it looks.
    pub tone: Tone,
}

/// A piece of a section.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text {
        /// Columns of empty space before it, on a terminal.
        indent: usize,
        /// What stands before it; the text hangs behind.
        mark: Option<Span>,
        /// Text.
        line: Line,
    },
    /// Names and values.
    Facts(Vec<(&'static str, Line)>),
    /// A table.
    Table(Table),
    /// Two trees side by side.
    Trees(Trees),
    /// A line drawn across.
    Rule(Rule),
    /// Bars over a common time line.
    Bars(Vec<Bar>),
    /// A smaller heading.
    Heading(Line),
    /// Space.
    Gap,
}

impl Block {
    /// A paragraph.
    pub fn text(line: impl Into<Line>) -> Block {
        Block::Text {
            indent: 2,
            mark: None,
            line: line.into(),
        }
    }

    /// A paragraph behind a mark.
    pub fn item(tone: Tone, mark: &str, line: impl Into<Line>) -> Block {
        Block::Text {
            indent: 2,
            mark: Some(Span::new(tone, mark)),
            line: line.into(),
        }
    }

    /// A paragraph further in.
    pub fn deeper(line: impl Into<Line>) -> Block {
        Block::Text {
            indent: 6,
            mark: None,
            line: line.into(),
        }
    }
}

/// How much a reviewer needs a section; where space is short the least needed goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// For looking things up.
    Detail,
    /// What changes without a risk.
    Normal,
    /// What a reviewer decides on.
    Risk,
    /// What nobody may approve without having seen.
    Always,
}

/// A part of a report.
#[derive(Clone, Debug)]
pub struct Section {
    /// Stable name.
    pub id: &'static str,
    /// Heading.
    pub title: String,
    /// What it comes to, in a few words.
    pub gist: String,
    /// How much it is needed.
    pub weight: Weight,
    /// Contents.
    pub blocks: Vec<Block>,
}
