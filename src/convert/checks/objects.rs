//! Kubernetes objects and settings that the new control plane treats differently, or that stand in its way.

use super::rules::Owner;
use super::run::{Draft, Run};
use super::version::Version;
use crate::model::{Severity, Subject, SubjectKind};
use std::collections::BTreeSet;

fn object(name: &str) -> Subject {
    Subject::new(SubjectKind::Object, name)
}

/// One finding per name of a list, in order.
fn each_name(run: &mut Run<'_>, code: &str, names: &[String], say: impl Fn(&str) -> Draft) {
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    run.verdict(code, names.into_iter().map(|name| (object(name), say(name))));
}

/// `API-REMOVED`: clients ask for nothing that is gone in the target.
pub(super) fn removed_apis(run: &mut Run<'_>) {
    const CODE: &str = "API-REMOVED";
    let Some(release) = run.target(&[CODE]) else {
        return;
    };
    let Some(target) = Version::parse(&release.kubernetes) else {
        return run.unchecked(CODE, "the target's Kubernetes version is not known");
    };
    let Some(requests) = run.objects(&[CODE], "which deprecated APIs clients asked for", |objects| {
        objects.deprecated_requests.as_ref()
    }) else {
        return;
    };
    let mut drafts = Vec::new();
    for name in requests.iter().collect::<BTreeSet<_>>() {
        let row = name.rsplit_once('/').and_then(|(api, resource)| {
            let served = &run.ctx.rules.apis.served;
            served
                .iter()
                .find(|row| row.api == api && row.resources.iter().any(|known| known == resource))
        });
        match row {
            Some(row) if Version::parse(&row.removed_in).is_some_and(|gone| target >= gone) => drafts.push((
                object(name),
                Draft::new(format!(
                    "clients ask for {name}, which Kubernetes {} removed in favour of {}",
                    row.removed_in, row.instead
                )),
            )),
            Some(_) => {}
            None => drafts.push((
                object(name),
                Draft::new(format!(
                    "clients ask for {name}, which is deprecated, and mkectl does not know when it goes"
                ))
                .severity(Severity::Info),
            )),
        }
    }
    run.verdict(CODE, drafts);
}

/// `VOLUME-INTREE`: no volume needs a plugin that the target dropped.
pub(super) fn in_tree_volumes(run: &mut Run<'_>) {
    const CODE: &str = "VOLUME-INTREE";
    let Some(release) = run.target(&[CODE]) else {
        return;
    };
    let Some(target) = Version::parse(&release.kubernetes) else {
        return run.unchecked(CODE, "the target's Kubernetes version is not known");
    };
    let Some(plugins) = run.objects(&[CODE], "which volume plugins are in use", |objects| {
        objects.in_tree_volumes.as_ref()
    }) else {
        return;
    };
    let drivers = run
        .ctx
        .facts
        .and_then(|facts| facts.cluster.objects.as_ref())
        .and_then(|objects| objects.csi_drivers.as_ref());
    let mut drafts = Vec::new();
    for (name, _) in plugins.iter().filter(|(_, count)| **count > 0) {
        let row = run.ctx.rules.cluster.in_tree_volumes.iter().find(|row| {
            row.plugin.eq_ignore_ascii_case(name)
                && Version::parse(&row.dropped_in).is_some_and(|gone| target >= gone)
        });
        let Some(row) = row else {
            continue;
        };
        let without = format!(
            "volumes use the plugin {name}, which Kubernetes {} dropped",
            row.dropped_in
        );
        match (&row.csi, drivers) {
            (Some(driver), Some(drivers)) if drivers.contains(driver) => {}
            (Some(driver), Some(_)) => drafts.push((
                object(name),
                Draft::new(format!(
                    "{without}, and the CSI driver {driver} that takes them over is not there"
                ))
                .remedy(format!("install the CSI driver {driver} before the upgrade")),
            )),
            (Some(driver), None) => {
                run.unchecked(
                    CODE,
                    format!("whether the CSI driver {driver} takes over the plugin {name} was not recorded"),
                );
            }
            (None, _) => drafts.push((object(name), Draft::new(without))),
        }
    }
    run.verdict(CODE, drafts);
}

/// `CSI-PATH`: CSI drivers find the kubelet where it was.
pub(super) fn csi_path(run: &mut Run<'_>) {
    const CODE: &str = "CSI-PATH";
    let Some(release) = run.target(&[CODE]) else {
        return;
    };
    let rules = &run.ctx.rules.cluster;
    if release.features.contains(&rules.kubelet_root_feature) {
        return run.ok(CODE);
    }
    if let Some(drivers) = run.objects(&[CODE], "the list of CSI drivers", |objects| {
        objects.csi_drivers.as_ref()
    }) {
        let own: Vec<String> = drivers
            .iter()
            .filter(|driver| !rules.csi_drivers_handled.contains(driver))
            .cloned()
            .collect();
        each_name(run, CODE, &own, |name| {
            Draft::new(format!(
                "the CSI driver {name} would lose the kubelet's directory, which MKE 4k {} moves",
                release.mke
            ))
        });
    }
}

