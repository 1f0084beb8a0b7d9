//! The bounds of the public listener, seen from outside: what is too large, too much or too slow.

use super::answers::{KEY, call, folder};
use super::service::Service;
use super::wire::{Request, Wire};

#[test]
fn a_body_that_is_too_large_is_refused_whether_announced_or_not() {
    let folder = folder();
    let service = Service::start(&folder);
    // Announced: the answer comes before a byte of the body is sent.
    let mut wire = Wire::connect(service.public);
    let announced = call("small", "").set("Content-Length", "1025");
    wire.send(announced.head());
    let answer = wire.answer();
    assert_eq!((answer.status, answer.code().as_str()), (413, "body.too-large"));
    assert_eq!(answer.header("connection"), Some("close"));
    wire.assert_closed();
    // Streamed: the answer arrives although the caller has far more to say.
    let mut wire = Wire::connect(service.public);
    wire.send(call("small", "").set("Transfer-Encoding", "chunked").head());
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    for _ in 0..64 {
        wire.send(&chunk);
    }
    let answer = wire.answer();
    assert_eq!((answer.status, answer.code().as_str()), (413, "body.too-large"));
    // To the last byte it is taken.
    let most = format!("\"{}\"", "x".repeat(1022));
    assert_eq!(service.send(&call("small", &most)).status, 200);
    assert_eq!(service.send(&call("small", &format!("{most} "))).status, 413);
    assert_eq!(service.metric("hookflow_runs_total{flow=\"small\",outcome=\"succeeded\"}"), Some(1));
    service.stop_sound();
}

#[test]
fn lengths_that_two_servers_may_read_differently_are_refused() {
    let folder = folder();
    let service = Service::start(&folder);
    for (fields, code) in [
        (&["Content-Length: 2", "Transfer-Encoding: chunked"][..], "request.ambiguous-length"),
        (&["Transfer-Encoding: chunked", "Content-Length: 2"], "request.ambiguous-length"),
        (&["Content-Length: 2", "Content-Length: 2"], "request.ambiguous-length"),
        (&["Content-Length: 2", "Content-Length: 40"], "request.ambiguous-length"),
        (&["Content-Length: 2, 2"], "request.malformed"),
        (&["Content-Length: +2"], "request.malformed"),
        (&["Content-Length: 0x2"], "request.malformed"),
        (&["Content-Length : 2"], "request.malformed"),
        (&["Transfer-Encoding: chunked, identity"], "request.malformed"),
        (&["Transfer-Encoding: gzip"], "request.malformed"),
    ] {
        let mut wire = Wire::connect(service.public);
        let fields = fields.join("\r\n");
        wire.send(format!(
            "POST /hook/created HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEY}\r\nContent-Type: application/json\r\n{fields}\r\n\r\n{{}}"
        ));
        // What follows must not be taken for a request of its own.
        wire.send(call("created", "{}").bytes());
        let answer = wire.answer();
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{fields}");
        assert_eq!(answer.header("connection"), Some("close"), "{fields}");
        wire.assert_closed();
    }
    assert_eq!(service.metric("hookflow_events_accepted_total{flow=\"created\"}"), None);
    service.stop_sound();
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let folder = folder().config("public: {limits: {headers: 16KiB, header_count: 20}}");
    let service = Service::start(&folder);
    let many = |count| (0..count).fold(call("created", "{}"), |call, _| call.header("X-A", "b"));
    let large = call("created", "{}").header("X-A", &"a".repeat(17 << 10));
    let endless =
        Request { target: format!("/hook/created?{}", "a".repeat(64 << 10)), ..call("created", "{}") };
    for request in [many(21), many(2_000), large, endless] {
        let mut wire = Wire::connect(service.public);
        wire.send(request.bytes());
        let answer = wire.answer();
        assert_eq!((answer.status, answer.code().as_str()), (431, "request.head-too-large"));
        assert_eq!(answer.header("connection"), Some("close"));
        wire.assert_closed();
    }
    assert_eq!(service.send(&many(16)).status, 201);
    service.stop_sound();
}

#[test]
fn who_is_slow_is_told_so() {
    let folder = folder().config("public: {limits: {header_timeout: 600ms, body_timeout: 600ms}}");
    let service = Service::start(&folder);
    let whole = call("created", "{}").bytes();
    let head = whole.len() - 2;
    for (sent, code) in [
        (1, "request.head-timeout"),
        (30, "request.head-timeout"),
        (head, "body.timeout"),
        (head + 1, "body.timeout"),
    ] {
        let mut wire = Wire::connect(service.public);
        wire.send(&whole[..sent]);
        let answer = wire.answer();
        assert_eq!((answer.status, answer.code().as_str()), (408, code), "after {sent} bytes");
        assert_eq!(answer.header("connection"), Some("close"));
        wire.assert_closed();
    }
    // Who says nothing at all is let go without a word.
    Wire::connect(service.public).assert_closed();
    service.stop_sound();
}

#[test]
fn how_slow_a_body_may_be_is_configured() {
    let whole = call("created", "{}").bytes();
    let (first, last) = whole.split_at(whole.len() - 1);
    let hasty = "public: {limits: {body_rate: 1MiB, body_grace: 200ms, body_timeout: 10m}}";
    let folder = folder().config(hasty);
    let service = Service::start(&folder);
    let mut wire = Wire::connect(service.public);
    wire.send(first);
    let answer = wire.answer();
    assert_eq!((answer.status, answer.code().as_str()), (408, "body.timeout"));
    wire.assert_closed();
    service.stop_sound();
    // The same pause, and longer, within a long grace.
    let patient = "public: {limits: {body_rate: 1MiB, body_grace: 10m, body_timeout: 10m}}";
    let folder = super::answers::folder().config(patient);
    let service = Service::start(&folder);
    let mut wire = Wire::connect(service.public);
    wire.send(first);
    std::thread::sleep(std::time::Duration::from_millis(600));
    wire.send(last);
    assert_eq!(wire.answer().status, 201);
    service.stop_sound();
}

#[test]
fn connections_beyond_the_bound_are_turned_away() {
    let folder = folder().config("public: {limits: {connections: 2}}");
    let service = Service::start(&folder);
    let mut seated: Vec<_> = (0..2).map(|_| Wire::connect(service.public)).collect();
    for wire in &mut seated {
        assert_eq!(wire.ask(&call("created", "{}")).status, 201);
    }
    let mut third = Wire::connect(service.public);
    let answer = third.answer();
    assert_eq!((answer.status, answer.code().as_str()), (503, "connection.limit"));
    assert!(answer.retry_after().is_some());
    third.assert_closed();
    drop(seated);
    super::service::until("a free seat", || {
        let mut wire = Wire::connect(service.public);
        // One that is turned away may be closed while it still speaks.
        (wire.ask_if_open(&call("created", "{}"))? == 201).then_some(())
    });
    service.stop_sound();
}

#[test]
fn a_body_is_asked_for_only_from_who_may_send_it() {
    let folder = folder();
    let service = Service::start(&folder);
    let expecting = call("created", "{}").header("Expect", "100-continue");
    let mut wire = Wire::connect(service.public);
    wire.send(expecting.head());
    assert_eq!(wire.head().unwrap().status, 100);
    wire.send("{}");
    assert_eq!(wire.answer().status, 201);
    let mut wire = Wire::connect(service.public);
    wire.send(expecting.set("X-Api-Key", "another key").head());
    assert_eq!(wire.head().unwrap().status, 401);
    service.stop_sound();
}
