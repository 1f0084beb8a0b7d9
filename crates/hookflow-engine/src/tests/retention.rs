//! What has ended is forgotten when its time is over.

use super::bench::Bench;
use crate::retention::Keep;
use hookflow_store::{Rejected, Store as _, StoreError};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn what_has_ended_is_forgotten_after_its_time_and_what_has_not_is_kept() {
    let done = "flow: done\nwebhook: {auth: none}\nsteps: []";
    let held = "flow: held\nenabled: paused\nwebhook: {auth: none}\nsteps: []";
    let bench = Bench::new(&[done, held]).await;
    let waiting = bench.queued("held", json!({})).await;
    let old = bench.queued("done", json!({})).await;
    bench.until(async || bench.unfinished().await == 1).await;
    let rejected = Rejected { at: bench.clock.now(), flow: None, told: json!("no") };
    bench.store.keep_rejected(vec![rejected]).await.unwrap();
    bench.engine.retain(Keep { age: Duration::from_hours(1), ..Keep::default() });
    bench.until(async || bench.tasks.running().contains_key("retention")).await;
    bench.clock.advance(Duration::from_mins(50));
    let young = bench.queued("done", json!({})).await;
    bench.until(async || bench.unfinished().await == 1).await;
    bench.clock.advance(Duration::from_mins(20));
    bench
        .until(async || {
            bench.clock.advance(Duration::from_secs(10));
            bench.store.load(&old).await.is_err()
        })
        .await;
    assert_eq!(bench.store.load(&old).await.map(drop), Err(StoreError::UnknownRun));
    assert!(bench.store.load(&young).await.is_ok() && bench.store.load(&waiting).await.is_ok());
    assert!(bench.store.rejected(None, None, 9).await.unwrap().rejected.is_empty(), "nor what was refused");
    assert_eq!(bench.metric("hookflow_pruned_runs_total"), 1);
}
