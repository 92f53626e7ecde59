//! `k0s.yaml`: what k0s takes, and what it makes of it.

use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// Fields that k0s knows, by where they are.
const FIELDS: &[(&str, &[&str])] = &[
    ("", &["apiVersion", "kind", "metadata", "spec", "status"]),
    (
        "spec",
        &[
            "api",
            "controllerManager",
            "extensions",
            "featureGates",
            "images",
            "installConfig",
            "konnectivity",
            "network",
            "scheduler",
            "storage",
            "telemetry",
            "workerProfiles",
        ],
    ),
    (
        "spec.api",
        &[
            "address",
            "ca",
            "externalAddress",
            "extraArgs",
            "k0sApiPort",
            "onlyBindToAddress",
            "port",
            "rawArgs",
            "sans",
        ],
    ),
    ("spec.controllerManager", &["extraArgs", "rawArgs"]),
    ("spec.scheduler", &["extraArgs", "rawArgs"]),
    ("spec.storage", &["etcd", "kine", "type"]),
    (
        "spec.storage.etcd",
        &["ca", "externalCluster", "extraArgs", "peerAddress", "rawArgs"],
    ),
    (
        "spec.network",
        &[
            "calico",
            "clusterDomain",
            "controlPlaneLoadBalancing",
            "coreDNS",
            "dualStack",
            "kubeProxy",
            "kuberouter",
            "nodeLocalLoadBalancing",
            "podCIDR",
            "primaryAddressFamily",
            "provider",
            "serviceCIDR",
        ],
    ),
];

/// What a worker profile may not say, because k0s says it.
const LOCKED: [&str; 5] = [
    "clusterDNS",
    "clusterDomain",
    "apiVersion",
    "kind",
    "staticPodURL",
];

