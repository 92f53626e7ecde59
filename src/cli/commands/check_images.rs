//! `mkectl check images`: what a registry holds of a list, before anything is pulled from it.

use crate::cli::args::{CheckFormat, CheckImagesArgs};
use crate::cli::error::CliError;
use crate::cli::live::Sought;
use crate::cli::log::Level;
use crate::cli::{CommandResult, Env, exit, files, run};
use crate::source::api::Address;
use crate::source::registry::{self, Access, Client, Found, Reference, RegistryError};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where the password may be, besides a file.
const PASSWORD: &str = "MKECTL_IMAGE_REGISTRY_PASSWORD";

/// Where systems keep the CAs that they trust.
const SYSTEM: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// An image or chart of the list.
#[derive(Serialize)]
struct Row {
    /// As the list has it.
    image: String,
    /// Where it was looked for.
    place: String,
    /// Digest of its manifest, when it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// What the registry said when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

pub fn run(env: &Env, args: &CheckImagesArgs) -> CommandResult {
    let given = args.image_registry.trim();
    let given = given.strip_prefix("oci://").unwrap_or(given);
    let (host, prefix) = given.split_once('/').unwrap_or((given, ""));
    let address = Address::parse(host).map_err(|why| {
        CliError::usage(
            format!("{given:?} cannot be a registry: {why}"),
            "write HOST[:PORT]/PATH, for charts with oci:// before it",
        )
    })?;
    let wanted = wanted(&args.list, &files::read(&args.list)?, prefix)?;
    let ca = match &args.image_registry_ca_file {
        Some(path) => files::read(path)?,
        None => system()?,
    };
    let login = match &args.image_registry_username {
        None => None,
        Some(user) => {
            let password = Sought {
                of: user,
                question: &format!("password of {user} at {address}"),
                file: args.image_registry_password_file.as_deref(),
                flag: "--image-registry-password-file",
                variable: PASSWORD,
            }
            .find(env)?;
            Some((user.clone(), password))
        }
    };
    env.log(
        Level::Info,
        &format!(
            "==> Running phase: Look for {} in {address}",
            crate::text::count(wanted.len(), "image")
        ),
    );
    let access = Access {
        address: address.clone(),
        connect_to: None,
        ca,
        login,
    };
    let rows = run::runtime()?
        .block_on(look(access, &wanted))
        .map_err(|error| failed(&error))?;
    match args.format {
        CheckFormat::Json => {
            let mut bytes = serde_json::to_vec_pretty(&rows)
                .map_err(|error| CliError::bug(format!("the result cannot be written: {error}")))?;
            bytes.push(b'\n');
            env.ui.out(&bytes)?;
        }
        CheckFormat::Text => env.ui.out(text(&rows).as_bytes())?,
    }
    Ok(match rows.iter().any(|row| row.missing.is_some()) {
        true => exit::BLOCKED,
        false => exit::DONE,
    })
}

/// The references of a list, each once, with the text that they come from.
fn wanted(file: &str, bytes: &[u8], prefix: &str) -> Result<BTreeMap<Reference, String>, CliError> {
    let hint =
        "write one image on a line, as `k0s airgap list-images` does: quay.io/k0sproject/coredns:1.12.0";
    let text =
        std::str::from_utf8(bytes).map_err(|_| CliError::usage(format!("{file}: it is not text"), hint))?;
    let mut wanted = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let reference = Reference::within(prefix, line).map_err(|why| {
            let line = crate::text::sanitize(line);
            CliError::usage(format!("{file}:{}: {line:?} names no image: {why}", at + 1), hint)
        })?;
        wanted.entry(reference).or_insert_with(|| line.to_owned());
    }
    if wanted.is_empty() {
        return Err(CliError::usage(format!("{file}: there is no image in it"), hint));
    }
    Ok(wanted)
}

/// The CAs that this machine trusts.
fn system() -> Result<Vec<u8>, CliError> {
    let found = SYSTEM.iter().find_map(|path| std::fs::read(path).ok());
    found.ok_or_else(|| {
        CliError::usage(
            "this machine has no list of CAs that it trusts",
            "give the CA of the registry's certificate with --image-registry-ca-file",
        )
    })
}

async fn look(access: Access, wanted: &BTreeMap<Reference, String>) -> Result<Vec<Row>, RegistryError> {
    let place = access.address.clone();
    let mut client = Client::new(access, registry::patience())?;
    let mut rows = Vec::new();
    for (reference, image) in wanted {
        let (digest, missing) = match client.look(reference).await? {
            Found::Digest(digest) => (Some(digest), None),
            Found::Missing(why) => (None, Some(why)),
        };
        rows.push(Row {
            image: image.clone(),
            place: format!("{place}/{reference}"),
            digest,
            missing,
        });
    }
    Ok(rows)
}

/// What is there, then what is not.
fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    // A string takes everything.
    for row in rows {
        if let Some(digest) = &row.digest {
            let _ = writeln!(text, "{digest}  {}", row.image);
        }
    }
    let mut missing = 0;
    for row in rows {
        if let Some(why) = &row.missing {
            missing += 1;
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(" ({why})")
            };
            let _ = writeln!(text, "missing: {}: not at {}{why}", row.image, row.place);
        }
    }
    let _ = writeln!(text, "{} of {} are there", rows.len() - missing, rows.len());
    if missing > 0 {
        text.push_str(
            "  → copy what is missing into the registry, for example with `skopeo copy` or `oras copy`\n",
        );
    }
    text
}

fn failed(error: &RegistryError) -> CliError {
    CliError {
        exit: if error.is_input() {
            exit::USAGE
        } else if matches!(error.fault, registry::RegistryFault::Transport(_)) {
            exit::UNREACHABLE
        } else {
            exit::FAILED_CLEAN
        },
        message: error.to_string(),
        hint: error.remedy().to_owned(),
    }
}
