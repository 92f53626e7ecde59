//! Options that contradict themselves, each other, or the cluster.

use super::run::{Draft, Run};
use crate::model::{Subject, SubjectKind};
use crate::options::Amount;
use std::net::{IpAddr, Ipv6Addr};

fn option(name: &str) -> Subject {
    Subject::new(SubjectKind::Input, name)
}

/// Host part of `host`, `host:port`, `[v6]` or `[v6]:port`; `None` when it is none of these.
fn address_host(text: &str) -> Option<&str> {
    let port_ok = |port: &str| {
        port.chars().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => port_ok(port).then_some(host),
            None => rest.is_empty().then_some(host),
        };
    }
    if text.parse::<IpAddr>().is_ok() {
        return Some(text);
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let digits = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let name_ok = host.len() <= 253 && host.split('.').all(label_ok);
    // A name of digits and dots only is an address with a mistake in it.
    let host_ok = match digits {
        true => host.parse::<IpAddr>().is_ok(),
        false => name_ok,
    };
    (host_ok && port.is_none_or(port_ok)).then_some(host)
}

/// `EXTERNAL-ADDRESS`, `EXTERNAL-ADDRESS-HOST`: there is one, it can be one, and it does not hang on one manager.
pub(super) fn external_address(run: &mut Run<'_>) {
    const CODE: &str = "EXTERNAL-ADDRESS";
    const ONE: &str = "EXTERNAL-ADDRESS-HOST";
    let text = run.ctx.options.external_address.trim();
    let host = address_host(text);
    let draft = match host {
        Some(_) => None,
        None if text.is_empty() => Some(Draft::new("no external address is given")),
        None => Some(Draft::new(format!(
            "{text:?} is neither a name nor an address with an optional port"
        ))),
    };
    run.verdict(CODE, draft.map(|draft| (option("--external-address"), draft)));
    let Some(host) = host else {
        return run.unchecked(ONE, "there is no external address to compare");
    };
    let same = run.hosts.iter().any(|view| {
        let facts = view.facts;
        let names = [
            Some(view.entry.address.as_str()),
            view.entry.private_address.as_deref(),
            facts.and_then(|facts| facts.private_address.as_deref()),
            facts.and_then(|facts| facts.hostname.as_deref()),
        ];
        names
            .into_iter()
            .flatten()
            .any(|name| name.eq_ignore_ascii_case(host))
    });
    if !same {
        return run.ok(ONE);
    }
    if run.hosts.iter().any(|view| view.role.is_none()) {
        return run.unchecked(ONE, "nothing tells how many managers there are");
    }
    let several = run.hosts.iter().filter(|view| view.is_manager()).count() > 1;
    let draft = Draft::new("the external address is one host's own, although there are several managers");
    run.verdict(ONE, several.then(|| (option("--external-address"), draft)));
}

/// `DATA-DIR`: an absolute path that ends in `/k0s`.
pub(super) fn data_dir(run: &mut Run<'_>) {
    let path = run.ctx.options.data_dir.as_str();
    let problem = if !path.starts_with('/') {
        Some("is not an absolute path")
    } else if !path.ends_with("/k0s") {
        Some("does not end in /k0s")
    } else if path.split('/').any(|part| part == ".." || part == ".") || path.contains("//") {
        Some("is not in its shortest form")
    } else if !path
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
    {
        Some("has characters other than letters, digits, dot, dash and underscore")
    } else {
        None
    };
    run.verdict(
        "DATA-DIR",
        problem.map(|problem| (option("--data-dir"), Draft::new(format!("{path:?} {problem}")))),
    );
}

/// What is wrong with `host[:port]/path`.
fn registry_problem(text: &str) -> Option<&'static str> {
    let host = text.split('/').next().unwrap_or_default();
    if text.contains("://") {
        Some("has a scheme")
    } else if text.ends_with('/') {
        Some("ends in a slash")
    } else if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Some("has white space")
    } else if text.contains('@') {
        Some("has a user name in it")
    } else if address_host(host).is_none() {
        Some("does not start with a host")
    } else {
        None
    }
}

/// `REGISTRY-FORM`: registries as the documents write them.
pub(super) fn registry_form(run: &mut Run<'_>) {
    let options = run.ctx.options;
    let image = options.image_registry.as_deref().and_then(|text| {
        let problem = registry_problem(text)?;
        let draft = Draft::new(format!("the image registry {problem}")).remedy("write HOST[:PORT]/PATH");
        Some((option("--image-registry"), draft))
    });
    let chart = options.chart_registry.as_deref().and_then(|text| {
        let problem = match text.strip_prefix("oci://") {
            Some(rest) => registry_problem(rest)?,
            None => "does not start with oci://",
        };
        let draft =
            Draft::new(format!("the chart registry {problem}")).remedy("write oci://HOST[:PORT]/PATH");
        Some((option("--chart-registry"), draft))
    });
    run.verdict("REGISTRY-FORM", image.into_iter().chain(chart));
}

/// `REGISTRY-CA`: a CA belongs to a registry.
pub(super) fn registry_ca(run: &mut Run<'_>) {
    let options = run.ctx.options;
    let rows = [
        (
            "--image-registry-ca-file",
            &options.image_registry_ca_file,
            &options.image_registry,
            "image",
        ),
        (
            "--chart-registry-ca-file",
            &options.chart_registry_ca_file,
            &options.chart_registry,
            "chart",
        ),
    ];
    let drafts: Vec<_> = rows
        .into_iter()
        .filter(|(_, ca, registry, _)| ca.is_some() && registry.is_none())
        .map(|(name, _, _, what)| {
            (
                option(name),
                Draft::new(format!(
                    "a CA is given for the {what} registry, but no {what} registry"
                )),
            )
        })
        .collect();
    run.verdict("REGISTRY-CA", drafts);
}

