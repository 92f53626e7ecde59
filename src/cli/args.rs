//! The arguments of every command. Their help texts are the CLI reference (`docs/cli.md` is generated from here).

pub use super::args_images::{ImagesArgs, PasswordArgs};
pub use super::args_live::{LiveArgs, OtherUpgradeArgs, UpgradeArgs};
use super::log::{Level, LogFormat};
use crate::options::{Amount, FailurePolicy};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Upgrade a Mirantis Kubernetes Engine 3 cluster to MKE 4k in place: plan, review, apply, roll back.
#[derive(Debug, Parser)]
#[command(
    name = "mkectl",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// How much is logged to stderr
    #[arg(
        short,
        long,
        alias = "logLevel",
        value_enum,
        default_value = "info",
        global = true
    )]
    pub log_level: Level,
    /// Form of the log lines
    #[arg(long, value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,
    /// No colour, whatever the terminal can do (also: NO_COLOR=1)
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read everything, change nothing, print a diff that a change board can read
    Plan(Box<PlanArgs>),
    /// Run a saved plan on its hosts
    Apply(ApplyArgs),
    /// Plan, ask, and apply in one
    Upgrade(Box<UpgradeArgs>),
    /// Undo what a plan did, as far as it can be undone
    Rollback(RollbackArgs),
    /// Tell how far a plan came
    Status(StatusArgs),
    /// Take the cluster away from a run that is gone, or from a plan that nobody goes on with
    Unlock(UnlockArgs),
    /// Run an upgrade on a simulated twin of the cluster, on this machine
    Rehearse(Box<RehearseArgs>),
    /// Show a saved plan; needs nothing but the file
    Show(ShowArgs),
    /// Show what changed between two saved plans, and in risk
    Diff(DiffArgs),
    /// Print the graph of actions of a saved plan, as DOT or Mermaid
    Graph(GraphArgs),
    /// Explain a finding by its code
    Explain(ExplainArgs),
    /// Print the JSON Schema of one of mkectl's formats
    Schema(SchemaArgs),
    /// Print a default mke4.yaml, or convert an MKE 3 configuration into one
    Init(InitArgs),
    /// Record what the hosts and the cluster are, for `plan --facts`; changes nothing
    Facts(FactsArgs),
    /// Run pre-upgrade checks alone
    Check(CheckArgs),
    /// Print the version
    Version(VersionArgs),
    /// Print a completion script for a shell
    Completion(CompletionArgs),
    /// Print the manual page
    Man(ManArgs),
    /// Write the generated pages of docs/
    #[command(hide = true)]
    Docs(DocsArgs),
}

/// Form of a shown plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The diff, for a terminal.
    Text,
    /// The plan itself.
    Json,
    /// For a pull request or change ticket.
    Markdown,
    /// One self-contained page.
    Html,
    /// The graph, for Graphviz.
    Dot,
    /// The graph, for Mermaid.
    Mermaid,
}

