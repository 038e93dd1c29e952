//! TLS with one server.

use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::session::Stream;
use crate::ports::{Fault, Server};
use crate::tls;

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
        let config = tls::client(server.ca_file.as_deref()).map_err(Fault::configuration)?;
        Ok(Self { connector: TlsConnector::from(config), name })
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
