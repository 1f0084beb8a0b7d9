//! What the flows call over TLS: a server that says in which version of HTTP it was asked, on which of its connections,
//! and whether it was shown a certificate.

use super::service::beside;
use http::Response;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};

/// Who has signed the certificate, for `localhost`, with which it answers and which callers may show.
pub(super) const CA: &str = include_str!("../../crates/hookflow-outbound/src/caller/tests/ca.pem");
pub(super) const CERTIFICATE: &str =
    include_str!("../../crates/hookflow-outbound/src/caller/tests/localhost.pem");
pub(super) const KEY: &str = include_str!("../../crates/hookflow-outbound/src/caller/tests/localhost.key");

/// How long it takes over an answer, so that calls made at once are under way at once.
const WORK: Duration = Duration::from_millis(20);

/// The server. Dropping it ends it.
pub(super) struct TlsTarget {
    pub(super) address: SocketAddr,
    _ends: oneshot::Sender<()>,
}

impl TlsTarget {
    /// Offers these protocols; `asks`: wants to be shown a certificate.
    pub(super) fn start(protocols: &[&str], asks: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = acceptor(protocols, asks);
        let (ends, ended) = oneshot::channel();
        beside(move || serve(listener, &acceptor, ended));
        Self { address, _ends: ends }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }
}

fn acceptor(protocols: &[&str], asks: bool) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CA.as_bytes()).unwrap()).unwrap();
    let config = if asks {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        config.with_client_cert_verifier(verifier)
    } else {
        config.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::main(flavor = "current_thread")]
async fn serve(listener: TcpListener, acceptor: &TlsAcceptor, mut ended: oneshot::Receiver<()>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let mut connections = JoinSet::new();
    for connection in 1.. {
        tokio::select! {
            _ = &mut ended => return,
            accepted = listener.accept() => {
                connections.spawn(converse(accepted.unwrap().0, acceptor.clone(), connection));
            }
        }
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, connection: u32) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let shown = stream.get_ref().1.peer_certificates().is_some();
    let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| async move {
        tokio::time::sleep(WORK).await;
        let version = format!("{:?}", request.version());
        let told = json!({"version": version, "shown": shown, "connection": connection});
        let body = Full::new(Bytes::from(told.to_string()));
        Ok::<_, Infallible>(
            Response::builder().header("Content-Type", "application/json").body(body).unwrap(),
        )
    });
    // It ends with an error when the caller goes away.
    drop(auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await);
}
