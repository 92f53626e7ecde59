//! What registries hold of the images and charts of a list: asked for a plan, and asked again before it runs.

use super::args::{ImagesArgs, PasswordArgs, UpgradeOptions};
use super::error::CliError;
use super::live::Sought;
use super::log::Level;
use super::{Env, exit, files};
use crate::apply::Secret;
use crate::model::Plan;
use crate::source::api::Password;
use crate::source::images::{self, Answer, Images, Kind, Seen, Untold, Wanted};
use crate::source::registry::{self, Access, Client, Found, Place, Registry, RegistryError, RegistryFault};
use crate::text::{count, sanitize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What recorded answers are called, in files and in plans.
pub const IMAGES: &str = "images.json";

/// Where systems keep the CAs that they trust.
const SYSTEM: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];
/// The document of a plan with the CAs of its registries.
const CAS: &str = "registry-cas.pem";
/// Differences that are shown; the rest is counted.
const SHOWN: usize = 12;

/// Passwords of registries, by the names that plans have for them.
pub type Passwords = BTreeMap<String, Secret>;

/// Both kinds: images come first.
const KINDS: [Kind; 2] = [Kind::Image, Kind::Chart];

fn password_name(kind: Kind) -> String {
    format!("{}-registry-password", kind.word())
}

/// A list that registries are to be asked for. Nobody was asked yet but the person at the terminal.
pub struct Question {
    list: String,
    wanted: Vec<(Wanted, Place)>,
    access: BTreeMap<Kind, Access>,
    /// What was found to ask with.
    pub passwords: Passwords,
}

/// Reads the list, if there is one, and everything that is needed to ask for it. `cas` are the CAs that were given.
///
/// # Errors
///
/// When the list cannot be used, has something that no registry is given for, or a password is nowhere.
pub fn question(
    env: &Env,
    args: &ImagesArgs,
    options: &UpgradeOptions,
    cas: &str,
) -> Result<Option<Question>, CliError> {
    let of = |kind: Kind| match kind {
        Kind::Image => (
            &options.image_registry,
            &options.image_registry_ca_file,
            &options.image_registry_username,
        ),
        Kind::Chart => (
            &options.chart_registry,
            &options.chart_registry_ca_file,
            &options.chart_registry_username,
        ),
    };
    for kind in KINDS {
        let (_, _, user) = of(kind);
        let word = kind.word();
        if user.is_none() && args.passwords.is_given(kind) {
            return Err(CliError::usage(
                format!("a password of the {word} registry is given, and no user"),
                format!("add --{word}-registry-username NAME"),
            ));
        }
        if user.is_some() && args.image_list.is_none() && args.images.is_none() {
            env.log(
                Level::Warn,
                &format!(
                    "--{word}-registry-username is used for nothing: without --image-list no registry is asked, and no host \
                     is given the login"
                ),
            );
        }
    }
    let Some(path) = &args.image_list else {
        return Ok(None);
    };
    let list = images::list(path, &files::read(path)?)?;
    let mut question = Question {
        list: files::base_name(path),
        wanted: Vec::new(),
        access: BTreeMap::new(),
        passwords: Passwords::new(),
    };
    for wanted in list {
        let kind = Kind::of(&wanted.name);
        let word = kind.word();
        let (registry, ca, user) = of(kind);
        let Some(registry) = registry else {
            let what = match kind {
                Kind::Image => "an image",
                Kind::Chart => "a chart",
            };
            return Err(CliError::usage(
                format!(
                    "{path}:{}: this is {what} that no registry is given for",
                    wanted.line
                ),
                format!(
                    "add --{word}-registry, or leave the list out to make a plan without looking images up"
                ),
            ));
        };
        let registry = Registry::parse(registry).map_err(|why| {
            CliError::usage(
                format!("--{word}-registry {registry:?} cannot be a registry: {why}"),
                "write HOST[:PORT]/PATH, for charts with oci:// before it",
            )
        })?;
        let place = registry.place(&wanted.name).map_err(CliError::bug)?;
        if !question.access.contains_key(&kind) {
            let login = match user {
                None => None,
                Some(user) => {
                    let found = password(env, kind, user, &args.passwords)?;
                    question
                        .passwords
                        .insert(password_name(kind), Secret::new(found.text().as_bytes().to_vec()));
                    Some((user.clone(), found))
                }
            };
            let access = Access {
                address: registry.address,
                connect_to: None,
                ca: trusted(cas, ca.is_some(), kind)?,
                login,
            };
            question.access.insert(kind, access);
        }
        question.wanted.push((wanted, place));
    }
    Ok(Some(question))
}

