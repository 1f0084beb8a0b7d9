//! TLS of outgoing calls: whom to trust and which certificate to show.

use hyper_rustls::ConfigBuilderExt;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// TLS settings, ready or the system's. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Option<Arc<ClientConfig>>);

/// Why TLS settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The CA file.
    #[error("the CA file holds no usable certificate in PEM form{0}")]
    Ca(String),
    /// The certificate file.
    #[error("the certificate file holds no usable certificate in PEM form{0}")]
    Certificate(String),
    /// The key file.
    #[error("the key file holds no usable private key in PEM form{0}")]
    Key(String),
    /// The certificate and the key do not belong together, or their kind is not known.
    #[error("the certificate and its key cannot be used: {0}")]
    Identity(String),
}

impl Tls {
    /// Trusts whom the system trusts; where the system names nobody, Mozilla's list. No certificate of our own.
    pub const fn system() -> Self {
        Self(None)
    }

    /// Trusts the certificates in `ca` instead of the system's, and shows `identity` (a certificate chain and its
    /// key) to servers that ask. All in PEM form; what is not given is as in [`Tls::system`].
    pub fn own(ca: Option<&[u8]>, identity: Option<(&[u8], &[u8])>) -> Result<Self, TlsError> {
        let trusting = match ca {
            None => system_trust(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem).map_err(TlsError::Ca)? {
                    roots.add(certificate).map_err(|error| TlsError::Ca(format!(": {error}")))?;
                }
                builder().with_root_certificates(roots)
            }
        };
        let Some((chain, key)) = identity else {
            return Ok(Self(Some(Arc::new(trusting.with_no_client_auth()))));
        };
        let chain = certificates(chain).map_err(TlsError::Certificate)?;
        // A parser's message may quote what it read, and this is a secret.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key(String::new()))?;
        trusting
            .with_client_auth_cert(chain, key)
            .map(|config| Self(Some(Arc::new(config))))
            .map_err(|error| TlsError::Identity(error.to_string()))
    }

    /// The system's are read from some hundred files, once, by whoever asks first.
    pub(crate) fn config(&self) -> ClientConfig {
        static SYSTEM: LazyLock<ClientConfig> = LazyLock::new(|| system_trust().with_no_client_auth());
        self.0.as_deref().unwrap_or_else(|| &SYSTEM).clone()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// Never the process's default provider: with none installed that is a panic.
#[expect(clippy::expect_used, reason = "ring speaks the default versions; there is no input that changes it")]
fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
}

fn system_trust() -> ConfigBuilder<ClientConfig, WantsClientCert> {
    builder().with_native_roots().unwrap_or_else(|_| builder().with_webpki_roots())
}

/// Every certificate in a PEM file, at least one; else the end of a sentence.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let list: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!(": {error}"))?;
    if list.is_empty() { Err(String::new()) } else { Ok(list) }
}
