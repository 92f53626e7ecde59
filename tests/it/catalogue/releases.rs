//! `releases.yaml` and its rules.

use mkectl::catalogue::{Bundle, Release, Releases};

fn shipped() -> Releases {
    Releases::load(&Bundle::embedded()).unwrap_or_else(|error| panic!("{error}"))
}

fn release(version: &str) -> Release {
    shipped()
        .get(version)
        .unwrap_or_else(|| panic!("no {version}"))
        .clone()
}

#[test]
fn the_shipped_table_has_the_known_releases() {
    let releases = shipped();
    let versions: Vec<&str> = releases
        .releases
        .iter()
        .map(|release| release.mke.as_str())
        .collect();
    assert_eq!(
        versions,
        [
            "4.1.0", "4.1.1", "4.1.2", "4.1.3", "4.1.4", "4.1.5", "4.2.0", "4.2.1"
        ]
    );
    let k0s: Vec<(&str, &str)> = releases
        .releases
        .iter()
        .map(|release| (release.k0s.as_str(), release.etcd.as_str()))
        .collect();
    assert_eq!(
        k0s,
        [
            ("v1.32.3+k0s.0", "3.5.18"),
            ("v1.32.6+k0s.0", "3.5.18"),
            ("v1.32.6+k0s.0", "3.5.18"),
            ("v1.32.11+k0s.0", "3.5.25"),
            ("v1.32.11+k0s.0", "3.5.25"),
            ("v1.32.11+k0s.0", "3.5.25"),
            ("", ""),
            ("", "")
        ]
    );
    assert_eq!(releases.get("v4.1.5"), releases.get("4.1.5"));
    assert!(releases.get("4.1.9").is_none());
}

/// Digests come from whoever publishes the assets; none is made up.
#[test]
fn no_digest_is_invented() {
    for release in shipped().releases {
        for (name, asset) in &release.assets {
            assert_eq!(asset.digest, "", "{} {name}", release.mke);
        }
    }
}

#[test]
fn ways_are_accepted_and_refused() {
    for (target, source) in [
        ("4.1.0", "3.7.15"),
        ("4.1.5", "3.7.20"),
        ("4.1.5", "3.8.0"),
        ("4.1.5", "v3.8.12"),
        ("4.1.5", "3.8.5-tp1"),
        ("4.2.0", "3.9.0"),
        ("4.2.1", "3.9.7"),
    ] {
        assert_eq!(release(target).accepts(source), Ok(()), "{source} to {target}");
    }
    let refusal = |target: &str, source: &str| {
        let refusal = release(target).accepts(source).unwrap_err();
        format!("{}. {}", refusal.message, refusal.remedy)
    };
    assert_eq!(
        refusal("4.1.5", "3.7.14"),
        "MKE 3.7.14 cannot be upgraded to MKE 4k 4.1.5, which takes 3.7.15 and later. Upgrade MKE 3 to 3.7.15 or later first"
    );
    assert_eq!(
        refusal("4.1.5", "3.9.2"),
        "MKE 3.9.2 cannot be upgraded to MKE 4k 4.1.5: it runs Kubernetes 1.34 and this release brings 1.32; Kubernetes cannot \
         go back. Choose another target version, or bring MKE 3 to 3.7.15 or 3.8.0 or later of the same minor first"
    );
    assert_eq!(
        refusal("4.2.1", "3.8.9"),
        "MKE 3.8.9 cannot be upgraded to MKE 4k 4.2.1: only 3.9 may move to 4.2. Choose another target version, or bring MKE 3 \
         to 3.9.0 or later of the same minor first"
    );
    for nonsense in [
        "",
        "3",
        "3.8",
        "3.8.",
        "3.8.x",
        "3.8.5.1",
        "x.y.z",
        "3.6.9",
        "3.10.0",
        "4.1.0",
        "3.99999999999.1",
    ] {
        assert!(release("4.1.5").accepts(nonsense).is_err(), "{nonsense:?}");
    }
}

#[test]
fn the_newest_release_for_a_source_is_not_a_discouraged_one() {
    let releases = shipped();
    let newest =
        |releases: &Releases, source: &str| releases.newest_for(source).map(|release| release.mke.clone());
    assert_eq!(newest(&releases, "3.7.15").as_deref(), Some("4.1.5"));
    assert_eq!(newest(&releases, "3.8.2").as_deref(), Some("4.1.5"));
    assert_eq!(newest(&releases, "3.9.1").as_deref(), Some("4.2.1"));
    assert_eq!(newest(&releases, "3.6.1"), None);
    assert!(!release("4.1.3").discouraged.is_empty());
    let mut some = Releases {
        releases: vec![release("4.1.2"), release("4.1.3")],
    };
    assert_eq!(newest(&some, "3.8.2").as_deref(), Some("4.1.2"));
    some.releases.remove(0);
    assert_eq!(newest(&some, "3.8.2").as_deref(), Some("4.1.3"));
}

