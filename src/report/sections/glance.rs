//! The head of a report: which cluster, from where to where, and what a board asks first.

use crate::model::{Cluster, Role, Spec};
use crate::report::doc::{Block, Line, Tone};
use crate::report::view::{View, about};
use crate::text::{count, fold_hosts};

/// True when `apply` takes the plan, and how to say so.
pub(crate) fn verdict(view: &View) -> (bool, String) {
    let blockers = view.summary.blockers;
    match (view.spec.intent.applyable, blockers) {
        (true, _) => (true, "applyable".to_owned()),
        (false, 0) => (false, "not applyable".to_owned()),
        (false, n) => (false, format!("not applyable: {}", count(n, "blocker"))),
    }
}

/// First characters of a digest: enough to tell plans apart by eye.
pub(crate) fn short(digest: &str) -> String {
    let (kind, hash) = digest.split_once(':').unwrap_or(("", digest));
    let head: String = hash.chars().take(12).collect();
    if kind.is_empty() {
        head
    } else {
        format!("{kind}:{head}")
    }
}

fn joined(parts: &[(&str, &str)]) -> Line {
    let mut line = Line::new();
    for (name, version) in parts.iter().filter(|(_, version)| !version.is_empty()) {
        if !line.is_empty() {
            line = line.dim(" · ");
        }
        line = line.plain(format!("{name} ")).strong(version);
    }
    if line.is_empty() {
        Line::new().dim("not known")
    } else {
        line
    }
}

fn name(cluster: &Cluster) -> Line {
    let shown = [&cluster.name, &cluster.external_address]
        .into_iter()
        .find(|name| !name.is_empty());
    let line = match shown {
        Some(name) => Line::new().strong(name),
        None => Line::new().dim("not named"),
    };
    if cluster.id.is_empty() {
        line
    } else {
        line.dim(format!("  swarm {}", cluster.id))
    }
}

/// Who the hosts are: roles with folded names.
pub(crate) fn hosts(spec: &Spec) -> Line {
    let mut line = Line::new();
    for (role, noun) in [
        (Some(Role::Manager), "manager"),
        (Some(Role::Worker), "worker"),
        (None, "host"),
    ] {
        let names: Vec<&str> = spec
            .hosts
            .iter()
            .filter(|host| host.role == role)
            .map(|host| host.id.as_str())
            .collect();
        if names.is_empty() {
            continue;
        }
        let noun = count(names.len(), noun);
        let noun = if role.is_none() {
            format!("{noun} of unknown role")
        } else {
            noun
        };
        let between = if line.is_empty() { "" } else { " · " };
        line = line
            .dim(between)
            .strong(noun)
            .plain(" ")
            .plain(fold_hosts(&names));
    }
    if line.is_empty() {
        Line::new().dim("none")
    } else {
        line
    }
}

/// The title of every form, and what stands behind it.
pub(crate) fn title(view: &View) -> (String, String) {
    let cluster = &view.spec.cluster;
    let known = |version: &str| {
        if version.is_empty() {
            "?".to_owned()
        } else {
            version.to_owned()
        }
    };
    let name = [&cluster.name, &cluster.external_address]
        .into_iter()
        .find(|name| !name.is_empty());
    (
        "Upgrade plan".to_owned(),
        format!(
            "{}: MKE {} → MKE 4k {}",
            name.map_or("a cluster without a name", String::as_str),
            known(&cluster.from.mke),
            known(&cluster.to.mke)
        ),
    )
}

/// The head: facts, then the answer to "may it run, how long is it down, until when is there a way back".
pub(crate) fn glance(view: &View) -> Vec<Block> {
    let spec = view.spec;
    let (from, to) = (&spec.cluster.from, &spec.cluster.to);
    let (applyable, verdict) = verdict(view);
    let mark = if applyable {
        (Tone::Good, "✓ ")
    } else {
        (Tone::Danger, "✗ ")
    };
    let mut facts = vec![
        ("cluster", name(&spec.cluster)),
        (
            "from",
            joined(&[
                ("MKE", &from.mke),
                ("Kubernetes", &from.kubernetes),
                ("MCR", &from.mcr),
            ]),
        ),
        (
            "to",
            joined(&[
                ("MKE 4k", &to.mke),
                ("Kubernetes", &to.kubernetes),
                ("k0s", &to.k0s),
                ("etcd", &to.etcd),
            ]),
        ),
        ("hosts", hosts(spec)),
        (
            "plan",
            Line::new()
                .info(short(&view.plan.digest))
                .dim("  ")
                .tone(mark.0, mark.1)
                .tone(mark.0, verdict),
        ),
    ];
    if !spec.actions.is_empty() {
        facts.push(("outage", outage(spec)));
        facts.push(("way back", way_back(spec)));
    }
    vec![
        Block::Facts(facts),
        Block::Gap,
        Block::text(Line::new().strong(view.summary.sentence())),
    ]
}

fn outage(spec: &Spec) -> Line {
    let estimate = &spec.estimate;
    let mut line = Line::new();
    for (what, seconds) in [
        ("API", estimate.api_outage_s),
        ("logins", estimate.login_outage_s),
        ("each worker", estimate.worker_outage_s),
        ("whole run", estimate.total_s),
    ] {
        // A cluster without workers has no outage of workers.
        if seconds == 0 {
            continue;
        }
        let between = if line.is_empty() { "" } else { " · " };
        line = line.dim(between).plain(format!("{what} ").replace(' ', "\u{a0}"));
        line = line.strong(about(seconds));
    }
    line.dim("  (estimates)")
}

fn way_back(spec: &Spec) -> Line {
    let lines = &spec.lines;
    let mut line = Line::new();
    if !lines.last_automatic_rollback.is_empty() {
        line = line
            .plain("automatic before ")
            .tone(Tone::Warn, &lines.last_automatic_rollback);
    }
    if !lines.point_of_no_return.is_empty() {
        let between = if line.is_empty() {
            "on request before "
        } else {
            "; then on request, with losses, before "
        };
        line = line
            .plain(between)
            .tone(Tone::Danger, &lines.point_of_no_return)
            .plain("; none after it");
    }
    if line.is_empty() {
        Line::new().dim("no line is marked: every step can be undone or reads only")
    } else {
        line
    }
}
