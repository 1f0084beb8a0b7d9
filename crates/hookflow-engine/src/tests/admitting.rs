//! At the edge: places, refusals, and futures that are dropped half way.

use super::bench::{Bench, event};
use crate::{Admission, AdmitRefusal, Conclusion, Limits};
use hookflow_store::Store as _;
use serde_json::json;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

const LATER: &str = "
flow: later
webhook: {auth: none}
queue: {capacity: 3, bytes: 350B, workers: 1, on_full: 503}
steps: [{set: {a: 1}}]
";
const SYNC: &str = "
flow: sync
webhook: {auth: none}
steps: [{respond: {status: 200}}]
";

#[tokio::test]
async fn places_are_counted_taken_and_given_back() {
    let bench = Bench::new(&[LATER]).await;
    let live = bench.live("later");
    let mut places: Vec<_> = (0..3).map(|_| bench.place("later")).collect();
    let full = bench.engine.reserve(&live, 1).unwrap_err();
    assert_eq!((full.status, full.retry_after), (503, Duration::from_secs(30)), "nothing has drained yet");
    places.pop();
    assert!(bench.engine.reserve(&live, 151).is_err(), "350 bytes in all");
    assert!(bench.engine.reserve(&live, 150).is_ok());
    assert_eq!(bench.metric("hookflow_queue_items{flow=\"later\"}"), 2);
    assert_eq!(bench.metric("hookflow_queue_bytes{flow=\"later\"}"), 200);
    places.clear();
    assert!(
        bench.engine.reserve(&live, 10_000).is_ok(),
        "an empty queue takes one that is larger than itself"
    );
    assert_eq!(bench.metric("hookflow_queue_items{flow=\"later\"}"), 0);
    assert_eq!(bench.metric("hookflow_queue_bytes{flow=\"later\"}"), 0);
}

#[tokio::test]
async fn retry_after_follows_the_drain() {
    let bench = Bench::new(&[LATER]).await;
    for _ in 0..5 {
        bench.clock.advance(Duration::from_secs(1));
        bench.queued("later", json!({})).await;
        bench.all_ended().await;
    }
    let _places: Vec<_> = (0..3).map(|_| bench.place("later")).collect();
    let full = bench.engine.reserve(&bench.live("later"), 1).unwrap_err();
    assert!((1..=4).contains(&full.retry_after.as_secs()), "{full:?}");
}

#[tokio::test]
async fn all_flows_share_one_bound_of_bytes() {
    let bench = Bench::with(Limits { queued_bytes: 250, ..Limits::default() }, &[LATER, SYNC]).await;
    let places = (bench.place("later"), bench.place("sync"));
    assert!(bench.engine.reserve(&bench.live("sync"), 51).is_err());
    drop(places);
    assert!(bench.engine.reserve(&bench.live("sync"), 250).is_ok());
}

#[tokio::test]
async fn a_place_is_free_again_whatever_became_of_the_event() {
    let paused = SYNC.replace("webhook", "enabled: paused\nwebhook");
    let bench = Bench::new(&[LATER, &paused]).await;
    assert!(matches!(bench.admit("sync", json!({})).await, Admission::Refused(AdmitRefusal::Paused)));
    bench.store.away.store(true, Ordering::Relaxed);
    assert!(matches!(
        bench.admit("later", json!({})).await,
        Admission::Refused(AdmitRefusal::StoreUnavailable)
    ));
    bench.store.away.store(false, Ordering::Relaxed);
    bench.queued("later", json!({})).await;
    bench.all_ended().await;
    for flow in ["later", "sync"] {
        assert_eq!(bench.metric(&format!("hookflow_queue_items{{flow=\"{flow}\"}}")), 0);
        assert_eq!(bench.metric(&format!("hookflow_queue_bytes{{flow=\"{flow}\"}}")), 0);
    }
}

#[tokio::test]
async fn an_accepted_event_is_kept_before_its_caller_hears_of_it() {
    let bench = Bench::new(&[LATER]).await;
    bench.store.slow.store(true, Ordering::Relaxed);
    let live = bench.live("later");
    let mut admitting = pin!(bench.engine.admit(&live, event("later", json!({})), bench.place("later")));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(admitting.as_mut().poll(&mut cx).is_pending());
    bench.store.slow.store(false, Ordering::Relaxed);
    bench.store.commit(&bench.tasks);
    assert!(matches!(admitting.await, Admission::Queued { run } if bench.store.load(&run).await.is_ok()));
    bench.all_ended().await;
}