impl Question {
    /// Asks, and keeps the answers in a directory where that is wanted. What a registry does not tell is an answer, too.
    ///
    /// # Errors
    ///
    /// When a CA cannot be used, or the answers cannot be written.
    pub async fn ask(self, env: &Env, record: Option<&str>) -> Result<Vec<u8>, CliError> {
        let mut seen = Vec::new();
        for (kind, access) in self.access {
            let wanted = self.wanted.iter().filter(|(one, _)| Kind::of(&one.name) == kind);
            let wanted: Vec<_> = wanted.collect();
            env.log(
                Level::Info,
                &format!(
                    "==> Running phase: Ask {} for {}",
                    access.address,
                    count(wanted.len(), kind.word())
                ),
            );
            let mut client =
                Client::new(access, registry::patience()).map_err(|error| failed(&error, kind))?;
            let mut gone: Option<Untold> = None;
            for (wanted, place) in wanted {
                let answer = match &gone {
                    // A registry that cannot be reached once is not tried for each image.
                    Some(untold) => Answer::Untold(untold.clone()),
                    None => match client.look(&place.reference).await {
                        Ok(Found::Digest(digest)) => Answer::Digest(digest),
                        Ok(Found::Missing(said)) => Answer::Missing(said),
                        Err(error) => {
                            env.log(Level::Warn, &error.to_string());
                            let untold = Untold {
                                why: error.fault.to_string(),
                                remedy: remedy(&error, kind),
                            };
                            if matches!(error.fault, RegistryFault::Transport(_)) {
                                gone = Some(untold.clone());
                            }
                            Answer::Untold(untold)
                        }
                    },
                };
                seen.push(Seen {
                    name: wanted.name.clone(),
                    line: wanted.line,
                    place: place.to_string(),
                    answer,
                });
            }
        }
        let bytes = Images::new(&self.list, seen).to_bytes().map_err(CliError::bug)?;
        if let Some(directory) = record {
            let path = super::live::recorded(directory, IMAGES)?;
            files::write(&path, &bytes)?;
            env.log(
                Level::Info,
                &format!("the answers of the registries are kept in {path}"),
            );
        }
        Ok(bytes)
    }
}

/// The passwords that a plan is to be run with: those that are known already, and what has to be found.
///
/// # Errors
///
/// When one is nowhere, or one is given that the plan has no use for.
pub fn passwords(
    env: &Env,
    plan: &Plan,
    args: &PasswordArgs,
    mut known: Passwords,
) -> Result<Passwords, CliError> {
    for kind in KINDS {
        let (name, word) = (password_name(kind), kind.word());
        if !plan.spec.secrets.iter().any(|secret| secret.name == name) {
            if args.is_given(kind) {
                return Err(CliError::usage(
                    format!("a password of the {word} registry is given, and the plan asks none as a user"),
                    "leave it out, or make a plan with --image-list and the user of the registry",
                ));
            }
            continue;
        }
        if let Entry::Vacant(unknown) = known.entry(name) {
            let user = option(plan, &format!("{word}-registry-username"));
            let found = password(env, kind, user, args)?;
            unknown.insert(Secret::new(found.text().as_bytes().to_vec()));
        }
    }
    Ok(known)
}

/// Asks the registries again, and refuses a plan whose digests are not theirs any more.
///
/// # Errors
///
/// Exit 8, with image, old and new digest; 4 and 15 when a registry does not tell.
pub async fn unchanged(env: &Env, plan: &Plan, passwords: &Passwords, begun: bool) -> Result<(), CliError> {
    let so = match begun {
        true => "so nothing more was begun",
        false => "so nothing was begun",
    };
    let mut lines = Vec::new();
    for kind in KINDS {
        let word = kind.word();
        let rows: Vec<_> = plan.spec.images.iter().filter(|row| row.kind == word).collect();
        let mut client: Option<Client> = None;
        for row in rows {
            let place = Place::parse(&row.place).map_err(|why| CliError {
                exit: exit::PLAN_INVALID,
                message: format!("{:?} is no place of an image: {why}", sanitize(&row.place)),
                hint: "make a new plan".to_owned(),
            })?;
            let asking = match &mut client {
                Some(client) => client,
                None => {
                    env.log(
                        Level::Info,
                        &format!("==> Running phase: Compare {word}s with the plan"),
                    );
                    let access = access(plan, kind, &place, passwords)?;
                    let made = Client::new(access, registry::patience());
                    client.insert(made.map_err(|error| failed(&error, kind))?)
                }
            };
            let found = asking.look(&place.reference).await;
            match found.map_err(|error| untold(&error, kind, so))? {
                Found::Digest(digest) if digest == row.digest => {}
                Found::Digest(digest) => lines.push(format!(
                    "{}: {} had the digest {} and has {digest} now",
                    row.name, row.place, row.digest
                )),
                Found::Missing(said) => {
                    let said = match said.as_str() {
                        "" => said,
                        said => format!(" ({said})"),
                    };
                    lines.push(format!("{}: it is not at {} any more{said}", row.name, row.place));
                }
            }
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(format!("and {}", count(more, "more difference")));
    }
    Err(CliError {
        exit: exit::STALE,
        message: format!(
            "the registries do not hold what this plan was reviewed with, {so}\n{}",
            lines.join("\n")
        ),
        hint: match begun {
            true => "put the images of the plan back and go on with --resume, or undo with `mkectl rollback`",
            false => "put the images of the plan back, or make a new plan and have it reviewed",
        }
        .to_owned(),
    })
}

fn option<'a>(plan: &'a Plan, name: &str) -> &'a str {
    plan.spec.intent.options.get(name).map_or("", String::as_str)
}

