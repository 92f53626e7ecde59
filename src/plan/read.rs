//! Reads a plan, strictly: what was reviewed is what is used, or nothing is.
//!
//! Order: text → strict JSON → kind and major version → digest over the canonical bytes of `spec` → types, read again from
//! exactly those canonical bytes. So no second reader can see anything else than what the digest covers.

use super::digest;
use crate::json::{self, JsonError};
use crate::model::{Meta, PLAN_FORMAT, PLAN_KIND, Plan, Spec};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Why a plan is refused. Every variant is exit code 5.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Nothing in it, or it ends too early.
    #[error("the plan is empty or cut off: {0}")]
    Truncated(String),
    /// Not strict JSON.
    #[error("the plan is not valid: {0}")]
    Json(JsonError),
    /// Another kind of document.
    #[error("this is not a plan: its kind is {found:?}, not {PLAN_KIND:?}")]
    Kind {
        /// What it says it is.
        found: String,
    },
    /// A format this build cannot read.
    #[error("the plan has format {found}, and this mkectl reads {PLAN_FORMAT}")]
    Version {
        /// Its format.
        found: String,
    },
    /// `spec` is not what the digest says.
    #[error("the plan was changed after it was made: its digest says {stated}, its content is {actual}")]
    Digest {
        /// What the file says.
        stated: String,
        /// What its content gives.
        actual: String,
    },
    /// A field that this format does not have.
    #[error("the plan has a field that format {PLAN_FORMAT} does not know: {path}")]
    UnknownField {
        /// Path to it.
        path: String,
    },
    /// A field is missing or has the wrong type.
    #[error("the plan does not fit format {PLAN_FORMAT}: {0}")]
    Shape(String),
}

impl PlanError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            PlanError::Truncated(_) => {
                "the command that wrote it probably failed (a shell empties the file of `>` first): run `mkectl plan` again"
            }
            PlanError::Json(_) | PlanError::Shape(_) | PlanError::UnknownField { .. } => {
                "use the file exactly as `mkectl plan` wrote it, or make a new plan"
            }
            PlanError::Kind { .. } => "give the file that `mkectl plan` wrote",
            PlanError::Version { .. } => {
                "use the mkectl that made it (`meta.tool` in the file), or make a new plan with this one"
            }
            PlanError::Digest { .. } => {
                "nobody reviewed this content: fetch the reviewed file again, or make a new plan and have it approved"
            }
        }
    }
}

/// The outermost object. Fields that a newer minor adds there are outside the digest and decide nothing.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default, borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    format_version: Cow<'a, str>,
    #[serde(default, borrow)]
    digest: Cow<'a, str>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

/// Reads a plan from the bytes of a file.
///
/// # Errors
///
/// [`PlanError`] for anything but a plan that is intact and of a format this build knows.
pub fn read(bytes: &[u8]) -> Result<Plan, PlanError> {
    let text = json::decode(bytes, json::LIMITS).map_err(json_error)?;
    json::check(&text, json::LIMITS).map_err(json_error)?;
    let shape = |error: serde_json::Error| PlanError::Shape(error.to_string());
    let head: Head<'_> = serde_json::from_str(&text).map_err(shape)?;
    if head.kind != PLAN_KIND {
        return Err(PlanError::Kind {
            found: head.kind.into_owned(),
        });
    }
    let newer_minor = check_version(&head.format_version)?;
    let spec = head
        .spec
        .ok_or_else(|| PlanError::Shape("it has no `spec`".to_owned()))?;
    let canonical = digest::canonical(spec.get()).map_err(shape)?;
    let actual = digest::digest_bytes(&canonical);
    if actual != head.digest {
        return Err(PlanError::Digest {
            stated: head.digest.into_owned(),
            actual,
        });
    }
    let spec: Spec = typed(&canonical, "spec", newer_minor)?;
    let meta: Meta = match head.meta {
        Some(meta) => typed(meta.get().as_bytes(), "meta", newer_minor)?,
        None => Meta::default(),
    };
    Ok(Plan {
        kind: head.kind.into_owned(),
        format_version: head.format_version.into_owned(),
        digest: actual,
        spec,
        meta,
    })
}

fn json_error(error: JsonError) -> PlanError {
    let place = error.at.map_or(String::new(), |(line, column)| {
        format!(" (line {line}, column {column})")
    });
    if error.truncated {
        PlanError::Truncated(format!("{}{place}", error.message))
    } else {
        PlanError::Json(JsonError {
            message: format!("{}{place}", error.message),
            ..error
        })
    }
}

/// True when the plan has a newer minor than this build writes: unknown fields are then expected.
fn check_version(found: &str) -> Result<bool, PlanError> {
    let refuse = || PlanError::Version {
        found: if found.is_empty() {
            "(none)".to_owned()
        } else {
            found.to_owned()
        },
    };
    let parse = |text: &str| -> Option<(u32, u32)> {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let (major, minor) = parse(found).ok_or_else(refuse)?;
    let (our_major, our_minor) = parse(PLAN_FORMAT).ok_or_else(refuse)?;
    if major == our_major {
        Ok(minor > our_minor)
    } else {
        Err(refuse())
    }
}

fn typed<'a, T: Deserialize<'a>>(bytes: &'a [u8], root: &str, newer_minor: bool) -> Result<T, PlanError> {
    let mut unknown = None;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_ignored::deserialize(&mut reader, |path| {
        unknown.get_or_insert_with(|| format!("{root}.{path}"));
    })
    .map_err(|error| PlanError::Shape(format!("{root}: {}", JsonError::from_serde(&error).message)))?;
    match unknown {
        Some(path) if !newer_minor => Err(PlanError::UnknownField { path }),
        _ => Ok(value),
    }
}
