//! TLS towards the API: verified always, and what it fails with.

use super::error::Fault;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, InvalidMessage, RootCertStore};
use std::io;
use std::sync::Arc;

/// A configuration that trusts the CAs of a PEM text and nobody else. Other PEM sections are passed over.
///
/// # Errors
///
/// What is wrong with the text: a lower-case fragment.
pub(in crate::source) fn config(pem: &[u8]) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("it is not PEM: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("a certificate in it cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    // The provider is named, because none is installed for the process.
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What a handshake failed with.
pub(super) fn fault(error: &io::Error) -> Fault {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => certificate(why),
        Some(rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload
            | InvalidMessage::MessageTooShort,
        )) => Fault::NotTls,
        Some(other) => Fault::Tls(crate::text::sanitize(&other.to_string())),
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Fault::BrokenOff
            }
            _ => Fault::Tls(crate::text::sanitize(&error.to_string())),
        },
    }
}

fn certificate(why: &CertificateError) -> Fault {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Fault::Stranger,
        CertificateError::NotValidForName => Fault::OtherName(String::new()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            Fault::OtherName(crate::text::sanitize(&if presented.is_empty() {
                "it names none".to_owned()
            } else {
                let mut names: Vec<&str> = presented.iter().map(String::as_str).collect();
                names.truncate(10);
                format!("it names {}", names.join(", "))
            }))
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Fault::Expired,
        other => Fault::Tls(crate::text::sanitize(&other.to_string())),
    }
}
