//! `firewall-cmd` and `ufw`. A host has the one that its facts name, or neither.

use super::args::parse;
use super::{Caller, Failure, Invocation, Tool};
use crate::lab::model::{Firewall, State};

/// The client of firewalld.
pub(super) struct FirewallCmd;

/// Ubuntu's firewall.
pub(super) struct Ufw;

fn firewall<'a>(
    state: &'a mut State,
    call: &Invocation<'_>,
    kind: &str,
) -> Result<&'a mut Firewall, Failure> {
    let host = state
        .hosts
        .get_mut(call.host)
        .ok_or_else(|| Failure::Unmodelled(format!("the host {}", call.host)))?;
    let firewall = &mut host.system.firewall;
    if firewall.kind == kind {
        return Ok(firewall);
    }
    // As a shell says it where the program is not installed.
    let name = &call.argv[0];
    Err(Failure::Real(format!("sh: {name}: not found"), 127))
}

impl Tool for FirewallCmd {
    fn name(&self) -> &'static str {
        "firewall-cmd"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let mut state = call.cluster.state();
        let firewall = firewall(&mut state, call, "firewalld")?;
        let flags = [
            ("state", '\0', false),
            ("permanent", '\0', false),
            ("quiet", 'q', false),
            ("query-port", '\0', true),
            ("add-port", '\0', true),
            ("remove-port", '\0', true),
            ("query-protocol", '\0', true),
            ("add-protocol", '\0', true),
            ("remove-protocol", '\0', true),
        ];
        let parsed = parse(&call.argv[1..], &flags, false)?;
        if !firewall.active {
            let text = if parsed.has("state") {
                "not running"
            } else {
                "FirewallD is not running"
            };
            return Err(Failure::Real(text.to_owned(), 252));
        }
        if parsed.has("state") {
            drop(state);
            caller.out(b"running\n")?;
            return Ok(0);
        }
        let rules = if parsed.has("permanent") {
            &mut firewall.permanent
        } else {
            &mut firewall.open
        };
        let mut done = None;
        for (flag, verb) in flags
            .iter()
            .filter_map(|flag| Some((flag.0, flag.0.split_once('-')?.0)))
        {
            let Some(rule) = parsed.value(flag) else { continue };
            if flag.ends_with("-port") && !rule.contains('/') {
                return Err(Failure::Real("Error: INVALID_PORT: bad port (most likely missing protocol), correct syntax is portid[-portid]/protocol".to_owned(), 102));
            }
            done = Some(match verb {
                "query" => {
                    if rules.contains(rule) {
                        ("yes\n", 0)
                    } else {
                        ("no\n", 1)
                    }
                }
                "add" => {
                    rules.insert(rule.to_owned());
                    ("success\n", 0)
                }
                _ => {
                    rules.remove(rule);
                    ("success\n", 0)
                }
            });
        }
        drop(state);
        let (text, status) =
            done.ok_or_else(|| Failure::Unmodelled("firewall-cmd of this form".to_owned()))?;
        if !parsed.has("quiet") {
            caller.out(text.as_bytes())?;
        }
        Ok(status)
    }
}

impl Tool for Ufw {
    fn name(&self) -> &'static str {
        "ufw"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let mut text = String::new();
        {
            let mut state = call.cluster.state();
            let firewall = firewall(&mut state, call, "ufw")?;
            let words: Vec<&str> = call.argv[1..].iter().map(String::as_str).collect();
            // It writes a range with a colon.
            let rule = |word: &str| word.replace(':', "-");
            match words.as_slice() {
                ["status"] => text.push_str(if firewall.active {
                    "Status: active\n"
                } else {
                    "Status: inactive\n"
                }),
                ["show", "added"] => {
                    text.push_str("Added user rules (see 'ufw status' for running firewall):\n");
                    for rule in &firewall.permanent {
                        text.push_str(&format!("ufw allow {}\n", rule.replace('-', ":")));
                    }
                }
                ["allow", word] => {
                    let known = firewall.permanent.insert(rule(word));
                    if firewall.active {
                        firewall.open.insert(rule(word));
                    }
                    text.push_str(if known {
                        "Rule added\n"
                    } else {
                        "Skipping adding existing rule\n"
                    });
                }
                ["delete", "allow", word] => {
                    let known = firewall.permanent.remove(&rule(word));
                    firewall.open.remove(&rule(word));
                    text.push_str(if known {
                        "Rule deleted\n"
                    } else {
                        "Could not delete non-existent rule\n"
                    });
                }
                _ => return Err(Failure::Unmodelled("ufw of this form".to_owned())),
            }
        }
        caller.out(text.as_bytes())?;
        Ok(0)
    }
}
