//! The part of Go's text/template that `docker … --format` is used with.
//!
//! Fields, `json`, `index`, `len`, `join`, `split`, `upper`, `lower`, `title`-less comparison (`eq`, `ne`, `not`, `and`, `or`),
//! `println`, `range` with one or two variables, `if`/`else`/`else if`, `with`, pipelines, parentheses and `{{-`/`-}}`.

use serde_json::Value;
use std::collections::BTreeMap;

/// Why a template could not be used: as Go words it, as far as scripts see it.
pub(crate) type Error = String;

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Print(Vec<String>),
    If(Vec<(Vec<String>, Vec<Node>)>, Vec<Node>),
    Range(Vec<String>, Vec<String>, Vec<Node>, Vec<Node>),
    With(Vec<String>, Vec<Node>, Vec<Node>),
    Set(String, Vec<String>),
}

/// Fills a template in.
///
/// # Errors
/// When it cannot be read, or asks for a field that is not there.
pub(crate) fn render(template: &str, data: &Value) -> Result<String, Error> {
    let tokens = tokens(template)?;
    let mut at = 0;
    let nodes = nodes(&tokens, &mut at, false)?;
    let mut out = String::new();
    let mut vars = BTreeMap::from([("$".to_owned(), data.clone())]);
    run(&nodes, data, &mut vars, &mut out)?;
    Ok(out)
}

enum Token {
    Text(String),
    Action(Vec<String>),
}

fn tokens(template: &str) -> Result<Vec<Token>, Error> {
    let mut tokens = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let mut text = rest[..start].to_owned();
        let mut inner = &rest[start + 2..];
        if let Some(trimmed) = inner.strip_prefix("- ") {
            text.truncate(text.trim_end().len());
            inner = trimmed;
        }
        let end = inner
            .find("}}")
            .ok_or("template parsing error: template: :1: unclosed action")?;
        let mut action = &inner[..end];
        rest = &inner[end + 2..];
        if let Some(trimmed) = action.strip_suffix(" -") {
            action = trimmed;
            rest = rest.trim_start();
        }
        tokens.push(Token::Text(text));
        tokens.push(Token::Action(words(action)?));
    }
    tokens.push(Token::Text(rest.to_owned()));
    Ok(tokens)
}

/// Words of an action: strings keep a leading quote mark, parentheses and bars stand alone.
fn words(action: &str) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    let mut chars = action.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            c if c.is_whitespace() => {
                chars.next();
            }
            '(' | ')' | '|' | ',' => {
                chars.next();
                words.push(c.to_string());
            }
            '"' | '`' => {
                chars.next();
                let mut text = String::from("\"");
                loop {
                    match chars.next() {
                        None => return Err("template parsing error: unterminated quoted string".to_owned()),
                        Some(end) if end == c => break,
                        Some('\\') if c == '"' => match chars.next() {
                            Some('n') => text.push('\n'),
                            Some('t') => text.push('\t'),
                            Some(other) => text.push(other),
                            None => {}
                        },
                        Some(other) => text.push(other),
                    }
                }
                words.push(text);
            }
            _ => {
                let mut word = String::new();
                while let Some(&c) = chars.peek() {
                    if c.is_whitespace() || "()|,\"`".contains(c) {
                        break;
                    }
                    word.push(c);
                    chars.next();
                }
                words.push(word);
            }
        }
    }
    Ok(words)
}

fn nodes(tokens: &[Token], at: &mut usize, inside: bool) -> Result<Vec<Node>, Error> {
    let mut nodes = Vec::new();
    while let Some(token) = tokens.get(*at) {
        match token {
            Token::Text(text) => {
                *at += 1;
                if !text.is_empty() {
                    nodes.push(Node::Text(text.clone()));
                }
            }
            Token::Action(words) => {
                let first = words.first().map_or("", String::as_str);
                if matches!(first, "end" | "else") {
                    if inside {
                        return Ok(nodes);
                    }
                    return Err(format!("template parsing error: unexpected {{{{{first}}}}}"));
                }
                *at += 1;
                nodes.push(match first {
                    "if" => conditional(tokens, at, words[1..].to_vec())?,
                    "range" => {
                        let (names, over) = match words.iter().position(|word| word == ":=") {
                            Some(set) => (
                                words[1..set]
                                    .iter()
                                    .filter(|word| *word != ",")
                                    .cloned()
                                    .collect(),
                                words[set + 1..].to_vec(),
                            ),
                            None => (Vec::new(), words[1..].to_vec()),
                        };
                        let (body, other) = body(tokens, at)?;
                        Node::Range(names, over, body, other)
                    }
                    "with" => {
                        let (body, other) = body(tokens, at)?;
                        Node::With(words[1..].to_vec(), body, other)
                    }
                    name if name.starts_with('$') && words.get(1).is_some_and(|word| word == ":=") => {
                        Node::Set(name.to_owned(), words[2..].to_vec())
                    }
                    _ => Node::Print(words.clone()),
                });
            }
        }
    }
    if inside {
        return Err("template parsing error: template: :1: unexpected EOF".to_owned());
    }
    Ok(nodes)
}

