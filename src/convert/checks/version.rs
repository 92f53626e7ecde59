//! Versions such as `3.8.5`, `v1.31.7-mirantis-1` and `1.32`, compared number by number.

/// The numbers of a version; what follows the first `-` or `+` does not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(Vec<u64>);

impl Version {
    /// Parses at least `MAJOR.MINOR`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let numbers = text.split(['-', '+']).next()?;
        let parts = numbers
            .split('.')
            .map(|part| match part.is_empty() || part.starts_with('+') {
                true => None,
                false => part.parse().ok(),
            })
            .collect::<Option<Vec<u64>>>()?;
        (parts.len() >= 2).then_some(Version(parts))
    }

    /// `MAJOR.MINOR`.
    pub fn minor(&self) -> Version {
        Version(self.0.iter().take(2).copied().collect())
    }

    /// True when it says more than `MAJOR.MINOR`.
    pub fn is_full(&self) -> bool {
        self.0.len() > 2
    }

    /// Minors between two versions of one major; `None` for different majors.
    pub fn minors_ahead_of(&self, older: &Version) -> Option<i64> {
        match (self.0.as_slice(), older.0.as_slice()) {
            ([a, b, ..], [x, y, ..]) if a == x => Some(i64::try_from(*b).ok()? - i64::try_from(*y).ok()?),
            _ => None,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn numbers_compare_as_numbers() {
        let v = |text| Version::parse(text).unwrap();
        assert!(v("3.8.10") > v("3.8.9"));
        assert!(v("v1.31.7-mirantis-1") < v("1.32"));
        assert!(v("3.7.15") > v("3.7"));
        assert_eq!(v("v1.31.7+k0s.0").minor().to_string(), "1.31");
        assert_eq!(v("1.32").minors_ahead_of(&v("1.27.7")), Some(5));
        assert_eq!(v("2.0").minors_ahead_of(&v("1.27")), None);
    }

    #[test]
    fn other_text_is_not_a_version() {
        for text in [
            "",
            "3",
            "3.x",
            "3..8",
            "latest",
            "3.-8",
            "+3.8",
            "3.+8",
            "99999999999999999999.1",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