/// `plan`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "With stdout on a terminal the diff is printed there. Redirected (`mkectl plan … > plan.json`), stdout is \
exactly one JSON document and the diff goes to stderr. On failure stdout stays empty.\n\nConfiguration and accounts come from files, or \
with --live or --mke3-admin-username from the API of MKE 3; a file that is given wins. Without --live, its options and --image-list \
nobody is asked for anything.\n\nExit codes: 0 a plan was made · 2 the same, with \
--detailed-exitcode · 3 the plan has blockers (it is still printed) · 4 bad usage or input, wrong user or password · 10 MKE 3 answers, \
and not as it should · 15 a host or the API cannot be reached, or is not trusted."
)]
pub struct PlanArgs {
    /// hosts.yaml: how to reach every node
    #[arg(long, value_name = "FILE")]
    pub hosts_path: String,
    /// The MKE 3 configuration (TOML), as `GET /api/ucp/config-toml` returns it [default: read live]
    #[arg(long, value_name = "FILE", alias = "mke3-config-path")]
    pub mke3_config: Option<String>,
    /// Recorded host facts; without them there are no actions, only conversion and findings
    #[arg(long, value_name = "FILE")]
    pub facts: Option<String>,
    /// Recorded accounts: users, organizations, teams, grants [default: read live, when anything is]
    #[arg(long, value_name = "FILE")]
    pub accounts: Option<String>,
    /// What is read live.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Save the plan here (mode 0600), and print the diff
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<String>,
    /// What to print on stdout; the default depends on whether stdout is a terminal
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Exit with 2 when there are changes, as Terraform does
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// A file of what the upgrade brings (k0s, etcd-tools, calico-chart, mke-operator-chart): its digest goes into the plan
    #[arg(long = "asset", value_name = "NAME=FILE", value_parser = asset)]
    pub assets: Vec<(String, String)>,
    /// What registries are asked for.
    #[command(flatten)]
    pub images: ImagesArgs,
    /// What shapes the upgrade.
    #[command(flatten)]
    pub upgrade: UpgradeOptions,
}

/// `apply`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Nothing is begun before every host of the plan was reached, is trusted, lets us become root and is the host of the plan. Journal, events and the output of every host are kept in the state directory.\n\nExit codes: 0 done · 3 the plan has blockers · 4 bad usage · 5 plan file invalid · 6 not confirmed · 8 a host is not the one of the plan · 9 another run has the plan · 10 failed, nothing changed · 11 failed or interrupted after changes, resumable · 12 a person must decide · 13 rolled back · 14 stopped at --until · 15 a host cannot be reached or is not trusted."
)]
pub struct ApplyArgs {
    /// The plan, as `mkectl plan -o` saved it
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// Connections at once; may only lower what the plan was made with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10000))]
    pub parallelism: Option<u32>,
    /// Stop after this stage (exit 14)
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Go on with a run that was interrupted, paused or killed
    #[arg(long)]
    pub resume: bool,
    /// The MKE 3 configuration that the plan was made from, when the plan needs secrets of it
    #[arg(long, value_name = "FILE")]
    pub mke3_config: Option<String>,
    /// The file of an asset of the plan; its digest must be the one in the plan
    #[arg(long = "asset", value_name = "NAME=FILE", value_parser = asset)]
    pub assets: Vec<(String, String)>,
    /// A program of this machine to run when the load balancer must look at the new API, before that is waited for
    #[arg(long, value_name = "CMD")]
    pub lb_hook: Option<String>,
    /// Passwords of registries.
    #[command(flatten)]
    pub passwords: PasswordArgs,
    /// What `rehearse` says.
    #[command(flatten)]
    pub rehearsed: RehearsedArgs,
    /// Where the run is kept.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What `rehearse` says to the runs that it loses.
#[derive(Clone, Debug, Default, Args)]
pub struct RehearsedArgs {
    /// Where the simulated hosts are that stand for those of the plan
    #[arg(long, value_name = "FILE", hide = true)]
    pub rehearsed_at: Option<String>,
    /// End at once, without a word, when this run has written so many records of the journal
    #[arg(long, value_name = "N", hide = true, requires = "rehearsed_at")]
    pub crash_at: Option<u64>,
}

/// `rollback`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Undoes every action that was begun, in the opposite order, and ends by comparing each host with what was \
recorded of it. Before the last automatic rollback nothing is lost; `mkectl show` tells what is lost after it. After the point of no \
return there is no way back.\n\nExit codes: 13 rolled back · 12 a person must decide · 11 interrupted, to be called again · 4, 5, 8, 9, \
15 as for `apply`."
)]
pub struct RollbackArgs {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// Connections at once; may only lower what the plan was made with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10000))]
    pub parallelism: Option<u32>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// The MKE 3 configuration that the plan was made from, when the plan needs secrets of it
    #[arg(long, value_name = "FILE")]
    pub mke3_config: Option<String>,
    /// What `rehearse` says.
    #[command(flatten)]
    pub rehearsed: RehearsedArgs,
    /// Where the run is kept.
    #[command(flatten)]
    pub run: RunArgs,
}

