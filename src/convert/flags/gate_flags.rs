//! `--feature-gates`: each gate is decided by itself, and what remains is carried over.

use super::draft::{Draft, Note};
use super::gates::{GateTable, Verdict};
use super::tables::Minor;
use super::value;
use std::collections::BTreeMap;

/// What becomes of all `--feature-gates` of one component or profile.
pub(crate) struct GateResult {
    /// Gates to set.
    pub gates: BTreeMap<String, bool>,
    /// One draft per text; a draft that is to be kept still lacks its target.
    pub drafts: Vec<Draft>,
}

fn pairs(text: &str) -> Option<Vec<(String, bool)>> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| {
            let (gate, on) = item.split_once('=')?;
            Some((gate.trim().to_owned(), value::boolean(on.trim())?))
        })
        .collect()
}

/// Decides the gates of several `--feature-gates` values together.
pub(crate) fn decide(table: &GateTable, texts: &[&str], minor: Minor) -> GateResult {
    let read: Vec<Option<Vec<(String, bool)>>> = texts.iter().map(|text| pairs(text)).collect();
    let mut asked: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for (gate, on) in read.iter().flatten().flatten() {
        let (yes, no) = asked.entry(gate).or_default();
        *(if *on { yes } else { no }) = true;
    }
    let mut gates = BTreeMap::new();
    let drafts = read
        .iter()
        .map(|pairs| match pairs {
            None => Draft::lost(
                "FLAG-VALUE",
                "the flag takes GATE=true or GATE=false, with commas between them",
                "write every gate with true or false in MKE 3's configuration and plan again",
            ),
            Some(pairs) => decide_one(table, pairs, &asked, minor, &mut gates),
        })
        .collect();
    GateResult { gates, drafts }
}

fn decide_one(
    table: &GateTable,
    pairs: &[(String, bool)],
    asked: &BTreeMap<&str, (bool, bool)>,
    minor: Minor,
    gates: &mut BTreeMap<String, bool>,
) -> Draft {
    let mut kept = Vec::new();
    let mut settled = Vec::new();
    let mut notes: Vec<Note> = Vec::new();
    for (gate, on) in pairs {
        if asked.get(gate.as_str()) == Some(&(true, true)) {
            notes.push(Note {
                code: "FLAG-DUPLICATE".to_owned(),
                message: format!("feature gate {gate} is left out: it is set to true and to false"),
                remedy: "decide for one value in MKE 3's configuration and plan again".to_owned(),
            });
            continue;
        }
        match table.verdict(gate, *on, minor) {
            Verdict::Accepted => {
                kept.push(gate.as_str());
                gates.insert(gate.clone(), *on);
            }
            Verdict::Settled => settled.push(gate.as_str()),
            verdict => notes.push(note(gate, verdict, minor)),
        }
    }
    notes.dedup();
    settled.dedup();
    let mut reason: Vec<String> = notes.iter().map(|note| note.message.clone()).collect();
    if !settled.is_empty() {
        let gates = settled.join(", ");
        reason.push(format!(
            "Kubernetes {minor} is locked to the value asked for {gates}, so there is nothing to set"
        ));
    }
    let mut draft = match (kept.is_empty(), notes.first()) {
        (false, _) => {
            reason.insert(0, "feature gates that the target knows are set".to_owned());
            Draft::kept(Vec::new(), "")
        }
        (true, Some(first)) => {
            let mut draft = Draft::ignored("");
            draft.outcome = crate::model::Outcome::Unsupported;
            draft.remedy.clone_from(&first.remedy);
            draft
        }
        (true, None) => Draft::ignored(""),
    };
    if reason.is_empty() {
        reason.push("it names no feature gate".to_owned());
    }
    draft.reason = reason.join("; ");
    if let Some(first) = notes.first() {
        draft.remedy.clone_from(&first.remedy);
    }
    draft.notes = notes;
    draft
}

fn note(gate: &str, verdict: Verdict, minor: Minor) -> Note {
    let switch = |on: bool| if on { "on" } else { "off" };
    let stops = "and a component does not start with a feature gate it does not know";
    let (code, message, remedy) = match verdict {
        Verdict::Gone { last, stage, on } => (
            "FLAG-FEATURE-GATE-GONE",
            format!(
                "feature gate {gate} is left out: Kubernetes {last} was the last to have it ({stage}, {} by default), {stops}",
                switch(on)
            ),
            if stage == "GA" && on {
                "nothing, unless it was switched off: what it switched on is always on now"
            } else {
                "check whether workloads rely on what it switched"
            },
        ),
        Verdict::New { first } => (
            "FLAG-FEATURE-GATE-UNKNOWN",
            format!("feature gate {gate} is left out: Kubernetes {first} is the first to have it, {stops}"),
            "set it after an upgrade to that release",
        ),
        Verdict::Unknown { nearest } => {
            let hint = nearest
                .map(|gate| format!(" (is {gate} meant?)"))
                .unwrap_or_default();
            (
                "FLAG-FEATURE-GATE-UNKNOWN",
                format!(
                    "feature gate {gate} is left out: no Kubernetes release from 1.27 on has it{hint}, {stops}"
                ),
                "correct its name in MKE 3's configuration and plan again, or leave it out",
            )
        }
        Verdict::Locked { stage, on } => (
            "FLAG-FEATURE-GATE-LOCKED",
            format!(
                "feature gate {gate} is left out: in Kubernetes {minor} it is locked {} ({stage}), and a component does not start \
                 with another value",
                switch(on)
            ),
            "check whether workloads rely on the other value",
        ),
        Verdict::Accepted | Verdict::Settled => ("FLAG-FEATURE-GATE-LOCKED", String::new(), ""),
    };
    Note {
        code: code.to_owned(),
        message,
        remedy: remedy.to_owned(),
    }
}
