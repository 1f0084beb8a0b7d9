//! Callers who find a queue full, or no seat, are kept for a moment, and nobody else.

use super::bench::{Bench, Request, hear, limits, memory, open_with};
use crate::DoorLimits;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const ROOM: usize = 10;

/// A door that keeps callers for longer than any test takes, whose flow `full` is full.
async fn open() -> Bench {
    let delay = Duration::from_hours(1);
    let limits = DoorLimits { connections: 2 * ROOM, quick_refusals: 0, refusal_delay: delay, ..limits() };
    let bench = open_with(&[], limits, memory()).await;
    assert_eq!(bench.send(&full()).await.status, 202);
    bench
}

fn full() -> Request {
    Request::post("/hook/full", "{}").by_partner()
}

async fn until_room(bench: &Bench, room: usize) {
    for _ in 0..1_000 {
        if bench.doorway.delays.room() == room {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there is room for {} and not for {room}", bench.doorway.delays.room());
}

/// Callers who are kept.
async fn keep(bench: &Bench, count: usize) -> Vec<TcpStream> {
    let mut kept = Vec::new();
    for _ in 0..count {
        let mut stream = bench.connect().await;
        stream.write_all(full().to_string().as_bytes()).await.unwrap();
        kept.push(stream);
    }
    kept
}

#[tokio::test]
async fn who_finds_a_queue_full_is_kept_until_shutdown_and_nobody_else_is() {
    let bench = open().await;
    let mut kept = keep(&bench, ROOM).await;
    until_room(&bench, 0).await;
    assert_eq!(bench.memory.taken(), 0, "nothing is held of their bodies");
    let series = "hookflow_requests_refused_total{code=\"queue.full\",flow=\"full\"}";
    assert_eq!(bench.counted(series).as_deref(), Some("10"), "they are counted already");
    let heard = bench.send(&full()).await;
    assert_eq!((heard.status, heard.code().as_str()), (429, "queue.full"), "there is no room for one more");
    let let_go = async {
        let mut answers = Vec::new();
        for stream in &mut kept {
            answers.push(hear(stream).await);
        }
        answers
    };
    let (left, answers) = tokio::join!(bench.tasks.drain(Duration::from_secs(10)), let_go);
    assert_eq!(left, Vec::<&str>::new());
    for heard in answers {
        assert_eq!((heard.status, heard.code().as_str()), (429, "queue.full"));
        assert!(heard.header("retry-after").is_some());
    }
}

#[tokio::test]
async fn who_finds_no_seat_is_kept_too() {
    let delay = Duration::from_hours(1);
    let limits =
        DoorLimits { connections_per_address: 2, quick_refusals: 0, refusal_delay: delay, ..limits() };
    let bench = open_with(&[], limits, memory()).await;
    let _seats = (bench.connect().await, bench.connect().await);
    let room = bench.doorway.turned_away.room();
    let mut third = bench.connect().await;
    for _ in 0..1_000 {
        if bench.doorway.turned_away.room() < room {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.doorway.turned_away.room(), room - 1);
    let (_, heard) = tokio::join!(bench.tasks.drain(Duration::from_secs(10)), hear(&mut third));
    assert_eq!((heard.status, heard.code().as_str()), (503, "connection.limit"));
}

#[tokio::test]
async fn other_refusals_are_told_at_once() {
    let bench = open().await;
    for (request, status) in [
        (full().without("Authorization"), 401),
        (full().method("PUT"), 405),
        (full().header("Content-Type", "application/xml"), 415),
        (Request::post("/hook/none", "{}"), 404),
        (Request::post("/hook/stopped", "{}"), 503),
    ] {
        assert_eq!(bench.send(&request).await.status, status, "{request}");
    }
    assert_eq!(bench.doorway.delays.room(), ROOM);
}

#[tokio::test]
async fn a_stream_that_is_kept_holds_up_no_other_and_makes_room_when_it_is_taken_back() {
    let bench = open().await;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(bench.connect().await))
            .await
            .unwrap();
    bench.tasks.spawn("client", async move { drop(connection.await) });
    let ask = |path: &str| {
        let request = http::Request::post(format!("http://x{path}"))
            .header("content-type", "application/json")
            .header("authorization", "Basic YWNtZTp0aGUgc2VjcmV0IG9mIFBBU1NXT1JE");
        sender.clone().send_request(request.body(Full::new(Bytes::from_static(b"{}"))).unwrap())
    };
    let mut kept = Box::pin(ask("/hook/full"));
    tokio::select! {
        answer = &mut kept => panic!("it is not kept: {answer:?}"),
        () = until_room(&bench, ROOM - 1) => {}
    }
    assert_eq!(ask("/hook/quiet").await.unwrap().status(), 202);
    drop(kept);
    until_room(&bench, ROOM).await;
}
