//! More connections than anybody means: idle, slow or endless ones. Each flood has a short form, which runs with the
//! other tests, and a long form that is run by hand, on a machine that has the sockets for it (`ulimit -n 20000`):
//! `cargo test -p hookflow --test e2e floods -- --ignored --nocapture --test-threads 1`.

use super::answers::{call, folder};
use super::service::{Folder, Service, beside};
use super::wire::{Request, Wire};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How many connections come from one address: no more than the default lets it have.
const PER_ADDRESS: usize = 500;
/// The most that the service may hold in memory with all idle connections open.
const MOST_KIB: u64 = 200 << 10;
/// In huge pages, whatever is allocated counts as held, whether it was ever used or not.
const SMALL_PAGES: (&str, &str) = ("MIMALLOC_ALLOW_THP", "0");
/// What memory may wander without anything being kept.
const WANDER_KIB: u64 = 24 << 10;
/// A good caller's wait in a flood, and how much longer it may be than without one on a machine that is busy anyway.
const WAIT: (Duration, u32) = (Duration::from_millis(50), 2);

/// The address of the nth connection: a caller of its own for every so many.
fn source(nth: usize) -> [u8; 4] {
    [127, 0, 0, u8::try_from(2 + nth / PER_ADDRESS).unwrap()]
}

fn flooded(connections: usize, timeout: &str) -> Folder {
    folder().config(&format!(
        "public: {{limits: {{connections: {connections}, header_timeout: {timeout}, body_timeout: {timeout}}}}}"
    ))
}

/// Opens so many connections, asks on each, and leaves them open.
fn idle_connections(count: usize) {
    let folder = flooded(count + 1, "10m");
    let service = Service::start_with(&folder, &[SMALL_PAGES]);
    let before = service.resident_kib();
    let open: Vec<_> = (0..count)
        .map(|nth| {
            let mut wire = Wire::connect_from(source(nth), service.public);
            assert_eq!(wire.ask(&call("created", "{}")).status, 201, "connection {nth}");
            wire
        })
        .collect();
    let after = service.resident_kib();
    println!("{count} idle connections: {before} KiB before, {after} KiB with them");
    assert!(after < MOST_KIB, "{after} KiB");
    assert_eq!(service.send(&call("created", "{}")).status, 201);
    // None of them was let go to make room.
    for wire in open.into_iter().step_by(count / 10) {
        let mut wire = wire;
        assert_eq!(wire.ask(&call("created", "{}")).status, 201);
    }
    service.stop_sound();
}

#[test]
fn idle_connections_cost_little_and_keep_nobody_out() {
    idle_connections(200);
}

#[test]
#[ignore = "takes 10,000 sockets"]
fn ten_thousand_idle_connections_cost_little_and_keep_nobody_out() {
    idle_connections(10_000);
}

/// A caller's waits, sorted.
#[expect(clippy::disallowed_methods, reason = "real time is what a caller waits")]
fn waits(service: &Service, requests: usize) -> Vec<Duration> {
    let mut wire = Wire::connect(service.public);
    let mut waits: Vec<_> = (0..requests)
        .map(|_| {
            let asked = Instant::now();
            assert_eq!(wire.ask(&call("created", "{}")).status, 201);
            asked.elapsed()
        })
        .collect();
    waits.sort();
    waits
}

fn p99(waits: &[Duration]) -> Duration {
    waits[waits.len() * 99 / 100]
}

/// A good caller's waits, without and with a flood of heads of which a byte comes now and then.
fn slow_heads(count: usize, requests: usize) -> (Duration, Duration) {
    let folder = flooded(count + 10, "10s");
    let service = Service::start(&folder);
    let quiet = waits(&service, requests);
    let (ends, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flood = beside({
        let (ends, rounds, public) = (Arc::clone(&ends), Arc::clone(&rounds), service.public);
        move || {
            let mut open: Vec<_> = (0..count).map(|nth| Wire::connect_from(source(nth), public)).collect();
            let head = call("created", "{}").head();
            let mut bytes = head.as_bytes().iter().cycle();
            while !ends.load(Ordering::Relaxed) {
                let byte = *bytes.next().unwrap();
                for (nth, wire) in open.iter_mut().enumerate() {
                    if !wire.is_open_for(&[byte]) {
                        *wire = Wire::connect_from(source(nth), public);
                    }
                }
                rounds.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(200));
            }
        }
    });
    super::service::until("a flood", || (rounds.load(Ordering::Relaxed) > 1).then_some(()));
    let flooded = waits(&service, requests);
    let (held, kib) = (rounds.load(Ordering::Relaxed), service.resident_kib());
    ends.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    let (quiet, flooded) = (p99(&quiet), p99(&flooded));
    println!(
        "{count} slow heads, {held} bytes each: p99 {quiet:?} without, {flooded:?} with them; {kib} KiB"
    );
    service.stop_sound();
    (quiet, flooded)
}

