//! The limits that `cargo xtask bench` measures against: a server that does one flow's work by hand, with
//! nothing around it. It reads the body, verifies an HMAC-SHA256 in constant time and parses the JSON as a value
//! (a receiver does not know its senders' types), a form as pairs, XML as events. Then, by its mode,
//!
//! - `reply` maps three fields and answers JSON,
//! - `accept` answers 202 at once and keeps nothing,
//! - `append` answers 202 when the body is on the disk: one thread takes what has gathered, appends it to the file
//!   `events` with one write and one fdatasync, and then lets all of them be answered;
//! - `sqlite-accept` answers 202 and `sqlite-reply` with the fields, both when the body is in the database `events.db`: one
//!   thread takes what has gathered into one transaction, and with it the ends of what was answered before. Nothing else
//!   is kept, so this is what hookflow's store could reach;
//! - `slow` does nothing of all that, and answers after 5 ms, or never if the path ends so: a service for hookflow to call.
//!
//! Two threads, each with its own runtime and its own socket on one port: the fastest shape hyper has on two
//! cores. Prints its URL first.

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use quick_xml::events::Event as XmlEvent;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::Sha256;
use std::fs::File;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

const THREADS: usize = 2;
const MOST_BYTES: usize = 1 << 20;
/// As many as wait for the writer, and as many as one write takes.
const GROUP: usize = 1024;
const SLOW: Duration = Duration::from_millis(5);
const QUEUED: &str = r#"{"status":"queued"}"#;

type Key = Hmac<Sha256>;

#[derive(Clone)]
struct Door {
    key: Key,
    slow: bool,
    /// Three fields, or 202.
    replies: bool,
    writer: Option<Writer>,
}

#[derive(Clone)]
struct Writer {
    asks: mpsc::Sender<Ask>,
    /// Whether it also keeps that an event has run.
    ends: bool,
}

enum Ask {
    /// Says the event's number when it is on the disk.
    Keep {
        head: String,
        body: Bytes,
        kept: oneshot::Sender<i64>,
    },
    End(i64),
}

fn main() -> Result<()> {
    const USAGE: &str = "usage: bare <secret> [reply|accept|append|sqlite-accept|sqlite-reply|slow]";
    let mut args = std::env::args().skip(1);
    let secret = args.next().context(USAGE)?;
    let mode = args.next().unwrap_or_else(|| "reply".into());
    let (asks, asked) = mpsc::channel(GROUP);
    let writer = |ends| Some(Writer { asks, ends });
    let (replies, writer) = match mode.as_str() {
        "reply" | "slow" => (true, None),
        "accept" => (false, None),
        "append" => (false, writer(false)),
        "sqlite-accept" => (false, writer(true)),
        "sqlite-reply" => (true, writer(true)),
        _ => bail!(USAGE),
    };
    let door = Door { key: Key::new_from_slice(secret.as_bytes())?, slow: mode == "slow", replies, writer };
    let mut sockets = vec![socket(0)?];
    let port = sockets.first().context("no socket")?.local_addr()?.port();
    for _ in 1..THREADS {
        sockets.push(socket(port)?);
    }
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        match door.writer {
            None => {}
            Some(Writer { ends: false, .. }) => {
                let file = File::create("events")?;
                threads.push(scope.spawn(|| append(file, asked)));
            }
            Some(Writer { ends: true, .. }) => {
                let database = open()?;
                threads.push(scope.spawn(|| store(database, asked)));
            }
        }
        println!("http://127.0.0.1:{port}/hook/door");
        for socket in sockets {
            let door = door.clone();
            threads.push(scope.spawn(|| serve(socket, door)));
        }
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}

/// Group commit: what comes while one group is being synced is the next group.
fn append(mut file: File, mut asked: mpsc::Receiver<Ask>) -> Result<()> {
    let (mut group, mut bytes) = (Vec::new(), Vec::new());
    while asked.blocking_recv_many(&mut group, GROUP) > 0 {
        bytes.clear();
        for ask in &group {
            if let Ask::Keep { body, .. } = ask {
                bytes.extend_from_slice(&u32::try_from(body.len())?.to_be_bytes());
                bytes.extend_from_slice(body);
            }
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        for ask in group.drain(..) {
            if let Ask::Keep { kept, .. } = ask {
                // Who asked may be gone.
                let _gone = kept.send(0);
            }
        }
    }
    Ok(())
}

/// Tables that only grow at their end, and the settings of hookflow's store.
fn open() -> Result<Connection> {
    let database = Connection::open("events.db")?;
    database.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))?;
    database.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8000;
         PRAGMA journal_size_limit = 67108864;
         CREATE TABLE events (seq INTEGER PRIMARY KEY, head TEXT NOT NULL, body BLOB NOT NULL);
         CREATE TABLE ends (seq INTEGER PRIMARY KEY);",
    )?;
    Ok(database)
}

