//! k0s' controller for Charts, and the operators that the charts of MKE 4k bring.

use crate::lab::model::kube::{Api, Cascade, condition, field, merge, name, set_condition, text};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// What charts install and what operators make of it, by the name of the chart.
const CHARTS: &str = include_str!("charts.yaml");

/// Components of MKE 4k in the order that its operator brings them.
const STEPS: [&str; 3] = ["k0rdent", "dex", "gateway"];

/// Who writes for Helm.
const HELM: &str = "k0s";

/// Parts of `charts.yaml`; a part that is not there has no objects.
fn part(name: &str) -> Vec<Value> {
    // Operators look in every tick.
    static ALL: LazyLock<Value> = LazyLock::new(|| serde_yaml::from_str(CHARTS).unwrap_or_default());
    ALL[name].as_array().cloned().unwrap_or_default()
}

/// Makes what is missing, as `manager`. The first refusal ends the round: what follows may need what was refused.
fn ensure(api: &mut Api<'_>, objects: Vec<Value>, manager: &str) -> Result<(), String> {
    for object in objects {
        api.apply(object, manager, true)
            .map_err(|refusal| refusal.message)?;
    }
    Ok(())
}

/// Installs what Charts ask for.
pub(super) fn charts(api: &mut Api<'_>) {
    if api.resource("charts.helm.k0sproject.io").is_none() {
        // k0s applies its own definitions when it starts; without them nobody can have asked for anything.
        let _ = ensure(api, part("k0s"), HELM);
        return;
    }
    for chart in api.all("charts.helm.k0sproject.io") {
        let spec = &chart["spec"];
        if field(&chart, &["metadata", "deletionTimestamp"]).is_some() {
            uninstall(api, &chart);
            continue;
        }
        if field(&chart, &["status", "releaseName"]).is_some()
            && chart["status"]["valuesHash"] == json!(crate::lab::model::id(&spec.to_string()))
        {
            continue;
        }
        let mut new = chart.clone();
        new["status"]["updated"] = json!(api.context.time());
        match install(api, &chart) {
            Ok(()) => {
                new["status"]["releaseName"] = spec["releaseName"].clone();
                new["status"]["namespace"] = spec["namespace"].clone();
                new["status"]["version"] = spec["version"].clone();
                new["status"]["revision"] = json!(new["status"]["revision"].as_u64().unwrap_or(0) + 1);
                new["status"]["valuesHash"] = json!(crate::lab::model::id(&spec.to_string()));
                if let Some(status) = new["status"].as_object_mut() {
                    status.remove("error");
                }
            }
            Err(why) => new["status"]["error"] = json!(why),
        }
        api.write_status(&new);
    }
}

/// Which chart of `charts.yaml` a Chart means.
fn which(chart: &Value) -> Option<&'static str> {
    let from = text(chart, &["spec", "chartName"]);
    let last = from.rsplit('/').next().unwrap_or_default();
    let release = text(chart, &["spec", "releaseName"]);
    ["tigera-operator", "mke-operator"]
        .into_iter()
        .find(|known| last.starts_with(known) || (from.starts_with('/') && release == *known))
}

