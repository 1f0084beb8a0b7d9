//! Senders whose certificate is fetched: from a fake of Amazon that speaks TLS, by the dialer of the product.

use super::bench::{Bench, Request, open_toward};
use crate::outside::{Getting, Outside};
use hookflow_outbound::{Caller, Policy, Tls};
use hookflow_runtime::{Clock, Tasks};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

const HOST: &str = "https://sns.eu-west-1.amazonaws.com";
const TOPIC: &str = "the secret of TOPIC";
const FLOWS: &[&str] = &[
    "flow: alarms\nwebhook: {auth: sns, body: json}\nsteps: [{set: {a: 1}}]",
    "flow: payments\nwebhook: {auth: [inovector, paypal]}\nsteps: [{set: {a: 1}}]",
];

/// The product's caller, for whom Amazon is at a port of this machine.
struct Rerouted {
    caller: Caller,
    addr: SocketAddr,
}

impl Outside for Rerouted {
    fn get<'u>(&'u self, url: &'u str) -> Getting<'u> {
        let (_, path) = url.strip_prefix("https://").unwrap().split_at(url.find(".com").unwrap() - 4);
        let rerouted = format!("https://localhost:{}{path}", self.addr.port());
        Box::pin(async move { self.caller.get(&rerouted).await })
    }
}

/// Amazon: answers by the path, and tells what it was asked.
async fn amazon(tasks: &Tasks) -> (SocketAddr, mpsc::Receiver<String>) {
    let cert = vec![CertificateDer::from_pem_slice(include_bytes!("tls/localhost.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(cert, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel(100);
    tasks.spawn("amazon", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let line = String::from_utf8(head).unwrap().lines().next().unwrap().to_owned();
            let path = line.split(' ').nth(1).unwrap();
            let endless = vec![b' '; 100_000];
            let (status, body): (_, &[u8]) = match path {
                "/right.pem" => ("200 OK", include_bytes!("../../../../hookflow-trigger/testdata/sns.pem")),
                "/moved.pem" => ("302 Found\r\nLocation: /right.pem", b""),
                "/endless.pem" => ("200 OK", &endless),
                _ if path.starts_with("/?Action=ConfirmSubscription") => ("200 OK", b"<ok/>"),
                _ => ("404 Not Found", b""),
            };
            tell.send(line).await.unwrap();
            let head =
                format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            // The caller may have heard enough before the end.
            drop(stream.write_all(head.as_bytes()).await);
            drop(stream.write_all(body).await);
            drop(stream.shutdown().await);
        }
    });
    (addr, told)
}

async fn bench() -> (Bench, mpsc::Receiver<String>) {
    let clock = Clock::system();
    let (addr, told) = amazon(&Tasks::new(clock.clone())).await;
    let tls = Tls::own(Some(include_bytes!("tls/ca.pem")), None).unwrap();
    let allow = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let policy = Policy { allow, response_bytes: crate::CERTIFICATE_BYTES, tls, ..Policy::default() };
    let outside = Arc::new(Rerouted { caller: Caller::new(policy, clock), addr });
    (open_toward(outside, FLOWS).await, told)
}

/// A message as Amazon signs it.
fn message(kind: &str, certificate: &str) -> Json {
    let mut message = json!({
        "Type": kind, "Message": "{}", "MessageId": "m-1", "Timestamp": "2026-11-22T00:00:00Z", "TopicArn": TOPIC,
        "SignatureVersion": "2", "SigningCertURL": format!("{HOST}/{certificate}"),
    });
    let names: &[&str] = if kind == "Notification" {
        &["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    } else {
        message["Token"] = "2336412f37".into();
        message["SubscribeURL"] = format!("{HOST}/?Action=ConfirmSubscription&Token=2336412f37").into();
        &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    };
    let lines = names.iter().flat_map(|name| [*name, "\n", message[name].as_str().unwrap(), "\n"]);
    let content: String = lines.collect();
    let key = include_bytes!("../../../../hookflow-trigger/testdata/sns.key");
    let key = PrivateKeyDer::from_pem_slice(key).unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_der()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), content.as_bytes(), &mut signature).unwrap();
    message["Signature"] = hookflow_trigger::to_base64(&signature).into();
    message
}

fn post(message: &Json) -> Request {
    Request::post("/hook/alarms", &message.to_string()).header("Content-Type", "text/plain; charset=UTF-8")
}

