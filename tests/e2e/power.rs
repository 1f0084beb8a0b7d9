//! The power goes at any operation on the disk: every event that was answered 2xx is there when it is back and comes to
//! its one end, nothing has left twice, and no page is broken. Then the same with a disk that does not sync: that must
//! be found, or this proves nothing. The long form is `cargo xtask power --cuts N`.

use super::lossy_disk::{LossyDisk, copy};
use super::service::{Folder, SOON, Service, beside, until};
use super::target::{Play, Target};
use super::wire::Request;
use hookflow_store::conformance::faults_of_file;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// How many cuts the short form makes.
const SHORT: u64 = 12;
/// How many events are sent in one life, if it lasts so long, and by how many callers.
const EVENTS: usize = 60;
const CALLERS: usize = 3;
/// The power goes within so many operations: somewhat more than a whole life has. Some of the cuts are among the first,
/// and some while the log goes into the file.
const OPERATIONS: u64 = 1_300;
const FIRST: u64 = 100;
const OF_FILE: u64 = 40;
/// Some time after the last event the log goes into the file; if the power is to go just then, it has gone after so many
/// pauses.
const QUIET: u32 = 60;
/// How many lives one folder lives through before the next begins with nothing.
const LIVES: u64 = 4;
/// How long a run that has not ended is left alone.
const PAUSE: Duration = Duration::from_millis(50);
/// The flows, one for each way to the disk.
const FLOWS: [&str; 5] = ["plain", "tell", "answer", "large", "later"];

/// An event that was answered 2xx.
struct Ack {
    flow: &'static str,
    n: usize,
    run: String,
}

/// What all lives of a folder have promised.
struct Story {
    target: Target,
    acks: Vec<Ack>,
    next: Arc<AtomicUsize>,
}

fn body(flow: &str, n: usize) -> String {
    // Above 64 KiB a body is a file of its own.
    let title = if flow == "large" { "x".repeat(80_000 + n) } else { "short".into() };
    format!("{{\"n\": {n}, \"title\": \"{title}\"}}")
}

impl Story {
    fn new() -> Self {
        let target = Target::start(|_| Play::Answer(200, "{}"));
        Self { target, acks: Vec::new(), next: Arc::default() }
    }

    fn folder(&self) -> Folder {
        let url = |path: &str| self.target.url(&format!("{path}/${{ webhook.body.n }}"));
        let flow = |rest: String| {
            format!(
                "webhook: {{auth: none, dedupe: {{key: '${{ webhook.body.n }}', window: 1h}}}}\nsteps:\n{rest}\n"
            )
        };
        let post = |path, title: &str| {
            format!("  - http: {{url: '{}', method: POST, json: {{title: '{title}'}}}}", url(path))
        };
        Folder::new()
            .config("outbound: {allow: [127.0.0.0/8]}\nlog: {level: error}\n")
            .flow("plain", &flow("  - log: 'n ${ webhook.body.n }'".into()))
            .flow("tell", &flow(format!("{}\n  - http: {{url: '{}'}}", post("/tell", "a"), url("/asked"))))
            .flow("answer", &flow("  - respond: {status: 201, json: {n: '${ webhook.body.n }'}}".into()))
            .flow("large", &flow(post("/large", "${ webhook.body.title }")))
            .flow("later", &flow("  - sleep: 300ms\n  - set: {n: '${ webhook.body.n }'}".into()))
    }

