//! What images and charts are called, and where in a registry they lie.

use super::super::api::Address;
use std::fmt;

/// A registry and the path below which its images lie, as `--image-registry` and `--chart-registry` name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Host and port.
    pub address: Address,
    /// Path without slashes at its ends; may be empty.
    pub prefix: String,
}

impl Registry {
    /// Reads `HOST[:PORT]/PATH`, with `oci://` before it or not.
    ///
    /// # Errors
    ///
    /// What is wrong with it: a lower-case fragment.
    pub fn parse(text: &str) -> Result<Registry, String> {
        let text = text.trim();
        let text = text.strip_prefix("oci://").unwrap_or(text);
        let (host, prefix) = text.split_once('/').unwrap_or((text, ""));
        Ok(Registry {
            address: Address::parse(host)?,
            prefix: prefix.trim_matches('/').to_owned(),
        })
    }

    /// Where an image or chart of any registry lies in this one.
    ///
    /// # Errors
    ///
    /// What is wrong with its name: a lower-case fragment.
    pub fn place(&self, name: &str) -> Result<Place, String> {
        Ok(Place {
            address: self.address.clone(),
            reference: Reference::within(&self.prefix, name)?,
        })
    }
}

/// An image or chart of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The registry.
    pub address: Address,
    /// The image or chart in it.
    pub reference: Reference,
}

impl Place {
    /// Reads what [`Place`] displays as: `HOST:PORT/REPOSITORY:TAG`.
    ///
    /// # Errors
    ///
    /// What is wrong with it: a lower-case fragment.
    pub fn parse(text: &str) -> Result<Place, String> {
        let reference = Reference::within("", text)?;
        let host = text.split('/').next().unwrap_or_default();
        Ok(Place {
            address: Address::parse(host)?,
            reference,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.reference)
    }
}

/// An image or chart: `repository:tag`, `repository@sha256:…`, or both, without the registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Path of the repository.
    pub repository: String,
    /// Tag or digest that is asked for; a digest wins.
    pub what: String,
}

impl Reference {
    /// Reads `HOST/REPOSITORY:TAG`, with `oci://` before it or not, as it is called within a registry whose images lie below
    /// `prefix`: the host is left out, as k0s does it. Without tag and digest the tag is `latest`.
    ///
    /// # Errors
    ///
    /// What is wrong with it: a lower-case fragment.
    pub fn within(prefix: &str, text: &str) -> Result<Reference, String> {
        let text = text.strip_prefix("oci://").unwrap_or(text);
        let (host, rest) = text
            .split_once('/')
            .ok_or("it does not begin with a registry and a slash")?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (rest, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let plain = |text: &str, more: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !(host.contains(['.', ':']) || host == "localhost") || !plain(host, "._-:[]") {
            return Err("it does not begin with the name of a registry".to_owned());
        }
        if !path
            .split('/')
            .all(|part| plain(part, "._-") && part != "." && part != "..")
        {
            return Err("its repository has letters that none has".to_owned());
        }
        if !tag.is_none_or(|tag| plain(tag, "._-") && tag.len() <= 128) {
            return Err("its tag has letters that none has".to_owned());
        }
        if !digest.is_none_or(|digest| {
            digest
                .strip_prefix("sha256:")
                .is_some_and(|hex| hex.len() == 64 && plain(hex, ""))
        }) {
            return Err("its digest is not sha256: and 64 digits".to_owned());
        }
        let prefix = prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        Ok(Reference {
            repository: format!("{prefix}{slash}{path}"),
            what: digest.or(tag).unwrap_or("latest").to_owned(),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.what.contains(':') { '@' } else { ':' };
        write!(f, "{}{sign}{}", self.repository, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_leave_their_registry() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (prefix, text, shown) in [
            (
                "",
                "quay.io/k0sproject/coredns:1.12.0",
                "k0sproject/coredns:1.12.0",
            ),
            (
                "/mke/",
                "quay.io/calico/node:v3.30.200",
                "mke/calico/node:v3.30.200",
            ),
            (
                "mke",
                "oci://registry.mirantis.com/mke/charts/operator:4.1.5",
                "mke/mke/charts/operator:4.1.5",
            ),
            ("", "localhost:5000/a/b", "a/b:latest"),
            ("", &format!("r.example.com/a:1@{digest}"), &format!("a@{digest}")),
        ] {
            let reference = Reference::within(prefix, text).unwrap();
            assert_eq!(reference.to_string(), shown, "{text}");
        }
        for wrong in [
            "",
            "coredns:1.12",
            "library/nginx:1",
            "quay.io/",
            "quay.io/a b:1",
            "quay.io/../x:1",
            "quay.io/a:",
            "quay.io/a@sha256:1",
            "quay.io/a?x=1",
        ] {
            assert!(Reference::within("", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_place_is_read_as_it_is_shown() {
        for (registry, name, shown) in [
            (
                "registry.example.com/mke/",
                "quay.io/k0sproject/coredns:1.12.0",
                "registry.example.com:443/mke/k0sproject/coredns:1.12.0",
            ),
            (
                "oci://[2001:db8::1]:5000",
                "oci://registry.mirantis.com/mke/charts/operator:4.1.5",
                "[2001:db8::1]:5000/mke/charts/operator:4.1.5",
            ),
        ] {
            let place = Registry::parse(registry).unwrap().place(name).unwrap();
            assert_eq!(place.to_string(), shown);
            assert_eq!(Place::parse(shown), Ok(place));
        }
        for wrong in [
            "",
            "registry.example.com",
            "https://registry.example.com/a:1",
            "r.example.com:0/a:1",
        ] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Registry::parse("https://registry.example.com/mke").is_err());
    }
}
