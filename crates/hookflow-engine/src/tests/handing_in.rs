//! A run that asks the world for nothing leaves its worker before its end is stored.

use super::bench::{Bench, LONG};
use crate::Limits;
use crate::worker::hand::UNSTORED_ENDS;
use hookflow_flow::End;
use hookflow_store::Store as _;
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;

const LATER: &str = "
flow: later
webhook: {auth: none}
queue: {workers: 2}
steps: [{stop: '${ webhook.body.n }'}]
";
const SUCCEEDED: &str = "hookflow_runs_total{flow=\"later\",outcome=\"succeeded\"}";
const IN_FLIGHT: &str = "hookflow_runs_in_flight";
const WAITING: &str = "hookflow_queue_items{flow=\"later\"}";

/// Whose ends do not reach the store before the test says so.
async fn bench(flow: &str) -> Bench {
    let bench = Bench::new(&[flow]).await;
    bench.store.slow_ends.store(true, Ordering::Relaxed);
    bench
}

impl Bench {
    /// The writer's turn.
    fn commit_ends(&self) {
        self.store.commit(&self.tasks);
    }

    /// Commits until everything has ended.
    async fn end_all(&self) {
        self.until(async || {
            self.commit_ends();
            self.unfinished().await == 0
        })
        .await;
        self.until(async || self.metric(IN_FLIGHT) == 0).await;
    }
}

#[tokio::test]
async fn a_worker_takes_the_next_run_before_the_end_is_stored_up_to_a_bound() {
    let bench = bench(LATER).await;
    let most = UNSTORED_ENDS + 2;
    for n in 0..most + 10 {
        bench.queued("later", json!({"n": n})).await;
    }
    let run = || usize::try_from(bench.metric(SUCCEEDED)).unwrap();
    bench.until(async || run() == most).await;
    bench.clock.advance(Duration::from_mins(1));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((run(), bench.store.ends()), (most, UNSTORED_ENDS), "two workers wait for room");
    assert_eq!(bench.metric(WAITING), 10);
    assert_eq!(usize::try_from(bench.metric(IN_FLIGHT)).unwrap(), most, "none has ended before it is stored");
    assert_eq!(bench.unfinished().await, most + 10);
    bench.end_all().await;
    assert_eq!(run(), most + 10, "each was carried once");
    assert_eq!(bench.engine.0.overall_bytes(), 0);
}

#[tokio::test]
async fn the_bound_of_all_flows_counts_ends_that_are_not_stored() {
    let bench = Bench::with(Limits { runs_in_flight: 3, ..Limits::default() }, &[LATER]).await;
    bench.store.slow_ends.store(true, Ordering::Relaxed);
    for n in 0..10 {
        bench.queued("later", json!({"n": n})).await;
    }
    bench.until(async || bench.store.ends() == 3).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((bench.metric(SUCCEEDED), bench.store.ends()), (3, 3));
    bench.end_all().await;
    assert_eq!(bench.metric(SUCCEEDED), 10);
}

#[tokio::test]
async fn the_next_of_a_key_begins_when_the_end_before_it_is_stored() {
    let ordered = LATER.replace("workers: 2", "workers: 2, order_by: '${ webhook.body.key }'");
    let bench = bench(&ordered).await;
    for (n, key) in ["a", "a", "b", "a"].iter().enumerate() {
        bench.queued("later", json!({"n": n, "key": key})).await;
    }
    for ended in [2, 3, 4] {
        // The first of each key; then those that were behind them, one after the other.
        bench.until(async || bench.metric(SUCCEEDED) == ended).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.metric(SUCCEEDED), ended);
        bench.commit_ends();
    }
    bench.all_ended().await;
}

#[tokio::test]
async fn one_worker_waits_for_each_end() {
    let bench = bench(&LATER.replace("workers: 2", "workers: 1")).await;
    for n in 0..10 {
        bench.queued("later", json!({"n": n})).await;
    }
    bench.all_ended().await;
    assert_eq!((bench.metric(SUCCEEDED), bench.store.ends()), (10, 0), "nothing was handed in");
}

