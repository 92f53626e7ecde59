//! Source and target: may this MKE 3 go to that MKE 4k?

use super::run::{Draft, Run};
use super::version::Version;
use crate::model::{Subject, SubjectKind};

fn cluster() -> Subject {
    Subject::new(SubjectKind::Cluster, "cluster")
}

fn option() -> Subject {
    Subject::new(SubjectKind::Input, "--target-version")
}

/// `MKE-VERSION-PATH`: the target takes the source version.
pub(super) fn version_path(run: &mut Run<'_>) {
    const CODE: &str = "MKE-VERSION-PATH";
    let Some(text) = run.cluster(&[CODE], "the MKE version", |cluster| {
        cluster.mke_version.as_deref()
    }) else {
        return;
    };
    if !Version::parse(text).is_some_and(|version| version.is_full()) {
        return run.unchecked(CODE, "the recorded MKE version is not a version");
    }
    let draft = match run.ctx.target.map(|release| release.accepts(text)) {
        Some(Ok(())) => return run.ok(CODE),
        Some(Err(refusal)) => Draft::new(refusal.message),
        None if run.ctx.options.target_version.is_some() || run.ctx.releases.newest_for(text).is_some() => {
            return run.unchecked(CODE, "no target release is known");
        }
        None => {
            // A release that takes other patches of the same minor says best what is wrong.
            let minor = Version::parse(text).map(|version| version.minor().to_string());
            let near = run.ctx.releases.releases.iter().rev().find(|release| {
                minor
                    .as_ref()
                    .is_some_and(|minor| release.from.contains_key(minor))
            });
            match near.map(|release| release.accepts(text)) {
                Some(Err(refusal)) => Draft::new(refusal.message),
                _ => Draft::new(format!(
                    "no MKE 4k release that this version of mkectl knows takes MKE {text}"
                )),
            }
        }
    };
    run.find(CODE, cluster(), draft);
}

/// `TARGET-UNKNOWN`: `--target-version` names a release that is known.
pub(super) fn target_unknown(run: &mut Run<'_>) {
    const CODE: &str = "TARGET-UNKNOWN";
    let Some(wanted) = run.ctx.options.target_version.as_deref() else {
        return run.ok(CODE);
    };
    if run.ctx.releases.get(wanted).is_some() {
        return run.ok(CODE);
    }
    let known: Vec<&str> = run
        .ctx
        .releases
        .releases
        .iter()
        .map(|release| release.mke.as_str())
        .collect();
    let draft = Draft::new(format!("this version of mkectl does not know MKE 4k {wanted}")).remedy(format!(
        "choose one of {}, or use a newer mkectl",
        known.join(", ")
    ));
    run.find(CODE, option(), draft);
}

/// `TARGET-DISCOURAGED`: nothing speaks against the target.
pub(super) fn target_discouraged(run: &mut Run<'_>) {
    const CODE: &str = "TARGET-DISCOURAGED";
    let Some(release) = run.target(&[CODE]) else {
        return;
    };
    let reason = release.discouraged.trim().trim_end_matches('.');
    if reason.is_empty() {
        return run.ok(CODE);
    }
    let draft = Draft::new(format!("MKE 4k {} is not recommended: {reason}", release.mke));
    run.find(CODE, option(), draft);
}

/// `KUBERNETES-DOWNGRADE`, `KUBERNETES-SKIP`: how far Kubernetes moves.
pub(super) fn kubernetes(run: &mut Run<'_>) {
    const CODES: [&str; 2] = ["KUBERNETES-DOWNGRADE", "KUBERNETES-SKIP"];
    let Some(release) = run.target(&CODES) else {
        return;
    };
    let Some(text) = run.cluster(&CODES, "the Kubernetes version", |cluster| {
        cluster.kubernetes_version.as_deref()
    }) else {
        return;
    };
    let (source, target) = (Version::parse(text), Version::parse(&release.kubernetes));
    let ahead = match (&source, &target) {
        (Some(source), Some(target)) => target.minors_ahead_of(source),
        _ => None,
    };
    let (Some(ahead), Some(source), Some(target)) = (ahead, source, target) else {
        for code in CODES {
            run.unchecked(code, "the recorded Kubernetes version cannot be compared");
        }
        return;
    };
    for code in CODES {
        run.ok(code);
    }
    if ahead < 0 {
        let draft = Draft::new(format!(
            "Kubernetes would go back from {} to {}",
            source.minor(),
            target.minor()
        ));
        run.find(CODES[0], cluster(), draft);
    }
    if ahead > 1 {
        let draft = Draft::new(format!(
            "Kubernetes goes from {} to {} in one step",
            source.minor(),
            target.minor()
        ));
        run.find(CODES[1], cluster(), draft);
    }
}
