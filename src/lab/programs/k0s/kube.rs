//! `k0s kubectl`: kubectl, with the administrator's kubeconfig of this host where none is named.

use super::{DATA_DIR, refuse};
use crate::lab::model::State;
use crate::lab::model::kube::{Api, User};
use crate::lab::programs::kubectl::{Request, Target, mke3, refused, run};
use crate::lab::programs::{Caller, Failure, Invocation};
use data_encoding::BASE64;
use serde_json::Value;

/// Where every node of MKE 3 reaches its API servers.
const MKE3_PROXY: &str = "127.0.0.1:6444";

pub(super) fn kubectl(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
    let mut arguments = call.argv[2..].to_vec();
    let named = arguments
        .iter()
        .any(|word| word == "--kubeconfig" || word.starts_with("--kubeconfig="))
        || call
            .env
            .iter()
            .any(|(name, value)| name == "KUBECONFIG" && !value.is_empty());
    if !named {
        let data = {
            let state = call.cluster.state();
            state
                .k0s_on(call.host)
                .map_or(DATA_DIR.to_owned(), |process| process.data_dir.clone())
        };
        let path = format!("{data}/pki/admin.conf");
        if !caller.exists(&path)? {
            return refuse(format!(
                "cannot stat k0s kubeconfig, is the server running?: stat {path}: no such file or directory"
            ));
        }
        arguments.insert(0, format!("--kubeconfig={path}"));
    }
    let host = call.host.to_owned();
    run(&arguments, call, caller, &|state, target, request| {
        reach(state, &host, target, request)
    })
}

/// Finds the API server that a kubeconfig names, from a host.
fn reach(state: &mut State, host: &str, target: &Target, request: &mut Request<'_>) -> Result<(), Failure> {
    let config: Value = target
        .kubeconfig
        .as_deref()
        .and_then(|text| serde_yaml::from_str(text).ok())
        .unwrap_or_default();
    let decoded = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        let bytes = BASE64.decode(text.as_bytes()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let cluster = &config["clusters"][0]["cluster"];
    let server = target
        .server
        .as_deref()
        .or(cluster["server"].as_str())
        .unwrap_or("http://localhost:8080");
    let place = server
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    if place == MKE3_PROXY {
        if !state.runs(host, "ucp-proxy") {
            return Err(refused(place));
        }
        return mke3(state, target, request);
    }
    let behind = if place.starts_with("localhost:") || place.starts_with("127.0.0.1:") {
        state.k0s_api(host).map(|_| host.to_owned())
    } else {
        state.k0s_behind(server)
    };
    let behind = match behind {
        Ok(behind) => behind,
        Err(why) if why.contains("no leader") => {
            return Err(Failure::Real(format!("Error from server: {why}"), 1));
        }
        Err(_) => return Err(refused(place)),
    };
    let id = state
        .k0s_on(&behind)
        .map(|process| process.cluster.clone())
        .unwrap_or_default();
    let right = state
        .k0s
        .clusters
        .get(&id)
        .is_some_and(|of| of.keys.ca_crt == decoded(&cluster["certificate-authority-data"]));
    if !right {
        return Err(Failure::Real(
            "Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown authority"
                .to_owned(),
            1,
        ));
    }
    let user = &config["users"][0]["user"];
    let certificate = decoded(&user["client-certificate-data"]);
    let user = if certificate.starts_with("system:node:") {
        User {
            name: certificate,
            groups: vec!["system:nodes".to_owned(), "system:authenticated".to_owned()],
        }
    } else if certificate.contains("BEGIN CERTIFICATE") {
        User::administrator()
    } else {
        User {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
        }
    };
    let context = state.k0s_context(&id);
    if let Some(of) = state.k0s.clusters.get_mut(&id) {
        request(&mut Api::new(&mut of.store, &context), &user);
    }
    Ok(())
}
