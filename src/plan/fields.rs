//! Host fields: what `{host: FIELD}` of the catalogue may say. The text stands once, in the host's row.

use super::facts::{Look, Missing};

/// A field of the catalogue's vocabulary.
#[derive(Clone, Copy)]
pub struct Field {
    /// Name in catalogue.yaml and in the host's row.
    pub name: &'static str,
    /// The field itself: pure; asked with a host as the subject.
    pub eval: fn(&mut Look<'_>) -> Result<String, Missing>,
}

/// All fields.
pub static FIELDS: &[Field] = &[
    Field {
        name: "docker-root",
        eval: |look| look.fact("docker.root"),
    },
    Field {
        name: "hostname",
        eval: |look| look.fact("hostname"),
    },
    Field {
        name: "kubelet-profile",
        eval: kubelet_profile,
    },
    Field {
        name: "node-name",
        eval: node_name,
    },
    Field {
        name: "private-address",
        eval: private_address,
    },
];

/// Name of the Kubernetes node. A second Node object would appear under any other name, so what is recorded goes before
/// what hosts.yaml wishes.
pub fn node_name(look: &mut Look<'_>) -> Result<String, Missing> {
    let wished = look.subject().and_then(|host| host.entry.hostname.clone());
    look.fact("node.name").or_else(|missing| wished.ok_or(missing))
}

/// Address for traffic between nodes: as hosts.yaml says, else as recorded, unless it was recorded of another interface
/// than the one that hosts.yaml names.
pub fn private_address(look: &mut Look<'_>) -> Result<String, Missing> {
    let entry = look.subject().map(|host| host.entry);
    if let Some(address) = entry.and_then(|entry| entry.private_address.clone()) {
        return Ok(address);
    }
    if let Some(wanted) = entry.and_then(|entry| entry.private_interface.as_ref()) {
        let recorded = look.fact("private-interface")?;
        if recorded != *wanted {
            return Err(Missing("private-address".to_owned()));
        }
    }
    look.fact("private-address")
}

/// Kubelet profile, empty for the default one: as the install flags of hosts.yaml say, else as the node is labelled.
fn kubelet_profile(look: &mut Look<'_>) -> Result<String, Missing> {
    let flags = look.subject().map(|host| host.entry.install_flags.as_slice());
    let flag = flags
        .unwrap_or_default()
        .iter()
        .find_map(|flag| flag.strip_prefix("--profile="));
    match flag {
        Some(profile) => Ok(profile.to_owned()),
        None => look.fact("node.kubelet-profile"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::Fixture;
    use crate::plan::selection::Selection;

    fn ask(fixture: &Fixture, name: &str) -> Result<String, Missing> {
        let situation = fixture.situation();
        let selection = Selection::choose(&situation);
        let field = FIELDS.iter().find(|field| field.name == name).unwrap();
        (field.eval)(&mut Look::new(&situation, &selection, Some(0)))
    }

    fn missing(name: &str) -> Result<String, Missing> {
        Err(Missing(name.to_owned()))
    }

    #[test]
    fn the_node_keeps_its_name() {
        let mut fixture = Fixture::cluster(1, 0);
        assert_eq!(ask(&fixture, "node-name"), missing("node.name"));
        fixture.entries[0].hostname = Some("wished".to_owned());
        assert_eq!(ask(&fixture, "node-name"), Ok("wished".to_owned()));
        fixture.facts[0].node.get_or_insert_default().name = Some("is".to_owned());
        assert_eq!(ask(&fixture, "node-name"), Ok("is".to_owned()));
        assert_eq!(ask(&fixture, "hostname"), Ok("m1".to_owned()));
    }

    #[test]
    fn the_private_address_is_that_of_the_interface_asked_for() {
        let mut fixture = Fixture::cluster(1, 0);
        assert_eq!(ask(&fixture, "private-address"), Ok("10.0.0.1".to_owned()));
        fixture.entries[0].private_interface = Some("eth1".to_owned());
        assert_eq!(ask(&fixture, "private-address"), missing("private-interface"));
        fixture.facts[0].private_interface = Some("eth0".to_owned());
        assert_eq!(ask(&fixture, "private-address"), missing("private-address"));
        fixture.facts[0].private_interface = Some("eth1".to_owned());
        assert_eq!(ask(&fixture, "private-address"), Ok("10.0.0.1".to_owned()));
        fixture.entries[0].private_interface = None;
        fixture.entries[0].private_address = Some("192.168.7.7".to_owned());
        assert_eq!(ask(&fixture, "private-address"), Ok("192.168.7.7".to_owned()));
    }

    #[test]
    fn the_profile_comes_from_the_label_unless_hosts_yaml_says_otherwise() {
        let mut fixture = Fixture::cluster(1, 0);
        assert_eq!(ask(&fixture, "kubelet-profile"), missing("node.kubelet-profile"));
        let labels = &mut fixture.facts[0].node.get_or_insert_default().labels;
        labels.insert("custom-kubelet-profile".to_owned(), "high".to_owned());
        assert_eq!(ask(&fixture, "kubelet-profile"), Ok("high".to_owned()));
        fixture.entries[0].install_flags = vec!["--debug".to_owned(), "--profile=low".to_owned()];
        assert_eq!(ask(&fixture, "kubelet-profile"), Ok("low".to_owned()));
    }

    #[test]
    fn dockers_root_is_only_known_from_facts() {
        let mut fixture = Fixture::cluster(1, 0);
        assert_eq!(ask(&fixture, "docker-root"), missing("docker.root"));
        fixture.facts[0].docker.get_or_insert_default().root = Some("/data/docker".to_owned());
        assert_eq!(ask(&fixture, "docker-root"), Ok("/data/docker".to_owned()));
    }
}
