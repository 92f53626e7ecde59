//! Selectors: as command lines have them, and as objects do.

use serde_json::Value;
use std::collections::BTreeMap;

/// One condition of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The label is there.
    Has(String),
    /// It is not.
    Lacks(String),
    /// It has one of these values.
    In(String, Vec<String>),
    /// It has none of these values, or is not there.
    NotIn(String, Vec<String>),
}

type Labels = BTreeMap<String, String>;

/// Reads `a=b,c!=d,e,!f,g in (h,i)`.
pub fn selector(text: &str) -> Option<Vec<Requirement>> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(requirement)
        .collect()
}

fn requirement(part: &str) -> Option<Requirement> {
    let set = |rest: &str| -> Option<Vec<String>> {
        let inner = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    if let Some((key, rest)) = part.split_once(" notin ") {
        return Some(Requirement::NotIn(key.trim().to_owned(), set(rest)?));
    }
    if let Some((key, rest)) = part.split_once(" in ") {
        return Some(Requirement::In(key.trim().to_owned(), set(rest)?));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Requirement::NotIn(
            key.trim().to_owned(),
            vec![value.trim().to_owned()],
        ));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Requirement::In(
            key.trim().to_owned(),
            vec![value.trim().to_owned()],
        ));
    }
    Some(match part.strip_prefix('!') {
        Some(key) => Requirement::Lacks(key.trim().to_owned()),
        None => Requirement::Has(part.to_owned()),
    })
}

/// Whether labels fulfil all conditions.
pub fn matches(requirements: &[Requirement], labels: &Labels) -> bool {
    requirements.iter().all(|requirement| match requirement {
        Requirement::Has(key) => labels.contains_key(key),
        Requirement::Lacks(key) => !labels.contains_key(key),
        Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
        Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
    })
}

/// Whether labels have all of a map's.
pub fn has_all(labels: &Labels, wanted: &Value) -> bool {
    wanted.as_object().is_some_and(|wanted| {
        wanted
            .iter()
            .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
    })
}

/// Whether labels fulfil a `LabelSelector`. An empty one fits all.
pub fn fits(labels: &Labels, selector: &Value) -> bool {
    let maps = selector
        .get("matchLabels")
        .is_none_or(|wanted| wanted.is_null() || has_all(labels, wanted));
    let expressions = selector
        .get("matchExpressions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    maps && expressions.into_iter().all(|expression| {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> = expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let value = labels.get(key).map(String::as_str);
        match expression["operator"].as_str() {
            Some("In") => value.is_some_and(|value| values.contains(&value)),
            Some("NotIn") => value.is_none_or(|value| !values.contains(&value)),
            Some("Exists") => value.is_some(),
            Some("DoesNotExist") => value.is_none(),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_in_all_their_forms() {
        let labels = Labels::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
        let fits = |text: &str| matches(&selector(text).unwrap(), &labels);
        assert!(fits("a=1,b"));
        assert!(fits("a in (0,1),!c,c!=2"));
        assert!(fits("b="));
        assert!(!fits("a!=1"));
        assert!(!fits("a notin (1)"));
        assert!(!fits("c"));
        assert!(fits(""));
    }
}
