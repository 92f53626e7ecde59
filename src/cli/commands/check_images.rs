//! `mkectl check images`: what a registry holds of a list, before anything is pulled from it.

use crate::cli::args::{CheckFormat, CheckImagesArgs, PasswordArgs};
use crate::cli::error::CliError;
use crate::cli::images::{failed, password, system};
use crate::cli::log::Level;
use crate::cli::{CommandResult, Env, exit, files, run};
use crate::source::images::{self, Kind, Wanted};
use crate::source::registry::{self, Access, Client, Found, Place, Registry, RegistryError};
use serde::Serialize;
use std::fmt::Write;

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
    let kind = Kind::of(given);
    let registry = Registry::parse(given).map_err(|why| {
        CliError::usage(
            format!("{given:?} cannot be a registry: {why}"),
            "write HOST[:PORT]/PATH, for charts with oci:// before it",
        )
    })?;
    let wanted = images::list(&args.list, &files::read(&args.list)?)?
        .into_iter()
        .map(|image| Ok((registry.place(&image.name).map_err(CliError::bug)?, image)))
        .collect::<Result<Vec<_>, CliError>>()?;
    let ca = match &args.image_registry_ca_file {
        Some(path) => files::read(path)?,
        None => system(kind)?,
    };
    let login = match &args.image_registry_username {
        None => None,
        Some(user) => {
            let file = args.image_registry_password_file.clone();
            let passwords = match kind {
                Kind::Image => PasswordArgs {
                    image_registry_password_file: file,
                    ..PasswordArgs::default()
                },
                Kind::Chart => PasswordArgs {
                    chart_registry_password_file: file,
                    ..PasswordArgs::default()
                },
            };
            Some((user.clone(), password(env, kind, user, &passwords)?))
        }
    };
    env.log(
        Level::Info,
        &format!(
            "==> Running phase: Look for {} in {}",
            crate::text::count(wanted.len(), kind.word()),
            registry.address
        ),
    );
    let access = Access {
        address: registry.address.clone(),
        connect_to: None,
        ca,
        login,
    };
    let rows = run::runtime()?
        .block_on(look(access, &wanted))
        .map_err(|error| failed(&error, kind))?;
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

async fn look(access: Access, wanted: &[(Place, Wanted)]) -> Result<Vec<Row>, RegistryError> {
    let mut client = Client::new(access, registry::patience())?;
    let mut rows = Vec::new();
    for (place, image) in wanted {
        let (digest, missing) = match client.look(&place.reference).await? {
            Found::Digest(digest) => (Some(digest), None),
            Found::Missing(why) => (None, Some(why)),
        };
        rows.push(Row {
            image: image.name.clone(),
            place: place.to_string(),
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
