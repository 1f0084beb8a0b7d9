//! Runs that wait for a moment, for a call of their own URL, or for another run: no worker is held, nothing is lost.

use super::bench::{Bench, Server};
use crate::{Conclusion, ResumeRefusal};
use hookflow_flow::{End, Fact, FaultKind, Outcome, Place, StepNumber, WaitToken};
use hookflow_store::{Inbound, Posted, Store as _};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const NAP: &str = "
flow: nap
webhook: {auth: none}
queue: {workers: 1}
steps:
  - sleep: 1h
  - stop: '${ webhook.body.n }'
";

const ASKS: &str = "
flow: asks
webhook: {auth: none}
steps:
  - set: {n: '${ webhook.body.n }'}
  - {id: answer, wait: {auth: none, timeout: 2h, on_timeout: continue}}
  - respond: {json: {late: '${ steps.answer.timed_out }', said: '${ steps.answer.body }'}}
";

async fn end(bench: &Bench, run: &Arc<str>) -> End {
    let ended = bench.store.load(run).await.unwrap().run.progress.ended;
    End::clone(&ended.unwrap().end)
}

async fn is_parked(bench: &Bench, run: &Arc<str>) -> bool {
    bench.store.load(run).await.unwrap().run.progress.parked.is_some()
}

/// What the door makes of a call of the URL of the step with this number.
fn called(bench: &Bench, step: u32, body: &str) -> Inbound {
    let place = Place { step: StepNumber(step), turns: Vec::new() };
    let outcome = Outcome::Resumed {
        method: "POST".into(),
        headers: serde_json::Map::new(),
        query: json!({}),
        body: json!(body),
        files: json!([]),
    };
    Inbound::Fact(Arc::new(Fact {
        place,
        verb: "wait".into(),
        attempt: 1,
        at: bench.clock.now(),
        outcome,
        left: None,
        tried: None,
    }))
}

/// It is written of before it leaves, and the run is parked until it may.
#[tokio::test]
async fn a_try_that_waits_for_its_backoff_in_the_store_leaves_once() {
    let flow = "
flow: again
webhook: {auth: none}
steps:
  - {http: {method: POST, url: 'http://127.0.0.1:1/'}, retry: {tries: 3, on: [connect], backoff: 1h..1h, within: 24h}}
";
    let bench = Bench::new(&[flow]).await;
    let run = bench.queued("again", json!({})).await;
    for tries in 1..=2 {
        bench
            .until(async || {
                let progress = bench.store.load(&run).await.unwrap().run.progress;
                progress.facts.len() == tries && progress.parked.is_some()
            })
            .await;
        bench.clock.advance(Duration::from_hours(2));
    }
    bench.all_ended().await;
    let End::Failed(fault) = end(&bench, &run).await else { panic!("it cannot succeed") };
    assert_eq!((fault.kind, fault.attempts), (FaultKind::Connect, Some(3)), "{}", fault.message);
}