fn body(tokens: &[Token], at: &mut usize) -> Result<(Vec<Node>, Vec<Node>), Error> {
    let then = nodes(tokens, at, true)?;
    let mut other = Vec::new();
    if matches!(tokens.get(*at), Some(Token::Action(words)) if words[0] == "else") {
        *at += 1;
        other = nodes(tokens, at, true)?;
    }
    *at += 1;
    Ok((then, other))
}

fn conditional(tokens: &[Token], at: &mut usize, condition: Vec<String>) -> Result<Node, Error> {
    let mut arms = vec![(condition, nodes(tokens, at, true)?)];
    let mut other = Vec::new();
    while let Some(Token::Action(words)) = tokens.get(*at) {
        *at += 1;
        if words[0] == "end" {
            break;
        }
        if words.get(1).is_some_and(|word| word == "if") {
            arms.push((words[2..].to_vec(), nodes(tokens, at, true)?));
        } else {
            other = nodes(tokens, at, true)?;
        }
    }
    Ok(Node::If(arms, other))
}

type Vars = BTreeMap<String, Value>;

fn run(nodes: &[Node], dot: &Value, vars: &mut Vars, out: &mut String) -> Result<(), Error> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Print(words) => out.push_str(&text(&pipeline(words, dot, vars)?)),
            Node::Set(name, words) => {
                let value = pipeline(words, dot, vars)?;
                vars.insert(name.clone(), value);
            }
            Node::If(arms, other) => {
                let mut chosen = other;
                for (condition, then) in arms {
                    if truth(&pipeline(condition, dot, vars)?) {
                        chosen = then;
                        break;
                    }
                }
                run(chosen, dot, vars, out)?;
            }
            Node::With(words, then, other) => {
                let value = pipeline(words, dot, vars)?;
                if truth(&value) {
                    run(then, &value, vars, out)?;
                } else {
                    run(other, dot, vars, out)?;
                }
            }
            Node::Range(names, words, body, other) => {
                let items: Vec<(Value, Value)> = match pipeline(words, dot, vars)? {
                    Value::Array(items) => items
                        .into_iter()
                        .enumerate()
                        .map(|(at, item)| (at.into(), item))
                        .collect(),
                    Value::Object(map) => map.into_iter().map(|(key, item)| (key.into(), item)).collect(),
                    Value::Null => Vec::new(),
                    other => return Err(format!("range can't iterate over {}", text(&other))),
                };
                if items.is_empty() {
                    run(other, dot, vars, out)?;
                }
                for (key, item) in items {
                    match names.as_slice() {
                        [] => {}
                        [value] => {
                            vars.insert(value.clone(), item.clone());
                        }
                        [index, value, ..] => {
                            vars.insert(index.clone(), key);
                            vars.insert(value.clone(), item.clone());
                        }
                    }
                    run(body, &item, vars, out)?;
                }
            }
        }
    }
    Ok(())
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// A value as Go prints it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let inside: Vec<String> = sorted
                .iter()
                .map(|(key, value)| format!("{key}:{}", text(value)))
                .collect();
            format!("map[{}]", inside.join(" "))
        }
        other => other.to_string(),
    }
}

