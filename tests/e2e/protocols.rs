//! The ways to speak to the public listener: one request after another, many at once, and HTTP/2.

use super::answers::{KEY, call, folder};
use super::service::{SOON, Service};
use super::wire::{Request, Wire};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::task::Poll;
use tokio::runtime::Builder;

#[test]
fn a_connection_serves_one_request_after_another() {
    let folder = folder();
    let service = Service::start(&folder);
    let mut wire = Wire::connect(service.public);
    let head = Request::new("HEAD", "/hook/created");
    for _ in 0..20 {
        assert_eq!(wire.ask(&call("created", "{}")).status, 201);
        // A no does not end the connection either.
        assert_eq!(wire.ask(&call("created", "{").header("X-Pad", "x")).status, 400);
        assert_eq!(wire.ask(&call("nobody", "{}")).status, 404);
        assert_eq!(wire.ask(&Request::json("/hook/created", "{}")).status, 401);
        assert_eq!(wire.ask(&head).status, 200);
    }
    let last = wire.ask(&call("created", "{}").header("Connection", "close"));
    assert_eq!(last.status, 201);
    wire.assert_closed();
    service.stop_sound();
}

#[test]
fn requests_that_come_at_once_are_answered_in_order() {
    let folder = folder();
    let service = Service::start(&folder);
    let mut wire = Wire::connect(service.public);
    let mut sent = Vec::new();
    let calls =
        [("item/of/one", 200), ("nobody", 404), ("item/of/two", 200), ("queued", 202), ("item/of/x", 200)];
    for (number, (flow, _)) in calls.iter().enumerate() {
        sent.extend(call(flow, "{}").header("X-Request-Id", &number.to_string()).bytes());
    }
    let chunked =
        Request { body: b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\nX-Trailer: z\r\n\r\n".to_vec(), ..call("open", "") };
    sent.extend(chunked.header("Transfer-Encoding", "chunked").bytes());
    sent.extend(call("created", "{}").bytes());
    wire.send(sent);
    for (number, (flow, status)) in calls.iter().enumerate() {
        let answer = wire.answer();
        assert_eq!(answer.status, *status, "{flow}: {answer:?}");
        assert_eq!(answer.header("x-request-id"), Some(number.to_string().as_str()));
    }
    assert_eq!(wire.answer().text(), "{}");
    assert_eq!(wire.answer().status, 201);
    service.stop_sound();
}

#[test]
fn other_forms_of_a_request_have_their_answers() {
    let folder = folder();
    let service = Service::start(&folder);
    let rest = format!(
        "X-Api-Key: {KEY}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    for (request, status) in [
        (format!("POST /hook/created HTTP/1.0\r\n{rest}"), 201),
        (format!("POST /hook/created HTTP/1.1\r\n{rest}"), 201),
        (format!("\r\n\r\nPOST /hook/created HTTP/1.1\n{}", rest.replace('\r', "")), 201),
        (format!("POST http://elsewhere/hook/created HTTP/1.1\r\n{rest}"), 201),
        (format!("OPTIONS * HTTP/1.1\r\n{rest}"), 404),
        (format!("CONNECT 127.0.0.1:22 HTTP/1.1\r\n{rest}"), 404),
        (format!("GET /hook/created HTTP/1.1\r\nUpgrade: websocket\r\n{rest}"), 405),
        (format!("POST /hook/created HTTP/2.0\r\n{rest}"), 400),
        (format!("POST /hook/created\r\n{rest}"), 400),
        (format!("POST  /hook/created HTTP/1.1\r\n{rest}"), 400),
        (format!("POST /hook/cre ated HTTP/1.1\r\n{rest}"), 400),
        (format!("POST /hook/created HTTP/1.1\r\n folded: x\r\n{rest}"), 400),
        (format!("POST /hook/created HTTP/1.1\r\nX-A: b\r\n c\r\n{rest}"), 400),
        (format!("POST /hook/created HTTP/1.1\r\nno colon\r\n{rest}"), 400),
        (format!("\x16\x03\x01\x02\0\x01\r\n{rest}"), 400),
    ] {
        let mut wire = Wire::connect(service.public);
        wire.send(&request);
        let heard = String::from_utf8(wire.rest()).unwrap();
        let heard = heard.split(' ').nth(1).and_then(|status| status.parse().ok());
        assert_eq!(heard, Some(status), "{request:?}");
    }
    service.stop_sound();
}

#[test]
fn who_closes_one_side_behind_a_request_still_hears_the_answer() {
    let folder = folder();
    let service = Service::start(&folder);
    for _ in 0..20 {
        let mut wire = Wire::connect(service.public);
        wire.send(call("created", "{}").bytes());
        wire.end_sending();
        assert_eq!(wire.answer().status, 201);
        wire.assert_closed();
    }
    service.stop_sound();
}

#[test]
fn a_request_may_come_in_any_pieces() {
    let folder = folder();
    let service = Service::start(&folder);
    let bytes = call("open", r#"{"whole": true}"#).bytes();
    let mut wire = Wire::connect(service.public);
    for byte in &bytes {
        wire.send([*byte]);
    }
    assert_eq!(wire.answer().text(), r#"{"whole":true}"#);
    service.stop_sound();
}

type Http2 = Client<HttpConnector, Full<Bytes>>;

/// Sends a request by HTTP/2 without having asked whether it is spoken.
async fn http2(
    client: &Http2,
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = http::Request::post(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let answer = tokio::time::timeout(SOON, client.request(request)).await.unwrap().unwrap();
    let (parts, body) = answer.into_parts();
    #[expect(clippy::disallowed_methods, reason = "it is limited here")]
    let body = Limited::new(body, 1 << 20).collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, body)
}

#[test]
fn http2_is_spoken_to_who_begins_with_it() {
    let folder = folder();
    let service = Service::start(&folder);
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(speak_http2(&client, service.public));
    assert_eq!(service.metric("hookflow_events_accepted_total{flow=\"open\"}"), Some(51));
    // A connection that is open and silent does not hold up the end.
    service.stop_sound();
    drop(client);
}

async fn speak_http2(client: &Http2, address: SocketAddr) {
    let json = ("content-type", "application/json");
    let send = async |path: &str, headers: &[(&str, &str)], body: &str| {
        http2(client, address, path, headers, body.to_owned()).await
    };
    let (status, headers, body) =
        send("/hook/open", &[json, ("x-request-id", "h2")], r#"{"a": [1.50]}"#).await;
    assert_eq!((status.as_u16(), &body[..]), (200, &br#"{"a":[1.50]}"#[..]));
    assert_eq!(headers["x-request-id"], "h2");
    assert!(headers.contains_key("x-run-id"));
    assert_eq!(send("/hook/created", &[json, ("x-api-key", KEY)], "{}").await.0, 201);
    assert_eq!(send("/hook/created", &[json], "{}").await.0, 401);
    assert_eq!(send("/hook/created", &[json, ("x-api-key", KEY)], "{").await.0, 400);
    assert_eq!(send("/hook/nobody", &[json], "{}").await.0, 404);
    assert_eq!(send("/hook/small", &[json, ("x-api-key", KEY)], &"1".repeat(2_000)).await.0, 413);
    // Fifty at the same time, on the one connection.
    let mut all: Vec<_> = (0..50).map(|_| Box::pin(send("/hook/open", &[], ""))).collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| one.as_mut().poll(cx).map(|answer| assert_eq!(answer.0, 200)).is_pending());
        if all.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