/// A configuration that k0s takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config(Value);

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// What k0s finds wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Config, String> {
        let value: Value = serde_yaml::from_slice(bytes).map_err(|error| {
            format!("failed to read config: error converting YAML to JSON: yaml: {error}")
        })?;
        for (place, known) in FIELDS {
            let here = place
                .split('.')
                .filter(|key| !key.is_empty())
                .try_fold(&value, |at, key| at.get(key));
            let unknown = here
                .and_then(Value::as_object)
                .and_then(|map| map.keys().find(|key| !known.contains(&key.as_str())));
            if let Some(key) = unknown {
                return Err(format!(
                    "failed to read config: error unmarshaling JSON: while decoding JSON: json: unknown field \"{key}\""
                ));
            }
        }
        let config = Config(value);
        let problems = config.problems();
        match problems.is_empty() {
            true => Ok(config),
            false => Err(format!("invalid node config: {}", problems.join("\n"))),
        }
    }

    fn at(&self, path: &[&str]) -> &Value {
        path.iter()
            .try_fold(&self.0, |at, key| at.get(key))
            .unwrap_or(&Value::Null)
    }

    fn text(&self, path: &[&str]) -> &str {
        self.at(path).as_str().unwrap_or_default()
    }

    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.text(&["apiVersion"]) != "k0s.k0sproject.io/v1beta1"
            || self.text(&["kind"]) != "ClusterConfig"
        {
            found.push(
                "apiVersion: Unsupported value: supported values: \"k0s.k0sproject.io/v1beta1\"".to_owned(),
            );
        }
        for path in [
            ["spec", "api", "address"].as_slice(),
            &["spec", "storage", "etcd", "peerAddress"],
        ] {
            let address = self.text(path);
            if !address.is_empty() && address.parse::<IpAddr>().is_err() {
                found.push(format!(
                    "{}: Invalid value: \"{address}\": invalid IP address",
                    path.join(".")
                ));
            }
        }
        for name in self.at(&["spec", "api", "sans"]).as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            let good = name.parse::<IpAddr>().is_ok()
                || (!name.is_empty()
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-.*".contains(&b)));
            if !good {
                found.push(format!(
                    "spec.api.sans: Invalid value: \"{name}\": invalid IP address / DNS name"
                ));
            }
        }
        for key in ["podCIDR", "serviceCIDR"] {
            let range = self.text(&["spec", "network", key]);
            if !range.is_empty() && range.parse::<ipnet::IpNet>().is_err() {
                found.push(format!(
                    "spec.network.{key}: Invalid value: \"{range}\": invalid CIDR address"
                ));
            }
        }
        let provider = self.text(&["spec", "network", "provider"]);
        if !["", "kuberouter", "calico", "custom"].contains(&provider) {
            found.push(format!(
                "spec.network.provider: Unsupported value: \"{provider}\""
            ));
        }
        for part in ["api", "controllerManager", "scheduler"] {
            let args = self.at(&["spec", part, "extraArgs"]).as_object();
            for (key, value) in args.into_iter().flatten() {
                if !value.is_string() {
                    found.push(format!(
                        "spec.{part}.extraArgs.{key}: cannot unmarshal into a string"
                    ));
                }
            }
        }
        for profile in self
            .at(&["spec", "workerProfiles"])
            .as_array()
            .into_iter()
            .flatten()
        {
            let values = profile["values"].as_object();
            for key in values
                .into_iter()
                .flat_map(Map::keys)
                .filter(|key| LOCKED.contains(&key.as_str()))
            {
                let name = profile["name"].as_str().unwrap_or_default();
                found.push(format!(
                    "field `{key}` is prohibited to override in worker profile \"{name}\""
                ));
            }
        }
        found
    }

    /// Flag of the API server.
    pub fn api_flag(&self, name: &str) -> Option<&str> {
        self.at(&["spec", "api", "extraArgs", name]).as_str()
    }

    /// Flags of the API server that no API server has.
    pub fn unknown_api_flags(&self) -> Vec<String> {
        let args = self.at(&["spec", "api", "extraArgs"]).as_object();
        args.into_iter()
            .flat_map(Map::keys)
            .filter(|key| {
                key.contains("mkectl") || key.contains(':') || key.contains(' ') || key.starts_with('-')
            })
            .cloned()
            .collect()
    }

    /// Ports that the parts of a controller listen on.
    pub fn controller_ports(&self) -> Vec<u16> {
        let port = |key: &str, default: u16| {
            let given = self.at(&["spec", "api", key]).as_u64();
            given.and_then(|port| u16::try_from(port).ok()).unwrap_or(default)
        };
        vec![port("port", 6443), port("k0sApiPort", 9443), 2379, 2380, 8132]
    }

    /// Address under which other members reach this one.
    pub fn peer_address(&self) -> Option<&str> {
        Some(self.text(&["spec", "storage", "etcd", "peerAddress"])).filter(|text| !text.is_empty())
    }

    /// Host of the external address.
    pub fn external_address(&self) -> Option<&str> {
        Some(self.text(&["spec", "api", "externalAddress"])).filter(|text| !text.is_empty())
    }

    /// The controller manager runs without the controllers that evict.
    pub fn is_held(&self) -> bool {
        self.at(&["spec", "controllerManager", "extraArgs", "controllers"])
            .as_str()
            .is_some_and(|list| {
                let list: Vec<&str> = list.split(',').collect();
                list.contains(&"-node-lifecycle-controller") && list.contains(&"-taint-eviction-controller")
            })
    }

    /// Names of the worker profiles.
    pub fn profiles(&self) -> Vec<String> {
        let own = self
            .at(&["spec", "workerProfiles"])
            .as_array()
            .into_iter()
            .flatten();
        ["default"]
            .into_iter()
            .chain(own.filter_map(|profile| profile["name"].as_str()))
            .map(str::to_owned)
            .collect()
    }

    /// Address of the cluster DNS: the tenth of the services' range.
    pub fn dns_address(&self) -> String {
        let range = self.text(&["spec", "network", "serviceCIDR"]);
        let range: ipnet::IpNet = range
            .parse()
            .unwrap_or_else(|_| ipnet::IpNet::V4(ipnet::Ipv4Net::new_assert([10, 96, 0, 0].into(), 12)));
        match range.network() {
            IpAddr::V4(first) => std::net::Ipv4Addr::from(u32::from(first) + 10).to_string(),
            IpAddr::V6(first) => std::net::Ipv6Addr::from(u128::from(first) + 10).to_string(),
        }
    }

    /// The whole document, as `k0s status` shows it.
    pub fn document(&self) -> Value {
        if self.0.is_null() {
            json!({})
        } else {
            self.0.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn what_k0s_does_not_take_is_named() {
        let head = "apiVersion: k0s.k0sproject.io/v1beta1\nkind: ClusterConfig\n";
        let read = |rest: &str| Config::read(format!("{head}{rest}").as_bytes());
        let good = read("spec:\n  network:\n    serviceCIDR: 10.96.0.0/16\n").unwrap();
        assert_eq!(good.dns_address(), "10.96.0.10");
        assert!(!good.is_held());
        let problem = read("spec:\n  storage:\n    etcd:\n      peerAddress: mkectl-host:private-address\n")
            .unwrap_err();
        assert!(problem.contains("invalid IP address"), "{problem}");
        let problem = read("spec:\n  apis: {}\n").unwrap_err();
        assert!(problem.contains("unknown field \"apis\""), "{problem}");
        assert!(
            read("spec:\n  workerProfiles:\n  - name: a\n    values: {clusterDNS: [1.1.1.1]}\n").is_err()
        );
    }
}
