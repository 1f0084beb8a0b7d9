use super::*;
use crate::Tls;
use hookflow_runtime::Tasks;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const DEADLINE: Duration = Duration::from_secs(30);
const CA: &[u8] = include_bytes!("tests/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("tests/localhost.pem");
const KEY: &[u8] = include_bytes!("tests/localhost.key");

/// A server that hands its connections to `serve`, one task each, and counts them.
async fn server<S>(serve: impl Fn(TcpStream) -> S + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>)
where
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let (tasks, counted) = (Tasks::new(Clock::system()), Arc::clone(&count));
    tasks.clone().spawn("server", async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tasks.spawn("connection", serve(stream));
        }
    });
    (address, count)
}

/// Reads the head of one request; empty when the other side has closed.
async fn head(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => read.push(byte),
            Err(_) => return String::new(),
        }
    }
    String::from_utf8(read).unwrap()
}

/// A server that answers every request with these bytes, then closes.
async fn answering(answer: &'static [u8]) -> SocketAddr {
    let serve = move |mut stream: TcpStream| async move {
        head(&mut stream).await;
        // The caller may hang up before it has read everything.
        drop(stream.write_all(answer).await);
    };
    server(serve).await.0
}

/// A server that reports each request's head and answers 200 with a small body, on and on.
async fn reporting() -> (SocketAddr, Arc<AtomicUsize>, mpsc::Receiver<String>) {
    let (report, reports) = mpsc::channel(100);
    let (address, count) = server(move |mut stream| {
        let report = report.clone();
        async move {
            loop {
                let head = head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                report.send(head).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            }
        }
    })
    .await;
    (address, count, reports)
}

fn loopback() -> Policy {
    Policy { allow: vec!["127.0.0.0/8".parse().unwrap()], response_bytes: 1000, ..Policy::default() }
}

fn caller() -> Caller {
    Caller::new(loopback(), Clock::system())
}

fn get(uri: &str) -> Request<Bytes> {
    Request::get(uri).body(Bytes::new()).unwrap()
}

async fn fault(caller: &Caller, uri: &str) -> CallFault {
    caller.send(get(uri), DEADLINE).await.unwrap_err()
}

#[tokio::test]
async fn a_call_sends_what_it_was_given_and_returns_the_answer() {
    let (address, count, mut reports) = reporting().await;
    let caller = caller();
    let request = Request::put(format!("http://{address}/a%20b?q=%F6&q=2"))
        .header("x-own", "1")
        .body(Bytes::from("body"))
        .unwrap();
    let response = caller.send(request, DEADLINE).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-a"]),
        (200, &HeaderValue::from_static("b"))
    );
    assert_eq!(response.body(), "ok");
    let sent = reports.recv().await.unwrap().to_ascii_lowercase();
    assert!(sent.starts_with("put /a%20b?q=%f6&q=2 http/1.1\r\n"), "{sent}");
    for line in ["x-own: 1", "content-length: 4", "user-agent: hookflow/", &format!("host: {address}\r\n")] {
        assert!(sent.contains(&format!("\r\n{line}")), "{line} in {sent}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_user_agent_of_ones_own_stays_and_connections_are_used_again() {
    let (address, count, mut reports) = reporting().await;
    let caller = caller();
    for _ in 0..3 {
        let mut request = get(&format!("http://{address}/"));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("mine"));
        caller.clone().send(request, DEADLINE).await.unwrap();
        let sent = reports.recv().await.unwrap();
        assert!(sent.contains("user-agent: mine\r\n") && !sent.contains("hookflow"), "{sent}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn any_status_is_an_answer_and_no_redirect_is_followed() {
    let redirect =
        answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").await;
    let response = caller().send(get(&format!("http://{redirect}/")), DEADLINE).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().contains_key("location")), (302, true));
    let failing = answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy").await;
    let response = caller().send(get(&format!("http://{failing}/")), DEADLINE).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body()), (503, &Bytes::from("busy")));
}

