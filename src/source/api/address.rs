//! Where the API is: host and port.

use std::fmt;

/// The port of MKE 3 unless its configuration says otherwise (`cluster_config.controller_port`).
const PORT: u16 = 443;

/// Host and port of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// DNS name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Address {
    /// Reads `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`; an IPv6 address without brackets has no port.
    ///
    /// # Errors
    ///
    /// What is wrong with it: a lower-case fragment.
    pub fn parse(text: &str) -> Result<Address, String> {
        let text = text.trim();
        if text.contains("://") || text.contains('/') {
            return Err("it is a URL, and only HOST or HOST:PORT is wanted".to_owned());
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
                match rest.strip_prefix(':') {
                    None if rest.is_empty() => (host, None),
                    None => return Err("only a port may follow the bracket".to_owned()),
                    port => (host, port),
                }
            }
            None => match text.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let port = match port {
            None => PORT,
            Some(port) => match port.parse() {
                Ok(number) if number > 0 => number,
                _ => return Err("the port is not a number from 1 to 65535".to_owned()),
            },
        };
        let address = host.parse::<std::net::IpAddr>().is_ok();
        let name = host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        if host.is_empty() || !(address || name) {
            return Err("the host is neither a name nor an address".to_owned());
        }
        Ok(Address {
            host: host.trim_end_matches('.').to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let good = [
            ("mke.example.com", "mke.example.com:443"),
            ("mke.example.com:8443", "mke.example.com:8443"),
            ("mke.example.com.", "mke.example.com:443"),
            ("192.0.2.1:6443", "192.0.2.1:6443"),
            ("2001:db8::1", "[2001:db8::1]:443"),
            ("[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ];
        for (text, shown) in good {
            assert_eq!(
                Address::parse(text).map(|address| address.to_string()),
                Ok(shown.to_owned())
            );
        }
        for text in [
            "",
            ":443",
            "https://mke.example.com",
            "mke:0",
            "mke:70000",
            "a b",
            "[::1",
            "[::1]x",
            "mke/path",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
