//! The operator's pause.

use super::bench::{Bench, LONG};
use crate::{Admission, AdmitRefusal, Conclusion, PauseRefusal, PausedBy};
use hookflow_store::Store as _;
use serde_json::json;
use std::sync::atomic::Ordering;

const LATER: &str = "flow: later\nwebhook: {auth: none}\nsteps: [{set: {a: 1}}]";
const SYNC: &str = "flow: sync\nwebhook: {auth: none}\nsteps: [{respond: {}}]";

#[tokio::test]
async fn a_pause_holds_more_than_memory_has() {
    let bench = Bench::new(&[LATER]).await;
    assert_eq!(bench.engine.pause("later").await, Ok(Some(PausedBy::Operator)));
    let mut runs = Vec::new();
    for n in 0..1_500 {
        runs.push(bench.queued("later", json!(n)).await);
    }
    let standing = bench.live("later").standing();
    assert_eq!((standing.items, standing.at_work), (1_500, 0));
    assert_eq!(standing.since.as_deref(), Some("2026-11-20T12:00:00Z"));
    assert_eq!(bench.unfinished().await, 1_500);
    assert_eq!(bench.engine.go_on("later").await, Ok(None));
    bench.all_ended().await;
    assert_eq!(bench.live("later").standing().items, 0);
}

#[tokio::test]
async fn who_waits_is_let_go_and_others_refused() {
    let sync = SYNC.replace("steps: [", &format!("queue: {{workers: 1}}\nsteps: [{LONG}, "));
    let bench = Bench::new(&[&sync]).await;
    let mut begun = bench.ticket("sync", json!({})).await;
    let mut ticket = bench.ticket("sync", json!({})).await;
    bench.engine.pause("sync").await.unwrap();
    assert!(matches!(ticket.wait().await, Conclusion::Gone));
    assert!(matches!(begun.wait().await, Conclusion::Reply(_)), "what has begun goes on");
    assert!(matches!(bench.admit("sync", json!({})).await, Admission::Refused(AdmitRefusal::Paused)));
    assert_eq!(bench.metric("hookflow_flow_paused{flow=\"sync\"}"), 1);
    bench.engine.go_on("sync").await.unwrap();
    assert!(matches!(bench.conclusion("sync", json!({})).await, Conclusion::Reply(_)));
    assert_eq!(bench.metric("hookflow_flow_paused{flow=\"sync\"}"), 0);
    bench.until(async || bench.metric("hookflow_queue_items{flow=\"sync\"}") == 0).await;
}

#[tokio::test]
async fn a_pause_that_cannot_be_kept_is_none() {
    let bench = Bench::new(&[LATER]).await;
    bench.store.away.store(true, Ordering::Relaxed);
    assert!(matches!(bench.engine.pause("later").await, Err(PauseRefusal::Store(_))));
    assert_eq!(bench.live("later").standing().paused, None);
    bench.store.away.store(false, Ordering::Relaxed);
    assert_eq!(bench.engine.pause("unknown").await, Err(PauseRefusal::UnknownFlow));
    bench.engine.pause("later").await.unwrap();
    bench.store.away.store(true, Ordering::Relaxed);
    assert!(matches!(bench.engine.go_on("later").await, Err(PauseRefusal::Store(_))));
    assert_eq!(bench.live("later").standing().paused, Some(PausedBy::Operator));
}

#[tokio::test]
async fn a_pause_outlives_the_flow_and_the_life() {
    let bench = Bench::new(&[LATER]).await;
    bench.engine.pause("later").await.unwrap();
    // Gone with nothing in its queue, so the queue is gone as well.
    bench.install(&[SYNC]).await;
    bench.install(&[LATER]).await;
    assert_eq!(bench.live("later").standing().paused, Some(PausedBy::Operator));
    assert_eq!(bench.metric("hookflow_flow_paused{flow=\"later\"}"), 1);
    bench.queued("later", json!({})).await;
    let mut bench = bench;
    for _ in 0..4 {
        // It dies each time, and what is held is nobody's suspect.
        bench = bench.next_life(&[LATER]).await;
        assert_eq!(bench.unfinished().await, 1);
    }
    let owner = bench.store.register(&"node-1".into()).await.unwrap().owner;
    let held = bench.recent("later", 1).await.remove(0).run;
    assert_eq!(bench.store.suspect(&owner, vec![held]).await.unwrap(), [1]);
}