fn access(plan: &Plan, kind: Kind, place: &Place, passwords: &Passwords) -> Result<Access, CliError> {
    let word = kind.word();
    let document = plan.spec.documents.iter().find(|document| document.name == CAS);
    let cas = document.and_then(|document| plan.spec.files.get(&document.digest));
    let user = option(plan, &format!("{word}-registry-username"));
    let login = passwords.get(&password_name(kind)).map(|secret| {
        let text = String::from_utf8_lossy(secret.expose()).into_owned();
        (user.to_owned(), Password::new(text))
    });
    Ok(Access {
        address: place.address.clone(),
        connect_to: None,
        ca: trusted(
            cas.map_or("", String::as_str),
            !option(plan, &format!("{word}-registry-ca-file")).is_empty(),
            kind,
        )?,
        login: login.filter(|_| !user.is_empty()),
    })
}

impl PasswordArgs {
    fn of(&self, kind: Kind) -> (Option<&str>, Option<&str>) {
        let (given, file) = match kind {
            Kind::Image => (&self.image_registry_password, &self.image_registry_password_file),
            Kind::Chart => (&self.chart_registry_password, &self.chart_registry_password_file),
        };
        (given.as_deref(), file.as_deref())
    }

    fn is_given(&self, kind: Kind) -> bool {
        let (given, file) = self.of(kind);
        given.is_some() || file.is_some()
    }
}

/// The password of a registry: from an argument, a file, the environment, or a person. Beside our own variable that of
/// Mirantis' tool counts.
///
/// # Errors
///
/// When it is nowhere.
pub fn password(env: &Env, kind: Kind, user: &str, args: &PasswordArgs) -> Result<Password, CliError> {
    let word = kind.word();
    let (given, file) = args.of(kind);
    let (flag, variable) = (
        format!("--{word}-registry-password-file"),
        format!("MKECTL_{}_REGISTRY_PASSWORD", word.to_uppercase()),
    );
    if let Some(given) = given {
        env.log(
            Level::Warn,
            &format!(
                "a password among the arguments can be seen by others on this machine: {variable}, {flag} or being asked is \
                 better"
            ),
        );
        return Ok(Password::new(given.to_owned()));
    }
    let theirs = variable.replace("MKECTL_", "MKE_");
    Sought {
        of: user,
        question: &format!("password of {user} at the {word} registry"),
        file,
        flag: &flag,
        variables: &[&variable, &theirs],
    }
    .find(env)
}

/// Whom to trust at a registry: the CAs that were given, and those of this machine unless one was given for this registry
/// (`own`). Hosts do the same.
fn trusted(cas: &str, own: bool, kind: Kind) -> Result<Vec<u8>, CliError> {
    if own {
        return Ok(cas.as_bytes().to_vec());
    }
    match system(kind) {
        Ok(mut all) => {
            all.push(b'\n');
            all.extend_from_slice(cas.as_bytes());
            Ok(all)
        }
        Err(_) if !cas.is_empty() => Ok(cas.as_bytes().to_vec()),
        Err(error) => Err(error),
    }
}

/// The CAs that this machine trusts.
///
/// # Errors
///
/// When it has no list of them.
pub fn system(kind: Kind) -> Result<Vec<u8>, CliError> {
    let found = SYSTEM.iter().find_map(|path| std::fs::read(path).ok());
    found.ok_or_else(|| {
        CliError::usage(
            "this machine has no list of CAs that it trusts",
            format!(
                "give the CA of the registry's certificate with --{}-registry-ca-file",
                kind.word()
            ),
        )
    })
}

/// The remedy, with the flags of the kind of registry.
fn remedy(error: &RegistryError, kind: Kind) -> String {
    let flags = format!("--{}-registry", kind.word());
    error.remedy().replace("--image-registry", &flags)
}

/// A look that failed, as the end of a command.
pub fn failed(error: &RegistryError, kind: Kind) -> CliError {
    CliError {
        exit: if error.is_input() {
            exit::USAGE
        } else if matches!(error.fault, RegistryFault::Transport(_)) {
            exit::UNREACHABLE
        } else {
            exit::FAILED_CLEAN
        },
        message: error.to_string(),
        hint: remedy(error, kind),
    }
}

/// A look that failed before a run: whatever it was, the registry does not vouch for the plan.
fn untold(error: &RegistryError, kind: Kind, so: &str) -> CliError {
    let known = failed(error, kind);
    CliError {
        exit: match error.is_input() {
            true => known.exit,
            false => exit::UNREACHABLE,
        },
        message: format!(
            "it cannot be told whether the registry still holds what the plan was reviewed with, {so}\n{}",
            known.message
        ),
        hint: known.hint,
    }
}
