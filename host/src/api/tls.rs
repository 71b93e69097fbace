//! TLS for the API, from certificate files.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::host::TlsFiles;

/// Why the API cannot be served over TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be used.
    #[error("{setting}: cannot use {path}: {reason}")]
    File {
        /// The setting that names it.
        setting: &'static str,
        path: String,
        reason: String,
    },
    /// The certificate and the key do not belong together, or are of an unknown kind.
    #[error("api.tls_certificate and api.tls_key cannot be used together: {0}")]
    Pair(#[from] tokio_rustls::rustls::Error),
}

/// What takes connections over TLS.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let TlsFiles { certificate, private_key } = files;
    let unusable = |setting, path: &Path, reason: String| {
        let path = path.display().to_string();
        TlsError::File { setting, path, reason }
    };
    let no_certificate = |reason: String| unusable("api.tls_certificate", certificate, reason);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| no_certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(no_certificate("it holds no certificate in PEM".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(private_key)
        .map_err(|error| unusable("api.tls_key", private_key, error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Whether an error of a handshake says that the client speaks no TLS.
pub(crate) fn is_plain(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData && error.to_string().contains("InvalidContentType")
}
