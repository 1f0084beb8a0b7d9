//! Odd shapes on the wire: what is slow, too large, ambiguous or no HTTP at all, and HTTP/2.

use super::bench::{Request, hear, limits, memory, open, open_with};
use crate::DoorLimits;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const QUIET: &str = "POST /hook/quiet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

#[tokio::test]
async fn two_lengths_are_refused_and_the_connection_closed() {
    let bench = open().await;
    for fields in [
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 2",
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2\r\ncontent-length: 3",
    ] {
        let heard = bench.say(format!("{QUIET}{fields}\r\n\r\n{{}}").as_bytes()).await;
        assert_eq!((heard.status, heard.code().as_str()), (400, "request.ambiguous-length"), "{fields}");
        assert_eq!(heard.header("connection"), Some("close"));
    }
    let series = "hookflow_requests_refused_total{code=\"request.ambiguous-length\",flow=\"_none\"}";
    assert_eq!(bench.counted(series).as_deref(), Some("4"));
    assert_eq!(bench.counted("hookflow_events_accepted_total{flow=\"quiet\"}"), None);
}

#[tokio::test]
async fn what_is_no_http_is_refused_in_our_words() {
    let bench = open().await;
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "POST /hook/quiet\r\n\r\n",
        "POST /hook/quiet HTTP/3.7\r\nHost: x\r\n\r\n",
        "POST /hook/qu iet HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /hook/quiet HTTP/1.1\r\nHo st: x\r\n\r\n",
        "POST /hook/quiet HTTP/1.1\r\nHost : x\r\n\r\n",
        "POST /hook/quiet HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        "POST /hook/quiet HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /hook/quiet HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\nhello",
        "POST /hook/quiet HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "POST /hook/quiet HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /hook/quiet HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
    ] {
        let heard = bench.say(bytes.as_bytes()).await;
        assert_eq!((heard.status, heard.code().as_str()), (400, "request.malformed"), "{bytes:?}");
        assert_eq!(heard.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let bench = open().await;
    let large = format!("{QUIET}X: {}\r\n\r\n", "x".repeat(33 << 10));
    let endless = "X".repeat(40 << 10);
    let many = format!("{QUIET}{}\r\n", "a: b\r\n".repeat(99));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    for bytes in [&large, &endless, &many, &long] {
        let heard = bench.say(bytes.as_bytes()).await;
        assert_eq!((heard.status, heard.code().as_str()), (431, "request.head-too-large"));
    }
    let just = format!("{QUIET}{}Connection: close\r\nContent-Length: 0\r\n\r\n", "a: b\r\n".repeat(96));
    assert_eq!(bench.say(just.as_bytes()).await.status, 202, "a hundred fields are taken");
    // Megabytes that nobody reads do not keep the answer from the caller.
    let mut flood = large.into_bytes();
    flood.resize(8 << 20, b'x');
    assert_eq!(bench.say(&flood).await.status, 431);
}

#[tokio::test]
async fn bodies_that_are_too_large_hear_so_while_they_speak() {
    let bench = open().await;
    let body = "x".repeat(4 << 20);
    for length in [Some(body.len()), None] {
        let request = Request { length, ..Request::post("/hook/quiet", &body) };
        let heard = bench.send(&request).await;
        assert_eq!((heard.status, heard.code().as_str()), (413, "body.too-large"), "{length:?}");
        assert_eq!(heard.json()["detail"], "at most 1048576 bytes are taken");
    }
    assert_eq!(bench.counted("hookflow_events_accepted_total{flow=\"quiet\"}").as_deref(), Some("0"));
    // Who asks first is told without having sent it.
    let asks = format!("{QUIET}Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n");
    let heard = bench.say(asks.as_bytes()).await;
    assert_eq!(heard.status, 413);
}

#[tokio::test]
async fn who_may_send_is_told_to_continue() {
    let bench = open().await;
    let mut stream = bench.connect().await;
    let head = format!("{QUIET}Connection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut word = [0; 25];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").await.unwrap();
    assert_eq!(hear(&mut stream).await.status, 202);
}

#[tokio::test]
async fn who_is_refused_by_the_head_is_not_told_to_continue() {
    let bench = open().await;
    let fields = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n";
    for (head, status) in [
        (format!("POST /hook/none {fields}\r\n"), 404),
        (format!("PATCH /hook/quiet {fields}\r\n"), 405),
        (format!("POST /hook/partner {fields}\r\n"), 401),
        (format!("POST /hook/partner {fields}Authorization: Basic Og==\r\n\r\n"), 401),
        (format!("POST /hook/signed {fields}\r\n"), 401),
    ] {
        // `hear` reads the first status that comes: it would be 100.
        assert_eq!(bench.say(head.as_bytes()).await.status, status, "{head}");
    }
}

fn hasty() -> DoorLimits {
    let soon = Duration::from_millis(200);
    DoorLimits { header_timeout: soon, body_timeout: soon, ..limits() }
}

#[tokio::test]
async fn slow_heads_and_bodies_are_cut_off() {
    let bench = open_with(&[], hasty(), memory()).await;
    for (bytes, code) in [
        ("P".to_owned(), "request.head-timeout"),
        (QUIET.to_owned(), "request.head-timeout"),
        (format!("{QUIET}Content-Length: 2\r\n\r\n{{"), "body.timeout"),
        (format!("{QUIET}Transfer-Encoding: chunked\r\n\r\n1\r\n{{"), "body.timeout"),
    ] {
        let heard = bench.say(bytes.as_bytes()).await;
        assert_eq!((heard.status, heard.code().as_str()), (408, code), "{bytes}");
        assert_eq!(heard.header("connection"), Some("close"));
    }
    // Bytes that drip do not lengthen the time.
    let mut stream = bench.connect().await;
    let (mut read, mut write) = stream.split();
    let dripping = async {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut text = String::new();
    let hearing = async { drop(read.read_to_string(&mut text).await) };
    tokio::select! {
        () = hearing => {}
        () = dripping => {}
        () = tokio::time::sleep(Duration::from_secs(5)) => panic!("it may drip for ever"),
    }
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
}

#[tokio::test]
async fn idle_connections_end_without_a_word() {
    let bench = open_with(&[], hasty(), memory()).await;
    let mut silent = bench.connect().await;
    let mut bytes = Vec::new();
    silent.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes.is_empty());
    let mut idle = bench.connect().await;
    for _ in 0..3 {
        // Each request has the whole time.
        tokio::time::sleep(Duration::from_millis(120)).await;
        idle.write_all(format!("{QUIET}Content-Length: 2\r\n\r\n{{}}").as_bytes()).await.unwrap();
        let mut answer = [0; 2048];
        let length = idle.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 202 "));
    }
    idle.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes.is_empty(), "{}", String::from_utf8_lossy(&bytes));
}