#[tokio::test]
async fn a_certificate_is_fetched_once_and_events_pass_by_it() {
    let (bench, mut told) = bench().await;
    for _ in 0..3 {
        let heard = bench.send(&post(&message("Notification", "right.pem"))).await;
        assert_eq!(heard.status, 202, "{heard:?}");
    }
    let mut forged = message("Notification", "right.pem");
    forged["Message"] = "{\"a\":1}".into();
    assert_eq!(bench.send(&post(&forged)).await.code(), "auth.unauthorized");
    assert_eq!(told.recv().await.unwrap(), "GET /right.pem HTTP/1.1");
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn a_spooled_message_is_judged_again_and_stays_a_question() {
    let (bench, mut told) = bench().await;
    // Blanks are signed by nobody, so anybody can make a message of Amazon's longer.
    let spooled = |kind| {
        let padded = format!("{}{}", message(kind, "right.pem"), " ".repeat(100 << 10));
        Request::post("/hook/alarms", &padded).header("Content-Type", "text/plain")
    };
    assert_eq!(bench.send(&spooled("Notification")).await.status, 202);
    assert_eq!(told.recv().await.unwrap(), "GET /right.pem HTTP/1.1");
    for kind in ["SubscriptionConfirmation", "UnsubscribeConfirmation"] {
        let heard = bench.send(&spooled(kind)).await;
        assert_eq!((heard.status, heard.body.as_str(), heard.header("x-run-id")), (200, "", None), "{kind}");
    }
    assert_eq!(told.recv().await.unwrap(), "GET /?Action=ConfirmSubscription&Token=2336412f37 HTTP/1.1");
    assert!(told.try_recv().is_err());
    assert_eq!(bench.counted("hookflow_events_accepted_total{flow=\"alarms\"}").as_deref(), Some("1"));
}

#[tokio::test]
async fn what_cannot_be_fetched_is_asked_for_again_later() {
    let (bench, mut told) = bench().await;
    for certificate in ["none.pem", "moved.pem", "endless.pem"] {
        let heard = bench.send(&post(&message("Notification", certificate))).await;
        assert_eq!((heard.status, heard.code().as_str()), (503, "auth.certificate-unavailable"));
        assert_eq!(heard.header("retry-after"), Some("10"));
        // Neither the URL nor why it failed is the caller's affair.
        assert!(!heard.body.contains("amazonaws"), "{heard:?}");
        let kept = bench.rejections.latest(Some("alarms"), 1);
        assert!(format!("{kept:?}").contains(certificate), "{kept:?}");
        assert_eq!(told.recv().await.unwrap(), format!("GET /{certificate} HTTP/1.1"));
    }
    // A redirect is not followed.
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn who_is_nobody_makes_us_fetch_nothing() {
    let (bench, mut told) = bench().await;
    let right = message("Notification", "right.pem");
    for (name, value) in [
        ("SigningCertURL", "https://sns.eu-west-1.amazonaws.com.evil.test/right.pem"),
        ("SigningCertURL", "http://sns.eu-west-1.amazonaws.com/right.pem"),
        ("SigningCertURL", "https://127.0.0.1/right.pem"),
        ("TopicArn", "arn:aws:sns:eu-west-1:1:another"),
        ("SignatureVersion", "3"),
        ("Signature", "%"),
    ] {
        let mut other = right.clone();
        other[name] = value.into();
        assert_eq!(bench.send(&post(&other)).await.code(), "auth.unauthorized", "{value}");
    }
    assert!(told.try_recv().is_err());
    // Another credential of the same webhook needs nothing of all this.
    let signed = Request::post("/hook/payments", "{}").signed(&bench);
    assert_eq!(bench.send(&signed).await.status, 202);
}

#[tokio::test]
async fn a_subscription_is_confirmed_and_never_an_event() {
    let (bench, mut told) = bench().await;
    let heard = bench.send(&post(&message("SubscriptionConfirmation", "right.pem"))).await;
    assert_eq!((heard.status, heard.body.as_str(), heard.header("x-run-id")), (200, "", None));
    assert_eq!(told.recv().await.unwrap(), "GET /right.pem HTTP/1.1");
    assert_eq!(told.recv().await.unwrap(), "GET /?Action=ConfirmSubscription&Token=2336412f37 HTTP/1.1");
    // The end of a subscription is not undone by a visit.
    let heard = bench.send(&post(&message("UnsubscribeConfirmation", "right.pem"))).await;
    assert_eq!((heard.status, heard.body.as_str()), (200, ""));
    let mut forged = message("SubscriptionConfirmation", "right.pem");
    forged["SubscribeURL"] = "https://evil.test/".into();
    assert_eq!(bench.send(&post(&forged)).await.code(), "auth.unauthorized");
    assert!(told.try_recv().is_err());
    assert_eq!(bench.counted("hookflow_events_accepted_total{flow=\"alarms\"}").as_deref(), Some("0"));
}
