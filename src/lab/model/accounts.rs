//! Accounts of MKE 3's auth store, as its database holds them.

use super::id;

/// A user or organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whether it is an organisation.
    pub organisation: bool,
    /// Whether it administers MKE 3, whose authorization lets it do everything.
    pub admin: bool,
    /// Hash of the password; empty for users of a directory and for organisations.
    pub hash: String,
}

impl Account {
    /// A user with a password.
    pub fn user(hash: &str) -> Account {
        Account {
            organisation: false,
            admin: false,
            hash: hash.to_owned(),
        }
    }
}

/// A hash in the form of bcrypt that follows from the name.
pub(crate) fn bcrypt(name: &str) -> String {
    format!("$2a$10${}", &id(&format!("password of {name}"))[..53])
}
