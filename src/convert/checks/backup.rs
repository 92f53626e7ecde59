//! The backup that is left when everything else has failed.

use super::run::{Draft, Run};
use crate::model::{Subject, SubjectKind};

fn backup() -> Subject {
    Subject::new(SubjectKind::Cluster, "backup")
}

/// `BACKUP-OFFHOST`: a copy lies outside the cluster.
pub(super) fn off_host(run: &mut Run<'_>) {
    const CODE: &str = "BACKUP-OFFHOST";
    if let Some(off_host) = run.cluster(&[CODE], "where the newest backup lies", |cluster| {
        cluster.backup.as_ref().and_then(|backup| backup.off_host)
    }) {
        let draft = Draft::new("the newest backup lies only on hosts of the cluster");
        run.verdict(CODE, (!off_host).then(|| (backup(), draft)));
    }
}

/// `BACKUP-AGE`: it is recent.
pub(super) fn age(run: &mut Run<'_>) {
    const CODE: &str = "BACKUP-AGE";
    let limit = run.ctx.rules.cluster.backup_age_hours;
    if let Some(hours) = run.cluster(&[CODE], "the age of the newest backup", |cluster| {
        cluster.backup.as_ref().and_then(|backup| backup.age_hours)
    }) {
        run.reading("backup", "age", format!("{hours} h"));
        let draft = Draft::new(format!("the newest backup is older than {limit} hours"));
        run.verdict(CODE, (hours > limit).then(|| (backup(), draft)));
    }
}
