//! Mutual TLS on the bus: both sides show a certificate, and each checks that of the other.
//!
//! A peer is who it says it is when its certificate was signed by the authority of the cluster. The names in a certificate are
//! not compared with addresses: nodes move, are reached by several addresses, and the greeting says which node it is. So an
//! authority that signs certificates of nodes must sign nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme, version,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("{setting} {path}: {why}")]
    File {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// In words.
        why: String,
    },
    /// The files do not belong together.
    #[error("tls-cert-file, tls-key-file and tls-ca-cert-file cannot be used together: {0}")]
    Together(String),
}

/// What a node shows to its peers and demands of them.
#[derive(Clone)]
pub struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) acceptor: TlsAcceptor,
}

impl Tls {
    /// Reads PEM files: this node's certificate with those that lead to the authority, its private key, and the
    /// certificates of the authority.
    ///
    /// # Errors
    /// When a file cannot be read, or the key is not that of the certificate.
    pub fn load(certificate: &Path, key: &Path, authority: &Path) -> Result<Self, TlsError> {
        let together = |error: Error| TlsError::Together(error.to_string());
        let chain = certificates("tls-cert-file", certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| file("tls-key-file", key, &error))?;
        let mut roots = RootCertStore::empty();
        for root in certificates("tls-ca-cert-file", authority)? {
            roots.add(root).map_err(|error| file("tls-ca-cert-file", authority, &error))?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| TlsError::Together(error.to_string()))?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(together)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(together)?;
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(together)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(SignedByAuthority::new(roots, provider)?))
            .with_client_auth_cert(chain, key)
            .map_err(together)?;
        Ok(Self { connector: Arc::new(client).into(), acceptor: Arc::new(server).into() })
    }
}

fn file(setting: &'static str, path: &Path, why: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { setting, path: path.to_owned(), why: why.to_string() }
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(file(setting, path, &"there is no certificate in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(file(setting, path, &error)),
    }
}

/// Checks everything about a certificate but the name in it.
#[derive(Debug)]
struct SignedByAuthority(Arc<WebPkiServerVerifier>);

impl SignedByAuthority {
    fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        Ok(Self(verifier.map_err(|error| TlsError::Together(error.to_string()))?))
    }
}

impl ServerCertVerifier for SignedByAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The name is the last thing that it looks at: whoever fails by it has passed all else.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
