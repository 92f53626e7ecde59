//! Lists that come in pages.
//!
//! MKE's page has 10 entries unless more are asked for, and tells where the next one starts in a header, and newer ones in
//! the body too. A client that stops after the first page loses users without a word; one that believes every server never
//! ends.

use super::client::Client;
use super::error::{ApiError, Fault};
use super::wire;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

/// Entries asked for at once. MKE allows 65536.
const LIMIT: usize = 1000;
/// Pages that are read of one list. A million accounts are more than MKE is known to hold.
const PAGES: usize = 1000;

/// A page of a list.
pub(super) trait Page: DeserializeOwned {
    /// An entry.
    type Item;
    /// Its entries, and where the next page starts by the body; empty at the end.
    fn into_parts(self) -> (Vec<Self::Item>, String);
    /// By what entries are told apart.
    fn key(item: &Self::Item) -> String;
    /// How many entries there are in all, where MKE tells.
    fn total(&self) -> Option<u64> {
        None
    }
}

/// Reads all pages. `query` comes before the parameters of the page: empty, or `name=value&`.
///
/// An entry that comes twice, because a page starts with what the one before ended with, is there once.
pub(super) async fn all<P: Page>(
    client: &mut Client,
    path: &str,
    query: &str,
) -> Result<Vec<P::Item>, ApiError> {
    let (mut items, mut keys) = (Vec::new(), BTreeSet::new());
    let mut starts = BTreeSet::new();
    let mut start = String::new();
    let mut total = 0;
    for _ in 0..PAGES {
        let from = if start.is_empty() {
            String::new()
        } else {
            format!("&start={}", encode(&start))
        };
        let (page, answer): (P, _) = client.json(&format!("{path}?{query}limit={LIMIT}{from}")).await?;
        total = page.total().unwrap_or(0).max(total);
        let (page, next) = page.into_parts();
        let before = items.len();
        for item in page {
            if keys.insert(P::key(&item)) {
                items.push(item);
            }
        }
        let next = if answer.next_page.is_empty() {
            next
        } else {
            answer.next_page
        };
        if next.is_empty() {
            // Fewer can only mean that pages are missing; more were made meanwhile.
            if (items.len() as u64) < total {
                let why = format!("MKE counts {total} entries and listed {}", items.len());
                return Err(client.error(Fault::Missing(why)));
            }
            return Ok(items);
        }
        if next == start || !starts.insert(next.clone()) {
            let why = "a page leads to one that was read already".to_owned();
            return Err(client.error(Fault::EndlessPages(why)));
        }
        if items.len() == before {
            let why = "a page brings nothing new and still leads to another".to_owned();
            return Err(client.error(Fault::EndlessPages(why)));
        }
        start = next;
    }
    let why = format!("after {PAGES} pages there are still more");
    Err(client.error(Fault::EndlessPages(why)))
}

/// A part of a path or query: everything but letters, digits, `-`, `.`, `_` and `~` as `%XX`.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

macro_rules! page {
    ($page:ty, $item:ty, $field:ident, $key:expr $(, $total:expr)?) => {
        impl Page for $page {
            type Item = $item;

            fn into_parts(self) -> (Vec<$item>, String) {
                (self.$field.unwrap_or_default(), self.next_page_start)
            }

            fn key(item: &$item) -> String {
                let key: fn(&$item) -> String = $key;
                key(item)
            }

            $(fn total(&self) -> Option<u64> {
                let total: fn(&$page) -> Option<u64> = $total;
                total(self)
            })?
        }
    };
}

page!(
    wire::Accounts,
    wire::Account,
    accounts,
    |item| item.name.clone(),
    |page| Some(page.users_count? + page.orgs_count?)
);
page!(wire::Teams, wire::Team, teams, |item| format!(
    "{} {}",
    item.id, item.name
));
page!(wire::Members, wire::Member, members, |item| item
    .member
    .name
    .clone());
page!(wire::Grants, wire::Grant, grants, |item| format!(
    "{} {} {}",
    item.subject, item.object, item.role
));

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn names_cannot_leave_their_part_of_a_path() {
        assert_eq!(encode("a$b@c"), "a%24b%40c");
        assert_eq!(encode("data / ml: ?#&=%"), "data%20%2F%20ml%3A%20%3F%23%26%3D%25");
        assert_eq!(encode("王伟"), "%E7%8E%8B%E4%BC%9F");
        assert_eq!(encode("../admin"), "..%2Fadmin");
    }
}