/// `status`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Asks the managers of the plan, and reads the journal of this machine; what is told is the longest of them. It \
changes nothing. Managers that cannot be asked are named; when none can, the journal of this machine is told as it is.\n\nExit codes: 0 \
it was told · 12 copies of the journal tell of different deeds · 15 nobody can be asked and nothing is here."
)]
pub struct StatusArgs {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// Ask no host: tell what the journal of this machine says
    #[arg(long)]
    pub offline: bool,
    /// Where journals of runs are kept [default: ~/.local/state/mkectl]
    #[arg(long, value_name = "DIR", env = "MKECTL_STATE_DIR")]
    pub state_dir: Option<String>,
}

/// `unlock`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Says who holds the cluster and asks. Afterwards every host refuses the run that had it, also when that wakes \
up later, and any plan may be applied.\n\nExit codes: 0 the cluster is free · 6 nobody confirmed it · 15 a majority of managers cannot be \
reached."
)]
pub struct UnlockArgs {
    /// A plan for the cluster, to know its managers by
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// What is kept and shown of a run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run options")]
pub struct RunArgs {
    /// Write the MKE 4k configuration here instead of to stdout
    #[arg(long, value_name = "FILE")]
    pub config_out: Option<String>,
    /// Write results into this directory: mke4.yaml, the Upgrade Summary, the run report
    #[arg(long, value_name = "DIR")]
    pub output: Option<String>,
    /// Write every event as a line of JSON to this file, or to stdout for -
    #[arg(long, value_name = "FILE|-")]
    pub events: Option<String>,
    /// Where journals, events and logs of runs are kept [default: ~/.local/state/mkectl]
    #[arg(long, value_name = "DIR", env = "MKECTL_STATE_DIR")]
    pub state_dir: Option<String>,
    /// How long a run that has gone without a word keeps others from going on with its plan
    #[arg(long, value_name = "N", default_value_t = crate::cli::run::LEASE_S, value_parser = clap::value_parser!(u32).range(3..=3600))]
    pub lease_seconds: u32,
}

/// `rehearse`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Every host is a root of its own on this machine, reached over SSH on loopback; the programs that cannot run there (Docker, systemd, k0s, etcd, Kubernetes) are simulated around one model of the cluster. Plan, apply and the scripts are the real ones.\n\nWithout files an example cluster of three managers and five workers is upgraded.\n\nExit codes: those of `plan` and `apply`; 4 also when this machine refuses to keep simulated hosts apart."
)]
pub struct RehearseArgs {
    /// The MKE 3 configuration (TOML) [default: an example]
    #[arg(
        long,
        value_name = "FILE",
        alias = "mke3-config-path",
        requires = "hosts_path"
    )]
    pub mke3_config: Option<String>,
    /// hosts.yaml [default: an example]
    #[arg(long, value_name = "FILE", requires = "mke3_config")]
    pub hosts_path: Option<String>,
    /// Recorded host facts [default: facts.json beside hosts.yaml when it is there, else roles of hosts.yaml, or assumed ones]
    #[arg(long, value_name = "FILE")]
    pub facts: Option<String>,
    /// Recorded accounts [default: accounts.json beside hosts.yaml, when it is there]
    #[arg(long, value_name = "FILE")]
    pub accounts: Option<String>,
    /// Stop after this stage (exit 14)
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,
    /// Read facts from the twin's hosts over SSH, and configuration and accounts from its own API of MKE 3, over TLS with the CA that its hosts hold
    #[arg(long)]
    pub live: bool,
    /// What goes wrong.
    #[command(flatten)]
    pub faults: FaultOptions,
    /// Where the run is kept.
    #[command(flatten)]
    pub run: RunArgs,
    /// What shapes the upgrade.
    #[command(flatten)]
    pub upgrade: UpgradeOptions,
}