    /// Sends until all is sent or nobody answers any more.
    fn send(&mut self, public: SocketAddr) {
        let last = self.next.load(Ordering::Relaxed) + EVENTS;
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let next = Arc::clone(&self.next);
                beside(move || {
                    let mut acks = Vec::new();
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        let flow = FLOWS[n % FLOWS.len()];
                        if n >= last {
                            return acks;
                        }
                        let Some((status, run)) = ask(public, &format!("/hook/{flow}"), body(flow, n)) else {
                            return acks;
                        };
                        assert!((200..300).contains(&status), "{flow} {n}: {status}");
                        acks.push(Ack { flow, n, run });
                    }
                })
            })
            .collect();
        self.acks.extend(callers.into_iter().flat_map(|caller| caller.join().unwrap()));
    }

    /// One life on a disk that does as it is told, with a quiet while at its end or not; returns what is there after it.
    fn live(&mut self, folder: Folder, orders: &str, quiet: bool) -> (Folder, String) {
        let disk = LossyDisk::under(folder);
        disk.order(orders);
        if let Ok(service) = disk.try_serve() {
            self.send(service.public);
            for _ in (0..QUIET).take_while(|_| quiet && disk.cut().is_none()) {
                sleep(PAUSE);
            }
            disk.order(&format!("cut 1 *\n{orders}"));
            let nudge = |_| ask(service.public, "/hook/plain", body("plain", usize::MAX));
            until("the end of the power", || {
                (0..).map_while(nudge).last().map_or_else(|| disk.cut(), |_| None)
            });
            service.end();
        }
        let cut = disk.cut().expect("the service ended without a cut");
        (disk.power_back(), cut)
    }

    /// What was promised and is not so.
    fn losses(&self, folder: &Folder, patience: Duration) -> Vec<String> {
        let mut losses = broken_pages(folder);
        let service = match Service::try_start_with(folder, &[]) {
            Ok(service) => service,
            Err(ended) => return vec![format!("it does not start: {ended:?}")],
        };
        let found = self.ends(&service, patience);
        for (ack, shown) in self.acks.iter().zip(&found) {
            losses.extend(self.loss(ack, shown).map(|loss| format!("{} {}: {loss}", ack.flow, ack.n)));
        }
        // Its claim is as lasting as the event.
        for (Ack { flow, n, run: first }, _) in
            self.acks.iter().zip(&found).filter(|(_, shown)| shown["status"] == "succeeded")
        {
            match ask(service.public, &format!("/hook/{flow}"), body(flow, *n)) {
                Some((200..300, run)) if run == *first => {}
                other => losses.push(format!("{flow} {n}: sent again, it is not known: {other:?}")),
            }
        }
        losses.extend(self.told_twice());
        if !losses.is_empty() {
            // What is missing may keep it from ending.
            return losses;
        }
        let ended = service.stop();
        if ended.code != Some(0) || ended.err.contains("panicked") {
            losses.push(format!("it did not end well: {ended:?}"));
        }
        losses.extend(broken_pages(folder));
        losses
    }

    /// Every run that was promised, once it has ended or is missing, or when patience has ended.
    fn ends(&self, service: &Service, patience: Duration) -> Vec<Value> {
        let mut pauses = patience.as_millis() / PAUSE.as_millis();
        let look = |ack: &Ack| loop {
            let answer = service.ops(&format!("/api/runs/{}", ack.run));
            let value = answer.value();
            if answer.status == 404 || !value["ended_at"].is_null() || pauses == 0 {
                return value;
            }
            pauses -= 1;
            sleep(PAUSE);
        };
        self.acks.iter().map(look).collect()
    }

    fn loss(&self, ack: &Ack, shown: &Value) -> Option<String> {
        let calls = matches!(ack.flow, "tell" | "large");
        match (shown["status"].as_str(), shown["error"]["kind"].as_str()) {
            (None, _) => Some(format!("no such run: {shown}")),
            (Some("succeeded"), _) if calls && self.told(ack.flow, ack.n) == 0 => {
                Some("nobody was told".into())
            }
            (Some("succeeded"), _) => None,
            // The answer to its call went with the power, and the call must not leave twice.
            (Some("failed"), Some("interrupted")) if calls => None,
            _ => Some(format!("ended so: {} {}", shown["status"], shown["error"])),
        }
    }

    fn told(&self, flow: &str, n: usize) -> usize {
        let path = format!("/{flow}/{n}");
        self.target.heard(0).iter().filter(|heard| heard.method == "POST" && heard.target == path).count()
    }

    fn told_twice(&self) -> Vec<String> {
        let mut told = BTreeMap::<_, usize>::new();
        for heard in self.target.heard(0).into_iter().filter(|heard| heard.method == "POST") {
            *told.entry(heard.target).or_default() += 1;
        }
        told.into_iter()
            .filter(|(_, count)| *count > 1)
            .map(|(path, count)| format!("{path}: told {count} times"))
            .collect()
    }
}

/// The answer's status and its run; `None` when the other side went away before it had answered whole.
fn ask(public: SocketAddr, path: &str, body: String) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(public).ok()?;
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(&Request::json(path, body).header("Connection", "close").bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, _) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let run = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("x-run-id").then(|| value.to_owned())
    });
    Some((status, run.unwrap_or_default()))
}

/// What is broken in the file, looked at in a copy.
fn broken_pages(folder: &Folder) -> Vec<String> {
    let (data, beside) = (folder.path().join("data"), tempfile::tempdir().unwrap());
    if !data.join("hookflow.db").exists() {
        return Vec::new();
    }
    copy(&data, beside.path());
    faults_of_file(&beside.path().join("hookflow.db")).unwrap_or_else(|why| vec![why])
}

