//! What a Kubernetes control plane does by itself, one round at a time.
//!
//! Controllers go through the API like everybody: a webhook that refuses pods keeps them from making any.

mod collect;
mod kubelet;
mod operators;
mod workloads;

pub use kubelet::{make_live, network_up};

use super::{Api, Context};
use crate::lab::model::etcd::Store;

/// Name under which controllers write.
const MANAGER: &str = "kube-controller-manager";

/// Which controllers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Deployments, DaemonSets and their like, the scheduler, the garbage collector, namespaces.
    pub workloads: bool,
    /// k0s' own controller for Charts, and the operators that charts install.
    pub charts: bool,
}

/// One round of a control plane.
pub fn reconcile(store: &mut Store, context: &Context, running: Running) {
    let mut api = Api::new(store, context);
    if running.workloads {
        collect::round(&mut api);
        workloads::round(&mut api);
        workloads::schedule(&mut api);
    }
    if running.charts {
        operators::charts(&mut api);
    }
    operators::round(&mut api);
}

/// One round of all kubelets that talk to this control plane: `context.live`.
pub fn kubelets(store: &mut Store, context: &Context) {
    kubelet::round(&mut Api::new(store, context));
}
