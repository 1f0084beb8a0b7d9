//! Targets that reset, hang, drip and send too much, and many runs that wait for theirs: what it costs the others.

use super::egress::{ask, folder, kind};
use super::service::{Folder, SOON, Service, beside};
use super::target::{Play, Target};
use super::wire::{Request, Wire};
use hookflow_runtime::Clock;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const GIGABYTE: u64 = 1 << 30;

/// Does as the path says, and counts what it could write of the body.
fn bad(mut stream: TcpStream, written: &AtomicU64) -> std::io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::with_capacity(32, stream.try_clone()?);
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    if path == "/reset" {
        // Closed with a part of the request unread, which the other side hears as a reset.
        return Ok(());
    }
    while reader.read_line(&mut line)? > 2 {}
    let head = "HTTP/1.1 200 x\r\nContent-Type: text/plain\r\n";
    match path.as_str() {
        "/announced" => write!(stream, "{head}Content-Length: {GIGABYTE}\r\n\r\n")?,
        "/short" => return write!(stream, "{head}Content-Length: 9\r\n\r\nshort"),
        "/flood" => {
            write!(stream, "{head}\r\n")?;
            let chunk = vec![b'x'; 1 << 16];
            while written.load(Ordering::SeqCst) < GIGABYTE {
                stream.write_all(&chunk)?;
                written.fetch_add(1 << 16, Ordering::SeqCst);
            }
        }
        "/drip" => {
            write!(stream, "{head}\r\n")?;
            loop {
                stream.write_all(b"x")?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        _ => {}
    }
    // Until the other side closes.
    stream.read(&mut [0]).map(drop)
}

fn bad_server() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let written = Arc::<AtomicU64>::default();
    let count = Arc::clone(&written);
    beside(move || {
        // Until the tests' process ends.
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            beside(move || bad(stream, &count));
        }
    });
    (address, written)
}

#[test]
fn a_target_that_behaves_badly_fails_its_own_call_and_takes_no_more_than_the_bounds() {
    let (address, written) = bad_server();
    let folder = folder("outbound: {allow: [127.0.0.0/8], response: 1MiB, timeout: 1s}", &[]);
    let service = Service::start(&folder);
    for (path, expected) in [
        ("reset", "connect"),
        ("short", "connect"),
        ("hang", "timeout"),
        ("drip", "timeout"),
        ("announced", "too_large"),
    ] {
        let answer = ask(&service, "calls", &format!("http://{address}/{path}"));
        assert_eq!(kind(&answer), expected, "{path}: {answer}");
    }
    let before = service.peak_memory();
    for _ in 0..10 {
        let answer = ask(&service, "calls", &format!("http://{address}/flood"));
        assert_eq!(kind(&answer), "too_large", "{answer}");
    }
    // What was not read waits in the system's buffers, a few megabytes for each connection.
    let (sent, grown) = (written.load(Ordering::SeqCst), service.peak_memory() - before);
    assert!(sent < GIGABYTE / 4, "{sent} bytes were taken of ten floods");
    assert!(grown < 32 << 20, "{grown} bytes more were held");
    service.stop_sound();
}

/// Waits for its turn at an integration, for its next try, or for nothing.
const LIMITED: &str = "
webhook: {auth: none}
queue: {workers: 4, capacity: 20000}
steps: [{http: {integration: limited, url: x}}]
";
const AGAIN: &str = "
webhook: {auth: none}
queue: {workers: 4, capacity: 20000}
steps: [{http: {url: 'URL/again'}, retry: {tries: 2, on: [503], backoff: 10m, within: 1h}}]
";
const NEXT: &str = "
webhook: {auth: none}
steps: [{id: it, http: {integration: quick, url: quick}}, {respond: {json: '${ steps.it.body }'}}]
";

/// How long each of so many calls of the other integration took, from the shortest.
fn ask_next(service: &Service, count: usize) -> Vec<Duration> {
    let mut door = Wire::connect(service.public);
    let mut took: Vec<_> = (0..count)
        .map(|_| {
            let began = Clock::system().monotonic();
            assert_eq!(door.ask(&Request::json("/hook/next", "{}")).status, 200);
            began.elapsed()
        })
        .collect();
    took.sort();
    took
}

