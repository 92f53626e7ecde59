//! A plan as a comment: markdown that fits into a limit by leaving out whole sections, never by cutting one.
//!
//! Whatever comes from the plan stands in code spans and fences, where nothing is a mention, a link or HTML, or is
//! escaped by [`escape`].

use super::doc::{Section, Weight};
use super::page::{Page, Style};
use super::sections;
use super::view::{Summary, View};
use crate::model::{Finding, Plan, Severity};
use crate::text::{count, duration, number, sanitize, truncate};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The smallest limit that is kept; smaller ones count as this.
pub const SMALLEST: usize = 2_000;
/// Columns of the fenced parts.
const WIDTH: usize = 100;
/// Longest name in the head, in columns.
const NAME: usize = 48;

/// The plan as markdown of at most `max_bytes` bytes (and so at most as many UTF-16 units, in which forges count);
/// limits below [`SMALLEST`] count as that.
///
/// Head, digest, verdict, risks and the number and codes of blockers are always there. A section that does not fit
/// becomes one line with its size and the SHA-256 of what was left out; what a reviewer needs least goes first.
pub fn render(plan: &Plan, max_bytes: Option<usize>) -> String {
    let limit = max_bytes.map_or(usize::MAX, |max| max.max(SMALLEST));
    let view = View::new(plan);
    let head = head(&view);
    let sections: Vec<Part> = sections::all(&view)
        .into_iter()
        .filter(|section| section.weight != Weight::Always)
        .map(|section| Part::new(&section))
        .collect();
    for stops in [stops(&view), stops_by_code(&view), stops_counted(&view)] {
        let fixed = head.len() + stops.len();
        if let Some(body) = choose(&sections, limit.saturating_sub(fixed)) {
            return head + &stops + &body;
        }
    }
    // The head is bounded and the shortest forms are too, so this is only reached with a limit below the smallest.
    head + &stops_counted(&view)
}

struct Part {
    weight: Weight,
    full: String,
    line: String,
    title: String,
    body: String,
}

impl Part {
    fn new(section: &Section) -> Part {
        let mut page = Page::new(&Style {
            width: WIDTH,
            color: false,
            unicode: true,
        });
        page.blocks(&section.blocks);
        let body = page.finish();
        let fence = fence(&body);
        let gist = if section.gist.is_empty() {
            String::new()
        } else {
            format!(": {}", html(&section.gist))
        };
        let full = format!(
            "<details><summary><b>{}</b>{gist}</summary>\n\n{fence}text\n{}\n{fence}\n\n</details>\n\n",
            html(&section.title),
            body.trim_end_matches('\n')
        );
        let line = format!(
            "- **{}** left out: {}, `{}`\n",
            escape(&section.title),
            count(body.lines().count(), "line"),
            short_hash(&body)
        );
        Part {
            weight: section.weight,
            full,
            line,
            title: section.title.clone(),
            body,
        }
    }
}

fn short_hash(text: &str) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(text)))
}

const COMMAND: &str = "\nAll of it: `mkectl show plan.json`\n";

/// As many sections in full as fit, the weightiest first; the others as lines, or as one line for all.
fn choose(parts: &[Part], room: usize) -> Option<String> {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(parts[*at].weight));
    let mut open = vec![false; parts.len()];
    let mut used = parts.iter().map(|part| part.line.len()).sum::<usize>() + COMMAND.len();
    if used > room {
        let line = all_left_out(parts);
        return (line.len() <= room).then_some(line);
    }
    for at in order {
        let grown = used - parts[at].line.len() + parts[at].full.len();
        if grown <= room {
            open[at] = true;
            used = grown;
        }
    }
    let mut out: String = parts
        .iter()
        .zip(&open)
        .filter(|(_, open)| **open)
        .map(|(part, _)| part.full.as_str())
        .collect();
    out.extend(
        parts
            .iter()
            .zip(&open)
            .filter(|(_, open)| !**open)
            .map(|(part, _)| part.line.as_str()),
    );
    out.push_str(COMMAND);
    Some(out)
}

fn all_left_out(parts: &[Part]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(&part.title);
        hash.update(&part.body);
    }
    let hash = HEXLOWER.encode(&hash.finalize());
    format!(
        "\n{} left out, `sha256:{hash}`\n{COMMAND}",
        count(parts.len(), "section")
    )
}

/// Everything that is always there. Its size is bounded: names are cut to [`NAME`] columns.
fn head(view: &View) -> String {
    let spec = view.spec;
    let cluster = &spec.cluster;
    let summary = &view.summary;
    let (applyable, verdict) = sections::verdict(view);
    let id: String = cluster
        .id
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect();
    let name = if cluster.name.is_empty() {
        &cluster.external_address
    } else {
        &cluster.name
    };
    let mut out = format!("<!-- mkectl:plan:{id} -->\n");
    let sign = if applyable { "✅" } else { "⛔" };
    let _ = writeln!(
        out,
        "## Upgrade plan for {}: MKE {} → MKE 4k {}\n",
        code(name, NAME),
        code(&cluster.from.mke, 24),
        code(&cluster.to.mke, 24)
    );
    let _ = writeln!(
        out,
        "{sign} **{verdict}** · plan {}\n\n{}\n",
        code(&view.plan.digest, 80),
        summary.sentence()
    );
    out.push_str("| risk | |\n| --- | --- |\n");
    let mut row = |what: &str, text: String| {
        let _ = writeln!(out, "| {what} | {text} |");
    };
    if summary.actions > 0 {
        let times = &spec.estimate;
        let about = |seconds: u32| duration(seconds.into());
        row(
            "outage (estimates)",
            format!(
                "API {}, logins {}, each worker {}, whole run {}",
                about(times.api_outage_s),
                about(times.login_outage_s),
                about(times.worker_outage_s),
                about(times.total_s)
            ),
        );
        row(
            "automatic rollback",
            format!("before {}", code(&spec.lines.last_automatic_rollback, NAME)),
        );
        row("point of no return", code(&spec.lines.point_of_no_return, NAME));
        row(
            "cannot be undone",
            format!(
                "{} of {}",
                number(summary.irreversible),
                count(summary.actions, "action")
            ),
        );
    }
    row(
        "lost or in doubt",
        format!(
            "{}, {}, {} of access",
            count(Summary::lost(&summary.settings), "setting"),
            count(Summary::lost(&summary.flags), "flag"),
            count(summary.losses, "reduction")
        ),
    );
    row("warnings", number(summary.warnings));
    out.push('\n');
    out
}