/// `AIRGAP-REGISTRY`: without internet there are registries.
pub(super) fn airgap(run: &mut Run<'_>) {
    let options = run.ctx.options;
    let rows = [
        ("--image-registry", options.image_registry.is_none()),
        ("--chart-registry", options.chart_registry.is_none()),
    ];
    let drafts: Vec<_> = rows
        .into_iter()
        .filter(|(_, missing)| options.airgapped && *missing)
        .map(|(name, _)| {
            (
                option(name),
                Draft::new(format!("the cluster has no internet, and {name} is not given")),
            )
        })
        .collect();
    run.verdict("AIRGAP-REGISTRY", drafts);
}

/// `REGISTRY-LOGIN`: a login does not reach the hosts.
pub(super) fn registry_login(run: &mut Run<'_>) {
    let options = run.ctx.options;
    let rows = [
        (
            "--image-registry-username",
            &options.image_registry_username,
            "image",
        ),
        (
            "--chart-registry-username",
            &options.chart_registry_username,
            "chart",
        ),
    ];
    let drafts: Vec<_> = rows
        .into_iter()
        .filter(|(_, user, _)| user.is_some())
        .map(|(name, _, what)| {
            let message =
                format!("the login of the {what} registry is used to look it up, and no host is given it");
            (option(name), Draft::new(message))
        })
        .collect();
    run.verdict("REGISTRY-LOGIN", drafts);
}

/// `OPTION-LIMIT`: numbers with which work can go on.
pub(super) fn limits(run: &mut Run<'_>) {
    let options = run.ctx.options;
    let mut drafts = Vec::new();
    let amounts = [
        ("--worker-disruption", options.worker_disruption, false),
        ("--max-failed-workers", options.max_failed_workers, true),
    ];
    for (name, amount, zero_ok) in amounts {
        match amount {
            Amount::Percent(n) if n > 100 => {
                drafts.push((option(name), Draft::new(format!("{name} is more than 100 %"))));
            }
            Amount::Percent(0) | Amount::Count(0) if !zero_ok => {
                drafts.push((
                    option(name),
                    Draft::new(format!("with {name} 0 no worker would ever be moved")),
                ));
            }
            _ => {}
        }
    }
    for (name, value) in [
        ("--concurrent-uploads", options.concurrent_uploads),
        ("--parallelism", options.parallelism),
    ] {
        if value == 0 {
            drafts.push((
                option(name),
                Draft::new(format!("with {name} 0 nothing would ever start")),
            ));
        }
    }
    run.verdict("OPTION-LIMIT", drafts);
}

/// Minutes of a soak time such as `24h`, `1h30m`, `2d`, rounded up; `None` when it is not a duration or is zero.
pub(super) fn soak_minutes(text: &str) -> Option<u64> {
    let mut seconds: u64 = 0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let split = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..split)?.parse().ok()?;
        let tail = rest.get(split..)?;
        let unit = tail.chars().next()?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(factor)?)?;
        rest = tail.get(unit.len_utf8()..)?;
    }
    (seconds > 0).then(|| seconds.div_ceil(60))
}

/// `COMMIT-AFTER`: the soak time is a duration.
pub(super) fn commit_after(run: &mut Run<'_>) {
    let bad = run
        .ctx
        .options
        .commit_after
        .as_deref()
        .filter(|text| soak_minutes(text).is_none())
        .map(|text| {
            (
                option("--commit-after"),
                Draft::new(format!("{text:?} is not a duration")),
            )
        });
    run.verdict("COMMIT-AFTER", bad);
}

/// `INGRESS-REMOVE`: only what is there can be removed.
pub(super) fn remove_ingress(run: &mut Run<'_>) {
    let useless =
        run.ctx.options.remove_ingress_nginx && !run.is_on("cluster_config.ingress_controller.enabled");
    let draft = Draft::new("MKE 3's ingress controller is off, so there are no NodePorts to take over");
    run.verdict(
        "INGRESS-REMOVE",
        useless.then(|| (option("--remove-ingress-nginx"), draft)),
    );
}

#[cfg(test)]
mod tests {
    use super::{address_host, soak_minutes};

    #[test]
    fn addresses() {
        for (text, host) in [
            ("mke.example.com", "mke.example.com"),
            ("mke.example.com:8443", "mke.example.com"),
            ("10.0.0.1:443", "10.0.0.1"),
            ("fd00::1", "fd00::1"),
            ("[fd00::1]:443", "fd00::1"),
        ] {
            assert_eq!(address_host(text), Some(host), "{text}");
        }
        for text in [
            "",
            "https://a",
            "a/b",
            "a b",
            "a:0",
            "a:99999",
            "a:+1",
            "-a",
            "1.2.3",
            "300.1.1.1",
            "[a]:1",
            "a:b:c",
        ] {
            assert_eq!(address_host(text), None, "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(soak_minutes("24h"), Some(1440));
        assert_eq!(soak_minutes("1h30m"), Some(90));
        assert_eq!(soak_minutes("2d"), Some(2880));
        assert_eq!(soak_minutes("1s"), Some(1));
        for text in ["", "24", "h", "0h", "1x", "-1h", "99999999999999999999h", "1é"] {
            assert_eq!(soak_minutes(text), None, "{text}");
        }
    }
}
