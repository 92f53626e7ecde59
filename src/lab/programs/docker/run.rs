//! `docker run` of the one image that the simulation knows inside: MKE 3's own, with its commands for backups.

use super::{Docked, host_mut};
use crate::lab::assets;
use crate::lab::model::{Container, Restart, id};
use crate::lab::programs::{Failure, args};
use crate::model::Role;

/// The repository of MKE 3's own image, behind whatever registry.
const UCP: &str = "/ucp";

pub(super) fn run(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let flags = [
        ("rm", '\0', false),
        ("interactive", 'i', false),
        ("name", '\0', true),
        ("log-driver", '\0', true),
        ("security-opt", '\0', true),
        ("env", 'e', true),
        ("volume", 'v', true),
    ];
    let parsed = args::parse(arguments, &flags, true)?;
    let [image, command @ ..] = parsed.words.as_slice() else {
        return Err(Failure::Real(
            "\"docker run\" requires at least 1 argument.".to_owned(),
            125,
        ));
    };
    let (repository, version) = image.rsplit_once(':').unwrap_or((image, "latest"));
    if !repository.ends_with(UCP) || command.first().map(String::as_str) != Some("backup") {
        return Err(Failure::Unmodelled(format!(
            "a container of {image} {}",
            command.join(" ")
        )));
    }
    let name = parsed.value("name").unwrap_or("ucp").to_owned();
    let secret = parsed
        .all("env")
        .iter()
        .find_map(|word| match word.split_once('=') {
            Some(("UCP_PASSPHRASE", value)) => Some(value.to_owned()),
            Some(_) => None,
            None => docked
                .call
                .env
                .iter()
                .find(|(known, _)| known == word && known == "UCP_PASSPHRASE")
                .map(|(_, value)| value.clone()),
        });
    {
        let mut state = docked.state();
        let cluster = state.swarm.id.clone();
        let host = host_mut(&mut state, docked.call.host)?;
        if let Some(other) = host.containers.get(&name) {
            let text = format!(
                "docker: Error response from daemon: Conflict. The container name \"/{name}\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
                other.id
            );
            return Err(Failure::Real(text, 125));
        }
        if !parsed
            .all("volume")
            .iter()
            .any(|volume| volume == "/var/run/docker.sock:/var/run/docker.sock")
        {
            let text = "level=fatal msg=\"unable to reach the Docker engine: is its socket mounted?\"";
            return Err(Failure::Real(text.to_owned(), 1));
        }
        let installed = host
            .containers
            .get("ucp-proxy")
            .is_some_and(|proxy| proxy.image.ends_with(&format!(":{version}")));
        if host.role != Role::Manager || !installed {
            let text = "level=fatal msg=\"MKE of this version is not installed on this engine, or it is no manager\"";
            return Err(Failure::Real(text.to_owned(), 1));
        }
        let mut made = Container::running(&host.name, &name, image);
        made.id = id(&format!("{cluster} {} {name}", host.name));
        made.restart = Restart::new("no");
        host.containers.insert(name.clone(), made);
    }
    let archive = backup(docked, command, secret.as_deref());
    // The client goes on reading when its caller has gone, and the engine keeps the container until the program ends.
    let (archive, status) = match archive {
        Ok(archive) => (archive, 0),
        Err(text) => {
            docked.caller.err(format!("{text}\n").as_bytes())?;
            (Vec::new(), 1)
        }
    };
    docked.caller.err(b"level=info msg=\"Backup started\"\n")?;
    docked.caller.out(&archive)?;
    docked
        .caller
        .err(b"level=info msg=\"Backup completed successfully\"\n")?;
    if parsed.has("rm") {
        host_mut(&mut docked.state(), docked.call.host)?
            .containers
            .remove(&name);
    }
    Ok(status)
}

/// The archive: of OpenPGP where there is a passphrase, else a plain one.
fn backup(docked: &Docked<'_, '_>, command: &[String], secret: Option<&str>) -> Result<Vec<u8>, String> {
    let no_passphrase = command.iter().any(|word| word == "--no-passphrase");
    for word in &command[1..] {
        if !matches!(word.as_str(), "--no-passphrase" | "--include-logs=false") {
            return Err(format!("flag provided but not defined: {word}"));
        }
    }
    let plain = assets::tar(&[(
        "ucp-controller.json".to_owned(),
        0o600,
        format!("{{\"cluster\":\"{}\"}}\n", docked.state().swarm.id).into_bytes(),
    )]);
    match secret.filter(|secret| !secret.is_empty()) {
        Some(secret) => {
            // Not the cipher, but as unreadable without the passphrase as the test needs it.
            let key = id(secret);
            let mut out = vec![0x8c, 0x0d, 0x04, 0x09];
            out.extend(
                plain
                    .iter()
                    .zip(key.bytes().cycle())
                    .map(|(byte, key)| byte ^ key ^ 0x80),
            );
            Ok(out)
        }
        None if no_passphrase => Ok(plain),
        None => Err("level=fatal msg=\"a passphrase is required, or --no-passphrase\"".to_owned()),
    }
}
