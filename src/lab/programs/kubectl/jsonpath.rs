//! The JSONPath of kubectl: `{.items[*].metadata.name}`, `{range …}{end}`, filters, indices, quoted text.

use serde_json::Value;

/// Why a template could not be used; what is not known here is not simulated.
pub(super) type Error = String;

#[derive(Debug)]
enum Part {
    Text(String),
    Path(String),
    Range(String, Vec<Part>),
}

/// Fills a template in. What is not there is empty.
pub(super) fn render(template: &str, data: &Value) -> Result<String, Error> {
    let mut at = 0;
    // Without braces the whole is one path, as kubectl has it.
    let braced;
    let template = if template.contains('{') {
        template
    } else {
        braced = format!("{{{template}}}");
        &braced
    };
    let parts = parts(template, &mut at, false)?;
    let mut out = String::new();
    fill(&parts, data, data, &mut out)?;
    Ok(out)
}

fn parts(template: &str, at: &mut usize, nested: bool) -> Result<Vec<Part>, Error> {
    let mut found = Vec::new();
    while *at < template.len() {
        let rest = &template[*at..];
        if let Some(inner) = rest.strip_prefix('{') {
            let end = end_of(inner).ok_or("error: error parsing jsonpath: unclosed action")?;
            let action = inner[..end].trim().to_owned();
            *at += end + 2;
            if action == "end" {
                if nested {
                    return Ok(found);
                }
                return Err("error: error parsing jsonpath: not in range, nothing to end".to_owned());
            }
            if let Some(path) = action.strip_prefix("range ") {
                found.push(Part::Range(path.trim().to_owned(), parts(template, at, true)?));
            } else if let Some(text) = quoted(&action) {
                found.push(Part::Text(text));
            } else {
                found.push(Part::Path(action));
            }
        } else {
            let end = rest.find('{').unwrap_or(rest.len());
            found.push(Part::Text(rest[..end].to_owned()));
            *at += end;
        }
    }
    if nested {
        return Err("error: error parsing jsonpath: unclosed range".to_owned());
    }
    Ok(found)
}

/// Where the brace closes, past quoted text.
fn end_of(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

fn quoted(text: &str) -> Option<String> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '"' | '\''))?;
    let inner = text.strip_prefix(mark)?.strip_suffix(mark)?;
    Some(
        inner
            .replace("\\n", "\n")
            .replace("\\t", "\t")
            .replace("\\\"", "\"")
            .replace("\\\\", "\\"),
    )
}

