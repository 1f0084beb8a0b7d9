//! Targets that reset, hang, drip and send too much, and many runs that wait for theirs: what it costs the others.

use super::egress::{ask, folder, kind};
use super::service::{Folder, SOON, Service, beside};
use super::target::{Play, Target};
use super::wire::{Request, Wire};
use hookflow_runtime::Clock;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const GIGABYTE: u64 = 1 << 30;
const SENDERS: usize = 8;

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
steps: [{http: {url: 'URL/again'}, retry: {tries: 2, on: [503], backoff: 2h, within: 1d}}]
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

/// Sends so many events to these flows in turn, on several connections.
fn send(service: &Service, flows: &'static [&'static str], size: usize) {
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let mut door = Wire::connect(service.public);
            beside(move || {
                for flow in flows.iter().cycle().take(size / SENDERS) {
                    assert_eq!(door.ask(&Request::json(&format!("/hook/{flow}"), "{}")).status, 202);
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
}

/// What others take while nothing waits, and while many runs do.
struct Beside {
    took: [Vec<Duration>; 2],
    memory: [u64; 2],
}

/// Half of so many runs wait for a turn and half for a try.
fn waiting(size: usize, asks: usize, patience: Duration) -> Beside {
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
    let before = service.peak_memory();
    send(&service, &["limited", "again"], size);
    // All have been at a worker, and none holds one: one has had its turn, the others rest.
    let clock = Clock::system();
    let began = clock.monotonic();
    let again = || target.count().saturating_sub(asks + 1);
    while again() < size / 2 || service.metric("hookflow_runs_in_flight") != Some(0) {
        assert!(began.elapsed() < patience, "{} tries", again());
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("{size} runs have been at a worker {:?} after the last of them was accepted", began.elapsed());
    let beside = ask_next(&service, asks);
    assert_eq!(again() - asks, size / 2, "nothing has left meanwhile that was to wait");
    service.until_metric("hookflow_runs_in_flight", 0);
    let memory = [before, service.peak_memory()];
    service.stop_sound();
    Beside { took: [alone, beside], memory }
}

#[test]
fn runs_that_wait_for_a_turn_or_a_try_hold_no_worker() {
    let Beside { took, memory: [before, peak] } = waiting(160, 50, SOON);
    assert!(took.iter().all(|took| took.len() == 50));
    assert!(peak - before < 16 << 20, "{before} {peak}");
}

#[test]
#[ignore = "minutes"]
fn ten_thousand_runs_that_wait_and_what_others_take_beside_them() {
    let Beside { took, memory } = waiting(10_000, 5_000, Duration::from_mins(5));
    for (what, took) in ["alone", "beside 10,000"].iter().zip(took) {
        let p = |n: usize| took[took.len() * n / 100];
        println!("{what}: p50 {:?}, p99 {:?}", p(50), p(99));
    }
    println!("peak memory: {:?} MiB before and with them", memory.map(|bytes| bytes >> 20));
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
    send(&service, &["paced"], calls);
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

/// A call that is tried once more: when its answer says, or else far off.
const SAID: &str = "
webhook: {auth: none}
steps: [{http: {url: 'URL/${ webhook.body.n }'}, retry: {tries: 2, on: [503], backoff: 2h, within: 1d}}]
";

#[test]
fn a_wait_that_an_answer_asks_for_is_kept_in_each_form_and_nothing_else_is_taken_for_one() {
    // `true`: a date two seconds off, in this form.
    const FORMS: [(&str, bool); 14] = [
        ("2", false),
        ("%a, %d %b %Y %H:%M:%S GMT", true),
        ("%A, %d-%b-%y %H:%M:%S GMT", true),
        ("%a %b %e %H:%M:%S %Y", true),
        ("0", false),
        ("-5", false),
        ("1.5", false),
        ("2 seconds", false),
        ("soon", false),
        ("", false),
        ("31536000", false),
        ("18446744073709551616", false),
        ("Sun, 06 Nov 1994 08:49:37 GMT", false),
        ("Fri, 31 Dec 9999 23:59:59 GMT", false),
    ];
    const KEPT: usize = 4;
    let arrivals = Arc::new(Mutex::new(vec![Vec::new(); FORMS.len()]));
    let told = Arc::clone(&arrivals);
    let target = Target::start(move |heard| {
        let clock = Clock::system();
        let n: usize = heard.target.trim_start_matches('/').parse().unwrap();
        let mut told = told.lock().unwrap();
        told[n].push(clock.monotonic());
        match FORMS[n] {
            _ if told[n].len() > 1 => Play::Answer(200, "{}"),
            (form, true) => {
                let date = (clock.now() + Duration::from_secs(2)).strftime(form).to_string();
                Play::Later(503, date.leak())
            }
            (text, false) => Play::Later(503, text),
        }
    });
    let folder = Folder::new()
        .config("outbound: {allow: [127.0.0.0/8]}")
        .flow("said", &SAID.replace("URL", &target.url("")));
    let service = Service::start(&folder);
    let mut door = Wire::connect(service.public);
    for n in 0..FORMS.len() {
        assert_eq!(door.ask(&Request::json("/hook/said", format!("{{\"n\": {n}}}"))).status, 202);
    }
    target.heard(FORMS.len() + KEPT);
    service.until_metric("hookflow_runs_total{flow=\"said\",outcome=\"succeeded\"}", 4);
    service.until_metric("hookflow_runs_in_flight", 0);
    for (n, (arrived, (form, _))) in arrivals.lock().unwrap().iter().zip(FORMS).enumerate() {
        assert_eq!(arrived.len(), if n < KEPT { 2 } else { 1 }, "{form}");
        // A date has no parts of a second.
        let kept = |pair: &[Instant]| pair[1].duration_since(pair[0]) >= Duration::from_millis(900);
        assert!(arrived.windows(2).all(kept), "{form}: {arrived:?}");
    }
    service.stop_sound();
}

/// Lets in so many requests in each window of time. It may say when the next one begins.
fn windows(window: Duration, count: usize, says: bool) -> Target {
    let clock = Clock::system();
    let state = Mutex::new((clock.monotonic(), 0));
    Target::start(move |_| {
        let (began, let_in) = &mut *state.lock().unwrap();
        if began.elapsed() >= window {
            (*began, *let_in) = (clock.monotonic(), 0);
        }
        *let_in += 1;
        if *let_in <= count {
            Play::Answer(200, "{}")
        } else if says {
            let left = window.saturating_sub(began.elapsed()).as_secs() + 1;
            Play::Later(429, left.to_string().leak())
        } else {
            Play::Answer(429, "{}")
        }
    })
}

const KNOWN: &str = "
webhook: {auth: none}
steps: [{http: {integration: strict, method: POST, url: x, headers: {X-Id: '${ WebhookRequest.TransactionalId }'}}}]
";

/// So many calls to a target with a limit per window all get through by their default retry.
fn get_through(target: &Target, calls: usize, patience: Duration) {
    let folder = Folder::new()
        .config("outbound: {allow: [127.0.0.0/8]}")
        .with(
            "config/integrations/strict.yaml",
            format!("integration: strict\nroot_url: {}\n", target.url("")),
        )
        .flow("known", KNOWN);
    let service = Service::start(&folder);
    let began = Clock::system().monotonic();
    send(&service, &["known"], calls);
    let succeeded = || service.metric("hookflow_runs_total{flow=\"known\",outcome=\"succeeded\"}");
    while succeeded() != Some(calls as u64) {
        assert!(began.elapsed() < patience, "{:?} of {calls}", succeeded());
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut tries = BTreeMap::<_, usize>::new();
    for heard in target.heard(calls) {
        *tries.entry(heard.header("x-id").unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(tries.len(), calls);
    assert!(tries.values().all(|tries| *tries <= 4), "{tries:?}");
    println!("{calls} calls were in after {:?}, with {} tries", began.elapsed(), target.count());
    service.stop_sound();
}

#[test]
fn a_limit_per_window_is_survived_by_who_heeds_it() {
    let target = windows(Duration::from_secs(2), 8, true);
    get_through(&target, 16, SOON);
    assert!(target.count() > 16, "some were refused");
}

#[test]
#[ignore = "six minutes"]
fn a_limit_per_minute_is_survived_by_the_default_retry() {
    get_through(&windows(Duration::from_mins(1), 24, false), 64, Duration::from_mins(7));
}
