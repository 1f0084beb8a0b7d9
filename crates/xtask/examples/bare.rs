//! The limit that `cargo xtask bench door` measures against: a server that does one flow's work by hand, with
//! nothing around it. It reads the body, verifies an HMAC-SHA256 in constant time, parses the JSON as a value
//! (a receiver does not know its senders' types), maps three fields and answers JSON.
//!
//! Two threads, each with its own runtime and its own socket on one port: the fastest shape hyper has on two
//! cores. Prints its URL first.

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::Sha256;
use std::net::Ipv4Addr;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

const THREADS: usize = 2;
const MOST_BYTES: usize = 1 << 20;

type Key = Hmac<Sha256>;

fn main() -> Result<()> {
    let secret = std::env::args().nth(1).context("usage: bare <secret>")?;
    let key = Key::new_from_slice(secret.as_bytes())?;
    let mut sockets = vec![socket(0)?];
    let port = sockets.first().context("no socket")?.local_addr()?.port();
    for _ in 1..THREADS {
        sockets.push(socket(port)?);
    }
    let key = &key;
    println!("http://127.0.0.1:{port}/hook/door");
    std::thread::scope(|scope| {
        let threads: Vec<_> = sockets.into_iter().map(|socket| scope.spawn(|| serve(socket, key))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}

fn socket(port: u16) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

fn serve(socket: TcpSocket, key: &Key) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = socket.listen(1024)?;
        accept(&listener, key).await
    })
}

async fn accept(listener: &TcpListener, key: &Key) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let key = key.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| answer(request, key.clone()));
            // A connection that breaks is the load generator's to report.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(request: Request<Incoming>, mut key: Key) -> Result<Response<Full<Bytes>>, http::Error> {
    let (head, body) = request.into_parts();
    #[expect(clippy::disallowed_methods, reason = "the body is capped here")]
    let Ok(body) = Limited::new(body, MOST_BYTES).collect().await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let body = body.to_bytes();
    key.update(&body);
    let signature = head.headers.get("x-signature").and_then(|value| unhex(value.as_bytes()));
    if signature.is_none_or(|signature| key.verify_slice(&signature).is_err()) {
        return refuse(StatusCode::UNAUTHORIZED);
    }
    let Ok(value) = serde_json::from_slice::<Value>(&body) else {
        return refuse(StatusCode::BAD_REQUEST);
    };
    let reply = json!({
        "id": value.get("id"),
        "amount": value.get("amount"),
        "customer": value.pointer("/customer/name"),
    });
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(reply.to_string())))
}

fn refuse(status: StatusCode) -> Result<Response<Full<Bytes>>, http::Error> {
    Response::builder().status(status).body(Full::default())
}

fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_chunks::<2>();
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}
