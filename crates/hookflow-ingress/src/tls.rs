//! TLS at the door: the certificate, who must show one, and following both when their files change.
//!
//! The files are read again every few seconds and compared as a whole, so a renewal is seen however it is put in place.
//! New files are used by the next connection; those that are open keep what they began with. Files that cannot be used
//! change nothing, and are told of until they can.

use arc_swap::ArcSwap;
use hookflow_runtime::{Clock, Heartbeat, Token};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(3);
/// The largest file of certificates that is read.
const LARGEST: u64 = 1 << 20;
/// What is spoken over it, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The files of a certificate, all in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and the chain behind it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signs the certificates that callers must show; without it nobody must.
    pub client_ca: Option<PathBuf>,
}

/// TLS as it is spoken now.
pub struct Tls {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
    state: Mutex<State>,
}

struct State {
    /// Of the files as they were read last, usable or not.
    seen: Option<u64>,
    /// Why what was read last is not used.
    fault: Option<String>,
}

/// Why files of certificates cannot be used. It never holds what stands in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {why}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The file does not hold what it should.
    #[error("`{}` holds no usable {what} in PEM form", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The certificate and the key do not belong together, or their kind is not known.
    #[error("the certificate and the key cannot be used: {0}")]
    Identity(String),
}

/// What stood in the files.
struct Pem {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let pem = files.read()?;
        let current = ArcSwap::from_pointee(files.config(&pem)?);
        let state = Mutex::new(State { seen: Some(pem.digest()), fault: None });
        Ok(Arc::new(Self { files, current, state }))
    }

    /// Why the files as they stand there now are not used; `None` when they are.
    pub fn fault(&self) -> Option<String> {
        self.state().fault.clone()
    }

    /// Speaks TLS with the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Follows the files until the shutdown.
    pub(crate) async fn watch(self: Arc<Self>, clock: Clock, mut soft: Token, heartbeat: Heartbeat) {
        loop {
            tokio::select! {
                biased;
                () = soft.wait() => return heartbeat.end(),
                () = heartbeat.wait(clock.sleep(LOOK)) => {}
            }
            let tls = Arc::clone(&self);
            // A disk that hangs holds up no connection. A panic in there has been logged.
            drop(heartbeat.wait(tokio::task::spawn_blocking(move || tls.look())).await);
        }
    }

    /// Reads the files again, and uses them when they have changed and can be used.
    pub(crate) fn look(&self) {
        let read = self.files.read();
        let seen = read.as_ref().ok().map(Pem::digest);
        if seen.is_some() && seen == self.state().seen {
            return;
        }
        let outcome = read.and_then(|pem| self.files.config(&pem));
        let mut state = self.state();
        state.seen = seen;
        match outcome {
            Ok(config) => {
                self.current.store(Arc::new(config));
                state.fault = None;
                tracing::info!(target: "door", "new connections use the certificate as its files have it now");
            }
            Err(error) => {
                let fault = error.to_string();
                if state.fault.as_ref() != Some(&fault) {
                    tracing::error!(target: "door", %error, "the new files of TLS are not used, the former are");
                }
                state.fault = Some(fault);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.files).finish()
    }
}

impl TlsFiles {
    fn read(&self) -> Result<Pem, TlsError> {
        let read = |path: &Path| {
            read(path).map_err(|error| TlsError::Unreadable { path: path.into(), why: error.to_string() })
        };
        let client_ca = self.client_ca.as_deref().map(read).transpose()?;
        Ok(Pem { cert: read(&self.cert)?, key: read(&self.key)?, client_ca })
    }

    fn config(&self, pem: &Pem) -> Result<ServerConfig, TlsError> {
        let identity = |error: rustls::Error| TlsError::Identity(error.to_string());
        // Never the process's default provider: with none installed that is a panic.
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(identity)?;
        let builder = match pem.client_ca.as_deref().zip(self.client_ca.as_ref()) {
            None => builder.with_no_client_auth(),
            Some((ca, path)) => {
                let unusable = || TlsError::Content { path: path.clone(), what: "certificate" };
                let mut roots = RootCertStore::empty();
                for certificate in certificates(ca, path)? {
                    roots.add(certificate).map_err(|_| unusable())?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|_| unusable())?)
            }
        };
        // A parser's message may quote what it read, and this is a secret.
        let key = PrivateKeyDer::from_pem_slice(&pem.key)
            .map_err(|_| TlsError::Content { path: self.key.clone(), what: "private key" })?;
        let mut config =
            builder.with_single_cert(certificates(&pem.cert, &self.cert)?, key).map_err(identity)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(config)
    }
}

impl Pem {
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.cert, &self.key, &self.client_ca).hash(&mut hasher);
        hasher.finish()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Every certificate in a PEM file, at least one.
fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let list: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().unwrap_or_default();
    if list.is_empty() {
        return Err(TlsError::Content { path: path.into(), what: "certificate" });
    }
    Ok(list)
}