/// What is to go wrong in a rehearsal.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Fault options")]
pub struct FaultOptions {
    /// Let this action go wrong; a step alone means its first host. KIND is one of fail, fail-after, killed, hang,
    /// wrong-output, drop, gone, lost, reboot, disk-full, clock, etcd-lost [default kind: fail]
    #[arg(long, value_name = "HOST/STEP[:KIND]")]
    pub fail: Vec<String>,
    /// Cut the connection while this action runs, as --fail HOST/STEP:drop does
    #[arg(long, value_name = "HOST/STEP")]
    pub drop_connection: Vec<String>,
    /// Lose mkectl (SIGKILL), with everything that it kept, when so many records of its journal are written; another home goes
    /// on from the plan and the hosts alone, and, after the same loss in another copy of the cluster, another goes back. The
    /// ends are compared with that of an undisturbed run and with the state before
    #[arg(long, value_name = "N", conflicts_with_all = ["fail", "drop_connection", "live"], groups = ["crashes", "undone"],
        value_parser = clap::value_parser!(u64).range(1..))]
    pub crash_at: Option<u64>,
    /// Do what --crash-at does at every record of the journal, and print the table
    #[arg(long, conflicts_with_all = ["fail", "drop_connection", "live"], groups = ["crashes", "undone", "cases"])]
    pub all_crashes: bool,
    /// Try every action with every fault, each from a copy of the cluster as it is before the action, and print the table
    #[arg(long, conflicts_with_all = ["fail", "drop_connection", "until", "crashes"], groups = ["undone", "cases"])]
    pub all_faults: bool,
    /// With --all-faults and --all-crashes: only so many of the cases
    #[arg(long, value_name = "N", requires = "cases")]
    pub sample: Option<usize>,
    /// With --all-faults: only these steps
    #[arg(long, value_name = "STEP,…", requires = "all_faults", value_delimiter = ',')]
    pub only: Vec<String>,
    /// With --all-faults: faults while actions are undone, from the end of their stage, instead of while they run. With
    /// --crash-at and --all-crashes: mkectl is lost on the way back from the last stage that has one, or from --until
    #[arg(long, requires = "undone")]
    pub way_back: bool,
    /// With --all-faults and --all-crashes: which hosts, and which cases of a sample, are taken
    #[arg(long, value_name = "S", requires = "cases", default_value_t = 1)]
    pub seed: u64,
}

/// `NAME=FILE`.
pub(super) fn asset(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.to_owned())),
        _ => Err("give the name of the asset and a file, such as k0s=./k0s-v1.32.11".to_owned()),
    }
}

