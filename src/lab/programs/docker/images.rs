//! Images: list, look at, pull, save, load, remove.

use super::{Docked, FILTER, FORMAT, FORMAT_F, QUIET, host, host_mut};
use crate::lab::assets;
use crate::lab::model::{Host, id};
use crate::lab::programs::Failure;
use crate::lab::tools::FileOp;
use serde_json::{Value, json};

/// Bytes of an image on disk, as Docker shows them; the archives of the simulation are small.
const SIZE: u64 = 48 << 20;

/// A reference with its tag.
fn full(word: &str) -> String {
    let last = word.rsplit('/').next().unwrap_or(word);
    if last.contains(':') || word.contains('@') {
        word.to_owned()
    } else {
        format!("{word}:latest")
    }
}

/// The reference or id that a word means.
fn find<'a>(host: &'a Host, word: &str) -> Option<(&'a str, &'a str)> {
    let tagged = full(word);
    let by_name = host.images.get_key_value(&tagged);
    let digits = word.strip_prefix("sha256:").unwrap_or(word);
    by_name
        .or_else(|| {
            host.images
                .iter()
                .find(|(_, id)| digits.len() >= 6 && id["sha256:".len()..].starts_with(digits))
        })
        .map(|(name, id)| (name.as_str(), id.as_str()))
}

fn view(host: &Host, id: &str, unserved: &std::collections::BTreeSet<String>) -> Value {
    let tags: Vec<&str> = host
        .images
        .iter()
        .filter(|(_, other)| *other == id)
        .map(|(name, _)| name.as_str())
        .collect();
    // What came from a registry is known by what the registry calls it, too.
    let digests: Vec<String> = tags
        .iter()
        .filter(|name| !unserved.contains(**name))
        .map(|name| format!("{}@{id}", name.rsplit_once(':').map_or(*name, |(name, _)| name)))
        .collect();
    json!({
        "Id": id, "RepoTags": tags, "RepoDigests": digests, "Size": SIZE, "Architecture": "amd64", "Os": "linux",
        "Created": super::views::time(0),
    })
}

pub(super) fn image(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("ls" | "list") => list(docked, rest),
        Some("inspect") => inspect(docked, rest),
        Some("pull") => pull(docked, rest),
        Some("save") => save(docked, rest),
        Some("load") => load(docked, rest),
        Some("rm" | "remove") => remove(docked, rest),
        other => Err(Failure::Unmodelled(format!(
            "docker image {}",
            other.unwrap_or_default()
        ))),
    }
}

pub(super) fn list(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[QUIET, FILTER, FORMAT, ("no-trunc", '\0', false)])?;
    let mut rows = Vec::new();
    {
        let state = docked.state();
        for (name, id) in &host(&state, docked.call.host)?.images {
            let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
            let mut passed = parsed
                .words
                .first()
                .is_none_or(|word| word == repository || word == name);
            for filter in parsed.all("filter") {
                passed &= match filter.split_once('=') {
                    Some(("reference", wanted)) if !wanted.contains('*') => {
                        wanted == name || wanted == repository
                    }
                    _ => return Err(Failure::Unmodelled(format!("the filter {filter}"))),
                };
            }
            if passed {
                let short = if parsed.has("no-trunc") {
                    id.as_str()
                } else {
                    &id[7..19]
                };
                rows.push(json!({
                    "ID": short, "Repository": repository, "Tag": tag, "CreatedSince": "2 months ago", "Size": "50.3MB",
                }));
            }
        }
    }
    let columns = [
        ("REPOSITORY", "Repository"),
        ("TAG", "Tag"),
        ("IMAGE ID", "ID"),
        ("CREATED", "CreatedSince"),
        ("SIZE", "Size"),
    ];
    docked.rows(&parsed, &rows, "ID", &columns)
}

fn inspect(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[FORMAT_F])?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    {
        let state = docked.state();
        let host = host(&state, docked.call.host)?;
        for word in &parsed.words {
            match find(host, word) {
                Some((_, id)) => found.push(view(host, id, &state.unserved)),
                None => missing.push(format!("Error response from daemon: No such image: {word}")),
            }
        }
    }
    docked.inspected(&parsed, &found, &missing)
}

