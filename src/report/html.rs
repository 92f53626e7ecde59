//! A plan as one page: no script, no request to anywhere, light and dark, printable.

use super::doc::{Bar, Block, Line, Rule, Section, Table, Tone, Trees, Weight};
use super::sections;
use super::view::{View, about};
use crate::model::Plan;
use crate::text::{duration, sanitize};
use std::fmt::Write;

/// The whole plan as a self-contained HTML document. Every text of the plan is escaped; the page's own policy forbids
/// scripts and requests, should something slip through all the same.
pub fn render(plan: &Plan) -> String {
    let view = View::new(plan);
    let (title, gist) = sections::title(&view);
    let (applyable, verdict) = sections::verdict(&view);
    let sections = sections::all(&view);
    let mut out = String::with_capacity(64 * 1024);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" \
         content=\"light dark\">\n<title>{} – {}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n",
        escape(&title),
        escape(&gist),
        include_str!("page.css")
    );
    let class = if applyable { "good" } else { "danger" };
    let _ = write!(
        out,
        "<header>\n<p class=\"kind\">{}</p>\n<h1>{}</h1>\n<p><span class=\"verdict {class}\">{}</span> \
         <code class=\"digest\">{}</code></p>\n",
        escape(&title),
        escape(&gist),
        escape(&verdict),
        escape(&plan.digest)
    );
    let _ = writeln!(out, "<p class=\"sum\">{}</p>", escape(&view.summary.sentence()));
    cards(&view, &mut out);
    for block in sections::glance(&view)
        .iter()
        .filter(|block| matches!(block, Block::Facts(_)))
    {
        self::block(block, &mut out);
    }
    out.push_str("</header>\n<nav>\n");
    for section in &sections {
        let _ = writeln!(
            out,
            "<a href=\"#{}\" class=\"{}\">{}</a>",
            section.id,
            weight(section),
            escape(&section.title)
        );
    }
    out.push_str("</nav>\n");
    for section in &sections {
        self::section(section, &mut out);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn weight(section: &Section) -> &'static str {
    match section.weight {
        Weight::Always => "always",
        Weight::Risk => "risk",
        Weight::Normal => "normal",
        Weight::Detail => "detail",
    }
}

fn cards(view: &View, out: &mut String) {
    if view.spec.actions.is_empty() {
        return;
    }
    let times = &view.spec.estimate;
    out.push_str("<div class=\"cards\">\n");
    for (what, seconds) in [
        ("Kubernetes API down", times.api_outage_s),
        ("logins down", times.login_outage_s),
        ("each worker, at most", times.worker_outage_s),
        ("whole run", times.total_s),
    ] {
        if seconds == 0 {
            continue;
        }
        let _ = writeln!(
            out,
            "<div class=\"card\"><b>{}</b><span>{what}</span></div>",
            about(seconds)
        );
    }
    out.push_str("</div>\n<p class=\"fine\">Times are estimates.</p>\n");
}

fn section(section: &Section, out: &mut String) {
    let open = if section.weight == Weight::Detail {
        ""
    } else {
        " open"
    };
    let _ = write!(
        out,
        "<details id=\"{}\" class=\"{}\"{open}>\n<summary><h2>{}</h2> <span class=\"gist\">{}</span></summary>\n",
        section.id,
        weight(section),
        escape(&section.title),
        escape(&section.gist)
    );
    for block in &section.blocks {
        self::block(block, out);
    }
    out.push_str("</details>\n");
}

fn block(block: &Block, out: &mut String) {
    match block {
        Block::Text { indent, mark, line } => {
            let class = if *indent > 4 { " class=\"in\"" } else { "" };
            let _ = write!(out, "<p{class}>");
            if let Some(mark) = mark {
                let _ = write!(
                    out,
                    "<span class=\"{}\">{}</span> ",
                    tone(mark.tone()),
                    escape(mark.text())
                );
            }
            self::line(line, out);
            out.push_str("</p>\n");
        }
        Block::Facts(rows) => {
            out.push_str("<dl>\n");
            for (name, text) in rows {
                let _ = write!(out, "<dt>{}</dt><dd>", escape(name));
                line(text, out);
                out.push_str("</dd>\n");
            }
            out.push_str("</dl>\n");
        }
        Block::Table(table) => self::table(table, out),
        Block::Trees(trees) => self::trees(trees, out),
        Block::Rule(rule) => self::rule(rule, out),
        Block::Bars(bars) => self::bars(bars, out),
        Block::Heading(text) => {
            out.push_str("<h3>");
            line(text, out);
            out.push_str("</h3>\n");
        }
        Block::Gap => {}
    }
}

