//! TLS at the door: what is agreed on, who must show a certificate, and new files while connections are open.

use super::bench::{Bench, Request, limits, open_secured};
use crate::{DoorLimits, Tls, TlsError, TlsFiles};
use hookflow_runtime::Clock;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const CA: &[u8] = include_bytes!("tls/ca.pem");
const FIRST: (&[u8], &[u8]) = (include_bytes!("tls/localhost.pem"), include_bytes!("tls/localhost.key"));
const SECOND: (&[u8], &[u8]) = (include_bytes!("tls/other.pem"), include_bytes!("tls/other.key"));

fn write(folder: &TempDir, (cert, key): (&[u8], &[u8])) {
    fs::write(folder.path().join("cert.pem"), cert).unwrap();
    fs::write(folder.path().join("key.pem"), key).unwrap();
}

fn files(folder: &TempDir, client_ca: bool) -> TlsFiles {
    let at = |name: &str| folder.path().join(name);
    fs::write(at("ca.pem"), CA).unwrap();
    TlsFiles { cert: at("cert.pem"), key: at("key.pem"), client_ca: client_ca.then(|| at("ca.pem")) }
}

fn client(identity: Option<(&[u8], &[u8])>, protocols: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for pem in [CA, SECOND.0] {
        roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let cert = vec![CertificateDer::from_pem_slice(cert).unwrap()];
            builder.with_client_auth_cert(cert, PrivateKeyDer::from_pem_slice(key).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(bench: &Bench, client: &TlsConnector) -> TlsStream<tokio::net::TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    client.connect(name, bench.connect().await).await.unwrap()
}

/// Sends a request on an open connection; the first line of the answer.
async fn ask(stream: &mut TlsStream<tokio::net::TcpStream>) -> std::io::Result<String> {
    let request = Request::post("/hook/nothing", "{}").to_string().replace("Connection: close\r\n", "");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = [0; 1024];
    let length = stream.read(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn shown(stream: &TlsStream<tokio::net::TcpStream>) -> &[u8] {
    stream.get_ref().1.peer_certificates().unwrap()[0].as_ref()
}

fn der(pem: &[u8]) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem).unwrap().to_vec()
}

const NO_CONTENT: &str = "HTTP/1.1 204 No Content";

#[tokio::test]
async fn https_is_spoken_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    write(&folder, FIRST);
    let quick = DoorLimits { header_timeout: Duration::from_secs(1), ..limits() };
    let bench = open_secured(&Tls::load(files(&folder, false)).unwrap(), quick).await;
    let mut stream = connect(&bench, &client(None, &[])).await;
    assert_eq!(ask(&mut stream).await.unwrap(), NO_CONTENT);
    for (offered, agreed) in [(["h2", "http/1.1"], "h2"), (["http/1.1", "x"], "http/1.1")] {
        let offered = offered.map(str::as_bytes);
        let stream = connect(&bench, &client(None, &offered)).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed.as_bytes()));
    }
    // A bad head hears so over TLS too.
    let mut stream = connect(&bench, &client(None, &[])).await;
    stream.write_all(b"POST /hook/quiet\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("request.malformed"), "{text}");
    // Plain HTTP, silence and noise end, and take nothing up.
    for bytes in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", "\x16\x03\x01\x02"] {
        let mut stream = bench.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        let ended = Clock::system().timeout(Duration::from_secs(5), stream.read_to_end(&mut heard)).await;
        assert!(ended.is_ok(), "{bytes:?}");
        assert!(!heard.starts_with(b"HTTP"), "{bytes:?}");
    }
    let series = "hookflow_requests_refused_total{code=\"connection.tls\",flow=\"_none\"}";
    assert_eq!(bench.counted(series).as_deref(), Some("3"));
}