/// `WEBHOOK-FAIL`: no webhook inside the cluster stands before everything.
pub(super) fn webhooks(run: &mut Run<'_>) {
    const CODE: &str = "WEBHOOK-FAIL";
    if let Some(names) = run.objects(&[CODE], "the list of webhooks", |objects| {
        objects.failing_webhooks.as_ref()
    }) {
        each_name(run, CODE, names, |name| {
            Draft::new(format!(
                "the webhook {name} refuses everything while its pods are not ready"
            ))
        });
    }
}

/// `APISERVICE-DEAD`: every aggregated API answers.
pub(super) fn dead_apiservices(run: &mut Run<'_>) {
    const CODE: &str = "APISERVICE-DEAD";
    if let Some(names) = run.objects(&[CODE], "the state of APIServices", |objects| {
        objects.dead_apiservices.as_ref()
    }) {
        each_name(run, CODE, names, |name| {
            Draft::new(format!("the APIService {name} is not available"))
        });
    }
}

/// CRDs of each owner, as findings.
fn owned(run: &mut Run<'_>, code: &str, owners: &[Owner], say: impl Fn(&str, &str) -> String) {
    let Some(crds) = run.objects(&[code], "the list of CRDs", |objects| objects.crds.as_ref()) else {
        return;
    };
    let mut drafts = Vec::new();
    for owner in owners {
        if owner.unless.as_deref().is_some_and(|switch| run.is_on(switch)) {
            continue;
        }
        let names: BTreeSet<&str> = crds
            .iter()
            .filter(|crd| owner.owns(crd))
            .map(String::as_str)
            .collect();
        if !names.is_empty() {
            let list = names.into_iter().collect::<Vec<_>>().join(", ");
            drafts.push((object(&owner.owner), Draft::new(say(&owner.owner, &list))));
        }
    }
    run.verdict(code, drafts);
}

/// `NAME-CLASH`: nothing is there already that MKE 4k brings.
pub(super) fn name_clash(run: &mut Run<'_>) {
    let owners = &run.ctx.rules.cluster.name_clashes;
    owned(run, "NAME-CLASH", owners, |owner, list| {
        format!("{owner} is in the cluster already and MKE 4k brings its own: {list}")
    });
}

/// `GITOPS`: nothing applies or prunes objects by itself meanwhile.
pub(super) fn gitops(run: &mut Run<'_>) {
    let owners = &run.ctx.rules.cluster.gitops;
    owned(run, "GITOPS", owners, |owner, _| {
        format!("{owner} may put back or prune objects while the upgrade changes them")
    });
}

/// `IMAGE-LOCAL`: every image can be pulled.
pub(super) fn local_images(run: &mut Run<'_>) {
    const CODE: &str = "IMAGE-LOCAL";
    if let Some(names) = run.objects(&[CODE], "which images no registry serves", |objects| {
        objects.local_images.as_ref()
    }) {
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let drafts = names.into_iter().map(|name| {
            (
                Subject::new(SubjectKind::Asset, name),
                Draft::new(format!("no registry serves the image {name}")),
            )
        });
        run.verdict(CODE, drafts);
    }
}

/// `NAMESPACE-STUCK`: no namespace hangs while it is deleted.
pub(super) fn stuck_namespaces(run: &mut Run<'_>) {
    const CODE: &str = "NAMESPACE-STUCK";
    if let Some(names) = run.objects(&[CODE], "the state of namespaces", |objects| {
        objects.stuck_namespaces.as_ref()
    }) {
        each_name(run, CODE, names, |name| {
            Draft::new(format!("the namespace {name} hangs while it is deleted"))
        });
    }
}

/// `INGRESS-FOREIGN`: no ingress controller but MKE's.
pub(super) fn foreign_ingress(run: &mut Run<'_>) {
    const CODE: &str = "INGRESS-FOREIGN";
    let Some(release) = run.target(&[CODE]) else {
        return;
    };
    let minor = Version::parse(&release.mke).map(|version| version.minor().to_string());
    let refused = &run.ctx.rules.cluster.foreign_ingress_refused;
    let refused = minor.is_some_and(|minor| refused.contains(&minor));
    if let Some(names) = run.objects(&[CODE], "the list of ingress controllers", |objects| {
        objects.foreign_ingress.as_ref()
    }) {
        each_name(run, CODE, names, |name| {
            let draft = Draft::new(format!("{name} is an ingress controller that is not MKE's"));
            match refused {
                true => draft,
                false => draft.severity(Severity::Warning),
            }
        });
    }
}

/// `GPU-PREREQUISITES`: GPU nodes are prepared.
pub(super) fn gpu(run: &mut Run<'_>) {
    const KEY: &str = "cluster_config.nvidia_device_plugin";
    let on = run.is_on(KEY);
    let subject = run.setting_subject(KEY);
    run.verdict(
        "GPU-PREREQUISITES",
        on.then(|| {
            (
                subject,
                Draft::new("MKE 3's GPU plugin is on, and MKE 4k uses the NVIDIA GPU operator"),
            )
        }),
    );
}
