//! Certificates and keys that k0s makes where they are missing.

use crate::lab::model::id;
use crate::lab::model::k0s::Keys;
use crate::lab::programs::{Caller, Failure};
use crate::lab::tools::FileOp;
use data_encoding::BASE64;

/// Something that looks like a file of PEM. Nothing in the lab reads what is in it; that two differ is what matters.
fn pem(kind: &str, what: &str, seed: &str) -> String {
    let body = BASE64.encode(format!("{what} {}{}", id(&format!("{seed} {what}")), id(seed)).as_bytes());
    format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n")
}

fn write(caller: &mut dyn Caller, path: String, text: &str, mode: u32) -> Result<(), Failure> {
    caller.change(FileOp::Write {
        path,
        bytes: text.as_bytes().to_vec(),
        mode,
    })?;
    Ok(())
}

fn read(caller: &mut dyn Caller, path: &str) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&caller.read(path)?).into_owned())
}

/// The pair `NAME.FIRST` and `NAME.SECOND` in `directory`, made where it is missing.
fn pair(
    caller: &mut dyn Caller,
    base: &str,
    (first, second): (&str, &str),
    kinds: (&str, &str),
    seed: &str,
) -> Result<(String, String), Failure> {
    let (one, two) = (format!("{base}.{first}"), format!("{base}.{second}"));
    if !(caller.exists(&one)? && caller.exists(&two)?) {
        let name = base.rsplit('/').next().unwrap_or(base);
        write(
            caller,
            one.clone(),
            &pem(kinds.0, &format!("{name} {first}"), seed),
            0o640,
        )?;
        let mode = if second == "crt" || second == "pub" {
            0o644
        } else {
            0o640
        };
        write(
            caller,
            two.clone(),
            &pem(kinds.1, &format!("{name} {second}"), seed),
            mode,
        )?;
    }
    Ok((read(caller, &one)?, read(caller, &two)?))
}

/// A kubeconfig with everything in it.
pub(super) fn kubeconfig(server: &str, ca: &[u8], crt: &[u8], key: &[u8]) -> String {
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: {server}\n  name: local\ncontexts:\n- context:\n    cluster: local\n    user: user\n  name: Default\ncurrent-context: Default\nkind: Config\npreferences: {{}}\nusers:\n- name: user\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
        BASE64.encode(ca),
        BASE64.encode(crt),
        BASE64.encode(key)
    )
}

/// Writes what a controller that joins gets from the others; it takes the place of what is there.
pub(super) fn take_over(caller: &mut dyn Caller, data: &str, keys: &Keys) -> Result<(), Failure> {
    caller.change(FileOp::MakeDirectory(format!("{data}/pki/etcd")))?;
    for (name, text, mode) in [
        ("ca.key", &keys.ca_key, 0o640),
        ("ca.crt", &keys.ca_crt, 0o644),
        ("sa.key", &keys.sa_key, 0o640),
        ("sa.pub", &keys.sa_pub, 0o644),
        ("etcd/ca.key", &keys.etcd_key, 0o640),
        ("etcd/ca.crt", &keys.etcd_crt, 0o640),
    ] {
        write(caller, format!("{data}/pki/{name}"), text, mode)?;
    }
    Ok(())
}

/// Makes what is missing in the PKI of a controller.
pub(super) fn complete(caller: &mut dyn Caller, data: &str, seed: &str) -> Result<Keys, Failure> {
    let pki = format!("{data}/pki");
    caller.change(FileOp::MakeDirectory(format!("{pki}/etcd")))?;
    let certificate = ("PRIVATE KEY", "CERTIFICATE");
    let (ca_key, ca_crt) = pair(caller, &format!("{pki}/ca"), ("key", "crt"), certificate, seed)?;
    let (sa_key, sa_pub) = pair(
        caller,
        &format!("{pki}/sa"),
        ("key", "pub"),
        ("PRIVATE KEY", "PUBLIC KEY"),
        seed,
    )?;
    let (etcd_key, etcd_crt) = pair(
        caller,
        &format!("{pki}/etcd/ca"),
        ("key", "crt"),
        certificate,
        seed,
    )?;
    for name in [
        "admin",
        "apiserver-etcd-client",
        "apiserver-kubelet-client",
        "ccm",
        "etcd/peer",
        "etcd/server",
        "front-proxy-ca",
        "front-proxy-client",
        "k0s-api",
        "konnectivity",
        "scheduler",
        "server",
    ] {
        // They are issued by the CA, and so made anew with it.
        pair(
            caller,
            &format!("{pki}/{name}"),
            ("key", "crt"),
            certificate,
            &id(&ca_crt),
        )?;
    }
    let crt = caller.read(&format!("{pki}/admin.crt"))?;
    let key = caller.read(&format!("{pki}/admin.key"))?;
    for name in ["admin", "ccm", "konnectivity", "scheduler"] {
        let text = kubeconfig("https://localhost:6443", ca_crt.as_bytes(), &crt, &key);
        write(caller, format!("{pki}/{name}.conf"), &text, 0o600)?;
    }
    Ok(Keys {
        ca_crt,
        ca_key,
        sa_key,
        sa_pub,
        etcd_crt,
        etcd_key,
    })
}
