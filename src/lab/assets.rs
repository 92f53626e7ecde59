//! What an upgrade brings to the hosts of a lab, in place of k0s, the etcd tools and the charts.
//!
//! The programs among them are small shell files that call the stand-ins in `/.lab/bin`; each tells its version, so that a
//! host can hold several. The bytes depend on the versions alone.

use std::collections::BTreeMap;

/// The versions that a release brings, as the release table has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions<'a> {
    /// `v1.32.11+k0s.0`.
    pub k0s: &'a str,
    /// `3.5.25`.
    pub etcd: &'a str,
    /// `v3.30.200`.
    pub calico: &'a str,
    /// `4.1.5`.
    pub mke: &'a str,
}

/// Bytes by asset name, for every asset that the shipped releases name.
pub fn assets(versions: &Versions<'_>) -> BTreeMap<&'static str, Vec<u8>> {
    let etcd = versions.etcd.trim_start_matches('v');
    let home = format!("etcd-v{etcd}-linux-amd64");
    // The archive of a real release has the server too; it is not needed and not simulated.
    let tools = [
        (
            format!("{home}/README.md"),
            0o644,
            b"Stand-ins for the tools of etcd.\n".to_vec(),
        ),
        (format!("{home}/etcdctl"), 0o755, program("etcdctl", etcd)),
        (format!("{home}/etcdutl"), 0o755, program("etcdutl", etcd)),
    ];
    BTreeMap::from([
        ("calico-chart", chart("tigera-operator", versions.calico)),
        ("etcd-tools", gzip(&tar(&tools))),
        ("k0s", program("k0s", versions.k0s)),
        ("mke-operator-chart", chart("mke-operator", versions.mke)),
    ])
}

/// A shell file that is a stand-in of some version. The version is the text between the quotes, whatever it holds.
fn program(name: &str, version: &str) -> Vec<u8> {
    let version = version.replace('\'', "");
    format!("#!/bin/sh\nLAB_VERSION='{version}' exec /.lab/bin/{name} \"$@\"\n").into_bytes()
}

/// A Helm chart with nothing in it but its name and version.
fn chart(name: &str, version: &str) -> Vec<u8> {
    let about = format!(
        "apiVersion: v2\nname: {name}\nversion: {0}\nappVersion: {0}\n",
        if version.is_empty() { "0.0.0" } else { version }
    );
    gzip(&tar(&[
        (format!("{name}/Chart.yaml"), 0o644, about.into_bytes()),
        (format!("{name}/values.yaml"), 0o644, b"{}\n".to_vec()),
    ]))
}

/// Names of the images in an archive of `docker save`; none where it is not one.
pub(crate) fn saved_images(archive: &[u8]) -> Option<Vec<String>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
    let mut rest = archive;
    while rest.len() >= 512 && rest[0] != 0 {
        let size = usize::from_str_radix(text(rest.get(124..135)?).trim(), 8).ok()?;
        let bytes = rest.get(512..512 + size)?;
        if text(&rest[..100]) == "manifest.json" {
            let entries: Vec<serde_json::Value> = serde_json::from_slice(bytes).ok()?;
            let tags = entries
                .iter()
                .filter_map(|entry| entry["RepoTags"].as_array())
                .flatten();
            return Some(tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect());
        }
        rest = rest.get(512 + size.next_multiple_of(512)..)?;
    }
    None
}

/// A ustar archive of regular files with short names, all of root and of the epoch.
pub(crate) fn tar(files: &[(String, u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, mode, bytes) in files {
        let mut head = [0u8; 512];
        let mut put = |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", bytes.len()));
        put(136, "00000000000");
        // The sum counts its own place as spaces.
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        out.extend(head);
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// The gzip form of some bytes, stored and not compressed: charts and shell files are small.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let mut pieces = bytes.chunks(0xffff).peekable();
    while let Some(piece) = pieces.next() {
        out.push(u8::from(pieces.peek().is_none()));
        // A piece is at most 65,535 bytes long.
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(piece);
    }
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    out.extend((!crc).to_le_bytes());
    // The format wants the length modulo 2^32.
    out.extend(&bytes.len().to_le_bytes()[..4]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    const VERSIONS: Versions<'static> = Versions {
        k0s: "v1.32.11+k0s.0",
        etcd: "3.5.25",
        calico: "v3.30.200",
        mke: "4.1.5",
    };

    fn tar(arguments: &[&str], archive: &[u8]) -> String {
        let mut child = Command::new("tar")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(archive).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn archives_are_what_tar_reads() {
        let assets = assets(&VERSIONS);
        let listed = tar(&["-tzf", "-"], &assets["etcd-tools"]);
        let home = "etcd-v3.5.25-linux-amd64";
        assert_eq!(
            listed.lines().collect::<Vec<_>>(),
            [
                format!("{home}/README.md"),
                format!("{home}/etcdctl"),
                format!("{home}/etcdutl")
            ]
        );
        let program = tar(&["-xzOf", "-", &format!("{home}/etcdutl")], &assets["etcd-tools"]);
        assert!(program.ends_with("exec /.lab/bin/etcdutl \"$@\"\n"), "{program}");
        let chart = tar(
            &["-xzOf", "-", "tigera-operator/Chart.yaml"],
            &assets["calico-chart"],
        );
        assert!(chart.contains("version: v3.30.200\n"), "{chart}");
    }

    #[test]
    fn bytes_follow_from_the_versions() {
        assert_eq!(assets(&VERSIONS), assets(&VERSIONS));
        let other = Versions {
            k0s: "v1.32.3+k0s.0",
            ..VERSIONS
        };
        assert_ne!(assets(&VERSIONS)["k0s"], assets(&other)["k0s"]);
    }
}
