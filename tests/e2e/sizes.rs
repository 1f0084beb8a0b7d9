//! What is large: backlogs, lists and sleepers that were written beforehand by the store itself, at a hundredth of the
//! size. The whole size is an ignored test; what it prints is for docs/reliability.md.

use super::answers::{call, folder};
use super::service::{Folder, Service, beside};
use super::wire::{Request, Wire};
use hookflow_flow::{End, Flow, Integrations, Surroundings};
use hookflow_runtime::{Chance, Clock};
use hookflow_store::backends::{self, Access, Opening};
use hookflow_store::{
    Admitted, Ended, NewRun, Owner, Parked, Progress, RunFilter, Settled, Store, StoreError,
};
use hookflow_text::{Diagnostics, Source, parse};
use hookflow_trigger::{BodySpec, Credentials, Event, Params, Route, Sample, SampleBody};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many rows are handed to the store before their answers are waited for.
const BATCH: usize = 20_000;

const BACKLOG: &str = "webhook: {auth: none, body: json}
queue: {workers: 1, capacity: 2000000, bytes: 10GiB}
steps: [{stop: '${ webhook.body.n }'}]";
const NAP: &str = "webhook: {auth: none}
queue: {workers: 8, capacity: 2000000}
steps: [{sleep: 1h}, {stop: '${ webhook.body.n }'}]";

pub(super) fn opened(folder: &Path, access: Access) -> Arc<dyn Store> {
    let backend = backends::ALL.iter().find(|backend| backend.name == "sqlite").unwrap();
    let opening = Opening {
        path: folder.join("data/hookflow.db"),
        access,
        blob_bytes: 1 << 30,
        chance: Chance::system(Clock::system()),
    };
    (backend.open)(&opening).unwrap().store
}

fn version(flow: &str, text: &str) -> (Arc<str>, Arc<str>) {
    let (name, credentials) = (format!("flows/{flow}.yaml"), Credentials::default());
    let surroundings = Surroundings {
        credentials: &credentials,
        integrations: &Integrations::default(),
        body_limit: 1 << 20,
        read_file: &|_| Err(String::new()),
    };
    let mut diagnostics = Diagnostics::default();
    let root = parse(&Source::new(&name, text), &mut diagnostics).unwrap();
    let loaded = Flow::load(&root, &surroundings, &mut diagnostics).unwrap();
    (Arc::clone(&loaded.plan.version), Arc::clone(&loaded.document))
}

/// Writes so many runs of a flow into the file of a folder that is not served.
#[tokio::main(flavor = "current_thread")]
pub(super) async fn write(
    folder: &Folder,
    (flow, text): (&str, &str),
    runs: usize,
    progress: impl Fn(usize, Arc<str>) -> Progress,
) {
    let store = opened(folder.path(), Access::Serve);
    let owner = store.register(&"local".into()).await.unwrap().owner;
    let (version, document) = version(flow, text);
    store.keep_version(&flow.into(), &version, &document).await.unwrap();
    for first in (0..runs).step_by(BATCH) {
        let numbers = first..(first + BATCH).min(runs);
        let rows = numbers.map(|n| row(flow, n, progress(n, Arc::clone(&version)))).collect();
        admit(&*store, &owner, rows).await;
    }
    store.retire(&owner).await.unwrap();
}

async fn admit(store: &dyn Store, owner: &Owner, rows: Vec<NewRun>) {
    let (sender, mut answers) = tokio::sync::mpsc::channel::<Result<Admitted, StoreError>>(rows.len());
    let told = rows.into_iter().map(|row| {
        let sender = sender.clone();
        (row, Box::new(move |outcome| sender.try_send(outcome).unwrap()) as Settled)
    });
    store.admit(owner, Clock::system().now(), told.collect());
    drop(sender);
    while let Some(outcome) = answers.recv().await {
        assert!(outcome.unwrap().is_kept());
    }
}