fn fill(parts: &[Part], root: &Value, here: &Value, out: &mut String) -> Result<(), Error> {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(path) => {
                let texts: Vec<String> = select(path, root, here)?.into_iter().map(text).collect();
                out.push_str(&texts.join(" "));
            }
            Part::Range(path, inner) => {
                for one in select(path, root, here)? {
                    // A list that is named without [*] is walked as well.
                    let ones: Vec<&Value> = match one {
                        Value::Array(list) => list.iter().collect(),
                        other => vec![other],
                    };
                    for one in ones {
                        fill(inner, root, one, out)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// A value as kubectl prints it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// All values at a path. `$` is the root, `@` or nothing where we are.
pub(super) fn select<'a>(path: &str, root: &'a Value, here: &'a Value) -> Result<Vec<&'a Value>, Error> {
    let unknown = || format!("the JSONPath {path}");
    let (mut found, mut rest) = match path.strip_prefix('$') {
        Some(rest) => (vec![root], rest),
        None => (vec![here], path.strip_prefix('@').unwrap_or(path)),
    };
    while !rest.is_empty() {
        if rest.starts_with("..") {
            return Err(unknown());
        }
        if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() || after.starts_with('[') {
                rest = after;
                continue;
            }
            let mut name = String::new();
            let mut letters = after.char_indices();
            let mut end = after.len();
            while let Some((at, letter)) = letters.next() {
                match letter {
                    '\\' => name.extend(letters.next().map(|(_, letter)| letter)),
                    '.' | '[' => {
                        end = at;
                        break;
                    }
                    _ => name.push(letter),
                }
            }
            found = if name == "*" {
                found.into_iter().flat_map(children).collect()
            } else {
                found.into_iter().filter_map(|value| value.get(&name)).collect()
            };
            rest = &after[end..];
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = bracket(after).ok_or_else(unknown)?;
            let inner = after[..end].trim();
            rest = &after[end + 1..];
            if let Some(filter) = inner.strip_prefix("?(").and_then(|inner| inner.strip_suffix(')')) {
                let mut kept = Vec::new();
                for value in found.into_iter().flat_map(children) {
                    if holds(filter, root, value)? {
                        kept.push(value);
                    }
                }
                found = kept;
            } else if inner == "*" {
                found = found.into_iter().flat_map(children).collect();
            } else if let Some(name) = quoted(inner) {
                found = found.into_iter().filter_map(|value| value.get(&name)).collect();
            } else {
                let index: i64 = inner.trim_end_matches(':').parse().map_err(|_| unknown())?;
                found = found
                    .into_iter()
                    .filter_map(|value| {
                        let list = value.as_array()?;
                        let at = if index < 0 {
                            list.len().checked_sub(usize::try_from(-index).ok()?)?
                        } else {
                            usize::try_from(index).ok()?
                        };
                        list.get(at)
                    })
                    .collect();
            }
        } else {
            // `{metadata.name}` means `{.metadata.name}`.
            if rest.len() == path.len() && rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return select(&format!(".{path}"), root, here);
            }
            return Err(unknown());
        }
    }
    Ok(found)
}

fn bracket(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn holds(filter: &str, root: &Value, here: &Value) -> Result<bool, Error> {
    for operator in ["==", "!=", ">=", "<=", ">", "<"] {
        let Some((left, right)) = filter.split_once(operator) else {
            continue;
        };
        let value = |side: &str| -> Result<Option<String>, Error> {
            let side = side.trim();
            if let Some(text) = quoted(side) {
                return Ok(Some(text));
            }
            if side.starts_with(['@', '$', '.']) {
                return Ok(select(side, root, here)?.first().map(|value| text(value)));
            }
            Ok(Some(side.to_owned()))
        };
        let (left, right) = (value(left)?, value(right)?);
        let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<f64>().ok());
        return Ok(match operator {
            "==" => left == right,
            // What is not there is neither equal nor unequal.
            "!=" => left.is_some() && left != right,
            ">" => number(&left) > number(&right),
            "<" => number(&left) < number(&right),
            ">=" => number(&left) >= number(&right),
            _ => number(&left) <= number(&right),
        });
    }
    Ok(!select(filter.trim(), root, here)?.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_of_scripts_are_filled_in() {
        let data = json!({"items": [
            {"metadata": {"name": "a", "labels": {"x.y/z": "1"}}, "n": 2, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            {"metadata": {"name": "b"}, "n": 3},
        ]});
        let said = |template: &str| render(template, &data).unwrap();
        assert_eq!(said("{.items[*].metadata.name}"), "a b");
        assert_eq!(
            said("{range .items[*]}{.metadata.name}{\"\\t\"}{.n}{\"\\n\"}{end}"),
            "a\t2\nb\t3\n"
        );
        assert_eq!(said("{.items[?(@.metadata.name==\"b\")].n}"), "3");
        assert_eq!(
            said("{.items[0].status.conditions[?(@.type==\"Ready\")].status}"),
            "True"
        );
        assert_eq!(
            said("{.items[0].metadata.labels.x\\.y/z}{.items[0].metadata.labels['x\\.y/z']}"),
            "1"
        );
        assert_eq!(said("{.items[0].metadata.labels['x.y/z']}"), "1");
        assert_eq!(said("{.items[-1:].metadata.name}"), "b");
        assert_eq!(said("{.none}"), "");
        assert_eq!(said("{.items[?(@.status)].n}"), "2");
        assert!(render("{.items", &data).is_err());
        assert!(render("{range .items[*]}", &data).is_err());
    }
}