#[tokio::test]
async fn a_store_that_is_away_gets_the_ends_when_it_is_back() {
    let bench = bench(LATER).await;
    for n in 0..20 {
        bench.queued("later", json!({"n": n})).await;
    }
    bench.until(async || bench.store.ends() == 20).await;
    bench.store.away.store(true, Ordering::Relaxed);
    bench.commit_ends();
    bench.until(async || bench.tasks.running().get("end of a run") == Some(&20)).await;
    assert_eq!((bench.unfinished().await, bench.metric(IN_FLIGHT)), (20, 20));
    bench.store.away.store(false, Ordering::Relaxed);
    bench
        .until(async || {
            bench.clock.advance(Duration::from_secs(5));
            bench.unfinished().await == 0
        })
        .await;
    assert_eq!(bench.metric(SUCCEEDED), 20, "each was carried once");
    bench.until(async || bench.metric(IN_FLIGHT) == 0).await;
}

#[tokio::test]
async fn a_version_that_the_store_has_forgotten_is_kept_again_for_the_end() {
    // Long, so that it goes no further before this test waits for something.
    let long = format!("flow: later\nwebhook: {{auth: none}}\nsteps: [{LONG}]");
    let bench = bench(&long).await;
    let run = bench.queued("later", json!({})).await;
    for n in 0..200 {
        let version = format!("v{n}").into();
        bench.store.keep_version(&"later".into(), &version, &"flow: later".into()).await.unwrap();
    }
    bench.end_all().await;
    let ended = bench.store.load(&run).await.unwrap().run.progress.ended.unwrap();
    assert!(matches!(*ended.end, End::Succeeded(_)));
}

#[tokio::test]
async fn a_shutdown_waits_for_ends_that_are_not_stored() {
    let bench = bench(LATER).await;
    bench.queued("later", json!({"n": 1})).await;
    bench.until(async || bench.store.ends() == 1).await;
    let tasks = bench.tasks.clone();
    bench.tasks.spawn("drain", async move {
        tasks.drain(Duration::from_hours(1)).await;
    });
    bench.until(async || !bench.tasks.running().contains_key("flow worker")).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(bench.tasks.running().contains_key("engine shutdown"));
    bench.commit_ends();
    bench.until(async || !bench.tasks.running().contains_key("engine shutdown")).await;
    assert_eq!(bench.unfinished().await, 0);
}

#[tokio::test]
async fn an_end_that_died_with_the_node_is_run_again() {
    let bench = bench(LATER).await;
    for n in 0..20 {
        bench.queued("later", json!({"n": n})).await;
    }
    bench.until(async || bench.store.ends() == 20).await;
    bench.store.slow_ends.store(false, Ordering::Relaxed);
    let next = bench.next_life(&[LATER]).await;
    next.all_ended().await;
    assert_eq!(next.metric(SUCCEEDED), 20);
    // What the dead would have written comes to nothing.
    bench.commit_ends();
    bench.until(async || bench.metric(IN_FLIGHT) == 0).await;
    let ends: Vec<_> = next.recent("later", 100).await.into_iter().filter_map(|line| line.ended).collect();
    let expected: Vec<_> = (0..20).rev().map(|n| End::Succeeded(json!(n))).collect();
    assert_eq!(ends.iter().map(|ended| End::clone(&ended.end)).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn whoever_may_have_run_behind_unstored_ends_is_suspected_of_a_crash() {
    let bench = bench(LATER).await;
    for n in 0..20 {
        bench.queued("later", json!({"n": n})).await;
    }
    bench.until(async || bench.store.ends() == 20).await;
    let mut next = bench.next_life(&[&LATER.replace("webhook:", "enabled: paused\nwebhook:")]).await;
    assert_eq!(next.store.suspected.load(Ordering::Relaxed), 20, "and not only as many as there are workers");
    next = next
        .next_life(&["flow: later\nwebhook: {auth: none}\nsteps: [{http: {url: 'http://a.example'}}]"])
        .await;
    assert_eq!(next.store.suspected.load(Ordering::Relaxed), 20 + 8, "whose runs ask, one for each worker");
}
