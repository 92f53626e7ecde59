//! One finding instead of two hundred: alike ones are merged over hosts.

use crate::model::{Finding, Severity, Subject, SubjectKind};
use std::collections::{BTreeMap, BTreeSet};

type Key = (Severity, String, Option<Subject>, String, String);

/// Merges findings that differ only in the host they are about, and sorts by severity, code and subject.
///
/// A finding about one host keeps it, with its place in hosts.yaml, as subject; one about several is about `N hosts`, and
/// `hosts` names them, sorted. Findings about other subjects merge only when the subject is the same too. Nothing but exact
/// repetition is dropped.
pub fn aggregate(findings: Vec<Finding>) -> Vec<Finding> {
    let mut groups: BTreeMap<Key, (Subject, BTreeSet<String>)> = BTreeMap::new();
    for finding in findings {
        let about_hosts = finding.subject.kind == SubjectKind::Host && !finding.hosts.is_empty();
        let subject = (!about_hosts).then(|| finding.subject.clone());
        let key = (
            finding.severity,
            finding.code,
            subject,
            finding.message,
            finding.remedy,
        );
        let (first, hosts) = groups
            .entry(key)
            .or_insert_with(|| (finding.subject.clone(), BTreeSet::new()));
        if finding.subject < *first {
            *first = finding.subject;
        }
        hosts.extend(finding.hosts);
    }
    let mut out: Vec<Finding> = groups
        .into_iter()
        .map(
            |((severity, code, subject, message, remedy), (first, hosts))| Finding {
                severity,
                code,
                subject: match subject {
                    Some(subject) => subject,
                    None if hosts.len() == 1 => first,
                    None => Subject::new(SubjectKind::Host, format!("{} hosts", hosts.len())),
                },
                message,
                remedy,
                hosts: hosts.into_iter().collect(),
            },
        )
        .collect();
    out.sort();
    out
}
