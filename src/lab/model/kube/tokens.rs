//! Credentials: tokens of service accounts, which are really signed, and client certificates, of which the issuer counts.

use super::{Api, User, field, text};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

/// Issuer of tokens, as Kubernetes has it unless told otherwise.
const ISSUER: &str = "kubernetes/serviceaccount";

/// Bytes before the key in a `PUBLIC KEY` of RSA with 2048 bits or more.
const SPKI: usize = 24;

/// The label and the bytes of the first block of a PEM file.
fn pem(text: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: String = body.split_whitespace().collect();
    Some((label, BASE64.decode(body.as_bytes()).ok()?))
}

fn pair(key: &str) -> Option<RsaKeyPair> {
    match pem(key)? {
        ("RSA PRIVATE KEY", der) => RsaKeyPair::from_der(&der).ok(),
        ("PRIVATE KEY", der) => RsaKeyPair::from_pkcs8(&der).ok(),
        _ => None,
    }
}

/// The public key in a PEM file, which may hold the pair.
fn public(key: &str) -> Option<Vec<u8>> {
    match pem(key)? {
        ("PUBLIC KEY", der) => der.get(SPKI..).map(<[u8]>::to_vec),
        ("RSA PUBLIC KEY", der) => Some(der),
        _ => pair(key).map(|pair| pair.public().as_ref().to_vec()),
    }
}

/// A token with these claims; none when the key is no RSA key.
pub fn sign(claims: &Value, key: &str) -> Option<String> {
    let pair = pair(key)?;
    let kid = crate::lab::model::id(&BASE64.encode(pair.public().as_ref()));
    let header = json!({"alg": "RS256", "kid": kid[..43]});
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header), part(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .ok()?;
    Some(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
}

/// The claims of a token that was signed with this key.
pub fn verify(token: &str, key: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (_, claims) = signed.split_once('.')?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public(key)?)
        .verify(signed.as_bytes(), &signature)
        .ok()?;
    serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?).ok()
}

/// The claims of a service account's token that lies in a Secret.
pub fn claims(namespace: &str, account: &str, secret: &str, uid: &str) -> Value {
    json!({
        "iss": ISSUER,
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret,
        "kubernetes.io/serviceaccount/service-account.name": account,
        "kubernetes.io/serviceaccount/service-account.uid": uid,
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
    })
}

/// The common name of the issuer of a certificate, which is the first name in it.
pub fn issuer(certificate: &str) -> Option<String> {
    let (label, der) = pem(certificate)?;
    if label != "CERTIFICATE" {
        return None;
    }
    let at = der.windows(3).position(|bytes| bytes == [0x55, 0x04, 0x03])?;
    let length = usize::from(*der.get(at + 4)?);
    String::from_utf8(der.get(at + 5..at + 5 + length)?.to_vec()).ok()
}

/// The common name and organizations of the holder of a certificate.
pub fn holder(certificate: &str) -> Option<User> {
    let (_, der) = pem(certificate)?;
    let found = |oid: u8| -> Vec<String> {
        let mut all = Vec::new();
        for at in 0..der.len().saturating_sub(5) {
            if der.get(at..at + 3) == Some(&[0x55, 0x04, oid]) {
                let length = usize::from(der.get(at + 4).copied().unwrap_or_default());
                let bytes = der.get(at + 5..at + 5 + length).unwrap_or_default();
                all.extend(String::from_utf8(bytes.to_vec()));
            }
        }
        all
    };
    let mut groups = found(0x0a);
    groups.push("system:authenticated".to_owned());
    Some(User {
        name: found(0x03).into_iter().nth(1)?,
        groups,
    })
}

impl Api<'_> {
    /// Whose token this is; none when no key of the server verifies it, or its account or Secret is gone.
    pub fn authenticate(&self, token: &str) -> Option<User> {
        let claims = self
            .context
            .token_keys
            .iter()
            .find_map(|key| verify(token, key))?;
        let claim = |name: &str| {
            claims[format!("kubernetes.io/serviceaccount/{name}")]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let (namespace, account) = (claim("namespace"), claim("service-account.name"));
        let found = self.find("serviceaccounts", &namespace, &account)?;
        if text(&found, &["metadata", "uid"]) != claim("service-account.uid") {
            return None;
        }
        let secret = claim("secret.name");
        if !secret.is_empty() {
            let held = self.find("secrets", &namespace, &secret)?;
            let held = field(&held, &["data", "token"])?.as_str()?;
            if BASE64.decode(held.as_bytes()).ok()? != token.as_bytes() {
                return None;
            }
        }
        Some(User::account(&namespace, &account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = include_str!("../mke3/service_account_key.pem");
    const CERTIFICATE: &str = include_str!("../mke3/node_cert.pem");

    #[test]
    fn a_token_is_accepted_with_its_key_and_unchanged() {
        let token = sign(&claims("shop", "deployer", "token", "1"), KEY).unwrap();
        assert_eq!(
            verify(&token, KEY).unwrap()["sub"],
            "system:serviceaccount:shop:deployer"
        );
        let mut other = token.clone();
        other.replace_range(60..61, if &token[60..61] == "A" { "B" } else { "A" });
        assert_eq!(verify(&other, KEY), None);
        assert_eq!(verify(&token, CERTIFICATE), None);
    }

    #[test]
    fn a_certificate_says_who_issued_it() {
        assert_eq!(issuer(CERTIFICATE).unwrap(), "UCP Client Root CA");
        let holder = holder(CERTIFICATE).unwrap();
        assert_eq!(holder.name, "system:node:mke");
        assert_eq!(holder.groups[0], "system:masters");
        assert_eq!(issuer(KEY), None);
    }
}
