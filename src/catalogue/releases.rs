//! `releases.yaml`: which MKE 3 may go to which MKE 4k, and what each release brings.

use super::error::did_you_mean;
use super::raw::Unique;
use super::{Bundle, CatalogueError, vocabulary};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};

const FILE: &str = "releases.yaml";
const KINDS: [&str; 4] = ["binary", "bundle", "chart", "image"];
const SCHEMAS: [&str; 3] = ["4.1.0", "4.1.3", "4.2"];

/// One MKE 4k release. What no source states is the empty text.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
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
    #[serde(deserialize_with = "unique")]
    pub from: BTreeMap<String, String>,
    /// Why it does not take other minors, where a reason is known.
    #[serde(default, deserialize_with = "unique")]
    pub refused: BTreeMap<String, String>,
    /// Features that conditions and the settings table may ask for.
    pub features: BTreeSet<String>,
    /// Binaries, images and charts by name.
    #[serde(deserialize_with = "unique")]
    pub assets: BTreeMap<String, ReleaseAsset>,
    /// A reason not to choose it, when there is one.
    #[serde(default)]
    pub discouraged: String,
}

/// A binary, image or chart of a release.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseAsset {
    /// `binary`, `image`, `chart`, `bundle`.
    pub kind: String,
    /// Where it comes from; empty when no source states it.
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

/// Why a release does not take a version of MKE 3. Both are one sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    schema: u32,
    releases: Vec<Release>,
}

fn unique<'de, D: Deserializer<'de>, V: Deserialize<'de>>(from: D) -> Result<BTreeMap<String, V>, D::Error> {
    Unique::deserialize(from).map(|map| map.0)
}

/// `MAJOR.MINOR.PATCH`, with an optional `v` before and any suffix after it.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    let patch = parts.next()?;
    let digits = patch.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, suffix) = patch.split_at(digits);
    if !(suffix.is_empty() || suffix.starts_with(['-', '+'])) {
        return None;
    }
    Some((major, minor, digits.parse().ok()?))
}

