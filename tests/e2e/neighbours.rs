//! What a flow takes from the others, and a flow from itself: no places but its own.

use super::service::{Folder, Service, until};
use super::target::Target;
use super::wire::{Request, Wire};
use hookflow_runtime::Clock;
use serde_json::json;
use std::time::Duration;

const NEXT: &str = "webhook: {auth: none}\nsteps: [{respond: {json: {n: '${ webhook.body.n }'}}}]";

/// `hung`, with so many places, each step of which hangs, and `next` beside it.
fn beside_each_other(target: &Target, workers: usize) -> Folder {
    let hung = format!(
        "webhook: {{auth: none}}\nqueue: {{workers: {workers}}}\nsteps: [{{timeout: 30s, http: {{url: '{0}'}}}}, {{timeout: 30s, http: {{url: '{0}'}}}}]",
        target.url("/")
    );
    Folder::new().config("outbound: {allow: [127.0.0.0/8]}").flow("hung", &hung).flow("next", NEXT)
}

/// How long each of so many callers of `next` waited, from the shortest.
fn ask_next(service: &Service, count: usize) -> Vec<Duration> {
    let mut door = Wire::connect(service.public);
    let mut took: Vec<_> = (0..count)
        .map(|n| {
            let began = Clock::system().monotonic();
            let answer = door.ask(&Request::json("/hook/next", format!("{{\"n\": {n}}}")));
            assert_eq!((answer.status, answer.value()), (200, json!({"n": n})));
            began.elapsed()
        })
        .collect();
    took.sort();
    took
}

/// Sends so many events to `hung` and waits until all its places are taken.
fn hang(service: &Service, target: &Target, events: usize, workers: usize) {
    for _ in 0..events {
        assert_eq!(service.send(&Request::json("/hook/hung", "{}")).status, 202);
    }
    assert_eq!(target.heard(workers).len(), workers);
}

#[test]
fn a_flow_that_hangs_takes_no_place_of_others() {
    let target = Target::hanging();
    let folder = beside_each_other(&target, 4);
    let service = Service::start(&folder);
    hang(&service, &target, 12, 4);
    ask_next(&service, 200);
    assert_eq!(target.count(), 4, "all places of the other were taken all the time");
    assert_eq!(service.metric("hookflow_runs_total{flow=\"hung\",outcome=\"succeeded\"}").unwrap_or(0), 0);
    target.release();
    service.until_metric("hookflow_runs_total{flow=\"hung\",outcome=\"succeeded\"}", 12);
    service.stop_sound();
}

#[test]
#[ignore = "a measurement"]
fn how_long_callers_wait_beside_a_flow_that_hangs() {
    let target = Target::hanging();
    let folder = beside_each_other(&target, 64);
    let service = Service::start(&folder);
    for round in 1..=5 {
        if round == 2 {
            hang(&service, &target, 1_000, 64);
        }
        let took = ask_next(&service, 20_000);
        let (what, p) = (if round == 1 { "alone" } else { "beside" }, |n: usize| took[took.len() * n / 100]);
        println!("{what}: p50 {:?}, p99 {:?}", p(50), p(99));
    }
    target.release();
    service.stop_sound();
}

#[test]
fn a_flow_that_calls_itself_finishes() {
    let down = "webhook: {auth: none}
queue: {workers: 1}
steps:
  - when: webhook.body.n == 0
    return: 0
  - {id: below, run: down, with: {n: '${ webhook.body.n - 1 }'}}
  - return: '${ steps.below + 1 }'
";
    let folder = Folder::new().flow("down", down);
    let service = Service::start(&folder);
    let ended = |n: u32| {
        let answer = service.send(&Request::json("/hook/down", format!("{{\"n\": {n}}}")));
        assert_eq!(answer.status, 202, "{answer:?}");
        let run = format!("/api/runs/{}", answer.header("x-run-id").unwrap());
        until("its end", || {
            let shown = service.ops(&run).value();
            ["succeeded", "failed"].contains(&shown["status"].as_str().unwrap()).then_some(shown)
        })
    };
    let shown = ended(16);
    assert_eq!((&shown["status"], &shown["value"]), (&json!("succeeded"), &json!(16)), "{shown}");
    // Beyond the depth it ends too.
    assert_eq!(ended(17)["status"], "failed");
    assert_eq!(ended(1)["status"], "succeeded", "its only worker is free again");
    service.stop_sound();
}
