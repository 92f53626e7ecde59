//! `mkectl check ports`: whether hosts reach each other, and through the load balancer, on the ports of MKE 4k.

use super::facts;
use crate::cli::args::{CheckFormat, CheckPortsArgs};
use crate::cli::error::CliError;
use crate::cli::log::Level;
use crate::cli::{CommandResult, Env, exit, files, live, run};
use crate::gather::ports::{Look, Verdict, check};
use crate::gather::reachable;
use crate::source::hosts::Hosts;
use crate::text::sanitize;
use std::fmt::Write;

pub fn run(env: &Env, args: &CheckPortsArgs) -> CommandResult {
    let hosts = Hosts::parse_bytes(&args.hosts_path, &files::read(&args.hosts_path)?)?;
    let external = args.external_address.as_deref().map(balancer);
    let (facts, looks) = run::runtime()?.block_on(async {
        let pool = facts::pool(env, args.parallelism);
        let gathered = live::gathered(env, &hosts, &pool, args.parallelism).await?;
        let (questions, options) = run::prepared(args.parallelism)?;
        env.log(Level::Info, "==> Running phase: Probe ports between hosts");
        let facts = gathered.facts;
        let looks = check(&hosts, &facts, &reachable, external, &pool, &questions, &options).await;
        pool.close().await;
        Ok::<_, CliError>((facts, looks))
    })?;
    if args.format == CheckFormat::Json {
        let mut json = serde_json::to_vec_pretty(&looks).map_err(|error| CliError::bug(error.to_string()))?;
        json.push(b'\n');
        env.ui.out(&json)?;
    } else {
        env.ui.out(text(&looks).as_bytes())?;
    }
    if facts.hosts.iter().any(|host| host.unreachable.is_some()) {
        return Ok(exit::UNREACHABLE);
    }
    let bad = looks.iter().any(|look| look.verdict != Verdict::Open);
    Ok(if bad { exit::BLOCKED } else { exit::DONE })
}

/// The name or address alone: the port is the one for users.
fn balancer(text: &str) -> &str {
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => match text.split_once(':') {
            Some((host, rest)) if !rest.contains(':') => host,
            _ => text,
        },
    }
}

/// Everything that is not open on a line of its own, then a count.
fn text(looks: &[Look]) -> String {
    let mut text = String::new();
    for look in looks.iter().filter(|look| look.verdict != Verdict::Open) {
        let Look {
            from,
            to,
            address,
            port,
            ..
        } = look;
        let what = match look.verdict {
            Verdict::Closed if to == "the load balancer" => format!(
                "closed: {from} does not reach port {port} through {to} {address}: forward it to the same port of the managers"
            ),
            Verdict::Closed => format!(
                "closed: {from} does not reach {to} ({address}) on port {port}: open it between the hosts of the cluster"
            ),
            Verdict::Other => format!(
                "wrong: {from} reaches something else on port {port} of {to} ({address}): look where it is forwarded to"
            ),
            Verdict::Taken => {
                format!("taken: another program has port {port} on {to}, which MKE 4k needs: free it")
            }
            _ => format!("not checked: port {port} of {to} ({address})"),
        };
        let detail = match look.detail.as_str() {
            "" => String::new(),
            detail => format!(" ({})", sanitize(detail)),
        };
        // A string takes everything.
        let _ = writeln!(text, "{}{detail}", sanitize(&what));
    }
    let open = looks.iter().filter(|look| look.verdict == Verdict::Open).count();
    let _ = writeln!(text, "{open} of {} looks at ports found them open", looks.len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_the_external_address_is_for_users() {
        for (given, alone) in [
            ("mke.example.com", "mke.example.com"),
            ("mke.example.com:443", "mke.example.com"),
            ("192.0.2.1:8443", "192.0.2.1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(balancer(given), alone);
        }
    }
}