/// Blockers and reasons in full.
fn stops(view: &View) -> String {
    let mut out = String::new();
    let blockers: Vec<&Finding> = view.findings(Severity::Blocking).collect();
    if !blockers.is_empty() {
        let _ = writeln!(out, "### Blockers ({})\n", number(blockers.len()));
    }
    for finding in blockers {
        let subject = &finding.subject;
        let place = match (&subject.file, subject.line) {
            (Some(file), Some(line)) => format!(" ({})", code(&format!("{file}:{line}"), usize::MAX)),
            _ => String::new(),
        };
        let hosts: Vec<&str> = finding.hosts.iter().map(String::as_str).collect();
        let on = match hosts.is_empty() {
            true => String::new(),
            false => format!(" On {}.", code(&view.names.describe(&hosts), usize::MAX)),
        };
        let _ = writeln!(
            out,
            "- **{}** {}{place}: {}.{on} *{}.* `mkectl explain {}`",
            escape(&finding.code),
            code(&subject.name, usize::MAX),
            escape(&finding.message),
            escape(&finding.remedy),
            sanitize(&finding.code).replace('`', "")
        );
    }
    let reasons = &view.spec.intent.not_applyable;
    if !view.spec.intent.applyable && !reasons.is_empty() {
        out.push_str("\n### Why it cannot be applied\n\n");
        for reason in reasons {
            let _ = writeln!(out, "- ✗ {}", escape(reason));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

fn by_code<'a>(view: &View<'a>) -> BTreeMap<&'a str, usize> {
    let mut codes = BTreeMap::new();
    for finding in view.findings(Severity::Blocking) {
        *codes.entry(finding.code.as_str()).or_default() += 1;
    }
    codes
}

/// One line a code.
fn stops_by_code(view: &View) -> String {
    let mut out = String::new();
    for (name, n) in by_code(view) {
        let _ = writeln!(out, "- {} ×{}", code(name, NAME), number(n));
    }
    short_of(view, &out)
}

/// The first codes and a count.
fn stops_counted(view: &View) -> String {
    let codes = by_code(view);
    let shown: Vec<String> = codes.keys().take(3).map(|name| code(name, 32)).collect();
    let more = codes.len() - shown.len();
    let more = if more > 0 {
        format!(" and {} more codes", number(more))
    } else {
        String::new()
    };
    let out = if codes.is_empty() {
        String::new()
    } else {
        format!("{}{more}\n", shown.join(", "))
    };
    short_of(view, &out)
}

fn short_of(view: &View, codes: &str) -> String {
    let blockers = view.findings(Severity::Blocking).count();
    let reasons = view.spec.intent.not_applyable.len();
    if blockers == 0 && reasons == 0 {
        return String::new();
    }
    let full = stops(view);
    format!(
        "### Blockers ({})\n\n{codes}\nDetails and {} left out, `{}`\n",
        number(blockers),
        count(reasons, "reason"),
        short_hash(&full)
    )
}

/// A fence longer than any run of backticks in the text.
fn fence(body: &str) -> String {
    "`".repeat(longest_run(body).max(2) + 1)
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A code span: nothing in it is markdown, HTML, a mention or a link. At most `max` columns.
fn code(text: &str, max: usize) -> String {
    let text = truncate(sanitize(text).trim(), max, "…");
    if text.is_empty() {
        return "–".to_owned();
    }
    let ticks = "`".repeat(longest_run(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    // Inside a table a bar ends the cell even in code.
    format!("{ticks}{space}{}{space}{ticks}", text.replace('|', "\\|"))
}

/// Text outside code: no markup, no HTML, no mention, no reference to an issue, no link.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in sanitize(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            // An invisible character behind them keeps forges from linking people, issues and addresses.
            '@' | '#' => {
                out.push(c);
                out.push_str("&#8203;");
            }
            c => out.push(c),
        }
    }
    out.replace("://", ":&#8203;//").replace("www.", "www&#8203;.")
}

/// Text inside HTML in markdown, where backslashes do not escape.
fn html(text: &str) -> String {
    let mut out = String::new();
    for c in sanitize(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '*' | '_' | '`' | '~' | '[' | ']' | '|' | '\\' | '$' | '!' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '@' | '#' => {
                out.push(c);
                out.push_str("&#8203;");
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(
            escape("@all see #12 <b>x</b>"),
            "@&#8203;all see #&#8203;12 &lt;b&gt;x&lt;/b&gt;"
        );
        assert_eq!(escape("![a](http://x)"), "\\!\\[a\\](http:&#8203;//x)");
        assert_eq!(code("a``b", 10), "```a``b```");
        assert_eq!(code("`x", 10), "`` `x ``");
        assert_eq!(code("a|b", 10), "`a\\|b`");
        assert_eq!(code(" ", 10), "–");
        assert_eq!(fence("no ticks"), "```");
        assert_eq!(fence("a ```` b"), "`````");
    }
}
