//! `openssl s_client`, as far as it reaches the auth store of MKE 3. Everything else of openssl is the real one, which
//! the stand-in runs itself.
//!
//! The auth store is RethinkDB: the handshake is that of its protocol 0.4, queries are its terms as JSON, each behind a
//! number and a length.

use super::args::parse;
use super::{Caller, Failure, Invocation, Tool};
use crate::lab::model::Account;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The TLS client.
pub(super) struct Openssl;

/// Port of the auth store.
const STORE: u16 = 12383;

/// Version 0.4 and the JSON protocol, with an empty key between.
const HANDSHAKE: &[u8] = b"\x20\x2d\x0c\x40\0\0\0\0\xc7\x70\x69\x7e";

impl Tool for Openssl {
    fn name(&self) -> &'static str {
        "openssl"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        // openssl writes long flags with one dash.
        let words: Vec<String> = call.argv[2..]
            .iter()
            .map(|word| {
                word.strip_prefix('-')
                    .map_or(word.clone(), |flag| format!("--{flag}"))
            })
            .collect();
        let flags = [
            ("quiet", '\0', false),
            ("no_ign_eof", '\0', false),
            ("verify_return_error", '\0', false),
            ("connect", '\0', true),
            ("CAfile", '\0', true),
            ("cert", '\0', true),
            ("key", '\0', true),
        ];
        let parsed = parse(&words, &flags, false)?;
        let (host, port) = parsed
            .value("connect")
            .and_then(|place| place.rsplit_once(':'))
            .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
            .ok_or_else(|| Failure::Unmodelled("s_client without a port".to_owned()))?;
        if call.cluster.state().reach(call.host, host, port).is_err() {
            return Err(Failure::Real("connect:errno=111".to_owned(), 1));
        }
        if port != STORE {
            return Err(Failure::Unmodelled(format!("what speaks on port {port}")));
        }
        for flag in ["cert", "key", "CAfile"] {
            let file = parsed.value(flag).unwrap_or_default();
            if !caller.exists(file)? {
                return Err(Failure::Real(
                    format!("Could not open file or uri for loading client {flag} from {file}"),
                    1,
                ));
            }
            if !file.contains("/ucp-auth-store-certs/") {
                return Err(Failure::Real("tlsv1 alert unknown ca".to_owned(), 1));
            }
        }
        talk(call, caller)
    }
}

/// One connection, until the client closes it.
fn talk(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
    let mut held = Vec::new();
    let mut greeted = false;
    loop {
        let piece = caller.input()?;
        if piece.is_empty() {
            return Ok(0);
        }
        held.extend(piece);
        if !greeted && held.len() >= HANDSHAKE.len() {
            if !held.starts_with(HANDSHAKE) {
                caller.out(b"ERROR: Received an unsupported protocol version.\0")?;
                return Ok(0);
            }
            held.drain(..HANDSHAKE.len());
            greeted = true;
            caller.out(b"SUCCESS\0")?;
        }
        while greeted && held.len() >= 12 {
            let length = held[8..12]
                .iter()
                .rev()
                .fold(0usize, |all, byte| all << 8 | usize::from(*byte));
            if held.len() < 12 + length {
                break;
            }
            let rest = held.split_off(12 + length);
            let (kind, value) = match serde_json::from_slice::<Value>(&held[12..]) {
                Ok(query) => start(&query, &call.cluster.state().accounts)?,
                Err(_) => (16, json!("Client is buggy (failed to deserialize query).")),
            };
            let text = format!("{{\"t\":{kind},\"r\":[{value}],\"n\":[]}}");
            let mut frame = held[..8].to_vec();
            frame.extend(u32::try_from(text.len()).unwrap_or_default().to_le_bytes());
            frame.extend(text.as_bytes());
            caller.out(&frame)?;
            held = rest;
        }
    }
}