#[tokio::test]
async fn dropping_the_caller_at_any_await_strands_nothing() {
    let bench = Bench::new(&[LATER, SYNC]).await;
    let live = bench.live("later");
    let mut cx = Context::from_waker(Waker::noop());
    // Before the first poll: nothing has happened.
    drop(bench.engine.admit(&live, event("later", json!({})), bench.place("later")));
    assert_eq!(bench.store.writes.load(Ordering::Relaxed), 0);
    // While the store writes: the event is admitted and runs.
    bench.store.slow.store(true, Ordering::Relaxed);
    {
        let mut admitting = pin!(bench.engine.admit(&live, event("later", json!({})), bench.place("later")));
        assert!(admitting.as_mut().poll(&mut cx).is_pending());
    }
    bench.store.slow.store(false, Ordering::Relaxed);
    bench.store.commit(&bench.tasks);
    bench
        .until(async || bench.metric("hookflow_runs_total{flow=\"later\",outcome=\"succeeded\"}") == 1)
        .await;
    bench.all_ended().await;
    // While the ticket waits: the wait can be taken up again.
    let mut ticket = bench.ticket("sync", json!({})).await;
    {
        let mut waiting = pin!(ticket.wait());
        drop(waiting.as_mut().poll(&mut cx));
    }
    bench.until(async || bench.metric("hookflow_runs_total{flow=\"sync\",outcome=\"succeeded\"}") == 1).await;
    assert_eq!(bench.metric("hookflow_queue_items{flow=\"later\"}"), 0);
    assert_eq!(bench.metric("hookflow_queue_items{flow=\"sync\"}"), 0);
}

#[tokio::test]
async fn a_run_can_be_kept_while_it_waits_in_the_queue() {
    let bench = Bench::with(Limits { runs_in_flight: 1, ..Limits::default() }, &[]).await;
    let server = super::bench::Server::open(&bench.tasks).await;
    let blocking =
        format!("flow: blocking\nwebhook: {{auth: none}}\nsteps: [{{http: {{url: '{}'}}}}]", server.url);
    bench.install(&[&blocking, SYNC]).await;
    bench.queued("blocking", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    let mut ticket = bench.ticket("sync", json!({})).await;
    assert!(bench.store.load(&ticket.run).await.is_err());
    bench.store.away.store(true, Ordering::Relaxed);
    assert!(!ticket.persist().await, "its ID may not be told");
    bench.store.away.store(false, Ordering::Relaxed);
    assert!(ticket.persist().await);
    assert!(bench.store.load(&ticket.run).await.unwrap().run.progress.ended.is_none());
    server.answer(1);
    assert!(matches!(ticket.wait().await, Conclusion::Reply(_)));
    assert!(ticket.persist().await);
    assert!(bench.store.load(&ticket.run).await.unwrap().run.progress.ended.is_some());
    bench.all_ended().await;
}

#[tokio::test]
async fn a_run_that_could_not_be_kept_is_promised_to_nobody_afterwards() {
    let bench = Bench::new(&[SYNC]).await;
    bench.store.away.store(true, Ordering::Relaxed);
    let mut ticket = bench.ticket("sync", json!({})).await;
    bench.until(async || bench.store.writes.load(Ordering::Relaxed) == 1).await;
    bench.store.away.store(false, Ordering::Relaxed);
    // Its caller's time was over just then. The store would have it now, and nobody would carry it.
    assert!(!ticket.persist().await);
    assert!(bench.store.load(&ticket.run).await.is_err());
    bench.all_ended().await;
}

#[tokio::test]
async fn a_run_whose_id_was_told_while_it_was_behind_another_is_taken_up() {
    let bench = Bench::new(&[]).await;
    let server = super::bench::Server::open(&bench.tasks).await;
    let flow = format!(
        "flow: one\nwebhook: {{auth: none}}\nqueue: {{order_by: '${{ webhook.body.k }}'}}\nsteps: [{{http: {{url: '{}'}}}}, {{respond: {{}}}}]",
        server.url
    );
    bench.install(&[&flow]).await;
    let mut first = bench.ticket("one", json!({"k": 1})).await;
    bench.until(async || server.hits() == 1).await;
    bench.store.slow.store(true, Ordering::Relaxed);
    let mut second = bench.ticket("one", json!({"k": 1})).await;
    {
        let mut keeping = pin!(second.persist());
        assert!(keeping.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        bench.store.slow.store(false, Ordering::Relaxed);
        bench.store.commit(&bench.tasks);
        assert!(keeping.await);
    }
    server.answer(2);
    bench.until(async || server.hits() == 2).await;
    assert!(matches!(first.wait().await, Conclusion::Reply(_)));
    assert!(matches!(second.wait().await, Conclusion::Reply(_)));
    bench.all_ended().await;
}