#[test]
fn slow_heads_keep_nobody_waiting() {
    slow_heads(100, 100);
}

#[test]
#[ignore = "takes 5,000 sockets and measures time"]
fn five_thousand_slow_heads_keep_nobody_waiting() {
    let (quiet, flooded) = slow_heads(5_000, 20_000);
    assert!(flooded < WAIT.0.max(quiet * WAIT.1), "{flooded:?}, without the flood {quiet:?}");
}

/// Heads and bodies without an end, round after round over all the seats there are.
fn endless(each: usize, rounds: usize) {
    let folder = flooded(3 * each, "2s");
    let service = Service::start(&folder);
    let mut resident = Vec::new();
    for round in 0..rounds {
        let connect = || (0..each).map(|nth| Wire::connect_from(source(nth), service.public));
        let mut slow: Vec<_> = connect().collect();
        for wire in &mut slow {
            wire.send(call("created", "").set("Content-Length", "1000").head());
        }
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        let mut chunked: Vec<_> = connect().collect();
        for wire in &mut chunked {
            wire.send(call("small", "").set("Transfer-Encoding", "chunked").head());
            for _ in 0..32 {
                wire.send_if_open(chunk.as_bytes());
            }
        }
        let headers = format!("{}{}", call("created", "").head().trim_end(), "\r\nA: b".repeat(100_000));
        let mut headed: Vec<_> = connect().collect();
        for wire in &mut headed {
            wire.send_if_open(headers.as_bytes());
        }
        // A byte now and then does not lengthen the time there is for a body.
        for _ in 0..12 {
            for wire in &mut slow {
                wire.send_if_open(b" ");
            }
            sleep(Duration::from_millis(200));
        }
        let all = [
            (slow, 408, "body.timeout"),
            (chunked, 413, "body.too-large"),
            (headed, 431, "request.head-too-large"),
        ];
        for (wires, status, code) in all {
            for mut wire in wires {
                let answer = wire.answer();
                assert_eq!((answer.status, answer.code().as_str()), (status, code), "round {round}");
                wire.assert_closed();
            }
        }
        resident.push(service.resident_kib());
    }
    println!(
        "{each} each of slow bodies, endless chunks and 100,000 headers, over and over: {resident:?} KiB"
    );
    // It wanders with what the allocator gives back, but does not climb.
    let (early, late) = resident.split_at(rounds / 2);
    let (early, late) = (early.iter().max().unwrap(), late.iter().min().unwrap());
    assert!(*late < early + WANDER_KIB, "{resident:?}");
    assert_eq!(service.send(&call("created", "{}")).status, 201);
    service.stop_sound();
}

#[test]
fn what_has_no_end_is_ended_and_keeps_nothing() {
    endless(10, 2);
}

#[test]
#[ignore = "takes a minute"]
fn what_has_no_end_is_ended_and_keeps_nothing_round_after_round() {
    endless(300, 8);
}

/// A whole head and a piece of a body, which its sender then forgets.
#[test]
fn a_body_that_is_announced_takes_no_memory_before_it_comes() {
    let folder = folder().config("public: {limits: {memory: 1GiB, body_timeout: 1m}}");
    let service = Service::start(&folder);
    let before = service.resident_kib();
    let announced: Request = call("created", "").set("Content-Length", "10000000");
    let open: Vec<_> = (0..50)
        .map(|nth| {
            let mut wire = Wire::connect_from(source(nth), service.public);
            wire.send(announced.head());
            wire.send("{");
            wire
        })
        .collect();
    assert_eq!(service.send(&call("created", "{}")).status, 201);
    let after = service.resident_kib();
    assert!(after < before + WANDER_KIB, "{before} KiB before, {after} KiB after");
    drop(open);
    service.stop_sound();
}