/// Half of so many runs wait for a turn and half for a try. Tells how long others take alone and beside them.
fn waiting(size: usize, asks: usize, patience: Duration) -> [Vec<Duration>; 2] {
    let target = Target::start(|heard| Play::Answer(if heard.target == "/again" { 503 } else { 200 }, "{}"));
    let root = target.url("");
    let folder = Folder::new()
        .config("outbound: {allow: [127.0.0.0/8]}\nlog: {level: error}")
        .with(
            "config/integrations/limited.yaml",
            format!("integration: limited\nroot_url: {root}\nrate_limit: 1/h\n"),
        )
        .with("config/integrations/quick.yaml", format!("integration: quick\nroot_url: {root}\n"))
        .flow("limited", LIMITED)
        .flow("again", &AGAIN.replace("URL", &root))
        .flow("next", NEXT);
    let service = Service::start(&folder);
    let alone = ask_next(&service, asks);
    let mut door = Wire::connect(service.public);
    for n in 0..size {
        let flow = if n % 2 == 0 { "limited" } else { "again" };
        assert_eq!(door.ask(&Request::json(&format!("/hook/{flow}"), "{}")).status, 202);
    }
    // All have been at a worker, and none holds one: one has had its turn, the others rest.
    let clock = Clock::system();
    let began = clock.monotonic();
    let again = || target.count().saturating_sub(asks + 1);
    while again() < size / 2 || service.metric("hookflow_runs_in_flight") != Some(0) {
        assert!(began.elapsed() < patience, "{} tries", again());
        std::thread::sleep(Duration::from_millis(50));
    }
    let beside = ask_next(&service, asks);
    assert_eq!(again() - asks, size / 2, "nothing has left meanwhile that was to wait");
    assert_eq!(service.metric("hookflow_runs_in_flight"), Some(0));
    service.stop_sound();
    [alone, beside]
}

#[test]
fn runs_that_wait_for_a_turn_or_a_try_hold_no_worker() {
    for took in waiting(200, 50, SOON) {
        assert_eq!(took.len(), 50);
    }
}

#[test]
#[ignore = "minutes"]
fn ten_thousand_runs_that_wait_and_what_others_take_beside_them() {
    for (what, took) in ["alone", "beside 10,000"].iter().zip(waiting(10_000, 5_000, Duration::from_mins(10)))
    {
        let p = |n: usize| took[took.len() * n / 100];
        println!("{what}: p50 {:?}, p99 {:?}", p(50), p(99));
    }
}

const PACED: &str = "
webhook: {auth: none}
queue: {workers: 256, capacity: 20000}
steps: [{http: {integration: paced, url: x}}]
";

/// How many calls a second leave by an integration while there are always more that wait for their turn.
fn paced(rate: u32, calls: usize) -> f64 {
    let (clock, arrivals) = (Clock::system(), Arc::<Mutex<Vec<_>>>::default());
    let told = Arc::clone(&arrivals);
    let target = Target::start(move |_| {
        told.lock().unwrap().push(clock.monotonic());
        Play::Answer(200, "{}")
    });
    let integration = format!("integration: paced\nroot_url: {}\nrate_limit: {rate}/s\n", target.url(""));
    let folder = Folder::new()
        .config("outbound: {allow: [127.0.0.0/8]}\nlog: {level: error}")
        .with("config/integrations/paced.yaml", integration)
        .flow("paced", PACED);
    let service = Service::start(&folder);
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let mut door = Wire::connect(service.public);
            beside(move || {
                for _ in 0..calls / 4 {
                    assert_eq!(door.ask(&Request::json("/hook/paced", "{}")).status, 202);
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    let began = Clock::system().monotonic();
    while target.count() < calls {
        assert!(began.elapsed() < Duration::from_mins(2), "{} calls", target.count());
        std::thread::sleep(Duration::from_millis(50));
    }
    service.stop_sound();
    let arrivals = arrivals.lock().unwrap();
    // The first are under way before there are enough that wait.
    let (first, last) = (arrivals[calls / 10], *arrivals.last().unwrap());
    let between = u32::try_from(arrivals.len() - 1 - calls / 10).unwrap();
    let measured = f64::from(between) / last.duration_since(first).as_secs_f64();
    println!("{calls} calls at {rate}/s: {measured:.1} a second");
    measured
}

#[test]
#[ignore = "a measurement"]
fn a_hundred_calls_a_second_leave_at_the_rate_of_their_integration() {
    assert!((98.0..=102.0).contains(&paced(100, 2_000)));
}

#[test]
#[ignore = "a measurement; needs --release"]
fn a_thousand_calls_a_second_leave_at_the_rate_of_their_integration() {
    assert!((980.0..=1_020.0).contains(&paced(1_000, 16_000)));
}
