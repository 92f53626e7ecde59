//! `releases.yaml`: which MKE 3 may go to which MKE 4k, and what each release brings.

use std::collections::{BTreeMap, BTreeSet};

/// One MKE 4k release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Release {
    /// Version such as `4.1.5`.
    pub mke: String,
    /// Kubernetes minor such as `1.32`.
    pub kubernetes: String,
    /// k0s version.
    pub k0s: String,
    /// etcd version that k0s brings.
    pub etcd: String,
    /// Calico version.
    pub calico: String,
    /// Generation of the mke4.yaml schema: `4.1.0`, `4.1.3` or `4.2`.
    pub schema: String,
    /// MKE 3 versions it takes, as `>=` bounds per minor: `3.7` → `3.7.15`, `3.8` → `3.8.0`.
    pub from: BTreeMap<String, String>,
    /// Features that conditions and the settings table may ask for.
    pub features: BTreeSet<String>,
    /// Binaries, images and charts by name.
    pub assets: BTreeMap<String, ReleaseAsset>,
    /// A reason not to choose it, when there is one.
    pub discouraged: String,
}

/// A binary, image or chart of a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReleaseAsset {
    /// `binary`, `image`, `chart`, `bundle`.
    pub kind: String,
    /// Where it comes from.
    pub url: String,
    /// `sha256:…`, or empty when no source states it.
    pub digest: String,
}

/// All releases, newest last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Releases {
    /// Releases, oldest first.
    pub releases: Vec<Release>,
}
