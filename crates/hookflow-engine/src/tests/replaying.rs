//! An operator runs events again and ends runs.

use super::bench::{Bench, Server, signed_event};
use crate::{Admission, Again, CancelRefusal, OnVersion, ReplayRefusal};
use hookflow_flow::End;
use hookflow_store::{Inbound, RunStatus, Store as _};
use serde_json::json;
use std::sync::Arc;

const VERSIONED: &str =
    "flow: shop\nwebhook: {auth: partner}\nsteps: [{fail: '1: ${ run.attempt } ${ webhook.body }'}]";
const MENDED: &str =
    "flow: shop\nwebhook: {auth: partner}\nsteps: [{stop: '2: ${ run.attempt } ${ webhook.body }'}]";

fn on(version: OnVersion) -> Again {
    Again { from: None, version }
}

async fn end_of(bench: &Bench, run: &str) -> String {
    bench.all_ended().await;
    match &*bench.store.load(run).await.unwrap().run.progress.ended.unwrap().end {
        End::Succeeded(value) => value.as_str().unwrap().to_owned(),
        End::Failed(fault) => fault.message.clone(),
    }
}

#[tokio::test]
async fn an_event_runs_again_on_the_same_version_or_the_latest() {
    let bench = Bench::new(&[VERSIONED]).await;
    let event = signed_event("shop", "delivery-1");
    let admitted = bench.engine.admit(&bench.live("shop"), event, bench.place("shop")).await;
    let Admission::Queued { run: first } = admitted else { panic!("{admitted:?}") };
    assert_eq!(end_of(&bench, &first).await, "1: 1 x");
    bench.install(&[MENDED]).await;
    let same = bench.engine.replay(&first, &on(OnVersion::Same)).await.unwrap();
    assert_eq!(end_of(&bench, &same).await, "1: 2 x");
    // A replay of a replay counts on, and is one of the first.
    let latest = bench.engine.replay(&same, &on(OnVersion::Latest)).await.unwrap();
    assert_eq!(end_of(&bench, &latest).await, "2: 3 x");
    let (was, is) = (bench.store.load(&first).await.unwrap(), bench.store.load(&latest).await.unwrap());
    assert_eq!(is.run.replays.as_deref(), Some(&*first));
    assert_eq!(is.run.event.to_record().body, was.run.event.to_record().body);
    assert!(is.run.claims.is_empty() && is.run.seed != was.run.seed);
    assert_eq!(bench.recent("shop", 10).await.len(), 3);
}

#[tokio::test]
async fn from_a_step_on_what_came_before_is_not_asked_again() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let flow = |last: &str| {
        format!(
            "flow: shop\nwebhook: {{auth: none}}\nsteps:\n  - id: stock\n    http: {{url: '{0}'}}\n  - id: order\n    http: {{url: '{0}'}}\n  - id: last\n    {last}\n",
            server.url
        )
    };
    bench.install(&[&flow("fail: not yet")]).await;
    let first = bench.queued("shop", json!({})).await;
    server.answer(2);
    assert_eq!(end_of(&bench, &first).await, "not yet");
    bench.install(&[&flow("stop: '${ steps.stock.status }'")]).await;
    let from = |step: &str| Again { from: Some(step.to_owned()), version: OnVersion::Latest };
    let mended = bench.engine.replay(&first, &from("order")).await.unwrap();
    server.answer(1);
    bench.all_ended().await;
    assert_eq!(server.hits(), 3, "only the second call left again");
    let journal = bench.store.load(&mended).await.unwrap();
    assert_eq!(journal.run.progress.facts.len(), 2);
    assert!(matches!(&*journal.run.progress.ended.unwrap().end, End::Succeeded(value) if *value == 200));
    let gone = bench.engine.replay(&first, &from("gone")).await;
    assert_eq!(gone, Err(ReplayRefusal::UnknownStep("gone".into())));
    assert_eq!(bench.metric("hookflow_queue_items{flow=\"shop\"}"), 0, "a refused replay keeps no place");
}

/// It has begun as soon as it is kept, and has emitted nothing by then.
#[tokio::test]
async fn what_is_run_again_emits_again() {
    let flow = "flow: shop\nwebhook: {auth: none}\nsteps: [{emit: order.created}, {id: nap, sleep: 1h}, {emit: order.paid}, {id: last, sleep: 1h}]";
    let bench = Bench::new(&[flow]).await;
    let ended = async |run: &str| {
        let mut parked = async || bench.store.load(run).await.unwrap().run.progress.parked.is_some();
        bench.until(&mut parked).await;
        bench
            .until(async || {
                bench.clock.advance(std::time::Duration::from_hours(1));
                bench.unfinished().await == 0
            })
            .await;
        let emitted = bench.store.outbox().emitted_by(run, 9).await.unwrap();
        emitted.iter().map(|event| event.name.to_string()).collect::<Vec<_>>()
    };
    let first = bench.queued("shop", json!({})).await;
    assert_eq!(ended(&first).await, ["order.created", "order.paid"]);
    let same = bench.engine.replay(&first, &on(OnVersion::Same)).await.unwrap();
    assert_eq!(ended(&same).await, ["order.created", "order.paid"]);
    let from = Again { from: Some("last".to_owned()), version: OnVersion::Same };
    let rest = bench.engine.replay(&first, &from).await.unwrap();
    assert_eq!(ended(&rest).await, ["order.paid"], "what follows the last outcome that it has taken over");
}

#[tokio::test]
async fn what_cannot_be_run_again_is_said() {
    let flow = "flow: shop\nqueue: {capacity: 1}\nenabled: paused\nwebhook: {auth: none}\nsteps: []";
    let bench = Bench::new(&[flow]).await;
    let replay = async |run: &str| bench.engine.replay(run, &Again::default()).await;
    assert_eq!(replay("gone").await, Err(ReplayRefusal::UnknownRun));
    let run = bench.queued("shop", json!({})).await;
    assert_eq!(replay(&run).await, Err(ReplayRefusal::Unfinished));
    bench.install(&[&flow.replace("paused", "true")]).await;
    bench.all_ended().await;
    bench.install(&[flow]).await;
    bench.queued("shop", json!({})).await;
    assert!(matches!(replay(&run).await, Err(ReplayRefusal::Full(full)) if full.status == 429));
    bench.install(&[]).await;
    assert_eq!(replay(&run).await, Err(ReplayRefusal::FlowGone(Arc::from("shop"))));
    bench.tasks.drain(std::time::Duration::ZERO).await;
    assert_eq!(replay(&run).await, Err(ReplayRefusal::ShuttingDown));
}

#[tokio::test]
async fn a_cancellation_lies_in_the_inbox_of_a_run_that_goes_on() {
    let bench =
        Bench::new(&["flow: held\nenabled: paused\nwebhook: {auth: none}\nsteps: []", VERSIONED]).await;
    let held = bench.queued("held", json!({})).await;
    assert_eq!(bench.engine.cancel(&held).await, Ok(()));
    assert_eq!(bench.engine.cancel(&held).await, Ok(()), "asking again changes nothing");
    let inbox = bench.store.load(&held).await.unwrap().inbox;
    assert!(matches!(inbox.as_slice(), [Inbound::Cancel { .. }]), "{inbox:?}");
    let ended = bench.queued("shop", json!({})).await;
    bench.until(async || bench.recent("shop", 1).await[0].status == RunStatus::Failed).await;
    assert_eq!(bench.engine.cancel(&ended).await, Err(CancelRefusal::Ended));
    assert_eq!(bench.engine.cancel("gone").await, Err(CancelRefusal::UnknownRun));
}