#[tokio::test]
async fn the_deadline_covers_the_head_and_the_whole_body() {
    for part in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbo"] {
        let (stuck, mut stuck_now) = mpsc::channel(1);
        let (address, _) = server(move |mut stream| {
            let stuck = stuck.clone();
            async move {
                head(&mut stream).await;
                stream.write_all(part.as_bytes()).await.unwrap();
                stuck.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }
        })
        .await;
        let clock = Clock::turned(Timestamp::UNIX_EPOCH);
        let caller = Caller::new(loopback(), clock.clone());
        let turning = async {
            stuck_now.recv().await.unwrap();
            clock.advance(DEADLINE);
        };
        let uri = format!("http://{address}/?secret");
        let (fault, ()) = tokio::join!(fault(&caller, &uri), turning);
        assert_eq!((fault.kind, fault.sent), (CallFaultKind::Timeout, true), "{part}");
        assert_eq!(fault.message, format!("{address}: no complete answer within 30s"));
    }
}

#[tokio::test]
async fn a_connection_has_its_own_shorter_time() {
    // Takes the connection and never speaks TLS.
    let (accepted, mut accepted_now) = mpsc::channel(1);
    let (address, _) = server(move |stream| {
        let accepted = accepted.clone();
        async move {
            accepted.send(()).await.unwrap();
            std::future::pending::<()>().await;
            drop(stream);
        }
    })
    .await;
    let clock = Clock::turned(Timestamp::UNIX_EPOCH);
    let caller = Caller::new(loopback(), clock.clone());
    let turning = async {
        accepted_now.recv().await.unwrap();
        clock.advance(Duration::from_secs(5));
    };
    let uri = format!("https://{address}/");
    let (fault, ()) = tokio::join!(fault(&caller, &uri), turning);
    assert_eq!((fault.kind, fault.sent), (CallFaultKind::Connect, false), "{fault}");
    assert!(fault.message.contains("within 5s"), "{fault}");
}

#[tokio::test]
async fn a_response_is_capped_while_it_streams() {
    let (endless, _) = server(|mut stream: TcpStream| async move {
        head(&mut stream).await;
        let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        while written.is_ok() {
            written = stream.write_all(b"4\r\nmore\r\n").await;
        }
    })
    .await;
    let declared = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").await;
    let to_the_end =
        answering(&[b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'a'; 1001]].concat().leak()[..]).await;
    for address in [endless, declared, to_the_end] {
        let fault = fault(&caller(), &format!("http://{address}/?secret")).await;
        assert_eq!((fault.kind, fault.sent), (CallFaultKind::TooLarge, true), "{fault}");
        assert!(fault.message.ends_with("larger than 1000 bytes"), "{fault}");
    }
    let exact = answering(&[b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'a'; 1000]].concat().leak()[..]).await;
    let response = caller().send(get(&format!("http://{exact}/")), DEADLINE).await.unwrap();
    assert_eq!(response.body().len(), 1000);
    // An answer to HEAD declares a length and has no body.
    let request = Request::head(format!("http://{declared}/")).body(Bytes::new()).unwrap();
    assert!(caller().send(request, DEADLINE).await.unwrap().body().is_empty());
}