/// Answers `[1, TERM, OPTIONS]`: starts a query whose result is one value. The kind of the answer, and that value.
fn start(query: &Value, accounts: &BTreeMap<String, Account>) -> Result<(u8, Value), Failure> {
    match query.get(0).and_then(Value::as_u64) {
        Some(1) => Ok(match term(&query[1], &[], accounts)? {
            Ok(value) => (1, value),
            Err(text) => (18, json!(text)),
        }),
        _ => Err(Failure::Unmodelled(
            "a query of RethinkDB that does not start one".to_owned(),
        )),
    }
}

/// Evaluates a term. The inner error is the database's.
fn term(
    of: &Value,
    variables: &[(u64, Value)],
    accounts: &BTreeMap<String, Account>,
) -> Result<Result<Value, String>, Failure> {
    let Some(list) = of.as_array() else {
        return Ok(Ok(of.clone()));
    };
    let number = list.first().and_then(Value::as_u64).unwrap_or_default();
    let arguments = list.get(1).and_then(Value::as_array).cloned().unwrap_or_default();
    let argument = |at: usize| arguments.get(at).cloned().unwrap_or_default();
    let eval = |at: usize| term(&argument(at), variables, accounts);
    // A function: [69, [[2, [1]], BODY]].
    let apply = |function: &Value, row: &Value| {
        let id = function
            .pointer("/1/0/1/0")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let mut inner = variables.to_vec();
        inner.push((id, row.clone()));
        term(function.pointer("/1/1").unwrap_or(&Value::Null), &inner, accounts)
    };
    macro_rules! get {
        ($at:expr) => {
            match eval($at)? {
                Ok(value) => value,
                Err(text) => return Ok(Err(text)),
            }
        };
    }
    Ok(Ok(match number {
        10 => {
            let id = argument(0).as_u64();
            let found = variables.iter().rev().find(|(known, _)| Some(*known) == id);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        }
        14 => argument(0),
        15 => {
            let (database, table) = (get!(0), argument(1));
            if database != "enzi" {
                return Ok(Err(format!(
                    "Database `{}` does not exist.",
                    database.as_str().unwrap_or_default()
                )));
            }
            if table != "accounts" {
                return Ok(Err(format!(
                    "Table `enzi.{}` does not exist.",
                    table.as_str().unwrap_or_default()
                )));
            }
            accounts
                .iter()
                .map(|(name, account)| {
                    json!({
                        "name": name, "id": name, "fullName": "", "isOrg": account.organisation, "isAdmin": name == "admin",
                        "isActive": !account.organisation, "passwordHash": account.hash, "ldapDN": "",
                    })
                })
                .collect()
        }
        17 => json!(get!(0) == get!(1)),
        18 => json!(get!(0) != get!(1)),
        24 => {
            let mut text = String::new();
            for at in 0..arguments.len() {
                match get!(at) {
                    Value::String(part) => text.push_str(&part),
                    other => return Ok(Err(format!("Expected type STRING but found {other}."))),
                }
            }
            json!(text)
        }
        31 => {
            let (row, field) = (get!(0), argument(1));
            match row.get(field.as_str().unwrap_or_default()) {
                Some(value) => value.clone(),
                None => return Ok(Err(format!("No attribute {field} in object."))),
            }
        }
        38 | 39 => {
            let rows = get!(0);
            let mut out = Vec::new();
            for row in rows.as_array().into_iter().flatten() {
                let value = match apply(&argument(1), row)? {
                    Ok(value) => value,
                    // A filter leaves out rows that lack a field.
                    Err(text) if number == 39 && text.starts_with("No attribute") => continue,
                    Err(text) => return Ok(Err(text)),
                };
                if number == 38 {
                    out.push(value);
                } else if value == json!(true) {
                    out.push(row.clone());
                }
            }
            Value::from(out)
        }
        51 => get!(0),
        67 => {
            for at in 0..arguments.len() {
                if get!(at) != json!(true) {
                    return Ok(Ok(json!(false)));
                }
            }
            json!(true)
        }
        other => return Err(Failure::Unmodelled(format!("the term {other} of RethinkDB"))),
    }))
}
