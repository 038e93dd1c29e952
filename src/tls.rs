//! Floor 1: whom to trust over TLS: the system's trust anchors and those of a configured file.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, crypto};

/// Reads the trust anchors. A `ca_file` that can't be read or holds no certificate is an error naming it.
pub fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    // The provider is named: with none or two compiled in, rustls would panic on its own choice.
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?
        .with_root_certificates(anchors(ca_file)?)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn anchors(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // Single certificates of the system that don't parse are common and harmless while others do.
    store.add_parsable_certificates(system.certs);
    if let Some(file) = ca_file {
        let named = |why: String| format!("ca_file {}: {why}", file.display());
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
        return Err(format!("no trust anchors on this system{why}: install ca-certificates or set ca_file"));
    }
    Ok(store)
}