#[tokio::test]
async fn what_is_not_http_or_breaks_off_is_a_fault() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(100_000)).leak().as_bytes();
    for answer in [
        b"".as_slice(),
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\0\0\0\0\xff\xff",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
        b"HTTP/1.1 20",
        many,
    ] {
        let address = answering(answer).await;
        let fault = fault(&caller(), &format!("http://{address}/path?secret")).await;
        assert_eq!((fault.kind, fault.sent), (CallFaultKind::Protocol, true), "{fault}");
        assert!(!fault.message.contains("secret") && !fault.message.contains("path"), "{fault}");
    }
    let (resetting, _) = server(|mut stream: TcpStream| async move {
        head(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let fault = fault(&caller(), &format!("http://{resetting}/")).await;
    assert_eq!((fault.kind, fault.sent), (CallFaultKind::Protocol, true), "{fault}");
}

#[tokio::test]
async fn nobody_there_is_a_fault_before_anything_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for uri in [format!("http://{address}/?secret"), "http://nobody.invalid/?secret".into()] {
        let fault = fault(&caller(), &uri).await;
        assert_eq!((fault.kind, fault.sent), (CallFaultKind::Connect, false), "{fault}");
        assert!(!fault.message.contains("secret"), "{fault}");
    }
}

#[tokio::test]
async fn what_is_not_public_is_refused_however_it_is_written() {
    let (address, count, _reports) = reporting().await;
    let caller = Caller::new(Policy::default(), Clock::system());
    for host in [
        "localhost",
        "LOCALHOST",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fd00::1]",
        "[fe80::1]",
    ] {
        for scheme in ["http", "https"] {
            let fault = fault(&caller, &format!("{scheme}://{host}:{}/hook/x?secret", address.port())).await;
            // The numbers that only the system's resolver takes for an address are no name for TLS, which comes first.
            let nameless = scheme == "https" && fault.message.ends_with("invalid dns name");
            assert!(fault.kind == CallFaultKind::Refused || nameless, "{fault}");
            assert!(!fault.sent && !fault.message.contains("secret"), "{fault}");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_allowed_range_is_reached_by_name_too() {
    let (address, _, _reports) = reporting().await;
    for host in ["localhost", "127.0.0.1"] {
        let uri = format!("http://{host}:{}/", address.port());
        assert_eq!(caller().send(get(&uri), DEADLINE).await.unwrap().status(), 200);
    }
    let elsewhere = Policy { allow: vec!["10.0.0.0/8".parse().unwrap()], ..Policy::default() };
    let caller = Caller::new(elsewhere, Clock::system());
    assert_eq!(fault(&caller, &format!("http://{address}/")).await.kind, CallFaultKind::Refused);
}

#[tokio::test]
async fn own_listeners_are_reached_at_public_paths_only() {
    let (public, public_count, _public_reports) = reporting().await;
    let (ops, ops_count, _ops_reports) = reporting().await;
    let wildcard = SocketAddr::new([0, 0, 0, 0].into(), ops.port());
    let policy = Policy { public_listeners: vec![public], ops_listeners: vec![wildcard], ..loopback() };
    let caller = Caller::new(policy, Clock::system());
    for host in ["127.0.0.1", "localhost"] {
        for path in ["/hook/shop", "/resume/token"] {
            let uri = format!("http://{host}:{}{path}", public.port());
            assert_eq!(caller.send(get(&uri), DEADLINE).await.unwrap().status(), 200);
            let fault = fault(&caller, &format!("http://{host}:{}{path}", ops.port())).await;
            assert_eq!((fault.kind, fault.sent), (CallFaultKind::Refused, false), "{fault}");
        }
        // The connection that the public paths have left open does not help.
        for path in ["/", "/hook", "/other", "/HOOK/shop", "//hook/shop", "/?x=/hook/"] {
            let fault = fault(&caller, &format!("http://{host}:{}{path}", public.port())).await;
            assert_eq!((fault.kind, fault.sent), (CallFaultKind::Refused, false), "{fault}");
        }
    }
    assert_eq!((public_count.load(Ordering::SeqCst), ops_count.load(Ordering::SeqCst)), (2, 0));
}

#[tokio::test]
async fn a_url_that_cannot_be_called_is_refused() {
    for uri in [
        "/only/a/path?secret",
        "ftp://example.com/?secret",
        "file://example.com/secret",
        "example.com:80",
        "http://user:secret@example.com/",
        "http://example.com@127.0.0.1/?secret",
        "http://:80/?secret",
    ] {
        let Ok(uri) = uri.parse::<Uri>() else { continue };
        let mut request = get("http://example.com/");
        *request.uri_mut() = uri;
        let fault = caller().send(request, DEADLINE).await.unwrap_err();
        assert_eq!((fault.kind, fault.sent), (CallFaultKind::Refused, false), "{fault}");
        assert!(!fault.message.contains("secret"), "{fault}");
    }
}

/// A server that speaks HTTP/2 over TLS.
async fn tls_server() -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let serve = move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let answer =
                service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("ok")))));
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // It ends with an error when the caller goes away.
            drop(http.serve_connection(TokioIo::new(stream), answer).await);
        }
    };
    server(serve).await.0
}

#[tokio::test]
async fn tls_speaks_http_2_with_whom_it_trusts_only() {
    let port = tls_server().await.port();
    let (plain, _) = server(|mut stream: TcpStream| async move {
        stream.write_all(b"HTTP/1.1 400 Plain\r\n\r\n").await.unwrap();
    })
    .await;
    let plain = plain.port();
    let trusting = Tls::own(Some(CA), Some((CERTIFICATE, KEY))).unwrap();
    let trusting = Caller::new(Policy { tls: trusting, ..loopback() }, Clock::system());
    for _ in 0..2 {
        let response = trusting.send(get(&format!("https://localhost:{port}/")), DEADLINE).await.unwrap();
        assert_eq!((response.version(), response.body()), (Version::HTTP_2, &Bytes::from("ok")));
    }
    let cases = [
        (caller(), format!("https://localhost:{port}/?secret")),
        (trusting.clone(), format!("https://127.0.0.1:{port}/?secret")),
        (trusting, format!("https://localhost:{plain}/?secret")),
    ];
    for (caller, uri) in cases {
        let fault = fault(&caller, &uri).await;
        assert_eq!((fault.kind, fault.sent), (CallFaultKind::Tls, false), "{fault}");
        assert!(!fault.message.contains("secret"), "{fault}");
    }
}