fn pipeline(words: &[String], dot: &Value, vars: &Vars) -> Result<Value, Error> {
    let mut depth = 0;
    let mut parts: Vec<&[String]> = Vec::new();
    let mut start = 0;
    for (at, word) in words.iter().enumerate() {
        match word.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            "|" if depth == 0 => {
                parts.push(&words[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&words[start..]);
    let mut piped = None;
    for part in parts {
        piped = Some(command(part, piped, dot, vars)?);
    }
    piped.ok_or_else(|| "template parsing error: missing value for command".to_owned())
}

/// The operands of one command, parentheses evaluated.
fn operands(words: &[String], dot: &Value, vars: &Vars) -> Result<Vec<Value>, Error> {
    let mut values = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if words[at] == "(" {
            let mut depth = 1;
            let mut end = at + 1;
            while end < words.len() && depth > 0 {
                depth += i32::from(words[end] == "(") - i32::from(words[end] == ")");
                end += 1;
            }
            if depth > 0 {
                return Err("template parsing error: unclosed left paren".to_owned());
            }
            let mut value = pipeline(&words[at + 1..end - 1], dot, vars)?;
            if let Some(path) = words
                .get(end)
                .filter(|word| word.starts_with('.') && word.len() > 1)
            {
                value = field(&value, &path[1..])?;
                end += 1;
            }
            values.push(value);
            at = end;
        } else {
            values.push(operand(&words[at], dot, vars)?);
            at += 1;
        }
    }
    Ok(values)
}

fn operand(word: &str, dot: &Value, vars: &Vars) -> Result<Value, Error> {
    if let Some(text) = word.strip_prefix('"') {
        return Ok(Value::from(text));
    }
    if word == "." {
        return Ok(dot.clone());
    }
    if let Some(path) = word.strip_prefix('.') {
        return field(dot, path);
    }
    if word.starts_with('$') {
        let (name, path) = word
            .split_once('.')
            .map_or((word, None), |(name, path)| (name, Some(path)));
        let value = vars
            .get(name)
            .ok_or_else(|| format!("template parsing error: undefined variable \"{name}\""))?;
        return path.map_or_else(|| Ok(value.clone()), |path| field(value, path));
    }
    match word {
        "true" => Ok(true.into()),
        "false" => Ok(false.into()),
        "nil" => Ok(Value::Null),
        _ => word
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| format!("template parsing error: template: :1: function \"{word}\" not defined")),
    }
}

fn field(value: &Value, path: &str) -> Result<Value, Error> {
    let mut value = value;
    for name in path.split('.') {
        value = match value {
            Value::Object(map) => map
                .get(name)
                .ok_or_else(|| format!("template: :1: can't evaluate field {name}"))?,
            Value::Null => return Err(format!("template: :1: nil pointer evaluating {name}")),
            _ => return Err(format!("template: :1: can't evaluate field {name}")),
        };
    }
    Ok(value.clone())
}

fn command(words: &[String], piped: Option<Value>, dot: &Value, vars: &Vars) -> Result<Value, Error> {
    let name = words.first().map_or("", String::as_str);
    const FUNCTIONS: &[&str] = &[
        "json", "index", "len", "join", "split", "upper", "lower", "println", "print", "eq", "ne", "not",
        "and", "or",
    ];
    if !FUNCTIONS.contains(&name) {
        let mut values = operands(words, dot, vars)?;
        return match (values.len(), piped) {
            (1, None) => Ok(values.remove(0)),
            _ => Err(format!(
                "template: :1: can't give argument to non-function {name}"
            )),
        };
    }
    let mut values = operands(&words[1..], dot, vars)?;
    values.extend(piped);
    let string = |at: usize| match values.get(at) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(format!("template: :1: wrong type of argument for {name}")),
    };
    match (name, values.as_slice()) {
        ("json", [value]) => Ok(value.to_string().into()),
        ("len", [Value::String(text)]) => Ok(text.len().into()),
        ("len", [Value::Array(items)]) => Ok(items.len().into()),
        ("len", [Value::Object(map)]) => Ok(map.len().into()),
        ("len", [Value::Null]) => Ok(0.into()),
        ("index", [first, keys @ ..]) => {
            let mut value = first.clone();
            for key in keys {
                value = match (&value, key) {
                    // A key that a map does not have gives its zero value: all maps here hold strings.
                    (Value::Object(map), Value::String(key)) => {
                        map.get(key).cloned().unwrap_or_else(|| "".into())
                    }
                    (Value::Null, _) => "".into(),
                    (Value::Array(items), Value::Number(at)) => at
                        .as_u64()
                        .and_then(|at| items.get(usize::try_from(at).ok()?).cloned())
                        .ok_or("template: :1: error calling index: index out of range")?,
                    _ => return Err("template: :1: error calling index: cannot index this".to_owned()),
                };
            }
            Ok(value)
        }
        ("join", [Value::Array(items), Value::String(by)]) => {
            Ok(items.iter().map(text).collect::<Vec<_>>().join(by).into())
        }
        ("split", [_, _]) => Ok(string(0)?.split(&string(1)?).collect::<Vec<_>>().into()),
        ("upper", [_]) => Ok(string(0)?.to_uppercase().into()),
        ("lower", [_]) => Ok(string(0)?.to_lowercase().into()),
        ("print", values) => Ok(values.iter().map(text).collect::<String>().into()),
        ("println", values) => {
            Ok(format!("{}\n", values.iter().map(text).collect::<Vec<_>>().join(" ")).into())
        }
        ("eq", [first, others @ ..]) if !others.is_empty() => Ok(others.contains(first).into()),
        ("ne", [first, second]) => Ok((first != second).into()),
        ("not", [value]) => Ok((!truth(value)).into()),
        ("and", [first, others @ ..]) => {
            let all = [std::slice::from_ref(first), others].concat();
            Ok(all
                .iter()
                .find(|value| !truth(value))
                .or(all.last())
                .cloned()
                .unwrap_or_default())
        }
        ("or", [first, others @ ..]) => {
            let all = [std::slice::from_ref(first), others].concat();
            Ok(all
                .iter()
                .find(|value| truth(value))
                .or(all.last())
                .cloned()
                .unwrap_or_default())
        }
        _ => Err(format!("template: :1: wrong number of args for {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use serde_json::json;

    #[test]
    fn templates_that_scripts_use() {
        let data = json!({
            "Name": "/ucp-kv", "State": {"Running": true, "ExitCode": 0, "Status": "running"},
            "Config": {"Image": "mirantis/ucp-etcd:3.8.5", "Labels": {"com.docker.ucp.version": "3.8.5"}},
            "Mounts": [{"Name": "ucp-kv", "Destination": "/data"}, {"Name": "ucp-kv-certs", "Destination": "/etc"}],
            "Spec": {"Placement": null}, "Server": {"Version": "ucp/3.8.5"}
        });
        for (template, wanted) in [
            ("{{.State.Running}}", "true"),
            ("{{ .State.Status }} {{.State.ExitCode}}", "running 0"),
            ("{{index .Config.Labels \"com.docker.ucp.version\"}}", "3.8.5"),
            ("{{index .Config.Labels \"none\"}}|", "|"),
            (
                "{{json .State}}",
                r#"{"ExitCode":0,"Running":true,"Status":"running"}"#,
            ),
            ("{{range .Mounts}}{{.Name}} {{end}}", "ucp-kv ucp-kv-certs "),
            (
                "{{range $i, $m := .Mounts}}{{if $i}},{{end}}{{$m.Name}}{{end}}",
                "ucp-kv,ucp-kv-certs",
            ),
            (
                "{{range $k, $v := .Config.Labels}}{{$k}}={{println $v}}{{end}}",
                "com.docker.ucp.version=3.8.5\n",
            ),
            ("{{if eq .State.Status \"running\"}}up{{else}}down{{end}}", "up"),
            (
                "{{if not .State.Running}}a{{else if .Name}}b{{else}}c{{end}}",
                "b",
            ),
            ("{{index (split .Server.Version \"/\") 1}}", "3.8.5"),
            ("{{.Name | json}}", "\"/ucp-kv\""),
            ("a {{- .State.ExitCode -}} b", "a0b"),
            ("{{with .Spec.Placement}}x{{else}}none{{end}}", "none"),
            (
                "{{len .Mounts}} {{.Config.Labels}}",
                "2 map[com.docker.ucp.version:3.8.5]",
            ),
        ] {
            assert_eq!(render(template, &data).as_deref(), Ok(wanted), "{template}");
        }
        for wrong in [
            "{{.Nope}}",
            "{{.Name",
            "{{nope .Name}}",
            "{{if .Name}}x",
            "{{end}}",
            "{{.Spec.Placement.X}}",
        ] {
            assert!(render(wrong, &data).is_err(), "{wrong}");
        }
    }
}
