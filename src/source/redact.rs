//! A digest of the configuration that tells whether it changed and gives nothing away.

use super::mke3::{Config, Leaf, Value};
use sha2::{Digest, Sha256};

impl Config {
    /// `sha256:…` over all leaves. Values of leaves that `is_secret` names never enter the hash: a hash of a weak password
    /// can be guessed by anyone who has the plan. Of a secret only its kind counts, and whether it is empty.
    ///
    /// Comments, the order of keys and their case make no difference; the order inside lists does.
    pub fn redacted_digest(&self, is_secret: &dyn Fn(&Leaf) -> bool) -> String {
        let mut rows: Vec<Vec<u8>> = self
            .leaves
            .iter()
            .map(|leaf| {
                let mut row = Vec::new();
                field(&mut row, leaf.display_path().to_lowercase().as_bytes());
                if is_secret(leaf) {
                    field(
                        &mut row,
                        if is_unset(&leaf.value) {
                            b"secret-unset"
                        } else {
                            b"secret"
                        },
                    );
                } else {
                    write(&mut row, &leaf.value);
                }
                row
            })
            .collect();
        rows.sort_unstable();
        let mut hash = Sha256::new();
        for row in rows {
            hash.update((row.len() as u64).to_be_bytes());
            hash.update(&row);
        }
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{digits}")
    }
}

/// Lengths in front keep different listings from having the same bytes.
fn field(row: &mut Vec<u8>, bytes: &[u8]) {
    row.extend((bytes.len() as u64).to_be_bytes());
    row.extend(bytes);
}

fn write(row: &mut Vec<u8>, value: &Value) {
    let (kind, text) = match value {
        Value::String(text) => ("string", text.clone()),
        Value::Integer(number) => ("integer", number.to_string()),
        Value::Float(number) => ("float", format!("{:016x}", number.to_bits())),
        Value::Bool(is) => ("bool", is.to_string()),
        Value::Datetime(text) => ("datetime", text.clone()),
        Value::Empty => ("empty", String::new()),
        Value::List(items) => {
            field(row, b"list");
            row.extend((items.len() as u64).to_be_bytes());
            for (item, _) in items {
                write(row, item);
            }
            return;
        }
    };
    field(row, kind.as_bytes());
    field(row, text.as_bytes());
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Empty => true,
        Value::String(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        _ => false,
    }
}