/// What so many cuts came to.
#[derive(Default)]
struct Report {
    cuts: u64,
    torn: u64,
    in_a_start: u64,
    acks: usize,
    at: BTreeMap<String, u64>,
    losses: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cuts, torn, in_a_start, acks, .. } = self;
        writeln!(f, "{cuts} cuts ({torn} torn, {in_a_start} before the first event was answered)")?;
        writeln!(f, "{acks} events answered 2xx, {} promises broken", self.losses.len())?;
        for (at, count) in &self.at {
            writeln!(f, "  {count:5} at {at}")?;
        }
        self.losses.iter().try_for_each(|loss| writeln!(f, "  {loss}"))
    }
}

/// The next of a row of numbers that looks like chance.
fn chance(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.wrapping_mul(2_685_821_657_736_338_717) >> 16
}

/// Cuts the power so often. One seed gives the same orders again, but which operation is the n-th varies a little with the
/// machine. A folder lives on through some cuts, with or without a quiet life between.
fn cut_power(cuts: u64, seed: u64) -> Report {
    let mut report = Report::default();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while report.cuts < cuts {
        let mut story = Story::new();
        let mut folder = story.folder();
        for life in 1..=LIVES.min(cuts - report.cuts) {
            let (torn, quiet) = (!chance(&mut state).is_multiple_of(3), chance(&mut state).is_multiple_of(4));
            let orders = orders(&mut state, torn, quiet);
            let before = story.acks.len();
            let (next, cut) = story.live(folder, &orders, quiet);
            folder = next;
            report.cuts += 1;
            println!("cut {}: at {cut}, {} answered", report.cuts, story.acks.len() - before);
            report.torn += u64::from(torn);
            report.in_a_start += u64::from(before == story.acks.len());
            let what = cut.split_once(' ').map_or("", |(_, what)| what);
            *report.at.entry(kind_of(what)).or_default() += 1;
            let known = report.losses.len();
            report.losses.extend(broken_pages(&folder));
            if life % 2 == 0 || life == LIVES || report.cuts == cuts {
                report.losses.extend(story.losses(&folder, SOON));
            }
            for loss in &mut report.losses[known..] {
                *loss = format!("cut {} (seed {seed}, {:?}, {cut}): {loss}", report.cuts, orders);
            }
        }
        report.acks += story.acks.len();
    }
    report
}

/// When the power goes, and whether a part of what was not synced is there nevertheless.
fn orders(state: &mut u64, torn: bool, quiet: bool) -> String {
    let mut below = |most: u64| 1 + chance(state) % most;
    let cut = match (below(4), quiet) {
        (1, false) => format!("cut {} *\n", below(FIRST)),
        (_, true) => format!("cut {} hookflow.db$\n", below(OF_FILE)),
        _ => format!("cut {} *\n", below(OPERATIONS)),
    };
    if torn { format!("{cut}torn {}\n", below(1_000_000)) } else { cut }
}

/// The operation and which file it was on; blobs have no names to tell apart.
fn kind_of(what: &str) -> String {
    let (operation, path) = what.split_once(' ').unwrap_or_default();
    let path = if path.contains(".blobs/") { "a blob or its folder" } else { path };
    format!("{operation} {path}")
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "the disk that forgets needs glibc on Linux"
)]
fn what_was_acknowledged_outlives_the_power() {
    let report = cut_power(SHORT, 1);
    println!("{report}");
    assert!(report.losses.is_empty() && report.acks > 0, "{report}");
}

/// Each way to the disk by itself: without it, something that was promised is lost, and these tests see it.
#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "the disk that forgets needs glibc on Linux"
)]
fn a_disk_that_does_not_sync_is_found() {
    for orders in [
        "sync * swallow\nsyncdir * swallow\n",
        "sync -wal swallow\n",
        "sync .blobs swallow\n",
        "syncdir * swallow\n",
    ] {
        let mut story = Story::new();
        let (folder, _) = story.live(story.folder(), orders, false);
        assert!(story.acks.len() > EVENTS / 2, "{orders}: {} were answered", story.acks.len());
        let losses = story.losses(&folder, Duration::from_secs(1));
        println!("{orders:?}: {} answered, {} losses", story.acks.len(), losses.len());
        assert!(!losses.is_empty(), "{orders}: nothing was found");
    }
}

#[test]
#[ignore = "long: cargo xtask power"]
fn many_cuts() {
    let number = |name| std::env::var_os(name).and_then(|text| text.to_str()?.parse().ok());
    let report = cut_power(number("HOOKFLOW_CUTS").unwrap_or(100), number("HOOKFLOW_SEED").unwrap_or(1));
    println!("{report}");
    assert!(report.losses.is_empty(), "promises were broken");
}
