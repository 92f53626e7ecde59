//! The arguments of what reads a live cluster, and of `upgrade`. Their help texts are the CLI reference.

use super::args::{ImagesArgs, RunArgs, UpgradeOptions, asset};
use clap::Args;

/// How a live cluster is read.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Live cluster")]
pub struct LiveArgs {
    /// Read what no file gives from the live cluster; every option below implies it
    #[arg(long)]
    pub live: bool,
    /// Administrator of MKE 3 [default: admin]
    #[arg(long, value_name = "NAME")]
    pub mke3_admin_username: Option<String>,
    /// His password. Others on this machine can see it here: better set MKECTL_MKE3_ADMIN_PASSWORD, give a file, or be asked
    #[arg(long, value_name = "PASSWORD", hide_env_values = true)]
    pub mke3_admin_password: Option<String>,
    /// File that holds the password on its first line; - for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "mke3_admin_password")]
    pub mke3_admin_password_file: Option<String>,
    /// Where the API of MKE 3 is, when it is not the external address
    #[arg(long, value_name = "HOST[:PORT]")]
    pub mke3_external_address: Option<String>,
    /// PEM file with the CA of the API's certificate [default: the cluster's own, fetched over SSH]
    #[arg(long, value_name = "FILE")]
    pub mke3_ca_file: Option<String>,
    /// Keep what was read live in this directory: mke3.toml, which holds secrets, accounts.json, facts.json, and images.json of --image-list, each with mode 0600
    #[arg(long, value_name = "DIR")]
    pub record: Option<String>,
}

/// `upgrade`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The same as `plan`, a question, and `apply`: the plan is shown, the name of the cluster has to be typed, and then exactly \
that plan runs. It is kept beside its journal, so `apply --resume` and `rollback` know it. When an action fails everything is undone, as the \
documents promise, unless --on-failure says otherwise.\n\nExit codes: those of `plan` and of `apply`.",
    mut_arg("on_failure", |arg| arg.default_value("rollback")),
    mut_arg("output", |arg| arg.num_args(0..=1).default_missing_value(""))
)]
pub struct UpgradeArgs {
    /// hosts.yaml: how to reach every node
    #[arg(long, value_name = "FILE")]
    pub hosts_path: String,
    /// Do not ask
    #[arg(long, visible_alias = "yes")]
    pub force: bool,
    /// Make and show the plan, check everything that `plan` checks, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The MKE 3 configuration (TOML) [default: read live]
    #[arg(long, value_name = "FILE", alias = "mke3-config-path")]
    pub mke3_config: Option<String>,
    /// Recorded host facts
    #[arg(long, value_name = "FILE")]
    pub facts: Option<String>,
    /// Recorded accounts [default: read live]
    #[arg(long, value_name = "FILE")]
    pub accounts: Option<String>,
    /// A file of what the upgrade brings (k0s, etcd-tools, calico-chart, mke-operator-chart)
    #[arg(long = "asset", value_name = "NAME=FILE", value_parser = asset)]
    pub assets: Vec<(String, String)>,
    /// A program of this machine to run when the load balancer must look at the new API, before that is waited for
    #[arg(long, value_name = "CMD")]
    pub lb_hook: Option<String>,
    /// Stop after this stage (exit 14)
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,
    /// What is read live.
    #[command(flatten)]
    pub live: LiveArgs,
    /// What registries are asked for.
    #[command(flatten)]
    pub images: ImagesArgs,
    /// Where the run is kept.
    #[command(flatten)]
    pub run: RunArgs,
    /// What shapes the upgrade.
    #[command(flatten)]
    pub upgrade: UpgradeOptions,
    /// What others take.
    #[command(flatten)]
    pub others: OtherUpgradeArgs,
}

/// Flags of Mirantis' `mkectl upgrade` that have no place here. They are taken to be refused with a reason, not as typing errors.
#[derive(Clone, Debug, Default, Args)]
pub struct OtherUpgradeArgs {
    /// Refused
    #[arg(long, value_name = "FILE", hide = true)]
    pub backup_path: Option<String>,
    /// Refused
    #[arg(long, value_name = "FILE", hide = true)]
    pub etcd_snapshot_path: Option<String>,
    /// Refused
    #[arg(long, value_name = "X.Y.Z", hide = true)]
    pub upgrade_version: Option<String>,
    /// Refused
    #[arg(long, value_name = "FILE", hide = true)]
    pub release_matrix: Option<String>,
    /// Refused
    #[arg(long, hide = true)]
    pub bpf_dns_patch: bool,
    /// Refused
    #[arg(long, value_name = "PORT", hide = true)]
    pub cni_check_port: Option<String>,
    /// Refused
    #[arg(long, hide = true)]
    pub skip_cpu_cores_check: bool,
    /// Refused
    #[arg(long, hide = true)]
    pub skip_total_memory_check: bool,
    /// Refused
    #[arg(long, value_name = "DURATION", hide = true)]
    pub lease_ttl: Option<String>,
    /// Refused
    #[arg(long, value_name = "DURATION", hide = true)]
    pub lease_renew_interval: Option<String>,
    /// Refused
    #[arg(long, hide = true)]
    pub lease_adopt_stale: bool,
}