fn row(flow: &str, n: usize, progress: Progress) -> NewRun {
    let route = Route { flow: flow.into(), suffix: String::new(), params: Params::default(), system: None };
    let body = json!({"n": n, "customer": {"name": format!("customer {n}")}, "note": "x".repeat(100)});
    let sample = Sample { body: SampleBody::Value(body), ..Sample::default() };
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_790_000_000);
    let base = "http://localhost".into();
    let event = Event::of_sample(sample, &BodySpec::auto(1 << 20), route, "e", at, base).unwrap();
    NewRun {
        run: format!("01a1f8d3-{:04x}-7000-8000-{n:012x}", n >> 16).into(),
        flow: flow.into(),
        attempt: 1,
        seed: [7; 16],
        started_at: at,
        event: Arc::new(event),
        bytes: 150,
        claims: Vec::new(),
        order: None,
        replays: None,
        progress,
    }
}

pub(super) fn nothing(_: usize, version: Arc<str>) -> Progress {
    Progress::none(version)
}

/// Looks again and again, for as long as it takes but not for ever, and returns the most memory that was seen.
fn watch(service: &Service, what: &str, reached: impl Fn() -> bool) -> u64 {
    let mut most = service.resident_kib();
    for _ in 0..60 * 60 * 10 {
        most = most.max(service.resident_kib());
        if reached() {
            return most;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("it did not come: {what}");
}

/// The runs of a flow from the newest to the oldest: the number in the event's end, and when it ended.
#[tokio::main(flavor = "current_thread")]
async fn ends(folder: &Folder, flow: &str) -> Vec<(u64, Timestamp)> {
    let store = opened(folder.path(), Access::Read);
    let filter = RunFilter { flow: Some(flow.into()), ..RunFilter::default() };
    let (mut ends, mut before) = (Vec::new(), None);
    loop {
        let page = store.find(&filter, before, 1_000).await.unwrap();
        for Ended { end, at } in page.runs.into_iter().filter_map(|line| line.ended) {
            let End::Succeeded(value) = &*end else { panic!("{end:?}") };
            ends.push((value.as_u64().unwrap(), at));
        }
        before = page.next;
        if before.is_none() {
            return ends;
        }
    }
}

/// "A backlog restarts with flat memory and in order."
fn a_backlog(size: usize) {
    let folder = folder().flow("backlog", BACKLOG);
    write(&folder, ("backlog", BACKLOG), size, nothing);
    let began = Clock::system().monotonic();
    let service = Service::start(&folder);
    let (start, first) = (began.elapsed(), service.resident_kib());
    let done = "hookflow_runs_total{flow=\"backlog\",outcome=\"succeeded\"}";
    let most = watch(&service, done, || service.metric(done) == Some(size as u64));
    let drained = began.elapsed();
    service.stop_sound();
    println!(
        "{size} events: started after {start:?} with {first} KiB, at most {most} KiB, drained after {drained:?}"
    );
    let ends = ends(&folder, "backlog");
    assert!(ends.iter().map(|(n, _)| *n).eq((0..size as u64).rev()), "each is there once");
    assert!(ends.is_sorted_by(|(_, at), (_, before)| at >= before), "they ended in order");
    assert!(most < first + (64 << 10), "from {first} to {most} KiB");
}

/// Sleepers take no memory, and wake in the order of their moments.
fn sleepers(size: usize) {
    let nap = NAP.replace("workers: 8", "workers: 1");
    let folder = folder().flow("nap", &nap);
    let service = Service::start(&folder);
    let none = service.resident_kib();
    service.stop_sound();
    let due = size / 10;
    write(&folder, ("nap", &nap), size, |n, version| {
        // A tenth is due by now, the last of them first; the others are not in this century.
        let number = i64::try_from(n).unwrap();
        let second = if n < due { 1_790_010_000 - number } else { 4_000_000_000 + number };
        let begun_at = Timestamp::from_second(if n < due { second - 3_600 } else { 1_790_000_000 }).unwrap();
        let until = Some(Timestamp::from_second(second).unwrap());
        Progress {
            begun_at: Some(begun_at),
            parked: Some(Parked { until, heard: 0 }),
            ..Progress::none(version)
        }
    });
    let service = Service::start(&folder);
    let done = "hookflow_runs_total{flow=\"nap\",outcome=\"succeeded\"}";
    let most = watch(&service, done, || service.metric(done) == Some(due as u64));
    service.stop_sound();
    println!("{size} sleepers: {none} KiB without, at most {most} KiB with them while {due} woke");
    let mut ends = ends(&folder, "nap");
    ends.sort_by_key(|(_, at)| *at);
    assert!(ends.iter().map(|(n, _)| *n).eq((0..due as u64).rev()), "in the order of their moments");
    assert!(most < none + (64 << 10), "from {none} to {most} KiB");
}

const ASK: &str = "webhook: {auth: none}
queue: {workers: 8, capacity: 2000000}
steps:
  - respond: {status: 202, json: {url: \"${ wait_url('answer') }\"}}
  - id: answer
    wait: {auth: none}
  - stop: '${ steps.answer.body.n }'";

/// Runs that wait for a call take no memory, and each goes on with its own call after a restart.
fn callbacks(size: usize) {
    let folder = folder().flow("ask", ASK);
    let service = Service::start(&folder);
    let none = service.resident_kib();
    let mut door = Wire::connect(service.public);
    let urls: Vec<_> = (0..size)
        .map(|_| {
            let answer = door.ask(&Request::json("/hook/ask", "{}"));
            assert_eq!(answer.status, 202, "{answer:?}");
            let url = answer.value()["url"].as_str().unwrap().to_owned();
            format!("/resume/{}", url.split_once("/resume/").unwrap().1)
        })
        .collect();
    let waiting = service.resident_kib();
    drop(door);
    service.stop_sound();
    let service = Service::start(&folder);
    let restarted = service.resident_kib();
    let mut door = Wire::connect(service.public);
    for (n, url) in urls.iter().enumerate() {
        let answer = door.ask(&Request::json(url, format!("{{\"n\": {n}}}")));
        assert_eq!(answer.status / 100, 2, "{answer:?}");
    }
    let done = "hookflow_runs_total{flow=\"ask\",outcome=\"succeeded\"}";
    let most = watch(&service, done, || service.metric(done) == Some(size as u64));
    drop(door);
    service.stop_sound();
    println!(
        "{size} waiting: {none} KiB before, {waiting} with them, {restarted} after a restart, at most {most} when called"
    );
    assert!(
        ends(&folder, "ask").iter().map(|(n, _)| *n).eq((0..size as u64).rev()),
        "each heard its own call"
    );
    assert!(most < none + (64 << 10), "from {none} to {most} KiB");
}

/// What is beyond retention is forgotten while events come in, and the number of runs stays where it should.
fn pruning(size: usize) {
    let kept = size / 4;
    let p99 = |retention: &str, expected: usize| {
        let folder = folder().flow("backlog", BACKLOG).config(retention);
        write(&folder, ("backlog", BACKLOG), size, has_ended);
        let service = Service::start(&folder);
        let mut door = Wire::connect(service.public);
        let pruned = "hookflow_pruned_runs_total";
        let mut took = Vec::new();
        // As long as it prunes, or as many as that.
        while took.len() < size / 10 || service.metric(pruned) < Some(expected as u64) {
            for _ in 0..50 {
                let began = Clock::system().monotonic();
                assert_eq!(door.ask(&call("queued", "{}")).status, 202);
                took.push(began.elapsed());
            }
        }
        let sent = took.len();
        drop(door);
        service.stop_sound();
        took.sort();
        (took[sent * 99 / 100], sent, folder)
    };
    let (with, sent, folder) = p99(&format!("retention: {{age: 3650d, runs: {kept}}}"), size - kept);
    let left = count(&folder);
    assert!((kept..=kept + sent).contains(&left), "{left} are left of {size} and {sent}");
    let (without, ..) = p99("retention: {age: 3650d}", 0);
    println!(
        "{size} runs, {sent} events beside the pruning of {}: p99 {with:?} with, {without:?} without",
        size - kept
    );
}

pub(super) fn has_ended(n: usize, version: Arc<str>) -> Progress {
    let end = Arc::new(End::Succeeded((n as u64).into()));
    let at = Timestamp::from_second(1_790_000_001).unwrap();
    Progress { ended: Some(Ended { end, at }), begun_at: Some(at), ..Progress::none(version) }
}

#[tokio::main(flavor = "current_thread")]
async fn count(folder: &Folder) -> usize {
    let store = opened(folder.path(), Access::Read);
    let (mut count, mut before) = (0, None);
    loop {
        let page = store.find(&RunFilter::default(), before, 1_000).await.unwrap();
        count += page.runs.len();
        before = page.next;
        if before.is_none() {
            return count;
        }
    }
}

/// Lists beside what comes in. What it takes is printed; that it reads few rows is the store's own test.
fn lists(size: usize) {
    // What is written is older than what is kept by itself.
    let folder = folder().flow("backlog", BACKLOG).config("retention: {age: 3650d}");
    write(&folder, ("backlog", BACKLOG), size, has_ended);
    let service = Service::start(&folder);
    let over = Arc::new(AtomicBool::new(false));
    let (door, is_over) = (service.public, Arc::clone(&over));
    let ingesting = beside(move || {
        let mut sent = 0_u32;
        while !is_over.load(Ordering::Relaxed) {
            assert_eq!(Wire::connect(door).ask(&call("queued", "{}")).status, 202);
            sent += 1;
        }
        sent
    });
    let one = row("backlog", size / 3, Progress::none("".into())).run;
    let half = size / 2;
    for (what, path, items) in [
        ("first page", "/api/runs?limit=50".to_owned(), Some(50)),
        ("of a flow", "/api/runs?limit=50&flow=backlog".to_owned(), Some(50)),
        ("deep inside", format!("/api/runs?limit=50&before={half}"), Some(50)),
        ("failed", "/api/runs?limit=50&status=failed".to_owned(), Some(0)),
        ("a text", format!("/api/runs?limit=50&before={half}&search=customer%20{}", half - 10), Some(1)),
        ("one run", format!("/api/runs/{one}"), None),
    ] {
        let mut took: Vec<_> = (0..11)
            .map(|_| {
                let began = Clock::system().monotonic();
                let answer = service.ops(&path);
                assert_eq!(answer.status, 200, "{what}");
                let found = answer.value()["items"].as_array().map(Vec::len);
                assert_eq!(found, items, "{what}");
                began.elapsed()
            })
            .collect();
        took.sort();
        println!("{size} runs, {what}: median {:?}, slowest {:?}", took[5], took[10]);
    }
    over.store(true, Ordering::Relaxed);
    assert!(ingesting.join().unwrap() > 0);
    service.stop_sound();
}

#[test]
fn a_backlog_restarts_with_flat_memory_and_in_order() {
    a_backlog(3_000);
}

#[test]
#[ignore = "minutes"]
fn a_backlog_of_a_million() {
    a_backlog(1_000_000);
}

#[test]
fn sleepers_take_no_memory_and_wake_in_order() {
    sleepers(1_000);
}

#[test]
#[ignore = "a minute"]
fn a_hundred_thousand_sleepers() {
    sleepers(100_000);
}

#[test]
fn runs_that_wait_take_no_memory_and_hear_their_calls_after_a_restart() {
    callbacks(300);
}

#[test]
#[ignore = "minutes"]
fn a_hundred_thousand_callbacks() {
    callbacks(100_000);
}

#[test]
fn what_is_forgotten_makes_room_while_events_come() {
    pruning(2_000);
}

#[test]
#[ignore = "minutes"]
fn pruning_of_two_hundred_thousand_beside_what_comes() {
    pruning(200_000);
}

#[test]
fn lists_are_read_beside_what_comes_in() {
    lists(1_000);
}

#[test]
#[ignore = "minutes"]
fn a_list_of_a_million() {
    lists(1_000_000);
}
