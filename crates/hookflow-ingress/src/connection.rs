//! One connection, from its first byte to its last word.

use crate::answer::{Answer, Outcome, mark_durability, respond};
use crate::door::Doorway;
use crate::guards::{self, Knock};
use crate::receive::{Arriving, drain};
use crate::refusal::Refusal;
use crate::rejections::{Rejection, Sketch};
use crate::request_id::RequestId;
use crate::seats::Seat;
use crate::socket::Socket;
use crate::wire::{HeadLimits, Line, Violation, Wire};
use bytes::Bytes;
use hookflow_engine::LiveFlow;
use hookflow_runtime::Seldom;
use hookflow_text::Code;
use hookflow_trigger::Event;
use http::request::Parts;
use http::{Request, Response, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a last word may take to be heard.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves a connection until it ends.
pub(crate) async fn serve(doorway: Arc<Doorway>, stream: TcpStream, ip: IpAddr, _seat: Seat) {
    // What few connections need, or only for a moment, is boxed: every idle one would have room for it.
    let Some(socket) = Box::pin(open(&doorway, stream, ip)).await else { return };
    let limits = HeadLimits { bytes: doorway.limits.header_bytes, fields: doorway.limits.header_count };
    let (wire, line) = Wire::new(socket, limits, doorway.clock.clone());
    let overdue = converse(&doorway, wire, &line, ip).await;
    let is_slow = overdue && line.is_within_head();
    let (socket, violation) = line.take();
    let refusal = match violation {
        Some(Violation::TooLarge) => Refusal::HeadTooLarge,
        Some(Violation::AmbiguousLength) => Refusal::AmbiguousLength,
        Some(Violation::Malformed) => Refusal::Malformed,
        None if is_slow => Refusal::HeadTooSlow,
        None => return,
    };
    if let Some(socket) = socket {
        Box::pin(farewell(&doorway, socket, ip, refusal)).await;
    }
}

/// Agrees on TLS, where it is spoken. A caller has as long for that as for a head.
async fn open(doorway: &Doorway, stream: TcpStream, ip: IpAddr) -> Option<Socket> {
    let Some(tls) = &doorway.tls else { return Some(Socket::Plain(stream)) };
    let mut soft = doorway.tasks.soft();
    let accepting = doorway.clock.timeout(doorway.limits.header_timeout, tls.acceptor().accept(stream));
    let why = tokio::select! {
        biased;
        accepted = accepting => match accepted {
            Ok(Ok(stream)) => return Some(Socket::Tls(Box::new(stream))),
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        },
        () = soft.wait() => return None,
    };
    doorway.metrics.refused(Code("connection.tls"));
    tracing::debug!(target: "door", %ip, why, "a connection could not agree on TLS");
    None
}

/// Lets the HTTP library speak until the connection ends or nothing is heard for too long. On shutdown the answers
/// under way are still sent. Returns whether it ended because a head did not come.
async fn converse(doorway: &Arc<Doorway>, wire: Wire, line: &Arc<Line>, ip: IpAddr) -> bool {
    let service = service_fn(|request| {
        let (doorway, line) = (Arc::clone(doorway), Arc::clone(line));
        // Before the library reads on.
        line.begin();
        // The library keeps room for it as long as the connection lives, so in a box an idle one costs little.
        Box::pin(answer(doorway, line, request, ip))
    });
    let mut connection = pin!(doorway.http.serve_connection(TokioIo::new(wire), service));
    let mut overdue = Seldom::new(line.overdue(doorway.limits.header_timeout));
    // The time that an HTTP/2 connection has left once it was told to end. Boxed: few come to it.
    let mut last = None;
    let mut soft = doorway.tasks.soft();
    let mut soft = Seldom::new(async move { soft.wait().await });
    let mut draining = false;
    loop {
        tokio::select! {
            biased;
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(target: "door", %ip, %error, "a connection broke");
                }
                return false;
            }
            () = &mut soft, if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = &mut overdue, if last.is_none() => {
                if !line.is_http2() {
                    return true;
                }
                // Its caller may be about to ask, so it is told to ask elsewhere first.
                last = Some(Box::pin(doorway.clock.sleep(doorway.limits.body_timeout)));
                connection.as_mut().graceful_shutdown();
            }
            () = async { if let Some(last) = &mut last { last.await } }, if last.is_some() => return false,
        }
    }
}

/// From a request to its answer, logged and counted.
async fn answer(
    doorway: Arc<Doorway>,
    line: Arc<Line>,
    request: Request<Incoming>,
    ip: IpAddr,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let doorway = &*doorway;
    let (parts, body) = request.into_parts();
    let body = Arriving::new(body, &parts.headers, doorway.memory.share());
    let response = take(doorway, parts, body, ip).await;
    line.answered();
    Ok(response.map(Full::new))
}

