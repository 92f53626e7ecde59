//! Options that shape a plan. They are stored in it; `apply` takes none of them again.

use std::collections::BTreeMap;
use std::fmt;

/// What to do when an action fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Per stage, as the catalogue says.
    #[default]
    Auto,
    /// Always undo everything.
    Rollback,
    /// Always stop and wait.
    Pause,
}

/// A number or a percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// Per cent of the hosts that a budget counts, rounded down, at least 1.
    Percent(u32),
}

/// Options that shape a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Load balancer, `host` or `host:port`.
    pub external_address: String,
    /// MKE 4k version; the newest that takes the source version when absent.
    pub target_version: Option<String>,
    /// k0s data directory; ends in `/k0s`.
    pub data_dir: String,
    /// The environment has no internet.
    pub airgapped: bool,
    /// `host[:port]/path` of the images.
    pub image_registry: Option<String>,
    /// `oci://host[:port]/path` of the charts.
    pub chart_registry: Option<String>,
    /// PEM file with the CA of the image registry, as given.
    pub image_registry_ca_file: Option<String>,
    /// PEM file with the CA of the chart registry, as given.
    pub chart_registry_ca_file: Option<String>,
    /// User of the image registry.
    pub image_registry_username: Option<String>,
    /// User of the chart registry.
    pub chart_registry_username: Option<String>,
    /// NodePort of the gateway, HTTP.
    pub gateway_http_node_port: Option<u32>,
    /// NodePort of the gateway, HTTPS.
    pub gateway_https_node_port: Option<u32>,
    /// Drop MKE 3's ingress controller and take over its NodePorts.
    pub remove_ingress_nginx: bool,
    /// Workers that may be down at once.
    pub worker_disruption: Amount,
    /// Uploads at once.
    pub concurrent_uploads: u32,
    /// Connections at once that the estimate assumes.
    pub parallelism: u32,
    /// What to do when an action fails.
    pub on_failure: FailurePolicy,
    /// Workers that may be left out before the run pauses.
    pub max_failed_workers: Amount,
    /// Soak time after which `commit` goes on by itself, as a duration; absent: a person decides.
    pub commit_after: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            external_address: String::new(),
            target_version: None,
            data_dir: "/var/lib/k0s".to_owned(),
            airgapped: false,
            image_registry: None,
            chart_registry: None,
            image_registry_ca_file: None,
            chart_registry_ca_file: None,
            image_registry_username: None,
            chart_registry_username: None,
            gateway_http_node_port: None,
            gateway_https_node_port: None,
            remove_ingress_nginx: false,
            worker_disruption: Amount::Percent(10),
            concurrent_uploads: 5,
            parallelism: 30,
            on_failure: FailurePolicy::Auto,
            max_failed_workers: Amount::Percent(10),
            commit_after: None,
        }
    }
}

impl Amount {
    /// Reads `3` or `10%`; `None` for anything else, zero and more than 100 % included.
    pub fn parse(text: &str) -> Option<Amount> {
        match text.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|n| (1..=100).contains(n))
                .map(Amount::Percent),
            None => text.parse().ok().filter(|n| *n > 0).map(Amount::Count),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Count(n) => write!(f, "{n}"),
            Amount::Percent(n) => write!(f, "{n}%"),
        }
    }
}

impl fmt::Display for FailurePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FailurePolicy::Auto => "auto",
            FailurePolicy::Rollback => "rollback",
            FailurePolicy::Pause => "pause",
        })
    }
}

impl Options {
    /// The text of an option by its name on the command line, without dashes; an absent one is the empty text. `None` when
    /// there is no such option.
    pub fn text(&self, name: &str) -> Option<String> {
        self.stored().remove(name)
    }

    /// An option that is an amount.
    pub fn amount(&self, name: &str) -> Option<Amount> {
        match name {
            "concurrent-uploads" => Some(Amount::Count(self.concurrent_uploads)),
            "max-failed-workers" => Some(self.max_failed_workers),
            "worker-disruption" => Some(self.worker_disruption),
            _ => None,
        }
    }

    /// The options as the plan stores them: every one by its name on the command line, defaults included.
    pub fn stored(&self) -> BTreeMap<String, String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let port = |value: &Option<u32>| value.map(|port| port.to_string()).unwrap_or_default();
        [
            ("external-address", self.external_address.clone()),
            ("target-version", text(&self.target_version)),
            ("data-dir", self.data_dir.clone()),
            ("mke3-airgapped", self.airgapped.to_string()),
            ("image-registry", text(&self.image_registry)),
            ("chart-registry", text(&self.chart_registry)),
            ("image-registry-ca-file", text(&self.image_registry_ca_file)),
            ("chart-registry-ca-file", text(&self.chart_registry_ca_file)),
            ("image-registry-username", text(&self.image_registry_username)),
            ("chart-registry-username", text(&self.chart_registry_username)),
            ("gateway-http-node-port", port(&self.gateway_http_node_port)),
            ("gateway-https-node-port", port(&self.gateway_https_node_port)),
            ("remove-ingress-nginx", self.remove_ingress_nginx.to_string()),
            ("worker-disruption", self.worker_disruption.to_string()),
            ("concurrent-uploads", self.concurrent_uploads.to_string()),
            ("parallelism", self.parallelism.to_string()),
            ("on-failure", self.on_failure.to_string()),
            ("max-failed-workers", self.max_failed_workers.to_string()),
            ("commit-after", text(&self.commit_after)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::vocabulary;

    #[test]
    fn every_option_of_the_vocabulary_has_a_text_and_every_amount_a_number() {
        let options = Options::default();
        for (name, _) in vocabulary::OPTIONS {
            assert!(options.text(name).is_some(), "{name}");
            assert_eq!(
                options.amount(name).is_some(),
                vocabulary::AMOUNTS.contains(name),
                "{name}"
            );
        }
        assert_eq!(options.text("worker-disruption").as_deref(), Some("10%"));
        assert_eq!(options.text("image-registry").as_deref(), Some(""));
        assert_eq!(options.text("no-such-option"), None);
    }

    #[test]
    fn amounts_are_positive_numbers_or_percentages() {
        assert_eq!(Amount::parse("3"), Some(Amount::Count(3)));
        assert_eq!(Amount::parse("100%"), Some(Amount::Percent(100)));
        for wrong in ["", "0", "0%", "101%", "-1", "3 %", "1.5", "%"] {
            assert_eq!(Amount::parse(wrong), None, "{wrong}");
        }
    }
}
