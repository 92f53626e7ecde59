//! The closed set of transforms that the table names.

use super::table::{SettingDef, TargetDef, Transform};
use super::value::{self, nanoseconds};
use crate::source::mke3::Value;
use crate::yaml::Node;
use ipnet::IpNet;

/// What a transform makes of a value.
#[derive(Debug, PartialEq)]
pub(crate) enum Made {
    /// A value to write; the second part completes the path of `by-name`.
    Value(Node, Option<String>),
    /// Nothing to write here: a sibling did.
    Nothing,
    /// No place for it in the target.
    NoPlace,
}

/// Looks up a sibling in the same entry of a list.
pub(crate) type Sibling<'a> = dyn Fn(&str) -> Option<&'a Value> + 'a;

/// Applies a transform. The error is a fragment that reads well after the key.
pub(crate) fn apply(
    target: &TargetDef,
    row: &SettingDef,
    value: &Value,
    sibling: &Sibling,
) -> Result<Made, String> {
    let plain = |node: Node| Ok(Made::Value(node, None));
    let text = || value::text(value).ok_or("is not a string".to_owned());
    match target.transform {
        Transform::Copy => plain(
            value::allowed(row, value)
                .cloned()
                .unwrap_or_else(|| value::node(value)),
        ),
        Transform::Text => plain(match value::node(value) {
            Node::Bool(flag) => Node::Str(flag.to_string()),
            Node::Int(number) => Node::Str(number.to_string()),
            other => other,
        }),
        Transform::Const => plain(target.value.clone().unwrap_or(Node::Null)),
        Transform::Not => match value {
            Value::Bool(flag) => plain(Node::Bool(!flag)),
            _ => Err("is not true or false".to_owned()),
        },
        Transform::Number => text()?
            .trim()
            .parse()
            .map_err(|_| "is not an integer".to_owned())
            .and_then(|number| plain(Node::Int(number))),
        Transform::Minutes => match value {
            Value::Integer(minutes) if *minutes >= 0 => plain(Node::Str(format!("{minutes}m"))),
            _ => Err("is not a number of minutes".to_owned()),
        },
        Transform::Duration => nanoseconds(&text()?)
            .ok_or("is not a duration such as 1m30s".to_owned())
            .and_then(|duration| plain(Node::Str(go_duration(duration)))),
        Transform::CommaList => {
            let text = text()?;
            plain(list(text.split(',').map(str::trim)))
        }
        Transform::Unique => plain(list(strings(value).iter().map(String::as_str))),
        Transform::Without => {
            let kept = strings(value);
            plain(list(
                kept.iter()
                    .map(String::as_str)
                    .filter(|item| !target.drop.contains(*item)),
            ))
        }
        Transform::Pairs => {
            let pairs = value::pairs(&text()?).ok_or("is not a list of pairs such as cpu=1,memory=2Gi")?;
            plain(Node::Map(
                pairs
                    .into_iter()
                    .map(|(key, value)| (key, Node::Str(value)))
                    .collect(),
            ))
        }
        Transform::Enum => {
            let found = target
                .map
                .get(&text()?.to_lowercase())
                .or(target.otherwise.as_ref());
            match found {
                Some(word) => plain(Node::Str(word.clone())),
                None => Err(format!(
                    "is none of {}",
                    target.map.keys().cloned().collect::<Vec<_>>().join(", ")
                )),
            }
        }
        Transform::Autodetect => autodetect(&text()?)
            .ok_or("is not an address detection method such as first-found or interface=eth0".to_owned())
            .and_then(plain),
        Transform::IssuerOfDiscovery => text()?
            .strip_suffix("/.well-known/openid-configuration")
            .ok_or("does not end in /.well-known/openid-configuration".to_owned())
            .and_then(|issuer| plain(Node::Str(issuer.to_owned()))),
        Transform::ByName => {
            let name = sibling("name").and_then(value::text).unwrap_or_default();
            Ok(match target.map.get(&name.to_lowercase()) {
                Some(known) => Made::Value(value::node(value), Some(known.clone())),
                None => Made::NoPlace,
            })
        }
        Transform::Affinity => {
            let wanted = sibling("value").and_then(value::text).unwrap_or_default();
            let mut expression = Node::map();
            expression.insert("key", Node::Str(text()?));
            if wanted.is_empty() {
                expression.insert("operator", "Exists".into());
            } else {
                expression.insert("operator", "In".into());
                expression.insert("values", Node::List(vec![Node::Str(wanted)]));
            }
            plain(expression)
        }
        Transform::WithKey => match sibling("key") {
            Some(_) => Ok(Made::Nothing),
            None => Err("stands in an entry without a key".to_owned()),
        },
    }
}