/// Options that shape an upgrade.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Upgrade options")]
pub struct UpgradeOptions {
    /// DNS name or address of the load balancer, with `:port` when it is not 443
    #[arg(long, value_name = "HOST[:PORT]")]
    pub external_address: Option<String>,
    /// MKE 4k version to go to [default: the newest that takes the source version]
    #[arg(long, value_name = "X.Y.Z")]
    pub target_version: Option<String>,
    /// k0s data directory on the hosts; ends in /k0s
    #[arg(short, long, value_name = "DIR", default_value = "/var/lib/k0s")]
    pub data_dir: String,
    /// Workers that may be down at once, a number or a percentage
    #[arg(long, value_name = "N|N%", default_value = "10%", value_parser = amount)]
    pub worker_disruption: Amount,
    /// Uploads at once
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub concurrent_uploads: u32,
    /// Connections at once that the estimate assumes; apply may only lower it
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10000))]
    pub parallelism: u32,
    /// What to do when an action fails
    #[arg(long, value_enum, default_value = "auto")]
    pub on_failure: OnFailure,
    /// Workers that may be left out before the run pauses, a number or a percentage
    #[arg(long, value_name = "N|N%", default_value = "10%", value_parser = amount)]
    pub max_failed_workers: Amount,
    /// Pass the point of no return by itself after this soak time, such as 24h [default: a person decides]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub commit_after: Option<String>,
    /// NodePort of the gateway for HTTP
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub gateway_http_node_port: Option<u32>,
    /// NodePort of the gateway for HTTPS
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub gateway_https_node_port: Option<u32>,
    /// Drop MKE 3's ingress controller and take over its NodePorts
    #[arg(long)]
    pub remove_ingress_nginx: bool,
    /// The environment has no internet
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = "Offline")]
    pub mke3_airgapped: bool,
    /// Registry and path of the images, without a scheme and without a slash at the end
    #[arg(long, value_name = "HOST[:PORT]/PATH", help_heading = "Offline")]
    pub image_registry: Option<String>,
    /// Registry and path of the charts, beginning with oci:// and without a slash at the end
    #[arg(long, value_name = "oci://HOST[:PORT]/PATH", help_heading = "Offline")]
    pub chart_registry: Option<String>,
    /// PEM file with the CA of the image registry
    #[arg(long, value_name = "FILE", help_heading = "Offline")]
    pub image_registry_ca_file: Option<String>,
    /// PEM file with the CA of the chart registry
    #[arg(long, value_name = "FILE", help_heading = "Offline")]
    pub chart_registry_ca_file: Option<String>,
    /// User of the image registry, to look images up (--image-list). No host is given the login: it must serve the hosts
    /// without one, or they must have one of their own
    #[arg(long, value_name = "NAME", help_heading = "Offline")]
    pub image_registry_username: Option<String>,
    /// User of the chart registry, to look charts up (--image-list). No host is given the login
    #[arg(long, value_name = "NAME", help_heading = "Offline")]
    pub chart_registry_username: Option<String>,
}

/// What to do when an action fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    /// Per stage: roll back before the last automatic rollback, pause after it.
    Auto,
    /// Always undo everything.
    Rollback,
    /// Always stop and wait for a person.
    Pause,
}

impl From<OnFailure> for FailurePolicy {
    fn from(given: OnFailure) -> FailurePolicy {
        match given {
            OnFailure::Auto => FailurePolicy::Auto,
            OnFailure::Rollback => FailurePolicy::Rollback,
            OnFailure::Pause => FailurePolicy::Pause,
        }
    }
}

fn amount(text: &str) -> Result<Amount, String> {
    Amount::parse(text)
        .ok_or_else(|| "give a number of hosts such as 3, or a percentage such as 10%".to_owned())
}

fn duration(text: &str) -> Result<String, String> {
    let wrong = || "give a whole number with s, m, h or d, such as 24h".to_owned();
    let unit = text
        .chars()
        .last()
        .filter(|unit| "smhd".contains(*unit))
        .ok_or_else(wrong)?;
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    if number == 0 {
        Err(wrong())
    } else {
        Ok(format!("{number}{unit}"))
    }
}

/// `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The saved plan; `-` reads stdin
    pub plan: String,
    /// Form
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Largest size for markdown: sections are folded to their heading until it fits (GitHub comments: 65000)
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(2000..))]
    pub max_bytes: Option<u32>,
    /// The exact bytes and the environment of one action's script, such as worker-01/join-worker
    #[arg(long, value_name = "ACTION")]
    pub scripts: Option<String>,
    /// The text of one generated document, such as mke4.yaml
    #[arg(long, value_name = "NAME", conflicts_with = "scripts")]
    pub document: Option<String>,
    /// The numbered commands to finish a stage by hand
    #[arg(long, value_name = "STAGE")]
    pub runbook: Option<String>,
    /// With --runbook: the commands to undo the stage instead
    #[arg(long, requires = "runbook")]
    pub undo: bool,
}

/// `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The earlier plan
    pub a: String,
    /// The later plan
    pub b: String,
    /// Exit with 2 when they differ
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Form of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For Graphviz.
    Dot,
    /// For Mermaid.
    Mermaid,
}