/// The same for a request whose body comes from anywhere.
pub(crate) async fn take(doorway: &Doorway, parts: Parts, mut body: Arriving, ip: IpAddr) -> Response<Bytes> {
    let at = doorway.clock.now();
    let id = doorway.chance.id_at(at);
    let request_id = RequestId::of(&parts.headers).unwrap_or_else(|| RequestId::new(&id));
    let mut knock = Knock { ip, at, id, flow: None };
    let http2 = parts.version == Version::HTTP_2;
    let sketch = Sketch::of(&parts);
    let outcome = guards::pass(doorway, parts, &mut body, &mut knock).await.unwrap_or_else(Outcome::Refused);
    let received = body.received();
    if let Some(unread) = body.unread() {
        // The answer must not wait for what a refused caller still sends.
        doorway.tasks.spawn("drain", drain(unread, doorway.clock.clone()));
    }
    let finds_no_place = matches!(outcome, Outcome::Refused(Refusal::QueueFull(..)));
    let asked = Asked { ip: knock.ip, flow: knock.flow, sketch: Some(sketch), received };
    let mut response = conclude(doorway, outcome, &request_id, asked);
    if finds_no_place {
        // Nothing of the request is left by now but its answer.
        Box::pin(doorway.delays.keep()).await;
    }
    if http2 {
        // HTTP/2 has no such header.
        response.headers_mut().remove(header::CONNECTION);
    }
    response
}

/// What becomes of an event that nobody proved, from within the program.
pub(crate) async fn take_event(doorway: &Doorway, event: Event) -> Response<Bytes> {
    let request_id = RequestId::new(event.id());
    let flow = doorway.engine.generation().flows.get(event.flow()).cloned();
    let ip = event.head().ip;
    let outcome = match &flow {
        Some(live) => guards::admit(doorway, live, event, ip).await.unwrap_or_else(Outcome::Refused),
        None => Outcome::Refused(Refusal::UnknownRoute),
    };
    conclude(doorway, outcome, &request_id, Asked { ip, flow, sketch: None, received: 0 })
}

/// What an operator may hear of a request.
struct Asked {
    ip: IpAddr,
    flow: Option<Arc<LiveFlow>>,
    sketch: Option<Sketch>,
    received: u64,
}

/// Chooses the answer, counts and logs it, and keeps what was refused.
fn conclude(doorway: &Doorway, outcome: Outcome, request_id: &RequestId, asked: Asked) -> Response<Bytes> {
    let refusal = match &outcome {
        Outcome::Refused(refusal) => Some(refusal),
        _ => None,
    };
    let (refused, reason) = (refusal.is_some(), refusal.and_then(Refusal::reason));
    // Where nothing else says what was asked for. Elsewhere a path may hold what only its sender should know.
    let misled = matches!(refusal, Some(Refusal::UnknownRoute | Refusal::Method(_)));
    let Answer { mut response, code } = respond(outcome, request_id);
    let Asked { ip, flow, sketch, received } = asked;
    mark_durability(&mut response, flow.as_deref());
    let (request, status) = (request_id.as_str(), response.status());
    let flow_id = flow.as_ref().map(|live| &*live.flow.id);
    let Some(code) = code else {
        tracing::debug!(target: "door", request, flow = flow_id, status = status.as_u16(), "answered");
        return response;
    };
    let asked_for = sketch.as_ref().filter(|_| misled);
    let (method, path) = (asked_for.map(Sketch::method), asked_for.map(Sketch::path));
    let number = status.as_u16();
    tracing::info!(target: "door", request, flow = flow_id, status = number, %code, reason, method, path, "answered with a no");
    if refused {
        match &flow {
            Some(live) => live.count_refusal(code),
            None => doorway.metrics.refused(code),
        }
        let flow = flow.map(|live| Arc::clone(&live.flow.id));
        let (at, request, ip) = (doorway.clock.now(), request.to_owned(), Some(ip));
        doorway.rejections.keep(Rejection { at, request, ip, flow, status, code, reason, sketch, received });
    }
    response
}

/// Says why the connection ends, and listens for a moment so that it is heard.
async fn farewell(doorway: &Doorway, mut socket: Socket, ip: IpAddr, refusal: Refusal) {
    let text = last_words(doorway, ip, refusal);
    let saying = async {
        socket.write_all(&text).await?;
        socket.shutdown().await?;
        let mut sink = [0; 4096];
        while socket.read(&mut sink).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Whoever has gone, or goes on for too long, has lost it by own doing.
    drop(doorway.clock.timeout(FAREWELL, saying).await);
}

/// Says that there is no room, after a moment and without listening.
pub(crate) async fn turn_away(doorway: Arc<Doorway>, stream: TcpStream, ip: IpAddr) {
    let text = last_words(&doorway, ip, Refusal::ConnectionsFull);
    doorway.turned_away.keep().await;
    if doorway.tls.is_some() {
        return; // Who expects TLS understands no other word.
    }
    // A fresh socket takes so few bytes at once, or its caller hears nothing.
    drop(stream.try_write(&text));
}

/// An answer as it stands on the wire, for when the HTTP library does not speak.
fn last_words(doorway: &Doorway, ip: IpAddr, refusal: Refusal) -> Vec<u8> {
    let request_id = RequestId::new(&doorway.chance.uuid_v7().to_string());
    let asked = Asked { ip, flow: None, sketch: None, received: 0 };
    let response = conclude(doorway, Outcome::Refused(refusal), &request_id, asked);
    let mut text = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    let mut field = |name: &[u8], value: &[u8]| text.extend([name, b": ", value, b"\r\n"].concat());
    for (name, value) in response.headers() {
        if name != header::CONNECTION {
            field(name.as_ref(), value.as_bytes());
        }
    }
    field(b"connection", b"close");
    field(b"content-length", response.body().len().to_string().as_bytes());
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(response.body());
    text
}
