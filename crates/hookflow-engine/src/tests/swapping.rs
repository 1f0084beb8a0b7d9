//! Generations are swapped whole, and queues outlive them.

use super::bench::{Bench, Server, flow};
use crate::{Conclusion, Limits};
use hookflow_flow::End;
use hookflow_runtime::Clock;
use hookflow_store::{Store as _, StoreError, VERSIONS_KEPT};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn later(marks: &str) -> String {
    format!("flow: later\n{marks}webhook: {{auth: none}}\nsteps: [{{set: {{a: 1}}}}]")
}

#[tokio::test]
async fn a_generation_is_swapped_whole_or_not_at_all() {
    let bench = Bench::new(&[&later("")]).await;
    let first = bench.engine.generation();
    assert_eq!((first.number, &*first.base_url), (1, "https://hooks.example"));
    bench.store.away.store(true, Ordering::Relaxed);
    let flows = vec![flow(&later("")), flow("flow: other\nsteps: []")];
    let refused = bench.engine.install(flows, "https://hooks.example").await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    assert!(Arc::ptr_eq(&first, &bench.engine.generation()));
}

#[tokio::test]
async fn a_paused_flow_holds_its_events_and_runs_them_later_on_the_flow_then_in_force() {
    let bench = Bench::new(&[&later("enabled: paused\nqueue: {capacity: 3}\n")]).await;
    let mut runs = Vec::new();
    for n in 0..3 {
        runs.push(bench.queued("later", json!({"n": n})).await);
    }
    assert!(bench.engine.reserve(&bench.live("later"), 1).is_err(), "held events count");
    assert_eq!(bench.unfinished().await, 3);
    let fixed =
        "flow: later\nwebhook: {auth: none}\nqueue: {workers: 1}\nsteps: [{stop: '${ webhook.body.n }'}]";
    bench.install(&[fixed]).await;
    bench.all_ended().await;
    let version = Arc::clone(&bench.live("later").flow.plan.version);
    for run in &runs {
        assert_eq!(bench.store.load(run).await.unwrap().run.progress.version, version);
    }
    let lines = bench.recent("later", 10).await;
    assert_eq!(lines.iter().map(|line| &line.run).rev().collect::<Vec<_>>(), runs.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn pausing_lets_go_of_callers_who_wait() {
    let bench = Bench::with(Limits { runs_in_flight: 1, ..Limits::default() }, &[]).await;
    let server = super::bench::Server::open(&bench.tasks).await;
    let sync = format!(
        "flow: sync\nwebhook: {{auth: none}}\nqueue: {{workers: 1}}\nsteps: [{{http: {{url: '{}'}}}}, {{respond: {{status: 200}}}}]",
        server.url
    );
    bench.install(&[&sync]).await;
    let mut first = bench.ticket("sync", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    let mut second = bench.ticket("sync", json!({})).await;
    let mut third = bench.ticket("sync", json!({})).await;
    assert!(third.persist().await);
    bench.install(&[&sync.replace("webhook:", "enabled: paused\nwebhook:")]).await;
    assert!(matches!(second.wait().await, Conclusion::Gone));
    server.answer(1);
    assert!(matches!(first.wait().await, Conclusion::Reply(_)), "what runs goes on");
    assert_eq!(bench.unfinished().await, 1, "what was promised is held");
    server.answer(1);
    bench.install(&[&sync]).await;
    assert!(matches!(third.wait().await, Conclusion::Reply(_)));
}

#[tokio::test]
async fn a_run_ends_although_its_flow_was_replaced_many_times_since() {
    let bench = Bench::new(&[&later("enabled: paused\n")]).await;
    let server = super::bench::Server::open(&bench.tasks).await;
    let run = bench.queued("later", json!({})).await;
    bench
        .install(&[&format!(
            "flow: later\nwebhook: {{auth: none}}\nsteps: [{{http: {{url: '{}'}}}}]",
            server.url
        )])
        .await;
    let version = Arc::clone(&bench.live("later").flow.plan.version);
    bench.until(async || server.hits() == 1).await;
    for n in 0..=VERSIONS_KEPT {
        bench.install(&[&later(&format!("title: {n}\n"))]).await;
    }
    assert_eq!(bench.store.version("later", &version).await.unwrap(), None);
    server.answer(1);
    bench.all_ended().await;
    assert_eq!(bench.store.load(&run).await.unwrap().run.progress.version, version);
    assert!(bench.store.version("later", &version).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queues_outlive_generations_under_load() {
    let bench = Bench::new(&[&later("")]).await;
    let engine = bench.engine.clone();
    bench.tasks.spawn("reload", async move {
        for n in 0..50 {
            let workers = format!("title: generation {n}\nqueue: {{workers: {}}}\n", n % 4 + 1);
            engine.install(vec![flow(&later(&workers))], "https://hooks.example").await.unwrap();
            Clock::system().sleep(Duration::from_millis(1)).await;
        }
    });
    for n in 0..2_000 {
        bench.queued("later", json!({"n": n})).await;
    }
    bench.until(async || bench.engine.generation().number == 51).await;
    bench.all_ended().await;
    bench
        .until(async || bench.metric("hookflow_runs_total{flow=\"later\",outcome=\"succeeded\"}") == 2_000)
        .await;
    assert_eq!(bench.metric("hookflow_queue_items{flow=\"later\"}"), 0);
    assert_eq!(bench.tasks.panics(), 0);
}

#[tokio::test]
async fn a_flow_that_is_gone_loses_its_series_once_its_queue_is_empty() {
    let bench = Bench::new(&[&later("enabled: paused\n")]).await;
    let accepted = "hookflow_events_accepted_total{flow=\"later\"}";
    bench.queued("later", json!({})).await;
    bench.install(&[]).await;
    assert_eq!(bench.metric(accepted), 1, "an event is still held");
    bench.install(&[&later("")]).await;
    bench.all_ended().await;
    bench
        .until(async || {
            bench.clock.advance(Limits::default().idle_worker);
            !bench.tasks.running().contains_key("flow worker")
        })
        .await;
    bench.install(&[]).await;
    assert_eq!(bench.metric(accepted), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steps_timeout_does_not_count_the_time_in_the_queue() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let flow = |enabled: &str| {
        let step = format!("{{timeout: 2s, http: {{url: '{}'}}}}", server.url);
        format!("flow: held\nenabled: {enabled}\nwebhook: {{auth: none}}\nsteps: [{step}]")
    };
    bench.install(&[&flow("paused")]).await;
    let run = bench.queued("held", json!({})).await;
    bench.clock.advance(Duration::from_hours(1));
    server.answer(1);
    bench.install(&[&flow("true")]).await;
    bench.all_ended().await;
    let progress = bench.store.load(&run).await.unwrap().run.progress;
    assert!(matches!(&*progress.ended.unwrap().end, End::Succeeded(_)));
    assert_eq!(progress.begun_at, Some(bench.clock.now()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_counts_against_the_memory_of_all_flows() {
    let bench = Bench::with(Limits { queued_bytes: 150, ..Limits::default() }, &[]).await;
    let server = Server::open(&bench.tasks).await;
    let slow = format!("flow: slow\nwebhook: {{auth: none}}\nsteps: [{{http: {{url: '{}'}}}}]", server.url);
    bench.install(&[&slow]).await;
    bench.queued("slow", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    assert!(bench.engine.reserve(&bench.live("slow"), 100).is_err(), "100 of 150 bytes are in the run");
    server.answer(1);
    bench.all_ended().await;
    bench.until(async || bench.engine.reserve(&bench.live("slow"), 100).is_ok()).await;
    // What is larger than everything is taken when it is alone.
    bench.until(async || bench.engine.reserve(&bench.live("slow"), 1_000).is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_answered_by_the_flow_that_took_the_event_in() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let flow = |status: u16| {
        format!(
            "flow: sync\nwebhook: {{auth: none}}\nqueue: {{workers: 1}}\nsteps: [{{http: {{url: '{}'}}}}, {{respond: {{status: {status}}}}}]",
            server.url
        )
    };
    bench.install(&[&flow(201)]).await;
    let mut begun = bench.ticket("sync", json!({})).await;
    let mut behind = bench.ticket("sync", json!({})).await;
    let mut late = bench.ticket("sync", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    assert!(late.persist().await);
    let late_run = Arc::clone(&late.run);
    drop(late);
    bench.install(&[&flow(202)]).await;
    server.answer(3);
    for ticket in [&mut begun, &mut behind] {
        let Conclusion::Reply(reply) = ticket.wait().await else { panic!("it has an answer") };
        assert_eq!(reply.status, 201);
    }
    bench.all_ended().await;
    let journal = bench.store.load(&late_run).await.unwrap();
    assert_eq!(journal.run.progress.version, bench.live("sync").flow.plan.version, "nobody waits for it");
}