/// Group commit, as above.
fn store(mut database: Connection, mut asked: mpsc::Receiver<Ask>) -> Result<()> {
    let (mut group, mut answers, mut last) = (Vec::new(), Vec::new(), 0);
    while asked.blocking_recv_many(&mut group, GROUP) > 0 {
        let transaction = database.transaction()?;
        {
            let mut event = transaction.prepare_cached("INSERT INTO events VALUES (?, ?, ?)")?;
            let mut end = transaction.prepare_cached("INSERT INTO ends VALUES (?)")?;
            for ask in group.drain(..) {
                match ask {
                    Ask::Keep { head, body, kept } => {
                        last += 1;
                        event.execute((last, head, body.as_ref()))?;
                        answers.push((kept, last));
                    }
                    Ask::End(seq) => {
                        end.execute([seq])?;
                    }
                }
            }
        }
        transaction.commit()?;
        for (kept, seq) in answers.drain(..) {
            let _gone = kept.send(seq);
        }
    }
    Ok(())
}

fn socket(port: u16) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

fn serve(socket: TcpSocket, door: Door) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = socket.listen(1024)?;
        accept(&listener, Rc::new(door)).await
    })
}

async fn accept(listener: &TcpListener, door: Rc<Door>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let door = Rc::clone(&door);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| answer(request, Rc::clone(&door)));
            // A connection that breaks is the load generator's to report.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(request: Request<Incoming>, door: Rc<Door>) -> Result<Response<Full<Bytes>>, http::Error> {
    if door.slow {
        return slow(request).await;
    }
    let (head, body) = request.into_parts();
    #[expect(clippy::disallowed_methods, reason = "the body is capped here")]
    let Ok(body) = Limited::new(body, MOST_BYTES).collect().await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let body = body.to_bytes();
    let mut key = door.key.clone();
    key.update(&body);
    let signature = head.headers.get("x-signature").and_then(|value| unhex(value.as_bytes()));
    if signature.is_none_or(|signature| key.verify_slice(&signature).is_err()) {
        return refuse(StatusCode::UNAUTHORIZED);
    }
    let format =
        head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(order) = order(format, &body) else { return refuse(StatusCode::BAD_REQUEST) };
    if let Some(writer) = &door.writer {
        let (kept, durable) = oneshot::channel();
        let keep = Ask::Keep { head: text(&head.headers), body, kept };
        // Both fail only when the writer has failed.
        if writer.asks.send(keep).await.is_err() {
            return refuse(StatusCode::SERVICE_UNAVAILABLE);
        }
        let Ok(seq) = durable.await else { return refuse(StatusCode::SERVICE_UNAVAILABLE) };
        if writer.ends && writer.asks.send(Ask::End(seq)).await.is_err() {
            return refuse(StatusCode::SERVICE_UNAVAILABLE);
        }
    }
    if !door.replies {
        return respond(StatusCode::ACCEPTED, Bytes::from_static(QUEUED.as_bytes()));
    }
    let [id, amount, customer] = order;
    let reply = json!({"id": id, "amount": amount, "customer": customer});
    respond(StatusCode::OK, Bytes::from(reply.to_string()))
}

/// The headers, as they came.
fn text(headers: &HeaderMap) -> String {
    headers.iter().fold(String::new(), |text, (name, value)| {
        text + name.as_str() + ": " + &String::from_utf8_lossy(value.as_bytes()) + "\n"
    })
}

async fn slow(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, http::Error> {
    if request.uri().path().ends_with("/never") {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(SLOW).await;
    respond(StatusCode::OK, Bytes::from_static(br#"{"customer":"Ada Lovelace"}"#))
}

/// The three fields; none if the body is not what it should be.
fn order(format: &str, body: &[u8]) -> Option<[Value; 3]> {
    match format {
        "application/x-www-form-urlencoded" => {
            let mut found = [Value::Null, Value::Null, Value::Null];
            for (name, value) in form_urlencoded::parse(body) {
                set(&mut found, &name, &value);
            }
            Some(found)
        }
        "application/xml" => xml(std::str::from_utf8(body).ok()?),
        _ => {
            let value: Value = serde_json::from_slice(body).ok()?;
            let field = |path| value.pointer(path).cloned().unwrap_or_default();
            Some([field("/id"), field("/amount"), field("/customer/name")])
        }
    }
}

fn xml(text: &str) -> Option<[Value; 3]> {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut found = [Value::Null, Value::Null, Value::Null];
    let mut name = String::new();
    loop {
        match reader.read_event().ok()? {
            XmlEvent::Start(start) => start.name().as_ref().clone_into(&mut name),
            XmlEvent::Text(text) => set(&mut found, &name, &text),
            XmlEvent::Eof => return Some(found),
            _ => {}
        }
    }
}

fn set(found: &mut [Value; 3], name: &str, value: &str) {
    let [id, amount, customer] = found;
    match name {
        "id" => *id = value.into(),
        "amount" => *amount = value.into(),
        "customer" => *customer = value.into(),
        _ => {}
    }
}

fn respond(status: StatusCode, body: Bytes) -> Result<Response<Full<Bytes>>, http::Error> {
    Response::builder().status(status).header(header::CONTENT_TYPE, "application/json").body(Full::new(body))
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
