//! Certificates of the lab: its CA is in the sources and guards nothing.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;

const CA: &str = include_str!("../model/mke3/client_ca.pem");
const CA_KEY: &str = include_str!("../model/mke3/client_ca_key.pem");
/// Its name in [`CA`]; what it issues must repeat it.
const CA_NAME: &str = "UCP Client Root CA";

/// A CA.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    /// The CA of every lab's MKE 3, which its hosts hold.
    ///
    /// # Errors
    /// When the sources of this build do not fit together.
    pub fn of_mke3() -> Result<Authority, String> {
        let key = KeyPair::from_pem(CA_KEY).map_err(|error| error.to_string())?;
        Ok(Authority {
            issuer: Issuer::new(params(CA_NAME, &[])?, key),
            pem: CA.to_owned(),
        })
    }

    /// A new CA that nobody knows.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn stranger() -> Result<Authority, String> {
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let mut params = params("Somebody else's CA", &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).map_err(|error| error.to_string())?.pem();
        Ok(Authority {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a server of these names and addresses.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn issue(&self, names: &[String]) -> Result<Identity, String> {
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let certificate = params("ucp-controller", names)?
            .signed_by(&key, &self.issuer)
            .map_err(|error| error.to_string())?;
        Ok(Identity {
            certificate: certificate.der().clone(),
            key,
        })
    }
}

fn params(name: &str, names: &[String]) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::new(names.to_vec()).map_err(|error| error.to_string())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

impl Identity {
    /// A TLS server with this certificate.
    ///
    /// # Errors
    /// When TLS does not take it.
    pub fn server(&self) -> Result<Arc<ServerConfig>, String> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![self.certificate.clone()], key)
            })
            .map(Arc::new)
            .map_err(|error| error.to_string())
    }
}
