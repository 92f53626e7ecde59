//! Feature gates: which exist in which minor, and which a component refuses to change.

use super::tables::{Minor, nearest};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// `feature-gates.yaml` as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatesFile {
    #[serde(rename = "_about")]
    _about: IgnoredAny,
    #[serde(rename = "minors")]
    _minors: Vec<Minor>,
    gates: BTreeMap<String, Vec<String>>,
}

/// A gate between two minors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub stage: String,
    pub on: bool,
    pub locked: bool,
    pub from: Minor,
    pub to: Minor,
}

/// All gates.
#[derive(Clone, Debug)]
pub(crate) struct GateTable {
    gates: BTreeMap<String, Vec<Span>>,
}

/// What a component of the target minor does with a gate that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It takes the value.
    Accepted,
    /// The value is the only one there is.
    Settled,
    /// It refuses the value: the gate is locked to the other one.
    Locked { stage: String, on: bool },
    /// It does not know the gate any more; the last minor that did, and its stage there.
    Gone { last: Minor, stage: String, on: bool },
    /// It does not know the gate yet.
    New { first: Minor },
    /// No minor knows the gate.
    Unknown { nearest: Option<String> },
}

fn span(text: &str) -> Option<Span> {
    let mut words: Vec<&str> = text.split(' ').collect();
    let range = words.pop()?;
    let (from, to) = range.split_once("..").unwrap_or((range, range));
    let (stage, default, locked) = match words.as_slice() {
        [stage, default] => (stage, default, false),
        [stage, default, "locked"] => (stage, default, true),
        _ => return None,
    };
    let on = match *default {
        "on" => true,
        "off" => false,
        _ => return None,
    };
    Some(Span {
        stage: (*stage).to_owned(),
        on,
        locked,
        from: Minor::parse(from)?,
        to: Minor::parse(to)?,
    })
}

impl GateTable {
    pub(crate) fn new(file: GatesFile) -> Result<GateTable, String> {
        let mut gates = BTreeMap::new();
        for (gate, texts) in file.gates {
            let spans: Option<Vec<Span>> = texts.iter().map(|text| span(text)).collect();
            match spans {
                Some(spans) if !spans.is_empty() => gates.insert(gate, spans),
                _ => {
                    return Err(format!(
                        "{gate}: a row reads STAGE on|off [locked] MINOR[..MINOR]"
                    ));
                }
            };
        }
        Ok(GateTable { gates })
    }

    pub(crate) fn knows(&self, gate: &str) -> bool {
        self.gates.contains_key(gate)
    }

    fn at(&self, gate: &str, minor: Minor) -> Option<&Span> {
        let spans = self.gates.get(gate)?;
        spans.iter().find(|span| span.from <= minor && minor <= span.to)
    }

    /// The value of a gate that nobody sets; false when the minor does not know it.
    pub(crate) fn default(&self, gate: &str, minor: Minor) -> bool {
        self.at(gate, minor).is_some_and(|span| span.on)
    }

    pub(crate) fn verdict(&self, gate: &str, on: bool, minor: Minor) -> Verdict {
        if let Some(span) = self.at(gate, minor) {
            return match (span.locked, span.on == on) {
                (false, _) => Verdict::Accepted,
                (true, true) => Verdict::Settled,
                (true, false) => Verdict::Locked {
                    stage: span.stage.clone(),
                    on: span.on,
                },
            };
        }
        let spans = self.gates.get(gate).map(Vec::as_slice).unwrap_or_default();
        if let Some(last) = spans.iter().rfind(|span| span.to < minor) {
            return Verdict::Gone {
                last: last.to,
                stage: last.stage.clone(),
                on: last.on,
            };
        }
        match spans.first() {
            Some(first) => Verdict::New { first: first.from },
            None => Verdict::Unknown {
                nearest: nearest(gate, self.gates.keys().map(String::as_str)).map(str::to_owned),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_strictly() {
        let row = span("GA on locked 1.29..1.32").unwrap();
        assert!(row.on && row.locked && row.from == Minor(29) && row.to == Minor(32));
        assert_eq!(span("beta off 1.35").unwrap().to, Minor(35));
        for bad in ["", "GA on", "GA maybe 1.29", "GA on shut 1.29", "GA on 1.29..x"] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }
}
