//! Options that shape a plan. They are stored in it; `apply` takes none of them again.

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