fn minor(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

impl Releases {
    /// Reads and checks the release table of a bundle.
    pub fn load(bundle: &Bundle) -> Result<Releases, CatalogueError> {
        let Some(text) = bundle.text(FILE) else {
            return Err(CatalogueError::new(
                FILE,
                0,
                "is missing or not UTF-8",
                "put it there",
            ));
        };
        let raw: Raw = serde_yaml::from_str(text).map_err(|error| CatalogueError::yaml(FILE, &error))?;
        if raw.schema != 1 {
            return Err(CatalogueError::new(
                FILE,
                1,
                "its schema is not known to this build",
                "use schema 1",
            ));
        }
        let mut before = None;
        for release in &raw.releases {
            check(release)
                .and_then(|()| {
                    let this = version(&release.mke);
                    if before >= this {
                        return Err((
                            "does not stand after an older one".to_owned(),
                            "list releases once each, oldest first".to_owned(),
                        ));
                    }
                    before = this;
                    Ok(())
                })
                .map_err(|(problem, remedy)| {
                    let line = (1u32..)
                        .zip(text.lines())
                        .filter(|(_, line)| line.contains("mke:") && line.contains(release.mke.as_str()))
                        .map(|(number, _)| number)
                        .last();
                    let problem = format!("release {:?} {problem}", release.mke);
                    CatalogueError::new(FILE, line.unwrap_or(0), problem, remedy)
                })?;
        }
        Ok(Releases {
            releases: raw.releases,
        })
    }

    /// The release with this version, with or without a leading `v`.
    pub fn get(&self, version: &str) -> Option<&Release> {
        let version = version.strip_prefix('v').unwrap_or(version);
        self.releases.iter().find(|release| release.mke == version)
    }

    /// The newest release that takes this version of MKE 3; a discouraged one only when no other does.
    pub fn newest_for(&self, source_mke: &str) -> Option<&Release> {
        let takers = || {
            self.releases
                .iter()
                .rev()
                .filter(|release| release.accepts(source_mke).is_ok())
        };
        takers()
            .find(|release| release.discouraged.is_empty())
            .or_else(|| takers().next())
    }
}

impl Release {
    /// Whether the release takes this version of MKE 3, and if not, why and what to do.
    pub fn accepts(&self, source: &str) -> Result<(), Refusal> {
        let bounds: Vec<&str> = self.from.values().map(String::as_str).collect();
        let Some((major, number, patch)) = version(source) else {
            return Err(Refusal {
                message: format!("{source:?} is not a version of MKE 3"),
                remedy: "Give it as MAJOR.MINOR.PATCH, such as 3.8.5".to_owned(),
            });
        };
        let key = format!("{major}.{number}");
        let Some(bound) = self.from.get(&key) else {
            let why = self
                .refused
                .get(&key)
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            return Err(Refusal {
                message: format!("MKE {source} cannot be upgraded to MKE 4k {}{why}", self.mke),
                remedy: format!(
                    "Choose another target version, or bring MKE 3 to {} or later of the same minor first",
                    bounds.join(" or ")
                ),
            });
        };
        if version(bound) > Some((major, number, patch)) {
            return Err(Refusal {
                message: format!(
                    "MKE {source} cannot be upgraded to MKE 4k {}, which takes {bound} and later",
                    self.mke
                ),
                remedy: format!("Upgrade MKE 3 to {bound} or later first"),
            });
        }
        Ok(())
    }

    /// True when the release has the feature.
    pub fn has(&self, feature: &str) -> bool {
        self.features.contains(feature)
    }
}

fn check(release: &Release) -> Result<(), (String, String)> {
    let fault = |problem: String, remedy: &str| Err((problem, remedy.to_owned()));
    if version(&release.mke).is_none_or(|(a, b, c)| format!("{a}.{b}.{c}") != release.mke) {
        return fault("is not a version".to_owned(), "write MAJOR.MINOR.PATCH");
    }
    if minor(&release.kubernetes).is_none() {
        return fault(
            format!("has the Kubernetes minor {:?}", release.kubernetes),
            "write MAJOR.MINOR, quoted",
        );
    }
    if !SCHEMAS.contains(&release.schema.as_str()) {
        return Err((
            format!("has the unknown schema {:?}", release.schema),
            did_you_mean(&release.schema, SCHEMAS),
        ));
    }
    if release.from.is_empty() {
        return fault(
            "takes no version of MKE 3".to_owned(),
            "give `from` at least one bound",
        );
    }
    for (key, bound) in &release.from {
        let fits = minor(key).is_some_and(|key| version(bound).is_some_and(|(a, b, _)| (a, b) == key));
        if !fits || release.refused.contains_key(key) {
            return fault(
                format!("has the bound {key:?}: {bound:?}"),
                "write a minor and its first patch that is taken, quoted, and do not refuse it as well",
            );
        }
    }
    for feature in &release.features {
        if !vocabulary::has(vocabulary::FEATURES, feature) {
            let known = vocabulary::FEATURES.iter().map(|(name, _)| *name);
            return Err((
                format!("has the unknown feature {feature}"),
                did_you_mean(feature, known),
            ));
        }
    }
    for (name, asset) in &release.assets {
        if !KINDS.contains(&asset.kind.as_str()) {
            return Err((
                format!("has the asset {name} of the unknown kind {:?}", asset.kind),
                did_you_mean(&asset.kind, KINDS),
            ));
        }
        let url = asset.url.as_str();
        if !(url.is_empty() || url.starts_with("https://") || url.starts_with("oci://")) {
            return fault(
                format!("has the asset {name} with the url {url:?}"),
                "use https:// or oci://, or leave it empty when it is not known",
            );
        }
        let hex = asset.digest.strip_prefix("sha256:");
        let good = hex.is_some_and(|hex| {
            hex.len() == 64
                && hex
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        if !(asset.digest.is_empty() || good) {
            return fault(
                format!("has the asset {name} with the digest {:?}", asset.digest),
                "write sha256: and 64 hexadecimal digits, or leave it empty when it is not known",
            );
        }
    }
    Ok(())
}
