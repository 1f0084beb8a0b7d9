//! Deliveries in numbers: a hundred subscriptions of which one is dead, and a subscription for which very many wait. The short
//! forms count; the long ones measure, and what they print is for docs/reliability.md.

use super::service::{Folder, Service, beside as in_thread, until};
use super::sizes::opened;
use super::target::{Play, Target};
use super::wire::{Request, Wire};
use hookflow_runtime::Clock;
use hookflow_store::backends::Access;
use hookflow_store::{Emitter, Outgoing};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ALLOWED: &str = "outbound: {allow: [127.0.0.0/8]}";
/// A folder without a flow has nothing to serve.
const FLOW: &str = "webhook: {auth: none}\nsteps: [{respond: {status: 204}}]";
const SUBSCRIPTIONS: usize = 100;
/// How often one that hangs is asked at most until it is set aside, one thing at a time.
const ASKED: usize = 5;
/// How much more memory than before may be taken by what waits, in KiB.
const ROOM: u64 = 24 << 10;

/// How the last of a hundred endpoints is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Last {
    Well,
    Hangs,
    Refuses,
}

fn subscribe(folder: &Folder, name: &str, url: &str, event: &str) {
    let yaml = format!("subscription: {name}\ncallback_url: {url}\nevents: [{event}]\n");
    folder.put(&format!("config/subscriptions/{name}.yaml"), yaml);
}

/// A hundred of which the last is as it is.
fn hundred(well: &Target, dead: &Target, last: Last) -> Folder {
    let folder = Folder::new().config(ALLOWED).flow("shop", FLOW);
    for n in 1..SUBSCRIPTIONS {
        subscribe(&folder, &format!("s{n:03}"), &well.url(&format!("/{n:03}")), "tick");
    }
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let url = match last {
        Last::Well => well.url("/last"),
        Last::Hangs => dead.url("/last"),
        Last::Refuses => format!("http://{nobody}/last"),
    };
    subscribe(&folder, "s100", &url, "tick");
    folder
}

/// Has events sent from elsewhere, one after the other, with a pause between them.
fn publish(service: &Service, event: &str, count: usize, pause: Duration) {
    let mut ops = Wire::connect(service.ops);
    let began = Clock::system().monotonic();
    for n in 0..count {
        let due = pause * u32::try_from(n).unwrap();
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let body = json!({"event": event, "data": n}).to_string();
        assert_eq!(ops.ask(&Request::json("/api/events", body)).status, 202);
    }
}

#[test]
fn of_a_hundred_one_that_hangs_holds_up_none_of_the_others() {
    const EVENTS: usize = 6;
    let (well, dead) = (Target::start(|_| Play::Answer(204, "")), Target::hanging());
    let folder = hundred(&well, &dead, Last::Hangs);
    let service = Service::start(&folder);
    publish(&service, "tick", EVENTS, Duration::ZERO);
    let heard = well.heard(EVENTS * (SUBSCRIPTIONS - 1));
    let ids: BTreeSet<_> = heard.iter().map(|heard| heard.header("webhook-id").unwrap()).collect();
    assert_eq!(ids.len(), heard.len(), "each once");
    // Who has not answered yet is asked one thing at a time.
    assert!(dead.count() <= ASKED, "{}", dead.count());
    dead.release();
    until("those that waited", || (standing(&service, "s100")["pending"] == 0).then_some(()));
    service.stop_sound();
}

/// How long each delivery to those that are well took, from when its event was taken in until it arrived.
fn beside(last: Last, events: usize, pause: Duration) -> Vec<f64> {
    let took: Arc<Mutex<Vec<f64>>> = Arc::default();
    let (heard, dead) = (Arc::clone(&took), Target::hanging());
    let well = Target::start(move |request| {
        let now = Clock::system().now();
        if request.target != "/last" {
            let created: Timestamp = request.value()["created_at"].as_str().unwrap().parse().unwrap();
            heard.lock().unwrap().push(now.duration_since(created).as_secs_f64() * 1_000.0);
        }
        Play::Answer(204, "")
    });
    let folder = hundred(&well, &dead, last);
    let service = Service::start(&folder);
    // The first connections are no matter of this.
    publish(&service, "tick", 3, pause);
    let (warm, all) = (3 * (SUBSCRIPTIONS - 1), (events + 3) * (SUBSCRIPTIONS - 1));
    until("the first ones", || (took.lock().unwrap().len() >= warm).then_some(()));
    publish(&service, "tick", events, pause);
    until("all that are well", || (took.lock().unwrap().len() >= all).then_some(()));
    dead.release();
    service.stop();
    took.lock().unwrap().split_off(warm)
}