/// `graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// The saved plan; `-` reads stdin
    pub plan: String,
    /// Form
    #[arg(long, value_enum, default_value = "dot")]
    pub format: GraphFormat,
    /// One node per action, however many there are, instead of one per step and group of hosts
    #[arg(long)]
    pub full: bool,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Code of a finding, such as MKE3-CALICO-ETCD; without one, all codes are listed
    pub code: Option<String>,
}

/// One of mkectl's formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaName {
    /// plan.json.
    Plan,
    /// Recorded host facts.
    Facts,
    /// Recorded accounts.
    Accounts,
    /// Recorded answers of registries.
    Images,
    /// A line of `--events`.
    Events,
    /// The run report.
    RunReport,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which format
    #[arg(value_enum, default_value = "plan")]
    pub name: SchemaName,
}

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Convert this MKE 3 configuration (TOML) instead of printing the default; needs no cluster
    #[arg(long, value_name = "FILE", alias = "mke3-config-path")]
    pub mke3_config: Option<String>,
    /// hosts.yaml: fills spec.hosts
    #[arg(long, value_name = "FILE")]
    pub hosts_path: Option<String>,
    /// DNS name or address of the load balancer
    #[arg(long, value_name = "HOST[:PORT]")]
    pub external_address: Option<String>,
    /// MKE 4k version [default: the newest]
    #[arg(long, value_name = "X.Y.Z")]
    pub target_version: Option<String>,
    /// k0s data directory on the hosts; ends in /k0s
    #[arg(short, long, value_name = "DIR", default_value = "/var/lib/k0s")]
    pub data_dir: String,
}

/// `facts`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "One read-only script is run on each host, all hosts at once, as root where sudo needs no password. A host that \
cannot be reached, hangs or does not let us in is recorded with the reason.\n\nExit codes: 0 all hosts were read · 4 bad usage or \
input · 15 some hosts could not be read; the facts of the others are written all the same."
)]
pub struct FactsArgs {
    /// hosts.yaml: how to reach every node
    #[arg(long, value_name = "FILE")]
    pub hosts_path: String,
    /// Save the facts here (mode 0600) instead of printing them
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<String>,
    /// Hosts asked at once
    #[arg(long, value_name = "N", default_value = "64", value_parser = parallelism)]
    pub parallelism: usize,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Which check.
    #[command(subcommand)]
    pub what: CheckCommand,
}

/// Checks.
#[derive(Debug, Subcommand)]
pub enum CheckCommand {
    /// Which settings of an MKE 3 configuration MKE 4k supports; secrets are masked
    Mke3(CheckMke3Args),
    /// Whether the hosts can become nodes of MKE 4k: reads them over SSH and changes nothing
    Hosts(CheckHostsArgs),
    /// Whether the hosts reach each other, and the load balancer them, on the ports that MKE 4k needs
    Ports(CheckPortsArgs),
    /// Whether a registry holds every image or chart of a list, and with which digest
    Images(CheckImagesArgs),
}

/// Form of the compatibility report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One label per setting.
    Human,
    /// The settings under their tables.
    Toml,
}

/// `check mke3`.
#[derive(Debug, Args)]
pub struct CheckMke3Args {
    /// The MKE 3 configuration (TOML)
    #[arg(long, value_name = "FILE", alias = "mke3-config-path")]
    pub mke3_config: String,
    /// MKE 4k version [default: the newest]
    #[arg(long, value_name = "X.Y.Z")]
    pub target_version: Option<String>,
    /// Form
    #[arg(long, value_enum, default_value = "human")]
    pub format: ReportFormat,
}