#[test]
fn tls_settings_that_cannot_work_say_which() {
    use crate::TlsError;
    assert!(matches!(Tls::own(Some(b"nothing"), None), Err(TlsError::Ca(_))));
    assert!(matches!(Tls::own(Some(KEY), None), Err(TlsError::Ca(_))));
    assert!(matches!(Tls::own(None, Some((KEY, KEY))), Err(TlsError::Certificate(_))));
    assert!(matches!(Tls::own(None, Some((CERTIFICATE, CERTIFICATE))), Err(TlsError::Key(_))));
    assert!(matches!(Tls::own(None, Some((CA, KEY))), Err(TlsError::Identity(_))));
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(Tls::own(Some(broken), None), Err(TlsError::Ca(_))));
}

/// A proxy that reports each head it gets, answers what wants no tunnel and lets every tunnel end at `target`.
async fn proxy(target: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>, mpsc::Receiver<String>) {
    let (report, reports) = mpsc::channel(100);
    let (address, count) = server(move |mut stream| {
        let report = report.clone();
        async move {
            loop {
                let head = head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                let tunnel = head.starts_with("CONNECT ");
                let known = head.to_ascii_lowercase().contains("proxy-authorization: basic bwu6mq==\r\n");
                report.send(head).await.unwrap();
                let answer = match (known, tunnel) {
                    (false, _) => "HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n",
                    (true, true) => "HTTP/1.1 200 Established\r\n\r\n",
                    (true, false) => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nby",
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
                if tunnel && known {
                    let mut further = TcpStream::connect(target).await.unwrap();
                    // It ends when either side does.
                    drop(tokio::io::copy_bidirectional(&mut stream, &mut further).await);
                    return;
                }
            }
        }
    })
    .await;
    (address, count, reports)
}

/// Knows the proxy's password, and trusts the test's certificates. Only loopback as the target is judged against `allow`.
fn by_proxy(proxy: SocketAddr, authorization: Option<&'static str>, allow: &[&str]) -> Caller {
    let proxy = crate::Proxy {
        host: proxy.ip().to_string(),
        port: proxy.port(),
        authorization: authorization.map(HeaderValue::from_static),
        no_proxy_ranges: vec!["127.0.0.9/32".parse().unwrap()],
        no_proxy_names: Vec::new(),
    };
    let tls = Tls::own(Some(CA), None).unwrap();
    let allow = allow.iter().map(|range| range.parse().unwrap()).collect();
    Caller::new(Policy { allow, proxy: Some(proxy), tls, ..loopback() }, Clock::system())
}

const KNOWN: Option<&str> = Some("Basic bWU6MQ==");

#[tokio::test]
async fn a_proxy_gets_whole_urls_and_a_tunnel_for_tls() {
    let tls = tls_server().await;
    let (address, count, mut heads) = proxy(tls).await;
    // A name that nobody here knows is the proxy's to find.
    let caller = by_proxy(address, KNOWN, &[]);
    for _ in 0..2 {
        let response = caller.send(get("http://nobody.invalid:81/a%20b?c"), DEADLINE).await.unwrap();
        assert_eq!((response.version(), response.body()), (Version::HTTP_11, &Bytes::from("by")));
        let head = heads.recv().await.unwrap().to_ascii_lowercase();
        assert!(head.starts_with("get http://nobody.invalid:81/a%20b?c http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nhost: nobody.invalid:81\r\n"), "{head}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1, "its connection is used again");
    let caller = by_proxy(address, KNOWN, &["127.0.0.0/8", "::1/128"]);
    for _ in 0..2 {
        let uri = format!("https://localhost:{}/path", tls.port());
        let response = caller.send(get(&uri), DEADLINE).await.unwrap();
        assert_eq!((response.version(), response.body()), (Version::HTTP_2, &Bytes::from("ok")));
    }
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", tls.port())), "{head}");
    assert!(
        !head.contains("path") && heads.try_recv().is_err(),
        "one tunnel, and nothing of the call in its head"
    );
    let direct = caller.send(get(&format!("https://127.0.0.9:{}/", tls.port())), DEADLINE).await;
    assert_eq!(
        direct.unwrap_err().kind,
        CallFaultKind::Connect,
        "nobody listens there, and no proxy was asked"
    );
    assert!(heads.try_recv().is_err());
}

#[tokio::test]
async fn behind_a_proxy_the_target_is_judged_as_far_as_it_is_known() {
    let (address, count, _heads) = proxy(([127, 0, 0, 1], 1).into()).await;
    let caller = by_proxy(address, KNOWN, &[]);
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "10.0.0.1",
        "localhost",
        "169.254.169.254",
        "127.0.0.9",
    ] {
        let plain = fault(&caller, &format!("http://{host}/?secret")).await;
        assert_eq!((plain.kind, plain.sent), (CallFaultKind::Refused, false), "{plain}");
        let fault = fault(&caller, &format!("https://{host}/?secret")).await;
        assert!(!fault.sent && fault.kind != CallFaultKind::Connect, "{fault}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "no proxy was asked");
}

#[tokio::test]
async fn a_proxy_that_lets_nobody_through_is_a_fault_before_anything_was_sent() {
    let (address, _, _heads) = proxy(([127, 0, 0, 1], 1).into()).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let strange = answering(b"SSH-2.0-OpenSSH_9.9\r\n").await;
    let callers = [by_proxy(address, None, &[]), by_proxy(gone, KNOWN, &[])];
    for (caller, said) in callers.iter().zip(["the proxy", "at the proxy: no connection to"]) {
        for uri in ["http://nobody.invalid/?secret", "https://nobody.invalid/?secret"] {
            let fault = fault(caller, uri).await;
            assert_eq!((fault.kind, fault.sent), (CallFaultKind::Connect, false), "{fault}");
            assert!(fault.message.contains(said) && !fault.message.contains("secret"), "{fault}");
        }
    }
    let fault = fault(&by_proxy(strange, KNOWN, &[]), "https://nobody.invalid/").await;
    assert_eq!((fault.kind, fault.sent), (CallFaultKind::Connect, false), "{fault}");
}

#[tokio::test]
async fn the_product_itself_is_no_proxy() {
    let (ops, count, _reports) = reporting().await;
    let proxy = crate::Proxy {
        host: "localhost".into(),
        port: ops.port(),
        authorization: None,
        no_proxy_ranges: Vec::new(),
        no_proxy_names: Vec::new(),
    };
    let policy = Policy { ops_listeners: vec![ops], proxy: Some(proxy), ..loopback() };
    let fault = fault(&Caller::new(policy, Clock::system()), "http://nobody.invalid/").await;
    assert_eq!((fault.kind, fault.sent, count.load(Ordering::SeqCst)), (CallFaultKind::Connect, false, 0));
}

#[tokio::test]
async fn of_many_connections_only_some_are_kept() {
    const AT_ONCE: usize = 40;
    let (arrived, mut arrivals) = mpsc::channel(AT_ONCE);
    let release = Arc::new(tokio::sync::Semaphore::new(0));
    let hold = Arc::clone(&release);
    let (address, count) = server(move |mut stream| {
        let (arrived, hold) = (arrived.clone(), Arc::clone(&hold));
        async move {
            while !head(&mut stream).await.is_empty() {
                arrived.send(()).await.unwrap();
                hold.acquire().await.unwrap().forget();
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            }
        }
    })
    .await;
    let (caller, uri) = (caller(), format!("http://{address}/"));
    for _ in 0..2 {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let (caller, request) = (caller.clone(), get(&uri));
            calls.spawn(async move { caller.send(request, DEADLINE).await.unwrap() });
        }
        for _ in 0..AT_ONCE {
            arrivals.recv().await.unwrap();
        }
        release.add_permits(AT_ONCE);
        while let Some(answer) = calls.join_next().await {
            assert_eq!(answer.unwrap().status(), 200);
        }
    }
    let opened = count.load(Ordering::SeqCst);
    assert!((2 * AT_ONCE - loopback().idle..=2 * AT_ONCE).contains(&opened), "{opened}");
}