pub(super) fn pull(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[QUIET])?;
    let [word] = parsed.words.as_slice() else {
        return Err(Failure::Real(
            "\"docker pull\" requires exactly 1 argument.".to_owned(),
            1,
        ));
    };
    let name = full(word);
    {
        let mut state = docked.state();
        if state.unserved.contains(&name) || state.unserved.contains(word) {
            let repository = name
                .rsplit_once(':')
                .map_or(name.as_str(), |(repository, _)| repository);
            let text = format!(
                "Error response from daemon: pull access denied for {repository}, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"
            );
            return Err(Failure::Real(text, 1));
        }
        let digest = format!("sha256:{}", id(&name));
        host_mut(&mut state, docked.call.host)?
            .images
            .insert(name.clone(), digest);
    }
    if !parsed.has("quiet") {
        docked.line(&format!("Status: Downloaded newer image for {name}"))?;
    }
    docked.line(&name)?;
    Ok(0)
}

/// Writes an archive: real in form, with nothing but its list of names inside.
pub(super) fn save(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[("output", 'o', true)])?;
    let mut entries = Vec::new();
    {
        let state = docked.state();
        let host = host(&state, docked.call.host)?;
        for word in &parsed.words {
            let (name, id) = find(host, word).ok_or_else(|| {
                Failure::Real(
                    format!("Error response from daemon: reference does not exist: {word}"),
                    1,
                )
            })?;
            // An image that was asked for by its id has no name in the archive.
            let tags: Vec<&str> = if *name == full(word) {
                vec![name]
            } else {
                Vec::new()
            };
            entries.push(json!({"Config": format!("{}.json", &id[7..]), "RepoTags": tags, "Layers": []}));
        }
    }
    if entries.is_empty() {
        return Err(Failure::Real(
            "\"docker save\" requires at least 1 argument.".to_owned(),
            1,
        ));
    }
    let manifest = Value::from(entries).to_string().into_bytes();
    let archive = assets::tar(&[("manifest.json".to_owned(), 0o644, manifest)]);
    match parsed.value("output") {
        None => docked.caller.out(&archive)?,
        Some(path) => {
            let directory = path.rsplit_once('/').map_or(".", |(directory, _)| directory);
            if !docked.caller.exists(directory)? {
                let text = format!(
                    "failed to save image: invalid output path: directory \"{directory}\" does not exist"
                );
                return Err(Failure::Real(text, 1));
            }
            docked.caller.change(FileOp::Write {
                path: path.to_owned(),
                bytes: archive,
                mode: 0o600,
            })?;
        }
    }
    Ok(0)
}

pub(super) fn load(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[QUIET, ("input", 'i', true)])?;
    let path = parsed
        .value("input")
        .ok_or_else(|| Failure::Unmodelled("docker load of standard input".to_owned()))?;
    if !docked.caller.exists(path)? {
        return Err(Failure::Real(
            format!("open {path}: no such file or directory"),
            1,
        ));
    }
    let bytes = docked.caller.read(path)?;
    let names = assets::saved_images(&bytes)
        .ok_or_else(|| Failure::Real("archive/tar: invalid tar header".to_owned(), 1))?;
    for name in names {
        {
            let mut state = docked.state();
            let digest = format!("sha256:{}", id(&name));
            host_mut(&mut state, docked.call.host)?
                .images
                .insert(name.clone(), digest);
        }
        docked.line(&format!("Loaded image: {name}"))?;
    }
    Ok(0)
}

pub(super) fn remove(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[("force", 'f', false)])?;
    let on = docked.call.host;
    docked.each(&parsed.words, |state, word| {
        let host = host_mut(state, on).map_err(|_| "no such host".to_owned())?;
        let (name, id) = find(host, word)
            .map(|(name, id)| (name.to_owned(), id.to_owned()))
            .ok_or_else(|| format!("No such image: {word}"))?;
        let last = host.images.values().filter(|other| **other == id).count() == 1;
        let user = host.containers.values().find(|one| one.image == name);
        if let (true, Some(user)) = (last, user) {
            return Err(format!(
                "conflict: unable to remove repository reference \"{name}\" (must force) - container {} is using its referenced image {}",
                &user.id[..12],
                &id[7..19]
            ));
        }
        host.images.remove(&name);
        Ok(())
    })
}
