//! `mkectl version`.

use crate::catalogue::Bundle;
use crate::cli::args::VersionArgs;
use crate::cli::{CommandResult, Env, exit};
use crate::model::PLAN_FORMAT;

pub fn run(env: &Env, args: &VersionArgs) -> CommandResult {
    let version = env!("CARGO_PKG_VERSION");
    let text = if args.json {
        let catalogue = Bundle::embedded().digest();
        let fields =
            serde_json::json!({"version": version, "plan_format": PLAN_FORMAT, "catalogue": catalogue});
        format!("{fields:#}\n")
    } else {
        format!("Version: v{version}\n")
    };
    env.ui.out(text.as_bytes())?;
    Ok(exit::DONE)
}
