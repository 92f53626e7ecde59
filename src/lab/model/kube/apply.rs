//! Which fields belong to whom, and what merging means.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A path to a value in an object.
pub type Path = Vec<String>;

/// Paths of all values of an object that its author decides: not its name, version or what the server keeps. A list is one
/// value.
pub fn leaves(object: &Value) -> BTreeSet<Path> {
    fn walk(value: &Value, path: &mut Path, found: &mut BTreeSet<Path>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    path.push(key.clone());
                    walk(value, path, found);
                    path.pop();
                }
            }
            _ => {
                found.insert(path.clone());
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(object, &mut Vec::new(), &mut found);
    found.retain(|path| {
        let at = |index: usize| path.get(index).map_or("", String::as_str);
        !matches!(
            (at(0), at(1)),
            ("apiVersion" | "kind" | "status", _)
                | (
                    "metadata",
                    "name"
                        | "namespace"
                        | "uid"
                        | "resourceVersion"
                        | "generation"
                        | "creationTimestamp"
                        | "managedFields"
                        | ""
                )
        )
    });
    found
}

/// Paths as `fieldsV1` has them.
pub(super) fn fields(paths: &BTreeSet<Path>) -> Value {
    let mut root = Map::new();
    for path in paths {
        let mut at = &mut root;
        for part in path {
            let next = at.entry(format!("f:{part}")).or_insert_with(|| json!({}));
            match next {
                Value::Object(map) => at = map,
                _ => break,
            }
        }
    }
    Value::Object(root)
}

/// Paths that a `fieldsV1` has.
pub(super) fn paths(fields: &Value) -> BTreeSet<Path> {
    fn walk(value: &Value, path: &mut Path, found: &mut BTreeSet<Path>) {
        match value.as_object() {
            Some(map) if !map.is_empty() => {
                for (key, value) in map {
                    path.push(key.strip_prefix("f:").unwrap_or(key).to_owned());
                    walk(value, path, found);
                    path.pop();
                }
            }
            _ => {
                found.insert(path.clone());
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(fields, &mut Vec::new(), &mut found);
    found.remove(&Vec::new());
    found
}

/// The value at a path.
pub(super) fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// Removes the value at a path, and maps that become empty by it.
pub(super) fn remove(value: &mut Value, path: &[String]) {
    let (Some(map), Some((first, rest))) = (value.as_object_mut(), path.split_first()) else {
        return;
    };
    if rest.is_empty() {
        map.remove(first);
    } else if let Some(inner) = map.get_mut(first) {
        remove(inner, rest);
        if inner.as_object().is_some_and(Map::is_empty) {
            map.remove(first);
        }
    }
}

/// `.spec.replicas`, as conflicts name it.
pub(super) fn dotted(path: &[String]) -> String {
    path.iter().map(|part| format!(".{part}")).collect()
}

/// Merges as RFC 7386 says: maps key by key, null removes, anything else replaces.
pub fn merge(into: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let Some(map) = into.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Merges as Kubernetes does for its own kinds: lists of named objects by name, taints by key, conditions by type.
pub(super) fn merge_strategic(into: &mut Value, patch: &Value) {
    match (&mut *into, patch) {
        (Value::Object(map), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    map.remove(key);
                } else if key.starts_with('$') {
                    // Directives say how to merge and are no content.
                } else {
                    merge_strategic(map.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(list), Value::Array(patch)) => {
            let key = ["name", "type", "key", "ip", "uid"]
                .into_iter()
                .find(|key| !patch.is_empty() && patch.iter().all(|one| one.get(key).is_some()));
            let Some(key) = key else {
                *into = Value::Array(patch.clone());
                return;
            };
            for one in patch {
                let found = list.iter().position(|other| other[key] == one[key]);
                let delete = one["$patch"] == "delete";
                match found {
                    Some(at) if delete => drop(list.remove(at)),
                    Some(at) => {
                        if let Some(other) = list.get_mut(at) {
                            merge_strategic(other, one);
                        }
                    }
                    None if delete => {}
                    None => list.push(one.clone()),
                }
            }
        }
        _ => *into = patch.clone(),
    }
}

/// Applies a patch of RFC 6902.
pub(super) fn json_patch(into: &mut Value, patch: &Value) -> Result<(), String> {
    for step in patch.as_array().ok_or("the patch is no list")? {
        let path = step["path"].as_str().unwrap_or_default();
        let op = step["op"].as_str().unwrap_or_default();
        let (parent, last) = path.rsplit_once('/').ok_or("a path begins with /")?;
        let last = last.replace("~1", "/").replace("~0", "~");
        let missing =
            || format!("{op} operation does not apply: doc is missing path: \"{path}\": missing value");
        if op == "test" && into.pointer(path) != Some(&step["value"]) {
            return Err(format!("testing value {path} failed: test failed"));
        }
        if matches!(op, "replace" | "remove") && into.pointer(path).is_none() {
            return Err(missing());
        }
        match (into.pointer_mut(parent).ok_or_else(missing)?, op) {
            (_, "test") => {}
            (Value::Object(map), "add" | "replace") => {
                map.insert(last, step["value"].clone());
            }
            (Value::Object(map), "remove") => {
                map.remove(&last);
            }
            (Value::Array(list), "add") if last == "-" => list.push(step["value"].clone()),
            (Value::Array(list), _) => {
                let at: usize = last.parse().map_err(|_| missing())?;
                match op {
                    "add" if at <= list.len() => list.insert(at, step["value"].clone()),
                    "replace" if at < list.len() => {
                        if let Some(one) = list.get_mut(at) {
                            *one = step["value"].clone();
                        }
                    }
                    "remove" if at < list.len() => drop(list.remove(at)),
                    _ => return Err(missing()),
                }
            }
            _ => return Err(missing()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_paths_say_the_same() {
        let object = json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x", "labels": {"a.b/c": "1"}},
            "spec": {"list": [1, 2], "deep": {"er": {}}}, "status": {"x": 1}});
        let found = leaves(&object);
        assert_eq!(found.len(), 3);
        assert_eq!(paths(&fields(&found)), found);
    }

    #[test]
    fn lists_of_named_objects_are_merged_by_name() {
        let mut into =
            json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "b"}], "n": 1}});
        merge_strategic(
            &mut into,
            &json!({"spec": {"taints": [{"key": "b", "effect": "X"}], "n": null}}),
        );
        assert_eq!(
            into,
            json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "X"}]}})
        );
        merge(&mut into, &json!({"spec": {"taints": []}}));
        assert_eq!(into, json!({"spec": {"taints": []}}));
        assert!(json_patch(&mut into, &json!([{"op": "remove", "path": "/spec/none"}])).is_err());
    }
}
