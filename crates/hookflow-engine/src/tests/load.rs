//! Many events: each ends once, and no flow holds up another.

use super::bench::{Bench, Server};
use crate::{Admission, Conclusion, Limits};
use serde_json::json;
use std::collections::HashSet;

const MANY: usize = 10_000;
const QUICK: &str = "flow: quick\nwebhook: {auth: none}\nsteps: [{respond: {status: 200}}]";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_events_through_eight_workers_end_once_each() {
    let bench = Bench::new(&[
        "flow: later\nwebhook: {auth: none}\nqueue: {workers: 8}\nsteps: [{set: {a: 1}}]",
        "flow: sync\nwebhook: {auth: none}\nqueue: {workers: 8}\nsteps: [{respond: {status: 200}}]",
    ])
    .await;
    let (mut runs, mut tickets) = (HashSet::new(), Vec::new());
    for n in 0..MANY {
        let flow = if n % 2 == 0 { "later" } else { "sync" };
        match bench.admit(flow, json!({"n": n})).await {
            Admission::Queued { run } => assert!(runs.insert(run)),
            Admission::Waiting(ticket) => tickets.push(ticket),
            other => panic!("{other:?}"),
        }
    }
    for mut ticket in tickets {
        assert!(matches!(ticket.wait().await, Conclusion::Reply(_)));
        assert!(runs.insert(ticket.run));
    }
    bench.all_ended().await;
    assert_eq!(runs.len(), MANY);
    for flow in ["later", "sync"] {
        let ended = format!("hookflow_runs_total{{flow=\"{flow}\",outcome=\"succeeded\"}}");
        bench.until(async || bench.metric(&ended) == 5_000).await;
        assert_eq!(bench.metric(&format!("hookflow_queue_items{{flow=\"{flow}\"}}")), 0);
        // The store keeps the latest only.
        assert!(bench.recent(flow, MANY).await.iter().all(|line| line.ended.is_some()));
        let workers = bench.tasks.running().get("flow worker").copied().unwrap_or_default();
        assert!(workers <= 16, "{workers}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flow_that_hangs_holds_up_nobody_else() {
    let limits = Limits { runs_in_flight: 16, ..Limits::default() };
    let bench = Bench::with(limits, &[]).await;
    let server = Server::open(&bench.tasks).await;
    let slow = format!("flow: slow\nwebhook: {{auth: none}}\nsteps: [{{http: {{url: '{}'}}}}]", server.url);
    bench.install(&[&slow, "flow: quick\nwebhook: {auth: none}\nsteps: [{respond: {status: 200}}]"]).await;
    for _ in 0..1_000 {
        bench.queued("slow", json!({})).await;
    }
    bench.until(async || server.hits() == 8).await;
    for _ in 0..1_000 {
        assert!(matches!(bench.conclusion("quick", json!({})).await, Conclusion::Reply(_)));
    }
    assert_eq!(server.hits(), 8, "as many as the flow has workers");
    assert_eq!(bench.unfinished().await, 1_000);
    server.answer(1_000);
    bench.all_ended().await;
}

#[tokio::test]
async fn runs_in_flight_are_shared_in_the_order_in_which_they_came() {
    let bench = Bench::with(Limits { runs_in_flight: 2, ..Limits::default() }, &[]).await;
    let server = Server::open(&bench.tasks).await;
    let slow =
        |name| format!("flow: {name}\nwebhook: {{auth: none}}\nsteps: [{{http: {{url: '{}'}}}}]", server.url);
    bench.install(&[&slow("a"), &slow("b")]).await;
    for _ in 0..4 {
        bench.queued("a", json!({})).await;
    }
    bench.until(async || server.hits() == 2).await;
    bench.queued("b", json!({})).await;
    let b_waits = || bench.metric("hookflow_queue_items{flow=\"b\"}");
    // The two of `a` that came before `b` go first, then `b`.
    server.answer(2);
    bench.until(async || server.hits() == 4).await;
    assert_eq!((b_waits(), bench.metric("hookflow_runs_in_flight")), (1, 2));
    server.answer(1);
    bench.until(async || server.hits() == 5).await;
    assert_eq!(b_waits(), 0);
    server.answer(2);
    bench.all_ended().await;
}

#[tokio::test]
async fn workers_end_after_idling_and_come_back_with_work() {
    let limits = Limits::default();
    let idle = limits.idle_worker;
    let bench =
        Bench::with(limits, &["flow: later\nwebhook: {auth: none}\nsteps: [{set: {a: 1}}]", QUICK]).await;
    let workers = || bench.tasks.running().get("flow worker").copied().unwrap_or_default();
    for _ in 0..2 {
        bench.queued("later", json!({})).await;
        bench.all_ended().await;
        assert_eq!(workers(), 1);
        assert!(matches!(bench.conclusion("quick", json!({})).await, Conclusion::Reply(_)));
        assert_eq!(workers(), 1, "a run that waits for nothing is over where it was brought");
        bench
            .until(async || {
                bench.clock.advance(idle);
                workers() == 0
            })
            .await;
    }
}

/// A flow with two workers that calls the server before it answers.
fn slow(server: &Server) -> String {
    format!(
        "flow: slow\nwebhook: {{auth: none}}\nqueue: {{workers: 2}}\n\
         steps: [{{http: {{url: '{}'}}}}, {{respond: {{status: 200}}}}]",
        server.url
    )
}

#[tokio::test]
async fn runs_that_begin_where_they_are_brought_take_a_worker_each() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    bench.install(&[&slow(&server), QUICK]).await;
    let mut tickets = Vec::new();
    for _ in 0..5 {
        let Admission::Waiting(ticket) = bench.admit("slow", json!({})).await else { panic!("it is kept") };
        tickets.push(ticket);
    }
    bench.until(async || server.hits() == 2).await;
    assert!(matches!(bench.conclusion("quick", json!({})).await, Conclusion::Reply(_)));
    assert_eq!((server.hits(), bench.metric("hookflow_queue_items{flow=\"slow\"}")), (2, 3));
    // Their callers go away, which cancels nothing.
    drop(tickets.split_off(3));
    server.answer(5);
    for mut ticket in tickets {
        assert!(matches!(ticket.wait().await, Conclusion::Reply(_)));
    }
    bench.all_ended().await;
    assert_eq!(bench.metric("hookflow_runs_total{flow=\"slow\",outcome=\"succeeded\"}"), 5);
}

/// Beside two idle workers two runs begin where they are brought, so the idle ones are too many and leave.
#[tokio::test]
async fn an_event_waits_for_no_idle_worker_that_is_one_too_many() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    bench.install(&[&slow(&server)]).await;
    let workers = || bench.tasks.running().get("flow worker").copied().unwrap_or_default();
    let mut tickets = Vec::new();
    for _ in 0..4 {
        tickets.push(bench.ticket("slow", json!({})).await);
    }
    // Whoever takes from the queue stays when there is no more.
    server.answer(4);
    for ticket in &mut tickets {
        assert!(matches!(ticket.wait().await, Conclusion::Reply(_)));
    }
    bench.all_ended().await;
    assert_eq!(workers(), 2);
    let (mut first, second) = (bench.ticket("slow", json!({})).await, bench.ticket("slow", json!({})).await);
    let third = bench.ticket("slow", json!({})).await;
    bench.until(async || server.hits() == 6).await;
    server.answer(1);
    assert!(matches!(first.wait().await, Conclusion::Reply(_)));
    bench.until(async || server.hits() == 7).await;
    server.answer(2);
    for mut ticket in [second, third] {
        assert!(matches!(ticket.wait().await, Conclusion::Reply(_)));
    }
    bench.all_ended().await;
}