fn install(api: &mut Api<'_>, chart: &Value) -> Result<(), String> {
    let from = text(chart, &["spec", "chartName"]);
    let there = text(chart, &["metadata", "annotations", super::super::CHART_FILE]);
    if from.starts_with('/') && there != from {
        return Err(format!(
            "can't locate chart `{from}-{}`: path \"{from}\" not found",
            text(chart, &["spec", "version"])
        ));
    }
    let known = which(chart).ok_or_else(|| format!("can't locate chart `{from}`: not found"))?;
    let values: Value = serde_yaml::from_str(text(chart, &["spec", "values"]))
        .map_err(|error| format!("can't parse values: {error}"))?;
    let place = text(chart, &["spec", "namespace"]);
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}});
    if api.find("namespaces", "", place).is_none() {
        ensure(api, vec![space], HELM)?;
    }
    let mut objects = part(known);
    for object in &mut objects {
        if text(object, &["metadata", "namespace"]) == "RELEASE" {
            object["metadata"]["namespace"] = json!(place);
        }
        object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
        object["metadata"]["annotations"]["meta.helm.sh/release-name"] = chart["spec"]["releaseName"].clone();
    }
    for object in &objects {
        let Ok(resource) = api.resource_of(object) else {
            continue;
        };
        let place = text(object, &["metadata", "namespace"]);
        if let Ok(old) = api.get(&resource, place, name(object))
            && text(&old, &["metadata", "labels", "app.kubernetes.io/managed-by"]) != "Helm"
            && resource.kind != "CustomResourceDefinition"
        {
            return Err(format!(
                "Unable to continue with install: {} \"{}\" in namespace \"{place}\" exists and cannot be imported into the current release: invalid ownership metadata",
                resource.kind,
                name(object)
            ));
        }
    }
    ensure(api, objects, HELM)?;
    if known == "tigera-operator" && field(&values, &["installation", "enabled"]) != Some(&json!(false)) {
        let mut spec = values["installation"].clone();
        if !spec.is_object() {
            spec = json!({});
        }
        if let Some(spec) = spec.as_object_mut() {
            spec.remove("enabled");
        }
        if let Some(path) = values.get("kubeletVolumePluginPath") {
            spec["kubeletVolumePluginPath"] = path.clone();
        }
        let made = json!({
            "apiVersion": "operator.tigera.io/v1", "kind": "Installation",
            "metadata": {"name": "default", "labels": {"app.kubernetes.io/managed-by": "Helm"}}, "spec": spec,
        });
        ensure(api, vec![made], HELM)?;
    }
    Ok(())
}

/// Removes what an operator or a release brought, but no definition and no namespace.
fn remove(api: &mut Api<'_>, objects: &[Value], place: &str) {
    for object in objects {
        let Ok(resource) = api.resource_of(object) else {
            continue;
        };
        if ["CustomResourceDefinition", "Namespace"].contains(&resource.kind.as_str()) {
            continue;
        }
        let own = match text(object, &["metadata", "namespace"]) {
            "RELEASE" => place,
            own => own,
        };
        // What is gone already needs no removing.
        let _ = api.delete(&resource, own, name(object), Cascade::Background, false);
    }
}

/// Drops the finalizers of an object that is being deleted, and with them the object.
fn let_go(api: &mut Api<'_>, object: &Value) {
    let mut last = object.clone();
    last["metadata"]["finalizers"] = json!([]);
    // Somebody else may have been faster.
    let _ = api.update(last, HELM);
}

fn uninstall(api: &mut Api<'_>, chart: &Value) {
    if let Some(known) = which(chart) {
        remove(api, &part(known), text(chart, &["spec", "namespace"]));
    }
    let_go(api, chart);
}

fn deployed(api: &Api<'_>, place: &str, deployment: &str) -> bool {
    api.find("deployments", place, deployment).is_some_and(|found| {
        condition(&found, "Available") && found["status"]["readyReplicas"].as_u64() > Some(0)
    })
}

/// One round of the operators that run.
pub(super) fn round(api: &mut Api<'_>) {
    if api.resource("installations.operator.tigera.io").is_some()
        && deployed(api, "tigera-operator", "tigera-operator")
    {
        tigera(api);
    }
    if api.resource("mkeconfigs.mke.mirantis.com").is_some()
        && deployed(api, "mke", "mke-operator-controller-manager")
    {
        mke(api);
    }
}

fn tigera(api: &mut Api<'_>) {
    let Some(installation) = api.find("installations.operator.tigera.io", "", "default") else {
        return;
    };
    let done = calico(api, &installation);
    let time = api.context.time();
    let mut new = installation;
    let (ready, why) = match &done {
        Ok(ready) => (*ready, ""),
        Err(why) => (false, why.as_str()),
    };
    let word = |yes: bool| if yes { "True" } else { "False" };
    set_condition(&mut new, "Ready", word(ready), "AllObjectsAvailable", why, &time);
    set_condition(
        &mut new,
        "Degraded",
        word(done.is_err()),
        "ResourceUpdateError",
        why,
        &time,
    );
    api.write_status(&new);
    let mut status = json!({"apiVersion": "operator.tigera.io/v1", "kind": "TigeraStatus", "metadata": {"name": "calico"}});
    if api
        .find("tigerastatuses.operator.tigera.io", "", "calico")
        .is_none()
    {
        let _ = ensure(api, vec![status.clone()], "operator");
    }
    if let Some(found) = api.find("tigerastatuses.operator.tigera.io", "", "calico") {
        status = found;
        set_condition(
            &mut status,
            "Available",
            word(ready),
            "AllObjectsAvailable",
            why,
            &time,
        );
        set_condition(
            &mut status,
            "Degraded",
            word(done.is_err()),
            "ResourceUpdateError",
            why,
            &time,
        );
        api.write_status(&status);
    }
}