#[test]
#[ignore = "a measurement: five minutes"]
fn how_long_deliveries_take_beside_one_of_a_hundred_that_is_dead() {
    const ROUNDS: usize = 3;
    const KINDS: [(&str, Last); 3] =
        [("well", Last::Well), ("hangs", Last::Hangs), ("refuses", Last::Refuses)];
    let mut all: [[Vec<f64>; 2]; 3] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, last), [base, other]) in KINDS.iter().zip(&mut all) {
            // Two services at the same time, of which one is as it should be: what else the machine does, it does to both.
            // Of two that are well the difference is what any other has to be more than.
            let sound = in_thread(|| beside(Last::Well, 25, Duration::from_secs(1)));
            other.extend(beside(*last, 25, Duration::from_secs(1)));
            base.extend(sound.join().unwrap());
        }
    }
    for ((name, _), [base, other]) in KINDS.iter().zip(&mut all) {
        let p = |took: &mut Vec<f64>, part: usize| {
            took.sort_by(f64::total_cmp);
            took[took.len() * part / 100]
        };
        let (p50, p99) = ((p(base, 50), p(other, 50)), (p(base, 99), p(other, 99)));
        println!(
            "{name}: {} deliveries, p50 {:.1} beside {:.1} ms, p99 {:.1} beside {:.1} ms, {:+.1} %",
            other.len(),
            p50.1,
            p50.0,
            p99.1,
            p99.0,
            (p99.1 / p99.0 - 1.0) * 100.0
        );
    }
}

/// Writes so many events for `crm` into the file of a folder that is not served.
#[tokio::main(flavor = "current_thread")]
async fn write(folder: &Folder, events: usize) {
    let store = opened(folder.path(), Access::Serve);
    let owner = store.register(&"local".into()).await.unwrap().owner;
    let at = Clock::system().now() - SignedDuration::from_hours(1);
    let outgoing = |n: usize| Outgoing {
        id: format!("01a1f8d3-{:04x}-7000-8000-{n:012x}", n >> 16).into(),
        name: "order.created".into(),
        at,
        by: Emitter::Caller(None),
        data: json!({"n": n, "note": "x".repeat(300)}).to_string().into(),
        to: vec!["crm".into()],
    };
    for first in (0..events).step_by(1_000) {
        let batch = first..(first + 1_000).min(events);
        let written: Vec<_> = batch.map(|n| store.outbox().publish(&owner, &outgoing(n))).collect();
        for written in written {
            assert!(written.await.unwrap().is_new);
        }
    }
    store.retire(&owner).await.unwrap();
}

fn standing(service: &Service, name: &str) -> Value {
    let all = service.ops("/api/subscriptions").value();
    all["items"].as_array().unwrap().iter().find(|it| it["subscription"] == name).unwrap().clone()
}

/// Starts the service, sees to it that another subscription is served, and returns how long the start took and the most memory.
fn serve_beside(folder: &Folder, erp: &Target, waiting: usize) -> (Service, Duration, u64) {
    let began = Clock::system().monotonic();
    let service = Service::start(folder);
    let ready = began.elapsed();
    let before = erp.count();
    publish(&service, "order.paid", 20, Duration::from_millis(5));
    erp.heard(before + 20);
    assert_eq!(standing(&service, "crm")["pending"], waiting);
    let memory = service.peak_memory() >> 10;
    (service, ready, memory)
}

fn many_wait(events: usize) {
    let folder = Folder::new().config(ALLOWED).flow("shop", FLOW);
    let (crm, erp) = (Target::hanging(), Target::start(|_| Play::Answer(204, "")));
    subscribe(&folder, "crm", &crm.url("/in"), "order.created");
    subscribe(&folder, "erp", &erp.url("/in"), "order.paid");
    let (service, ready, without) = serve_beside(&folder, &erp, 0);
    service.stop_sound();
    println!("none: ready after {ready:.2?}, {without} KiB at most");
    write(&folder, events);

    // It is dead, and then it is off.
    for how in ["dead", "off"] {
        let (service, ready, memory) = serve_beside(&folder, &erp, events);
        println!("{how}: ready after {ready:.2?}, {memory} KiB at most");
        assert!(memory < without + ROOM, "{memory} KiB, {without} without them");
        assert!(crm.count() <= ASKED, "{}", crm.count());
        if how == "dead" {
            let off = service.command(&folder, &["subscriptions", "off", "crm"]);
            assert_eq!(off.code, Some(0), "{off:?}");
        }
        service.signal("KILL");
        service.end();
    }

    // It comes back.
    let (service, _, _) = serve_beside(&folder, &erp, events);
    crm.release();
    let began = Clock::system().monotonic();
    assert_eq!(service.command(&folder, &["subscriptions", "on", "crm"]).code, Some(0));
    let pending = || standing(&service, "crm")["pending"].as_u64().unwrap();
    let mut left = pending();
    while left > 0 {
        std::thread::sleep(Duration::from_millis(200));
        let now = until("fewer that wait", || Some(pending()).filter(|now| *now < left));
        left = now;
    }
    let (took, memory) = (began.elapsed(), service.peak_memory() >> 10);
    println!("back: {events} deliveries in {took:.1?}, {memory} KiB at most");
    assert!(memory < without + ROOM, "{memory} KiB, {without} without them");
    let heard = crm.heard(events);
    let ids: BTreeSet<_> = heard.iter().map(|heard| heard.header("webhook-id").unwrap()).collect();
    // Those that hung came again.
    assert_eq!(ids.len(), events);
    assert!(heard.len() <= events + ASKED, "{}", heard.len());
    service.stop_sound();
}

#[test]
fn many_wait_for_one_that_is_dead_or_off_and_leave_when_it_is_back() {
    many_wait(300);
}

#[test]
#[ignore = "three hundred times the size: a quarter of an hour"]
fn a_hundred_thousand_wait_for_one_that_is_dead_or_off() {
    many_wait(100_000);
}
