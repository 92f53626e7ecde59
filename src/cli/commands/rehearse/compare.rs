//! What a rehearsal says at its end about a cluster that was rolled back, or whose run was lost on the way: what it is like
//! beside what it was, or should be.

use crate::cli::Env;
use crate::cli::log::Level;
use crate::lab::{Class, Difference, Lab, LabError, Picture};
use std::time::{Duration, Instant};

/// How long agents and kubelets of MKE 3 may take to bring back what is theirs.
const HEALING: Duration = Duration::from_secs(20);

/// Differences that are written out, by class.
const SHOWN: usize = 8;

/// What differs from another state, once what repairs itself is repaired.
///
/// # Errors
///
/// When a simulated host has ended.
pub async fn differences(
    lab: &Lab,
    before: &Picture,
    passing: &[String],
) -> Result<Vec<Difference>, LabError> {
    let began = Instant::now();
    loop {
        let found = before.differences(&Picture::of(lab, passing)?);
        if found.is_empty() || began.elapsed() > HEALING {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Tells the comparison by class. `then`: what it is compared with, after "as".
pub fn tell(env: &Env, before: &Picture, found: &[Difference], then: &str) {
    env.log(
        Level::Info,
        &match then {
            "before" => "==> Running phase: Compare with the state before".to_owned(),
            _ => "==> Running phase: Compare with the end of an undisturbed run".to_owned(),
        },
    );
    for class in Class::ALL {
        let other: Vec<&Difference> = found.iter().filter(|one| one.class == class).collect();
        let of = before.count(class);
        if other.is_empty() {
            let text = match (class, of) {
                (Class::Files | Class::Volumes, _) => format!("{class}: as {then}"),
                _ => format!("{class}: {of}, as {then}"),
            };
            env.log(Level::Info, &text);
            continue;
        }
        env.log(
            Level::Error,
            &format!("{class}: {} are not as {then}", other.len()),
        );
        for one in other.iter().take(SHOWN) {
            env.log(Level::Error, &format!("| {one}"));
        }
        if other.len() > SHOWN {
            env.log(Level::Error, &format!("| and {} more", other.len() - SHOWN));
        }
    }
}