/// Form of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// `check hosts`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Exit codes: 0 nothing blocks · 3 something does · 4 bad usage or input · 15 some hosts could not be read."
)]
pub struct CheckHostsArgs {
    /// hosts.yaml: how to reach every node
    #[arg(long, value_name = "FILE")]
    pub hosts_path: String,
    /// Recorded facts, instead of reading the hosts
    #[arg(long, value_name = "FILE")]
    pub facts: Option<String>,
    /// MKE 4k version [default: the newest that the cluster may go to]
    #[arg(long, value_name = "X.Y.Z")]
    pub target_version: Option<String>,
    /// k0s data directory on the hosts; ends in /k0s
    #[arg(short, long, value_name = "DIR", default_value = "/var/lib/k0s")]
    pub data_dir: String,
    /// Hosts asked at once
    #[arg(long, value_name = "N", default_value = "64", value_parser = parallelism)]
    pub parallelism: usize,
    /// Form
    #[arg(long, value_enum, default_value = "text")]
    pub format: CheckFormat,
}

/// `check ports`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Where nothing listens on a port yet, a listener of a few minutes is started on its host; all are ended again, \
whatever happens, and end by themselves otherwise.\n\nExit codes: 0 all ports are open · 3 some are not · 4 bad usage or input · 15 \
some hosts could not be read."
)]
pub struct CheckPortsArgs {
    /// hosts.yaml: how to reach every node
    #[arg(long, value_name = "FILE")]
    pub hosts_path: String,
    /// DNS name or address of the load balancer; without it, only the ports between the hosts are looked at
    #[arg(long, value_name = "HOST[:PORT]")]
    pub external_address: Option<String>,
    /// Hosts asked at once
    #[arg(long, value_name = "N", default_value = "64", value_parser = parallelism)]
    pub parallelism: usize,
    /// Form
    #[arg(long, value_enum, default_value = "text")]
    pub format: CheckFormat,
}

/// `check images`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The list has one image or chart on a line, with the registry that it comes from, as `k0s airgap list-images` \
prints them; empty lines and lines that begin with # are passed over. Each is looked for in the registry under its path without that \
host, as k0s and the upgrade's own scripts pull it.\n\nExit codes: 0 all are there · 3 some are not · 4 bad usage or input · 10 the \
registry answers wrongly · 15 it cannot be reached, or is not trusted."
)]
pub struct CheckImagesArgs {
    /// The list; - for stdin
    #[arg(long, visible_alias = "image-list", value_name = "FILE")]
    pub list: String,
    /// The registry, as `plan` takes it; with oci:// before it for charts
    #[arg(long, visible_alias = "chart-registry", value_name = "HOST[:PORT]/PATH")]
    pub image_registry: String,
    /// PEM file with the CA of its certificate [default: those that this machine trusts]
    #[arg(long, visible_alias = "chart-registry-ca-file", value_name = "FILE")]
    pub image_registry_ca_file: Option<String>,
    /// User of the registry, where it wants one. The password is asked for, or comes from MKECTL_IMAGE_REGISTRY_PASSWORD or a file
    #[arg(long, visible_alias = "chart-registry-username", value_name = "NAME")]
    pub image_registry_username: Option<String>,
    /// File that holds the password on its first line; - for stdin
    #[arg(
        long,
        visible_alias = "chart-registry-password-file",
        value_name = "FILE",
        requires = "image_registry_username"
    )]
    pub image_registry_password_file: Option<String>,
    /// Form
    #[arg(long, value_enum, default_value = "text")]
    pub format: CheckFormat,
}

fn parallelism(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(width @ 1..=1000) => Ok(width),
        _ => Err("give a number from 1 to 1000".to_owned()),
    }
}

/// `version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// As JSON, with formats and the digest of the catalogue
    #[arg(short, long)]
    pub json: bool,
}

/// `completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command; without one, the page of mkectl itself
    pub command: Option<String>,
}

/// `docs`.
#[derive(Debug, Args)]
pub struct DocsArgs {
    /// Which page; `all` writes every page into a directory
    #[arg(value_enum)]
    pub page: DocsPage,
}

/// A generated page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DocsPage {
    /// docs/cli.md.
    Cli,
    /// docs/settings.md.
    Settings,
    /// docs/findings.md.
    Findings,
    /// docs/exit-codes.md.
    ExitCodes,
}