/// The strings of a list, or of a comma-separated string.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
        Value::List(items) => items.iter().filter_map(|(item, _)| value::text(item)).collect(),
        _ => Vec::new(),
    }
}

/// Non-empty items, each once, in their order.
fn list<'a>(items: impl Iterator<Item = &'a str>) -> Node {
    let mut out: Vec<Node> = Vec::new();
    for item in items.filter(|item| !item.is_empty()) {
        let node = Node::Str(item.to_owned());
        if !out.contains(&node) {
            out.push(node);
        }
    }
    Node::List(out)
}

/// `nodeAddressAutodetectionV4` of a Calico installation, for the methods that Calico's own setting knows.
pub(crate) fn autodetect(text: &str) -> Option<Node> {
    let (key, value) = match text.split_once('=').map_or((text, ""), |(a, b)| (a, b.trim())) {
        ("first-found", "") => ("firstFound", Node::Bool(true)),
        ("kubernetes-internal-ip", "") => ("kubernetes", "NodeInternalIP".into()),
        (_, "") => return None,
        ("can-reach", host) => ("canReach", host.into()),
        ("interface", pattern) => ("interface", pattern.into()),
        ("skip-interface", pattern) => ("skipInterface", pattern.into()),
        ("cidr", ranges) => {
            let ranges: Vec<&str> = ranges.split(',').map(str::trim).collect();
            if ranges.iter().any(|range| range.parse::<IpNet>().is_err()) {
                return None;
            }
            ("cidrs", list(ranges.into_iter()))
        }
        _ => return None,
    };
    let mut node = Node::map();
    node.insert(key, value);
    Some(node)
}

/// A duration as Go prints it: `2m0s`, `1h0m0s`, `1.5s`, `250ms`.
fn go_duration(nanoseconds: i64) -> String {
    let fraction = |value: i64, unit: i64| {
        let digits = unit.ilog10() as usize;
        let text = format!("{}.{:0digits$}", value / unit, value % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        n if n < 1_000 => format!("{n}ns"),
        n if n < 1_000_000 => format!("{}µs", fraction(n, 1_000)),
        n if n < 1_000_000_000 => format!("{}ms", fraction(n, 1_000_000)),
        n => {
            let minutes = n / 60_000_000_000;
            let seconds = fraction(n % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, m) => format!("{m}m{seconds}s"),
                (h, m) => format!("{h}h{m}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_prints_them() {
        for (text, expected) in [
            ("1m", "1m0s"),
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1.5s", "1.5s"),
            ("250ms", "250ms"),
            ("1500us", "1.5ms"),
            ("7ns", "7ns"),
            ("0", "0s"),
            ("2m0s", "2m0s"),
            ("1h30m0.25s", "1h30m0.25s"),
        ] {
            assert_eq!(
                nanoseconds(text).map(go_duration).as_deref(),
                Some(expected),
                "{text}"
            );
        }
        for text in ["", "m", "5", "1m5", "-1s", "1..5s", "9999999999999h", "1x"] {
            assert_eq!(nanoseconds(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_detection_method_of_calico_has_its_field() {
        let of = |text: &str| autodetect(text).map(|node| crate::yaml::flow(&node));
        assert_eq!(of("first-found").as_deref(), Some("{firstFound: true}"));
        assert_eq!(
            of("can-reach=8.8.8.8").as_deref(),
            Some("{canReach: \"8.8.8.8\"}")
        );
        assert_eq!(of("interface=eth.*").as_deref(), Some("{interface: \"eth.*\"}"));
        assert_eq!(
            of("skip-interface=docker0").as_deref(),
            Some("{skipInterface: docker0}")
        );
        assert_eq!(
            of("cidr=10.0.0.0/8, 192.168.0.0/16").as_deref(),
            Some("{cidrs: [10.0.0.0/8, 192.168.0.0/16]}")
        );
        for wrong in ["interface=", "cidr=10.0.0.0/33", "fastest", "first-found=1"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