#[tokio::test]
async fn who_does_not_take_its_answers_is_let_go() {
    let bench = open_with(&[], hasty(), memory()).await;
    let request = Request::post("/hook/echo/of/x", &format!("\"{}\"", "x".repeat(1 << 20 >> 1))).to_string();
    let mut stream = bench.connect().await;
    let speaking = async {
        let request = request.replace("Connection: close\r\n", "");
        while stream.write_all(request.as_bytes()).await.is_ok() {}
    };
    tokio::time::timeout(Duration::from_secs(10), speaking).await.expect("the connection stays open");
}

#[tokio::test]
async fn a_long_answer_is_no_slow_head() {
    let hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flow = format!(
        "flow: late\nwebhook: {{auth: none, timeout: 600ms}}\nsteps: [{{http: {{url: 'http://{}/'}}}}, {{respond: {{}}}}]",
        hole.local_addr().unwrap()
    );
    let bench = open_with(&[&flow], hasty(), memory()).await;
    assert_eq!(bench.send(&Request::post("/hook/late", "{}")).await.status, 504);
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let bench = open().await;
    let refused = "POST /hook/none HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    let chunked = format!("{QUIET}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
    let sized = format!("{QUIET}Content-Length: 2\r\n\r\n{{}}");
    let last = format!("{QUIET}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}");
    let mut stream = bench.connect().await;
    stream.write_all([refused, &chunked, &sized, &last].concat().as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let statuses: Vec<_> = text.split("HTTP/1.1 ").skip(1).map(|answer| answer.get(..3).unwrap()).collect();
    assert_eq!(statuses, ["404", "202", "202", "202"]);
}

#[tokio::test]
async fn a_bad_head_takes_no_answer_from_the_requests_before_it() {
    let hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flow = format!(
        "flow: late\nwebhook: {{auth: none, timeout: 200ms}}\nsteps: [{{http: {{url: 'http://{}/'}}}}, {{respond: {{}}}}]",
        hole.local_addr().unwrap()
    );
    let bench = open_with(&[&flow], limits(), memory()).await;
    let quick = format!("{QUIET}Content-Length: 2\r\n\r\n{{}}");
    let late = quick.replace("/hook/quiet", "/hook/late");
    let many = format!("{QUIET}{}\r\n", "a: b\r\n".repeat(99));
    let bad: [(&str, &str, &str); 4] = [
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "400",
            "request.ambiguous-length",
        ),
        ("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400", "request.malformed"),
        ("PO ST\r\n\r\n", "400", "request.malformed"),
        (&many, "431", "request.head-too-large"),
    ];
    for (bad, status, code) in bad {
        for (before, statuses) in [
            (vec![&quick], vec!["202"]),
            (vec![&late], vec!["504"]),
            (vec![&quick, &late, &quick], vec!["202", "504", "202"]),
        ] {
            let before: String = before.into_iter().map(String::as_str).collect();
            for pieces in [vec![format!("{before}{bad}")], vec![before, bad.to_owned()]] {
                let mut stream = bench.connect().await;
                for piece in pieces {
                    stream.write_all(piece.as_bytes()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                let heard: Vec<_> =
                    text.split("HTTP/1.1 ").skip(1).map(|answer| answer.get(..3).unwrap()).collect();
                let expected: Vec<_> = statuses.iter().copied().chain([status]).collect();
                assert_eq!(heard, expected, "{bad}: {text}");
                assert!(text.contains(code), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_may_not_come_drop_by_drop() {
    let slow = DoorLimits { body_grace: Duration::from_millis(300), ..limits() };
    let bench = open_with(&[], slow, memory()).await;
    let mut stream = bench.connect().await;
    let head = format!("{QUIET}Connection: close\r\nContent-Length: 100000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let dripping = async {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut text = String::new();
    tokio::select! {
        ended = read.read_to_string(&mut text) => drop(ended),
        () = dripping => {}
        () = tokio::time::sleep(Duration::from_secs(5)) => panic!("it may drip for ever"),
    }
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("body.timeout"), "{text}");
    // What comes quickly enough has all the time that it earns.
    let mut stream = bench.connect().await;
    let head = format!("{QUIET}Connection: close\r\nContent-Length: 4000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(" ".repeat(2_000).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(800)).await;
    stream.write_all(format!("{}{{}}", " ".repeat(1_998)).as_bytes()).await.unwrap();
    assert_eq!(hear(&mut stream).await.status, 202);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn a_flood_of_http2_resets_ends_its_connection_only() {
    let bench = open().await;
    let mut stream = bench.connect().await;
    let mut flood = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
    for n in 0..2_000 {
        let id = 2 * n + 1;
        // POST, http, `/`, and an authority of `x`.
        flood.extend(frame(1, 4, id, &[0x83, 0x86, 0x84, 0x01, 1, b'x']));
        flood.extend(frame(3, 0, id, &8_u32.to_be_bytes()));
    }
    // It may be cut off while it still speaks.
    drop(stream.write_all(&flood).await);
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "the connection goes on");
    assert_eq!(bench.send(&Request::post("/hook/quiet", "{}")).await.status, 202);
}

#[tokio::test]
async fn idle_http2_connections_end() {
    let bench = open_with(&[], hasty(), memory()).await;
    let mut stream = bench.connect().await;
    let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
    stream.write_all(&hello).await.unwrap();
    let (mut read, mut write) = stream.split();
    let pinging = async {
        while write.write_all(&frame(6, 0, 0, &[7; 8])).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut heard = Vec::new();
    tokio::select! {
        ended = read.read_to_end(&mut heard) => drop(ended),
        () = pinging => {}
        () = tokio::time::sleep(Duration::from_secs(5)) => panic!("pings keep it open"),
    }
    let goaway = heard.windows(9).any(|head| head[3] == 7 && head[..3] == [0, 0, 8]);
    assert!(goaway, "it is told before");
}

#[tokio::test]
async fn connections_are_limited_by_address_and_given_back() {
    let few = DoorLimits { connections_per_address: 2, ..limits() };
    let bench = open_with(&[], few, memory()).await;
    let (first, _second) = (bench.connect().await, bench.connect().await);
    let mut third = bench.connect().await;
    let heard = hear(&mut third).await;
    assert_eq!((heard.status, heard.code().as_str()), (503, "connection.limit"));
    drop(first);
    let request = Request::post("/hook/quiet", "{}");
    for _ in 0..50 {
        if bench.send(&request).await.status == 202 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the place of a closed connection is not given back");
}

#[tokio::test]
async fn http2_is_spoken_to_who_begins_with_it() {
    let bench = open().await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(bench.connect().await))
            .await
            .unwrap();
    bench.tasks.spawn("client", async move { drop(connection.await) });
    let mut ask = async |path: &str, body: Vec<u8>, fields: usize| {
        let mut request =
            http::Request::post(format!("http://x{path}")).header("content-type", "application/json");
        for n in 0..fields {
            request = request.header(format!("x-{n}"), "y");
        }
        let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, 1 << 20);
        #[expect(clippy::disallowed_methods, reason = "it is capped")]
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    };
    assert_eq!(ask("/hook/echo/of/x", b"[1]".to_vec(), 0).await.0, 201);
    assert_eq!(ask("/hook/none", b"[1]".to_vec(), 0).await.0, 404);
    assert_eq!(ask("/hook/quiet", vec![b'x'; 2 << 20], 0).await.0, 413);
    let (status, body) = ask("/hook/quiet", b"{}".to_vec(), 101).await;
    assert_eq!(status, 431);
    assert!(body.contains("request.head-too-large"));
    assert_eq!(ask("/hook/quiet", b"{}".to_vec(), 50).await.0, 202);
}
