//! MKE 3's etcd: whether its snapshot is fit to become the data of the new cluster.

use super::run::{Draft, Run};
use super::version::Version;
use crate::model::{Severity, Subject, SubjectKind};
use crate::source::facts::EtcdFacts;

fn etcd() -> Subject {
    Subject::new(SubjectKind::Cluster, "etcd")
}

fn fact<'a, T>(
    run: &mut Run<'a>,
    code: &str,
    what: &str,
    get: impl Fn(&'a EtcdFacts) -> Option<T>,
) -> Option<T> {
    run.cluster(&[code], what, |cluster| cluster.etcd.as_ref().and_then(&get))
}

/// `ETCD-ALARM`: no alarm is raised.
pub(super) fn alarms(run: &mut Run<'_>) {
    const CODE: &str = "ETCD-ALARM";
    if let Some(alarms) = fact(run, CODE, "the list of etcd's alarms", |etcd| {
        etcd.alarms.as_ref()
    }) {
        let mut names: Vec<&str> = alarms.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let any = !names.is_empty();
        run.verdict(
            CODE,
            any.then(|| {
                (
                    etcd(),
                    Draft::new(format!("etcd has raised alarms: {}", names.join(", "))),
                )
            }),
        );
    }
}

/// Bytes of `2GB`, `512MiB` or plain digits. Decimal units stay decimal, which is the smaller and so the safer reading.
fn quota_bytes(text: &str) -> Option<u128> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor: u128 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" | "ki" => 1 << 10,
        "mib" | "mi" => 1 << 20,
        "gib" | "gi" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok().map(|n| u128::from(n) * factor)
}

/// `ETCD-SIZE`: the database fits the target's quota with room to grow.
pub(super) fn size(run: &mut Run<'_>) {
    const CODE: &str = "ETCD-SIZE";
    const KEY: &str = "cluster_config.etcd_storage_quota";
    let Some(size) = fact(run, CODE, "the size of etcd", |etcd| etcd.size_bytes) else {
        return;
    };
    let rules = &run.ctx.rules.cluster;
    let quota = run
        .text(KEY)
        .or_else(|| rules.defaults.get("etcd_storage_quota").map(String::as_str))
        .and_then(quota_bytes);
    let Some(quota) = quota else {
        return run.unchecked(CODE, format!("{KEY} is not a size"));
    };
    run.reading("etcd", "size", format!("{} bytes of {quota}", size.0));
    let percent = u128::from(rules.etcd_quota_percent);
    let large = u128::from(size.0) * 100 > quota * percent;
    let draft = Draft::new(format!("the database takes more than {percent} % of its quota"));
    run.verdict(CODE, large.then(|| (etcd(), draft)));
}

/// `ETCD-AUTH`: authentication is off.
pub(super) fn auth(run: &mut Run<'_>) {
    const CODE: &str = "ETCD-AUTH";
    if let Some(on) = fact(run, CODE, "whether etcd's authentication is on", |etcd| {
        etcd.auth_enabled
    }) {
        run.verdict(
            CODE,
            on.then(|| (etcd(), Draft::new("etcd's own authentication is on"))),
        );
    }
}

/// `ETCD-DIVERGED`: all members hold the same data.
pub(super) fn diverged(run: &mut Run<'_>) {
    const CODE: &str = "ETCD-DIVERGED";
    if let Some(agree) = fact(run, CODE, "whether etcd's members agree", |etcd| {
        etcd.members_agree
    }) {
        let draft = Draft::new("etcd's members hold different data at the same revision");
        run.verdict(CODE, (!agree).then(|| (etcd(), draft)));
    }
}

/// `ETCD-MEMBERS`: every manager's member is healthy.
pub(super) fn members(run: &mut Run<'_>) {
    const CODE: &str = "ETCD-MEMBERS";
    let Some(healthy) = fact(run, CODE, "the number of healthy etcd members", |etcd| {
        etcd.healthy_members
    }) else {
        return;
    };
    if run.hosts.iter().any(|host| host.role.is_none()) {
        return run.unchecked(CODE, "nothing tells the role of some hosts");
    }
    let managers = run.hosts.iter().filter(|host| host.is_manager()).count();
    let missing = usize::try_from(healthy).is_ok_and(|healthy| healthy < managers);
    let draft = Draft::new(format!("only {healthy} of {managers} etcd members are healthy"));
    run.verdict(CODE, missing.then(|| (etcd(), draft)));
}

/// `ETCD-STORED-VERSION`: the target's API server can read every stored value.
pub(super) fn stored_versions(run: &mut Run<'_>) {
    const CODE: &str = "ETCD-STORED-VERSION";
    let Some(release) = run.target(&[CODE]) else {
        return;
    };
    let Some(target) = Version::parse(&release.kubernetes) else {
        return run.unchecked(CODE, "the target's Kubernetes version is not known");
    };
    let Some(stored) = fact(run, CODE, "in which versions etcd stores values", |etcd| {
        etcd.stored_versions.as_ref()
    }) else {
        return;
    };
    let reached = |version: &str| Version::parse(version).is_some_and(|version| target >= version);
    let mut drafts = Vec::new();
    for (name, count) in stored.iter().filter(|(_, count)| **count > 0) {
        let Some((api, kind)) = name.rsplit_once('/') else {
            continue;
        };
        let row = run.ctx.rules.apis.stored.iter().find(|row| {
            row.api == api && row.kinds.iter().any(|known| known == kind) && reached(&row.gone_in)
        });
        let Some(row) = row else {
            continue;
        };
        let fails = row.fails_from.as_deref().is_some_and(reached);
        let subject = Subject::new(SubjectKind::Object, name);
        run.reading(name, "stored values", count.to_string());
        drafts.push(match fails {
            true => (
                subject,
                Draft::new(format!(
                    "etcd stores values as {name}, and Kubernetes {target} cannot list {kind} with one of them"
                )),
            ),
            false => (
                subject,
                Draft::new(format!("etcd stores values as {name}, which Kubernetes {target} no longer knows"))
                    .severity(Severity::Warning)
                    .remedy("delete them while MKE 3 still serves them, or leave them as orphans in etcd"),
            ),
        });
    }
    run.verdict(CODE, drafts);
}

#[cfg(test)]
mod tests {
    use super::quota_bytes;

    #[test]
    fn quotas_read_as_written() {
        assert_eq!(quota_bytes("2GB"), Some(2_000_000_000));
        assert_eq!(quota_bytes("8 GiB"), Some(8 << 30));
        assert_eq!(quota_bytes("2147483648"), Some(2 << 30));
        for text in ["", "GB", "2XB", "-1GB", "2.5GB"] {
            assert_eq!(quota_bytes(text), None, "{text}");
        }
    }
}