#[tokio::test]
async fn a_sleeping_run_holds_no_worker_and_outlives_the_node() {
    let bench = Bench::new(&[NAP]).await;
    let mut runs = Vec::new();
    for n in 0..5 {
        runs.push(bench.queued("nap", json!({"n": n})).await);
    }
    // One worker, so they are in order: each sleeps when the former one has ended.
    bench.until(async || is_parked(&bench, &runs[0]).await).await;
    assert_eq!(bench.metric("hookflow_runs_in_flight"), 0);
    let next = bench.next_life(&[NAP]).await;
    for (n, run) in runs.iter().enumerate() {
        next.until(async || is_parked(&next, run).await).await;
        next.clock.advance(Duration::from_mins(59));
        assert!(is_parked(&next, run).await);
        next.clock.advance(Duration::from_mins(1));
        next.until(async || next.unfinished().await == 4 - n).await;
        assert_eq!(end(&next, run).await, End::Succeeded(json!(n)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sleepers_wake_once_each() {
    let many = NAP.replace("queue: {workers: 1}", "queue: {workers: 8, capacity: 20000}");
    let bench = Bench::new(&[&many]).await;
    for n in 0..10_000 {
        bench.queued("nap", json!({"n": n})).await;
    }
    let waiting = async || bench.store.counts("node-1").await.unwrap().is_empty();
    bench.until(waiting).await;
    bench.clock.advance(Duration::from_hours(1));
    bench.all_ended().await;
    let ended = "hookflow_runs_total{flow=\"nap\",outcome=\"succeeded\"}";
    bench.until(async || bench.metric(ended) == 10_000).await;
}

#[tokio::test]
async fn a_call_wakes_the_run_and_its_caller_hears_the_answer() {
    let bench = Bench::new(&[ASKS]).await;
    let mut ticket = bench.ticket("asks", json!({"n": 1})).await;
    bench.until(async || bench.unfinished().await == 1 && is_parked(&bench, &ticket.run).await).await;
    let posted = bench.engine.post(&ticket.run, called(&bench, 1, "yes")).await.unwrap();
    assert!(matches!(posted, Posted::Kept { parked: true, .. }));
    let Conclusion::Reply(reply) = ticket.wait().await else { panic!("no reply") };
    assert_eq!(&*reply.body, br#"{"late":false,"said":"yes"}"#);
    let again = bench.engine.post(&ticket.run, called(&bench, 1, "no")).await.unwrap();
    assert_eq!(again, Posted::Over);
}

#[tokio::test]
async fn nobody_calls_in_time() {
    let bench = Bench::new(&[ASKS]).await;
    let mut ticket = bench.ticket("asks", json!({"n": 1})).await;
    bench.until(async || bench.unfinished().await == 1 && is_parked(&bench, &ticket.run).await).await;
    bench.clock.advance(Duration::from_hours(2));
    let Conclusion::Reply(reply) = ticket.wait().await else { panic!("no reply") };
    assert_eq!(&*reply.body, br#"{"late":true,"said":null}"#);
}

#[tokio::test]
async fn a_call_before_the_run_is_there_is_kept_for_it() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let flow = ASKS.replace("set: {n: '${ webhook.body.n }'}", &format!("http: {{url: '{}'}}", server.url));
    bench.install(&[&flow]).await;
    let mut ticket = bench.ticket("asks", json!({"n": 1})).await;
    bench.until(async || server.hits() == 1).await;
    let posted = bench.engine.post(&ticket.run, called(&bench, 1, "early")).await.unwrap();
    assert!(matches!(posted, Posted::Kept { parked: false, .. }));
    let again = bench.engine.post(&ticket.run, called(&bench, 1, "again")).await.unwrap();
    assert_eq!(again, Posted::Again);
    server.answer(1);
    let Conclusion::Reply(reply) = ticket.wait().await else { panic!("no reply") };
    assert_eq!(&*reply.body, br#"{"late":false,"said":"early"}"#);
}

#[tokio::test]
async fn a_waiting_run_goes_on_in_the_next_life_although_its_flow_was_changed() {
    let bench = Bench::new(&[ASKS]).await;
    let ticket = bench.ticket("asks", json!({"n": 1})).await;
    bench.until(async || bench.unfinished().await == 1 && is_parked(&bench, &ticket.run).await).await;
    let next =
        bench.next_life(&["flow: asks\nwebhook: {auth: none}\nsteps: [{respond: {status: 500}}]"]).await;
    next.engine.post(&ticket.run, called(&next, 1, "yes")).await.unwrap();
    next.all_ended().await;
    let progress = next.store.load(&ticket.run).await.unwrap().run.progress;
    assert_eq!(&*progress.reply.unwrap().body, br#"{"late":false,"said":"yes"}"#);
}

#[tokio::test]
async fn a_cancelled_run_runs_its_finally_and_ends() {
    let flow = "
flow: asks
webhook: {auth: none}
steps:
  - try: [{wait: {auth: none}}]
    catch: [{stop: caught}]
    finally: [{set: {done: true}}]
  - stop: went on
";
    let bench = Bench::new(&[flow]).await;
    let run = bench.queued("asks", json!({})).await;
    bench.until(async || is_parked(&bench, &run).await).await;
    bench.engine.post(&run, Inbound::Cancel { at: bench.clock.now() }).await.unwrap();
    bench.all_ended().await;
    assert!(matches!(end(&bench, &run).await, End::Failed(fault) if fault.code == "run.cancelled"));
}

const PARENT: &str = "
flow: parent
webhook: {auth: none}
steps:
  - {id: child, run: child, with: {n: '${ webhook.body.n }'}, timeout: 1h}
  - stop: '${ steps.child }'
";

fn child(url: &str) -> String {
    format!("flow: child\nsteps:\n  - http: {{url: '{url}'}}\n  - return: '${{ webhook.body.n + 1 }}'\n")
}

#[tokio::test]
async fn a_child_goes_on_with_its_parent_in_the_next_life() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    bench.install(&[PARENT, &child(&server.url)]).await;
    let run = bench.queued("parent", json!({"n": 1})).await;
    bench.until(async || server.hits() == 1).await;
    assert_eq!(bench.unfinished().await, 2);
    let next = bench.next_life(&[PARENT, &child(&server.url)]).await;
    next.until(async || server.hits() == 2).await;
    server.answer(2);
    next.all_ended().await;
    assert_eq!(end(&next, &run).await, End::Succeeded(json!(2)));
    assert_eq!(next.recent("child", 10).await.len(), 1, "it is the same run");
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn a_child_waits_for_a_store_that_is_away() {
    const CHILD: &str = "flow: child\nsteps: [{return: '${ webhook.body.n + 1 }'}]";
    for how in ["", ", detach: true"] {
        let parent = format!(
            "flow: parent\nwebhook: {{auth: none}}\nsteps:\n  - {{id: child, run: child, with: {{n: 1}}{how}}}\n"
        );
        let bench = Bench::new(&[&parent, CHILD]).await;
        let run = bench.queued("parent", json!({})).await;
        bench.store.away.store(true, Ordering::Relaxed);
        let tried = bench.store.writes.load(Ordering::Relaxed) + 2;
        let on = async || {
            bench.clock.advance(Duration::from_secs(1));
            bench.store.writes.load(Ordering::Relaxed) >= tried
        };
        bench.until(on).await;
        assert_eq!(bench.unfinished().await, 1, "the parent was promised");
        bench.store.away.store(false, Ordering::Relaxed);
        let ended = async || {
            bench.clock.advance(Duration::from_secs(1));
            bench.unfinished().await == 0
        };
        bench.until(ended).await;
        let ended = end(&bench, &run).await;
        assert!(matches!(ended, End::Succeeded(_)), "{ended:?}");
        assert_eq!(bench.recent("child", 10).await.len(), 1, "{how}");
    }
}

#[tokio::test]
async fn a_child_ends_with_a_parent_that_is_cancelled() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    bench.install(&[PARENT, &child(&server.url)]).await;
    let run = bench.queued("parent", json!({"n": 1})).await;
    bench.until(async || server.hits() == 1).await;
    bench.engine.post(&run, Inbound::Cancel { at: bench.clock.now() }).await.unwrap();
    bench.all_ended().await;
    let child = bench.recent("child", 1).await.remove(0);
    assert!(matches!(end(&bench, &child.run).await, End::Failed(fault) if fault.code == "run.cancelled"));
}

#[tokio::test]
async fn a_token_that_proves_nothing_reads_no_journal() {
    let flow = "flow: held\nwebhook: {auth: none}\nsteps: [{wait: {auth: none, timeout: 2h}}]";
    let bench = Bench::new(&[flow]).await;
    let run = bench.queued("held", json!({})).await;
    bench.until(async || is_parked(&bench, &run).await).await;
    let seed = bench.store.seed(&run).await.unwrap();
    let place = Place { step: StepNumber(0), turns: Vec::new() };
    let loads = || bench.store.loads.load(Ordering::Relaxed);
    let before = loads();
    let forged = [WaitToken::mint(&run, &[9; 16], &place), WaitToken::mint("nobody", &[0; 16], &place)];
    for token in forged {
        assert_eq!(bench.engine.waiting(&token).await.map(drop), Err(ResumeRefusal::Unknown));
    }
    assert_eq!(loads(), before);
    let right = bench.engine.waiting(&WaitToken::mint(&run, &seed, &place)).await.unwrap();
    assert_eq!((&right.run, loads()), (&run, before + 1));
}