fn table(table: &Table, out: &mut String) {
    let named: Vec<&str> = table
        .head
        .iter()
        .copied()
        .filter(|title| !title.is_empty())
        .collect();
    let class = named.join("-").replace(' ', "_");
    let _ = write!(
        out,
        "<div class=\"scroll\"><table class=\"{class}\">\n<thead><tr>"
    );
    for title in &table.head {
        let _ = write!(out, "<th>{}</th>", escape(title));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let columns = table.head.len();
    for row in &table.rows {
        out.push_str("<tr>");
        for (at, cell) in row.cells.iter().enumerate() {
            let span = if row.wide && at == 1 { columns - 1 } else { 1 };
            match span {
                0 | 1 => out.push_str("<td>"),
                _ => {
                    let _ = write!(out, "<td colspan=\"{span}\">");
                }
            }
            line(cell, out);
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
        for note in &row.notes {
            let _ = write!(
                out,
                "<tr class=\"note\"><td></td><td colspan=\"{}\">",
                columns.saturating_sub(1).max(1)
            );
            line(note, out);
            out.push_str("</td></tr>\n");
        }
    }
    out.push_str("</tbody></table></div>\n");
}

fn trees(trees: &Trees, out: &mut String) {
    let prefixes = [trees.lines(0), trees.lines(1)];
    out.push_str("<div class=\"trees\">\n");
    for (side, title) in trees.titles.iter().enumerate() {
        let _ = write!(out, "<div><h3>{}</h3><pre>", escape(title));
        for (row, prefix) in trees.rows.iter().zip(&prefixes[side]) {
            let _ = write!(out, "<span class=\"dim\">{}</span>", prefix[0]);
            line(&row[side].line, out);
            out.push('\n');
        }
        out.push_str("</pre></div>\n");
    }
    out.push_str("</div>\n");
}

fn rule(rule: &Rule, out: &mut String) {
    let class = if rule.heavy { "rule heavy" } else { "rule" };
    let _ = write!(out, "<div class=\"{class} {}\"><p>", tone(rule.tone));
    line(&rule.label, out);
    out.push_str("</p>");
    for note in &rule.notes {
        out.push_str("<p class=\"fine\">");
        line(note, out);
        out.push_str("</p>");
    }
    out.push_str("</div>\n");
}

fn bars(bars: &[Bar], out: &mut String) {
    let end = bars.iter().map(|bar| bar.end).max().unwrap_or(0).max(1);
    // Tenths of a per cent, so that no floating point decides how a report looks.
    let share = |seconds: u64| (u128::from(seconds) * 1000 / u128::from(end)) as u64;
    out.push_str("<div class=\"bars\">\n");
    for bar in bars {
        let (from, to) = (share(bar.start), share(bar.end).max(share(bar.start) + 4));
        let size = to - from;
        let _ = writeln!(
            out,
            "<span>{}</span><div class=\"track\"><div class=\"bar {}\" style=\"margin-left:{}.{}%;width:{}.{}%\"></div>\
             </div><span class=\"dim\">{} – {}</span>",
            escape(bar.label.text()),
            tone(bar.tone),
            from / 10,
            from % 10,
            size / 10,
            size % 10,
            duration(bar.start),
            duration(bar.end)
        );
    }
    out.push_str("</div>\n");
}

fn line(line: &Line, out: &mut String) {
    for span in line.spans() {
        match tone(span.tone()) {
            "" => out.push_str(&escape(span.text())),
            class => {
                let _ = write!(out, "<span class=\"{class}\">{}</span>", escape(span.text()));
            }
        }
    }
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Strong => "strong",
        Tone::Dim => "dim",
        Tone::Good => "good",
        Tone::Change => "change",
        Tone::Bad => "bad",
        Tone::Danger => "danger",
        Tone::Warn => "warn",
        Tone::Info => "info",
    }
}

/// Text in an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in sanitize(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
