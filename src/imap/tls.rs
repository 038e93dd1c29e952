//! Whom to trust: the system's trust anchors and those of the configured file.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, crypto};
use tokio_rustls::TlsConnector;

use super::session::Stream;
use crate::ports::{Fault, Server};

/// What it takes to begin TLS with one server; the trust anchors are read once.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Reads the trust anchors. A `ca_file` that can't be read or holds no certificate is a fault naming it.
    pub fn new(server: &Server) -> Result<Self, Fault> {
        let host = server.host.trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Fault::configuration(format!("{host} is not a host name")))?;
        // The provider is named: with none or two compiled in, rustls would panic on its own choice.
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| Fault::configuration(format!("TLS: {e}")))?
            .with_root_certificates(anchors(server)?)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// The handshake.
    pub async fn begin(&self, stream: Box<dyn Stream>) -> std::io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.connector.connect(self.name.clone(), stream).await?))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

fn anchors(server: &Server) -> Result<RootCertStore, Fault> {
    let mut store = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // Single certificates of the system that don't parse are common and harmless while others do.
    store.add_parsable_certificates(system.certs);
    if let Some(file) = &server.ca_file {
        let named = |why: String| Fault::configuration(format!("ca_file {}: {why}", file.display()));
        let certificates = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| named(e.to_string()))?;
        if certificates.is_empty() {
            return Err(named("holds no certificate in PEM form".into()));
        }
        for certificate in certificates {
            store.add(certificate).map_err(|e| named(e.to_string()))?;
        }
    }
    if store.is_empty() {
        let why = system.errors.first().map_or(String::new(), |e| format!(" ({e})"));
        return Err(Fault::configuration(format!(
            "no trust anchors on this system{why}: install ca-certificates or set ca_file"
        )));
    }
    Ok(store)
}
