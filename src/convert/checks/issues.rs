//! Known issues of the target, and what recorded facts cannot tell: both are tables in `checks/`.

use super::rules::IssueWhen;
use super::run::{Draft, Run};
use super::version::Version;
use crate::model::{Subject, SubjectKind};

/// A finding for every known issue that the target has and the cluster can meet.
pub(super) fn known(run: &mut Run<'_>) {
    for issue in &run.ctx.rules.known_issues {
        let code = issue.code.as_str();
        let Some(release) = run.target(&[code]) else {
            continue;
        };
        let Some(target) = Version::parse(&release.mke) else {
            run.unchecked(code, "the target's version is not a version");
            continue;
        };
        let reached = |bound: &str| Version::parse(bound).is_some_and(|bound| target >= bound);
        let has = reached(&issue.from) && !issue.fixed.as_deref().is_some_and(reached);
        let meets = match issue.when {
            None => true,
            Some(IssueWhen::Airgapped) => run.ctx.options.airgapped,
            Some(IssueWhen::AirgappedGpu) => {
                run.ctx.options.airgapped && run.is_on("cluster_config.nvidia_device_plugin")
            }
        };
        let subject = Subject::new(SubjectKind::Cluster, format!("MKE 4k {}", release.mke));
        let draft = Draft::new(match issue.ids.is_empty() {
            true => issue.message.clone(),
            false => format!("{} ({})", issue.message, issue.ids.join(", ")),
        });
        run.verdict(code, (has && meets).then_some((subject, draft)));
    }
}

/// An entry of `unchecked` for everything that only a running cluster can tell.
pub(super) fn offline(run: &mut Run<'_>) {
    for row in &run.ctx.rules.offline {
        run.unchecked(&row.code, row.why.clone());
    }
}
