//! `ip`: interfaces, addresses and routes of one host.

use super::{Caller, Failure, Invocation, Tool};
use crate::lab::model::{Host, Link};
use serde_json::{Value, json};

/// iproute2.
pub(super) struct Ip;

/// An interface with its number.
type Row<'a> = (usize, &'a String, &'a Link);

fn flags(name: &str) -> &'static str {
    if name == "lo" {
        "LOOPBACK,UP,LOWER_UP"
    } else {
        "BROADCAST,MULTICAST,UP,LOWER_UP"
    }
}

/// Address and prefix length.
fn address(link: &Link) -> Option<(&str, u8)> {
    let (local, length) = link.address.as_deref()?.split_once('/')?;
    Some((local, length.parse().ok()?))
}

fn value(row: &Row<'_>, addresses: bool) -> Value {
    let (at, name, link) = row;
    let mut value = json!({
        "ifindex": at, "ifname": name, "flags": flags(name).split(',').collect::<Vec<_>>(), "mtu": link.mtu,
        "qdisc": "noqueue", "operstate": if *name == "lo" { "UNKNOWN" } else { "UP" }, "group": "default",
        "link_type": if *name == "lo" { "loopback" } else { "ether" },
    });
    if addresses {
        value["addr_info"] = address(link)
            .map(|(local, length)| {
                let scope = if *name == "lo" { "host" } else { "global" };
                json!({"family": "inet", "local": local, "prefixlen": length, "scope": scope, "label": name})
            })
            .into_iter()
            .collect();
    }
    value
}

fn text(row: &Row<'_>, addresses: bool, one_line: bool) -> String {
    let (at, name, link) = row;
    let state = if *name == "lo" { "UNKNOWN" } else { "UP" };
    if addresses && one_line {
        return address(link).map_or_else(String::new, |(local, length)| {
            format!("{at}: {name}    inet {local}/{length} scope global {name}\\       valid_lft forever preferred_lft forever\n")
        });
    }
    let mut text = format!(
        "{at}: {name}: <{}> mtu {} qdisc noqueue state {state} mode DEFAULT group default qlen 1000",
        flags(name),
        link.mtu
    );
    text.push_str(if one_line { "\\" } else { "\n" });
    text.push_str("    link/ether 02:42:ac:11:00:02 brd ff:ff:ff:ff:ff:ff\n");
    if addresses && let Some((local, length)) = address(link) {
        text.push_str(&format!("    inet {local}/{length} scope global {name}\n"));
    }
    text
}

/// A route for each network that an address is in.
fn routes(rows: &[Row<'_>]) -> Vec<(String, String)> {
    let mut routes = Vec::new();
    for (_, name, link) in rows {
        if let Some((local, length)) = address(link)
            && length < 32
            && *name != "lo"
            && let Ok(ip) = local.parse::<std::net::Ipv4Addr>()
        {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            let network = std::net::Ipv4Addr::from(u32::from(ip) & mask);
            routes.push((format!("{network}/{length}"), (*name).clone()));
        }
        if link.kind == "vxlan" {
            routes.push(("192.168.8.0/26".to_owned(), (*name).clone()));
        }
    }
    routes
}

fn rows<'a>(host: &'a Host, only: Option<&str>) -> Vec<Row<'a>> {
    let all = (1..).zip(&host.links).map(|(at, (name, link))| (at, name, link));
    all.filter(|(_, name, _)| only.is_none_or(|only| only == *name))
        .collect()
}

impl Tool for Ip {
    fn name(&self) -> &'static str {
        "ip"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let (mut as_json, mut one_line) = (false, false);
        let mut words = Vec::new();
        for word in &call.argv[1..] {
            match word.as_str() {
                "-j" | "-json" if words.is_empty() => as_json = true,
                "-o" | "-oneline" if words.is_empty() => one_line = true,
                "-4" | "-d" | "-details" | "-p" | "-pretty" if words.is_empty() => {}
                word => words.push(word),
            }
        }
        let unknown = || Failure::Unmodelled(format!("ip {}", words.join(" ")));
        let device = |rest: &[&str]| match rest {
            [] | ["show" | "list" | "ls"] => Ok(None),
            ["show" | "list" | "ls", "dev", name] | ["show" | "list" | "ls", name] => {
                Ok(Some((*name).to_owned()))
            }
            _ => Err(unknown()),
        };
        let (object, rest) = words.split_first().ok_or_else(unknown)?;
        let said = {
            let mut state = call.cluster.state();
            let host = state
                .hosts
                .get_mut(call.host)
                .ok_or_else(|| Failure::Unmodelled(format!("the host {}", call.host)))?;
            match (*object, rest) {
                ("link" | "l", ["delete" | "del", "dev", name] | ["delete" | "del", name]) => {
                    if host.links.get(*name).is_some_and(|link| link.kind.is_empty()) {
                        return Err(Failure::Real(
                            "RTNETLINK answers: Operation not supported".to_owned(),
                            2,
                        ));
                    }
                    if host.links.remove(*name).is_none() {
                        return Err(Failure::Real(format!("Cannot find device \"{name}\""), 1));
                    }
                    String::new()
                }
                ("link" | "l" | "address" | "addr" | "a", rest) => {
                    let only = device(rest)?;
                    let rows = rows(host, only.as_deref());
                    if let (Some(name), true) = (&only, rows.is_empty()) {
                        return Err(Failure::Real(format!("Device \"{name}\" does not exist."), 1));
                    }
                    let addresses = object.starts_with('a');
                    if as_json {
                        format!(
                            "{}\n",
                            rows.iter().map(|row| value(row, addresses)).collect::<Value>()
                        )
                    } else {
                        rows.iter().map(|row| text(row, addresses, one_line)).collect()
                    }
                }
                ("route" | "r", rest) => {
                    let only = device(rest)?;
                    let routes = routes(&rows(host, only.as_deref()));
                    if as_json {
                        let list: Value = routes
                            .iter()
                            .map(|(to, by)| json!({"dst": to, "dev": by, "protocol": "kernel", "scope": "link", "flags": []}))
                            .collect();
                        format!("{list}\n")
                    } else {
                        let line =
                            |(to, by): &(String, String)| format!("{to} dev {by} proto kernel scope link \n");
                        routes.iter().map(line).collect()
                    }
                }
                ("netns", [] | ["list"]) => String::new(),
                _ => return Err(unknown()),
            }
        };
        caller.out(said.as_bytes())?;
        Ok(0)
    }
}