#[tokio::test]
async fn who_must_show_a_certificate_is_turned_away_without_one() {
    let folder = TempDir::new().unwrap();
    write(&folder, FIRST);
    let bench = open_secured(&Tls::load(files(&folder, true)).unwrap(), limits()).await;
    let mut known = connect(&bench, &client(Some(FIRST), &[])).await;
    assert_eq!(ask(&mut known).await.unwrap(), NO_CONTENT);
    for identity in [None, Some(SECOND)] {
        // In TLS 1.3 a client hears of it with the first answer.
        let mut stranger = connect(&bench, &client(identity, &[])).await;
        assert!(ask(&mut stranger).await.is_err());
    }
}

#[tokio::test]
async fn new_files_are_used_by_new_connections() {
    let folder = TempDir::new().unwrap();
    write(&folder, FIRST);
    let tls = Tls::load(files(&folder, false)).unwrap();
    let bench = open_secured(&tls, limits()).await;
    let client = client(None, &[]);
    let mut old = connect(&bench, &client).await;
    assert_eq!((ask(&mut old).await.unwrap().as_str(), shown(&old)), (NO_CONTENT, &*der(FIRST.0)));
    // Half of a change, then garbage, then nothing at all.
    let unusable: [(&[u8], &[u8]); 3] =
        [(SECOND.0, FIRST.1), (b"-----BEGIN CERTIFICATE-----\nx", FIRST.1), (b"", b"")];
    for pair in unusable {
        write(&folder, pair);
        tls.look();
        assert!(tls.fault().is_some());
        assert_eq!(shown(&connect(&bench, &client).await), der(FIRST.0));
    }
    fs::remove_file(folder.path().join("key.pem")).unwrap();
    tls.look();
    assert!(tls.fault().unwrap().contains("key.pem"));
    write(&folder, FIRST);
    tls.look();
    assert_eq!(tls.fault(), None, "back to what was there");
    write(&folder, SECOND);
    tls.look();
    assert_eq!(tls.fault(), None);
    assert_eq!(shown(&connect(&bench, &client).await), der(SECOND.0));
    assert_eq!(ask(&mut old).await.unwrap(), NO_CONTENT, "an open connection goes on");
}

#[tokio::test]
async fn the_files_are_followed_while_the_door_is_open() {
    let folder = TempDir::new().unwrap();
    write(&folder, FIRST);
    let tls = Tls::load(files(&folder, false)).unwrap();
    let clock = Clock::turned("2026-11-20T12:00:00Z".parse().unwrap());
    let tasks = hookflow_runtime::Tasks::new(clock.clone());
    let heartbeats = hookflow_runtime::Heartbeats::new(clock.clone());
    tasks.spawn(
        "certificate",
        Arc::clone(&tls).watch(clock.clone(), tasks.soft(), heartbeats.register("certificate")),
    );
    write(&folder, (SECOND.0, FIRST.1));
    for _ in 0..1_000 {
        if tls.fault().is_some() {
            return;
        }
        clock.advance(Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("nobody looks at the files");
}

#[test]
fn files_that_cannot_be_used_are_told_without_what_is_in_them() {
    let folder = TempDir::new().unwrap();
    let load = |pair| {
        write(&folder, pair);
        Tls::load(files(&folder, true)).unwrap_err()
    };
    assert!(matches!(load((FIRST.1, FIRST.1)), TlsError::Content { what: "certificate", .. }));
    assert!(
        matches!(load((FIRST.0, b"a secret key")), TlsError::Content { what: "private key", path } if path.ends_with("key.pem"))
    );
    assert!(matches!(load((FIRST.0, SECOND.1)), TlsError::Identity(_)));
    assert!(!load((FIRST.0, b"a secret key")).to_string().contains("secret"));
    let nowhere = Path::new("nowhere.pem").to_owned();
    let missing = TlsFiles { client_ca: Some(nowhere), ..files(&folder, false) };
    assert!(
        matches!(Tls::load(missing), Err(TlsError::Unreadable { path, .. }) if path.ends_with("nowhere.pem"))
    );
}
