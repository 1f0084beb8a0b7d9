//! Flows that are relaxed: what is written of them, and what is known of them only in memory.

use super::bench::{Bench, LONG, Server, signed_event};
use crate::{Admission, Conclusion, Limits, Ticket};
use hookflow_store::{RunFilter, RunStatus, Store as _, StoreError};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;

const LATER: &str = "
flow: later
durability: relaxed
webhook: {auth: none}
queue: {workers: 1}
steps: [{when: webhook.body == 'bad', fail: too bad}, {set: {a: 1}}]
";
const SYNC: &str = "
flow: sync
durability: relaxed
webhook: {auth: none}
steps: [{respond: {status: 201}}]
";

fn writes(bench: &Bench) -> usize {
    bench.store.writes.load(Ordering::Relaxed)
}

async fn signed(bench: &Bench, flow: &'static str, id: &'static str) -> Admission {
    bench.engine.admit(&bench.live(flow), signed_event(flow, id), bench.place(flow)).await
}

async fn signed_ticket(bench: &Bench, flow: &'static str, id: &'static str) -> Ticket {
    match signed(bench, flow, id).await {
        Admission::Waiting(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_written_of_what_succeeds_and_the_latest_are_remembered() {
    let bench = Bench::new(&[LATER, SYNC]).await;
    let mut last = None;
    for n in 0..1_100 {
        last = Some(bench.queued("later", json!(n)).await);
        bench.clock.advance(Duration::from_millis(1));
    }
    assert!(matches!(bench.conclusion("sync", json!({})).await, Conclusion::Reply(_)));
    bench.until(async || bench.metric("hookflow_runs_not_written_total{flow=\"later\"}") == 1_100).await;
    assert_eq!(writes(&bench), 0);
    let of_later = RunFilter { flow: Some("later".into()), ..RunFilter::default() };
    let runs = bench.engine.relaxed_runs(&of_later, None, 2_000);
    assert_eq!(runs.len(), 1_000);
    assert_eq!(runs.first().map(|run| run.run.clone()), last);
    let older = runs[1..].iter().map(|run| &run.run).collect::<Vec<_>>();
    let before = (runs[0].started_at, runs[0].run.clone());
    let next = bench.engine.relaxed_runs(&of_later, Some(&before), 999);
    assert_eq!(next.iter().map(|run| &run.run).collect::<Vec<_>>(), older);
    assert_eq!(bench.engine.relaxed_runs(&RunFilter::default(), None, 5_000).len(), 1_001);
    let failed = RunFilter { status: Some(RunStatus::Failed), ..RunFilter::default() };
    assert!(bench.engine.relaxed_runs(&failed, None, 10).is_empty());
}

#[tokio::test]
async fn what_was_promised_waits_for_the_store_when_it_has_to_be_written() {
    let bench = Bench::new(&[LATER]).await;
    bench.store.away.store(true, Ordering::Relaxed);
    let good = bench.queued("later", json!("good")).await;
    let bad = bench.queued("later", json!("bad")).await;
    bench.until(async || writes(&bench) > 0).await;
    assert_eq!(bench.store.load(&bad).await.map(drop), Err(StoreError::UnknownRun));
    bench.store.away.store(false, Ordering::Relaxed);
    bench
        .until(async || {
            bench.clock.advance(Duration::from_secs(1));
            bench.store.load(&bad).await.is_ok_and(|journal| journal.run.progress.ended.is_some())
        })
        .await;
    assert_eq!(bench.store.load(&good).await.map(drop), Err(StoreError::UnknownRun));
}

#[tokio::test]
async fn what_was_promised_and_has_not_begun_is_written_when_the_engine_lets_go() {
    let bench = Bench::new(&[LATER]).await;
    // In this runtime nothing has started yet.
    let mut runs = Vec::new();
    for n in 0..3 {
        runs.push(bench.queued("later", json!(n)).await);
    }
    assert_eq!(bench.unfinished().await, 0);
    bench.engine.close().await;
    assert_eq!(bench.unfinished().await, 3);
    let next = bench.next_life(&[LATER]).await;
    next.all_ended().await;
    for run in &runs {
        assert!(next.store.load(run).await.unwrap().run.progress.ended.is_some());
    }
}

#[tokio::test]
async fn what_a_worker_has_in_hand_is_written_when_the_worker_is_dropped() {
    let bench = Bench::with(Limits { runs_in_flight: 1, ..Limits::default() }, &[]).await;
    let server = Server::open(&bench.tasks).await;
    let url = &server.url;
    let calling = format!("flow: calling\nwebhook: {{auth: none}}\nsteps: [{{http: {{url: '{url}'}}}}]");
    bench.install(&[&calling, LATER]).await;
    bench.queued("calling", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    let run = bench.queued("later", json!(1)).await;
    bench.until(async || bench.live("later").standing().at_work == 1).await;
    assert_eq!(bench.unfinished().await, 1);
    assert!(bench.tasks.drain(Duration::ZERO).await.contains(&"flow worker"));
    bench.engine.close().await;
    assert_eq!(bench.unfinished().await, 2);
    let next = bench.next_life(&[LATER]).await;
    next.until(async || next.store.load(&run).await.unwrap().run.progress.ended.is_some()).await;
}

#[tokio::test]
async fn a_signed_id_is_known_again_in_memory() {
    let bench = Bench::new(&[SYNC, LATER]).await;
    let mut first = signed_ticket(&bench, "sync", "msg-1").await;
    // While it goes on, who repeats it waits for its answer.
    let mut again = signed_ticket(&bench, "sync", "msg-1").await;
    assert!(matches!(first.wait().await, Conclusion::Reply(_)));
    let Conclusion::Duplicate(duplicate) = again.wait().await else { panic!("no duplicate") };
    assert_eq!((&duplicate.run, duplicate.ended), (&first.run, true));
    assert_eq!(duplicate.reply.map(|reply| reply.status.as_u16()), Some(201));
    // Its other flow hears of it for the first time, and so does this one when the window is over.
    let Admission::Queued { run } = signed(&bench, "later", "msg-1").await else { panic!("not queued") };
    bench.until(async || bench.metric("hookflow_runs_not_written_total{flow=\"later\"}") == 1).await;
    let Admission::Duplicate(duplicate) = signed(&bench, "later", "msg-1").await else { panic!("taken") };
    assert_eq!((duplicate.run, duplicate.ended), (run, true));
    bench.clock.advance(Duration::from_hours(24 * 365));
    let mut new = signed_ticket(&bench, "sync", "msg-1").await;
    assert!(matches!(new.wait().await, Conclusion::Reply(_)));
    assert_eq!(bench.metric("hookflow_runs_not_written_total{flow=\"sync\"}"), 2);
    assert_eq!(writes(&bench), 0, "no claim is written");
}

#[tokio::test]
async fn a_signed_id_is_let_in_again_when_its_run_failed_or_never_came() {
    let failing = SYNC.replace("{respond", &format!("{LONG}, {{when: true, fail: broken}}, {{respond"));
    let failing = failing.replace("steps:", "queue: {workers: 1}\nsteps:");
    let bench = Bench::new(&[&failing]).await;
    for _ in 0..2 {
        let mut ticket = signed_ticket(&bench, "sync", "msg-1").await;
        assert!(matches!(ticket.wait().await, Conclusion::Failed(_)));
    }
    assert_eq!(bench.metric("hookflow_runs_total{flow=\"sync\",outcome=\"failed\"}"), 2);
    let _begun = signed_ticket(&bench, "sync", "msg-3").await;
    let mut let_go = signed_ticket(&bench, "sync", "msg-2").await;
    bench.engine.pause("sync").await.unwrap();
    assert!(matches!(let_go.wait().await, Conclusion::Gone));
    drop(let_go);
    bench.engine.go_on("sync").await.unwrap();
    let mut ticket = signed_ticket(&bench, "sync", "msg-2").await;
    assert!(matches!(ticket.wait().await, Conclusion::Failed(_)));
}