/// Brings Calico to what the Installation says. The answer: whether all of it is ready.
fn calico(api: &mut Api<'_>, installation: &Value) -> Result<bool, String> {
    if api.find("daemonsets", "kube-system", "calico-node").is_some() {
        return Err(
            "Existing Calico installation can not be managed by Tigera Operator as it is configured in a way that Operator does not currently support".to_owned(),
        );
    }
    pools(api, installation)?;
    ensure(api, part("calico"), "operator")?;
    let found = api.find("daemonsets", "calico-system", "calico-node");
    Ok(found.is_some_and(|set| {
        let wanted = set["status"]["desiredNumberScheduled"].as_u64();
        wanted > Some(0) && set["status"]["numberReady"].as_u64() == wanted
    }))
}

fn pools(api: &mut Api<'_>, installation: &Value) -> Result<(), String> {
    let there = api.all("ippools.crd.projectcalico.org");
    let asked = field(installation, &["spec", "calicoNetwork", "ipPools"])
        .and_then(Value::as_array)
        .cloned();
    let asked = match asked {
        Some(asked) => asked,
        None if there.is_empty() => vec![json!({"cidr": "192.168.0.0/16", "encapsulation": "VXLAN"})],
        None => return Ok(()),
    };
    for pool in &asked {
        let cidr = text(pool, &["cidr"]);
        let size = pool["blockSize"].as_u64().unwrap_or(26);
        if let Some(old) = there.iter().find(|old| text(old, &["spec", "cidr"]) == cidr) {
            if old["spec"]["blockSize"].as_u64().unwrap_or(26) != size {
                return Err(format!("IP pool {cidr} cannot change its block size to {size}"));
            }
            let (vxlan, ipip) = match text(pool, &["encapsulation"]) {
                "VXLAN" => ("Always", "Never"),
                "VXLANCrossSubnet" => ("CrossSubnet", "Never"),
                "IPIPCrossSubnet" => ("Never", "CrossSubnet"),
                "None" => ("Never", "Never"),
                _ => ("Never", "Always"),
            };
            let mut new = old.clone();
            merge(&mut new, &json!({"spec": {"vxlanMode": vxlan, "ipipMode": ipip}}));
            api.write_status(&new);
            continue;
        }
        let made = json!({
            "apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool",
            "metadata": {"name": pool.get("name").cloned().unwrap_or_else(|| json!(format!("pool-{}", cidr.replace(['.', '/'], "-"))))},
            "spec": {"cidr": cidr, "blockSize": size, "natOutgoing": true, "vxlanMode": "Always", "ipipMode": "Never"},
        });
        ensure(api, vec![made], "operator")?;
    }
    Ok(())
}

fn mke(api: &mut Api<'_>) {
    for config in api.all("mkeconfigs.mke.mirantis.com") {
        if field(&config, &["metadata", "deletionTimestamp"]).is_some() {
            for step in STEPS {
                remove(api, &part(step), "mke");
            }
            let_go(api, &config);
            continue;
        }
        let mut new = config.clone();
        new["metadata"]["finalizers"] = json!(["mke.mirantis.com/components"]);
        let time = api.context.time();
        // One component after the other, as the real operator waits for each.
        let mut waits = None;
        for step in STEPS {
            let objects = part(step);
            let deployments: Vec<(String, String)> = objects
                .iter()
                .filter(|object| object["kind"] == "Deployment")
                .map(|object| {
                    (
                        text(object, &["metadata", "namespace"]).to_owned(),
                        name(object).to_owned(),
                    )
                })
                .collect();
            if let Err(why) = ensure(api, objects, "mke-operator") {
                waits = Some(why);
                break;
            }
            if let Some((place, missing)) = deployments
                .iter()
                .find(|(place, deployment)| !deployed(api, place, deployment))
            {
                waits = Some(format!("waiting for deployment {place}/{missing}"));
                break;
            }
        }
        let (status, why) = match &waits {
            None => ("True", "all components are ready"),
            Some(why) => ("False", why.as_str()),
        };
        set_condition(&mut new, "Ready", status, "Reconciled", why, &time);
        new["status"]["observedGeneration"] = config["metadata"]["generation"].clone();
        api.write_status(&new);
    }
}