#[test]
fn features_follow_the_releases() {
    let with = |feature: &str| -> Vec<String> {
        let releases = shipped().releases.into_iter();
        releases
            .filter(|release| release.has(feature))
            .map(|release| release.mke)
            .collect()
    };
    assert_eq!(
        with("kubelet-root-dir"),
        ["4.1.3", "4.1.4", "4.1.5", "4.2.0", "4.2.1"]
    );
    assert_eq!(with("gateway-node-ports"), ["4.1.5", "4.2.0", "4.2.1"]);
    assert_eq!(with("metallb"), ["4.2.0", "4.2.1"]);
    assert_eq!(with("opscare"), ["4.1.0", "4.1.1"]);
    assert_eq!(with("cgroup-v2-required"), ["4.2.0", "4.2.1"]);
}

const GOOD: &str = "\
schema: 1
releases:
  - mke: 4.1.5
    kubernetes: '1.32'
    k0s: v1.32.11+k0s.0
    etcd: 3.5.25
    calico: ''
    schema: 4.1.3
    from: {'3.8': 3.8.0}
    features: [metallb]
    assets:
      k0s: {kind: binary, url: 'https://example.org/k0s', digest: ''}
";

fn load(text: &str) -> Result<Releases, String> {
    Releases::load(&Bundle::from_files([("releases.yaml", text)])).map_err(|error| error.to_string())
}

#[test]
fn faults_are_named_with_place_and_remedy() {
    assert_eq!(load(GOOD).unwrap().releases.len(), 1);
    let second = GOOD.replace("schema: 1\nreleases:\n", "");
    for (text, expected) in [
        (
            GOOD.replace("schema: 1\n", "schema: 2\n"),
            ":1: its schema is not known to this build; use schema 1",
        ),
        (
            GOOD.replace("[metallb]", "[metalb]"),
            ":3: release \"4.1.5\" has the unknown feature metalb; did you mean metallb?",
        ),
        (
            GOOD.replace("binary", "binery"),
            "asset k0s of the unknown kind \"binery\"; did you mean binary?",
        ),
        (
            GOOD.replace("https://", "http://"),
            "with the url \"http://example.org/k0s\"; use https:// or oci://",
        ),
        (
            GOOD.replace("digest: ''", "digest: abc"),
            "with the digest \"abc\"; write sha256: and 64 hexadecimal digits",
        ),
        (
            GOOD.replace("'3.8': 3.8.0", "'3.8': 3.7.0"),
            "has the bound \"3.8\": \"3.7.0\"; write a minor",
        ),
        (
            GOOD.replace("{'3.8': 3.8.0}", "{}"),
            "takes no version of MKE 3; give `from` at least one bound",
        ),
        (
            GOOD.replace("{'3.8': 3.8.0}", "{'3.8': 3.8.0, '3.8': 3.8.1}"),
            "3.8 stands twice",
        ),
        (
            GOOD.replace("schema: 4.1.3", "schema: 4.1.4"),
            "has the unknown schema \"4.1.4\"; did you mean 4.1.0?",
        ),
        (
            GOOD.replace("mke: 4.1.5", "mke: 4.1"),
            "release \"4.1\" is not a version; write MAJOR.MINOR.PATCH",
        ),
        (
            GOOD.replace("'1.32'", "v1"),
            "has the Kubernetes minor \"v1\"; write MAJOR.MINOR, quoted",
        ),
        (
            format!("{GOOD}{second}"),
            ":13: release \"4.1.5\" does not stand after an older one; list releases once each",
        ),
        (
            GOOD.replace("calico: ''", "calicoo: ''"),
            "unknown field `calicoo`",
        ),
    ] {
        let error = load(&text).unwrap_err();
        assert!(error.starts_with("plans/upgrade/releases.yaml:"), "{error}");
        assert!(error.contains(expected), "{error}\n  lacks\n{expected}");
    }
    let none = Releases::load(&Bundle::default()).unwrap_err();
    assert_eq!(
        none.to_string(),
        "plans/upgrade/releases.yaml: is missing or not UTF-8; put it there"
    );
}
