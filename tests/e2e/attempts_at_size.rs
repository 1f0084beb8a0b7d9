//! A large log of attempts: taken elsewhere whole with flat memory, and read by page. At a five-hundredth of the size; the
//! whole is an ignored test, and what it prints is for docs/reliability.md.

use super::answers::folder;
use super::service::{Folder, Service};
use super::sizes;
use hookflow_flow::{Attempt, End, Fact, Outcome, Place, SentRequest, StepNumber};
use hookflow_runtime::Clock;
use hookflow_store::{Ended, Progress};
use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// How many attempts each run has.
const TRIES: u32 = 10;
/// How much more memory than before an export may take, in KiB.
const ROOM: u64 = 64 << 10;
const FLOW: &str = "webhook: {auth: none, body: json}\nsteps: [{stop: '${ webhook.body.n }'}]";

/// A run with its attempts. One in a hundred failed, and each tenth run called another integration.
fn tried(n: usize, version: Arc<str>) -> Progress {
    let began = Timestamp::from_second(1_790_000_000).unwrap()
        + SignedDuration::from_millis(i64::try_from(n).unwrap());
    let fact = |number: u32| {
        let began_at = began + SignedDuration::from_micros(number.into());
        let ok = number != 0 || !n.is_multiple_of(10);
        let body = json!({"sku": n, "note": "x".repeat(200)}).to_string();
        let request = SentRequest::masked(
            &Method::POST,
            "https://api.example/v1/items",
            &HeaderMap::new(),
            &body.into(),
        );
        let attempt = Attempt {
            step: "stock".into(),
            integration: Some(if n.is_multiple_of(10) { "crm" } else { "warehouse" }.into()),
            webhook: Some("reserve".into()),
            transactional_id: None,
            began_at,
            took_ms: Some(12),
            ok,
            request,
            hops: Vec::new(),
            answer: None,
        };
        let status = if ok { 201 } else { 503 };
        let (headers, captures) = (Map::new(), Map::new());
        let outcome = Outcome::Answered { status, headers, body: json!({"id": n}), captures };
        let place = Place { step: StepNumber(0), turns: vec![number] };
        let fact =
            Fact { place, verb: "call".into(), attempt: 1, at: began_at, outcome, left: None, tried: None };
        Arc::new(fact.tried(attempt))
    };
    let end = Ended { end: Arc::new(End::Succeeded((n as u64).into())), at: began };
    Progress {
        facts: (0..TRIES).map(fact).collect(),
        begun_at: Some(began),
        ended: Some(end),
        ..Progress::none(version)
    }
}

/// Reads lines to the end, looking at the memory of a process now and then. How many lines, and the most memory.
fn drain(lines: impl Read, process: u32) -> (usize, u64) {
    let (mut count, mut most) = (0, 0);
    let mut lines = BufReader::new(lines);
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        count += 1;
        if count % 1_000 == 1 {
            most = most.max(resident_kib(process));
        }
        line.clear();
    }
    (count, most)
}

fn resident_kib(process: u32) -> u64 {
    // One that has written everything may be gone.
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

fn streamed(service: &Service, query: &str) -> (usize, u64) {
    let mut stream = TcpStream::connect(service.ops).unwrap();
    write!(stream, "GET /api/attempts?{query} HTTP/1.0\r\nHost: {}\r\n\r\n", service.ops).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    drain(stream, service.id())
}

fn exported(folder: &Folder, arguments: &[&str]) -> (usize, u64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookflow"));
    command.env_clear().args(["attempts", "export"]).args(arguments).current_dir(folder.path());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let drained = drain(child.stdout.take().unwrap(), child.id());
    assert!(child.wait().unwrap().success());
    drained
}

fn a_log(size: usize) {
    let folder = folder().flow("calls", FLOW).config("retention: {age: 3650d}");
    sizes::write(&folder, ("calls", FLOW), size / TRIES as usize, tried);
    let service = Service::start(&folder);
    let none = service.resident_kib();
    let clock = Clock::system();
    for (query, expected) in [
        ("format=ndjson", size),
        ("format=csv", size + 1),
        ("format=ndjson&failed=true", size / 100),
        ("format=ndjson&integration=crm", size / 10),
        ("format=ndjson&flow=calls&until=2026-09-21T14:13:20.5Z", size.min(500 * TRIES as usize)),
    ] {
        let began = clock.monotonic();
        let (lines, most) = streamed(&service, query);
        println!(
            "{size} attempts, {query}: {lines} lines in {:?}, at most {most} KiB after {none}",
            began.elapsed()
        );
        assert_eq!(lines, expected, "{query}");
        assert!(most < none + ROOM, "{query}: from {none} to {most} KiB");
    }
    for path in [
        "limit=20",
        "limit=20&failed=true",
        "limit=20&integration=crm",
        "limit=20&since=2026-09-21T14:13:20Z",
    ] {
        let began = clock.monotonic();
        let page: Value = service.ops(&format!("/api/attempts?{path}")).value();
        println!("{size} attempts, a page of {path}: {:?}", began.elapsed());
        assert_eq!(page["items"].as_array().unwrap().len(), 20, "{path}");
    }
    let began = clock.monotonic();
    let (lines, most) = exported(&folder, &["--format", "csv"]);
    println!("{size} attempts, by the command: {lines} lines in {:?}, at most {most} KiB", began.elapsed());
    assert_eq!(lines, size + 1);
    assert!(most < ROOM, "{most} KiB");
    service.stop_sound();
}

#[test]
fn a_log_of_attempts_is_taken_elsewhere_with_flat_memory() {
    a_log(2_000);
}

#[test]
#[ignore = "minutes"]
fn a_log_of_a_million_attempts() {
    a_log(1_000_000);
}
