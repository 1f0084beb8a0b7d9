//! Events that go out reach whoever has subscribed, in their own time.

use super::bench::Bench;
use bytes::Bytes;
use hookflow_flow::{End, Subscription, Subscriptions};
use hookflow_outbound::{Caller, Script};
use hookflow_store::{DeliveryFilter, DeliveryState, KeepEvents, Store as _};
use hookflow_text::{Diagnostics, SecretRef, SecretSource, Source, parse};
use http::{Request, Response};
use jiff::Timestamp;
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FLOW: &str = "flow: shop\nwebhook: {auth: none}\nsteps: [{emit: order.created, data: webhook.body}]";

struct NoSecrets;

impl SecretSource for NoSecrets {
    fn resolve(&self, _: &SecretRef) -> Result<Vec<u8>, String> {
        Err("there is none".into())
    }
}

fn subscriptions(names: &[&str]) -> Vec<Arc<Subscription>> {
    let (mut all, mut diagnostics) = (Subscriptions::default(), Diagnostics::default());
    for name in names {
        let text = format!(
            "subscription: {name}\ncallback_url: http://{name}.example/in\nmax_attempts: 8\nevents: ['order.*']"
        );
        let root = parse(&Source::new("subscription.yaml", text), &mut diagnostics).unwrap();
        all.load(&root, &NoSecrets, &mut diagnostics);
    }
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    all.iter().cloned().collect()
}

/// Endpoints that answer as a test says.
#[derive(Default)]
struct Endpoints {
    /// What `bad.example` answers.
    status: AtomicU16,
    heard: Mutex<Vec<(String, String)>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    /// All but `good.example` take what comes and say nothing.
    hang: AtomicBool,
    hanging: AtomicUsize,
}

impl Endpoints {
    fn heard(&self, host: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|(other, _)| other == host).count()
    }

    fn caller(self: &Arc<Self>, bench: &Bench) -> Caller {
        let this = Arc::clone(self);
        let script: Script = Arc::new(move |request: Request<Bytes>| {
            let this = Arc::clone(&this);
            Box::pin(async move {
                let now = this.at_once.fetch_add(1, Ordering::SeqCst) + 1;
                this.most_at_once.fetch_max(now, Ordering::SeqCst);
                tokio::task::yield_now().await;
                let host = request.uri().host().unwrap().to_owned();
                let status = if host == "bad.example" { this.status.load(Ordering::SeqCst) } else { 200 };
                let id = request.headers()["webhook-id"].to_str().unwrap().to_owned();
                if host != "good.example" && this.hang.load(Ordering::SeqCst) {
                    this.hanging.fetch_add(1, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                }
                this.heard.lock().unwrap().push((host, id));
                this.at_once.fetch_sub(1, Ordering::SeqCst);
                Ok(Response::builder().status(status).body(Bytes::new()).unwrap())
            })
        });
        Caller::scripted(script, bench.clock.clone())
    }
}

async fn count(bench: &Bench, subscription: &str, state: DeliveryState) -> usize {
    let filter = DeliveryFilter {
        subscription: Some(subscription.into()),
        state: Some(state),
        ..DeliveryFilter::default()
    };
    bench.store.outbox().deliveries(&filter, None, usize::MAX).await.unwrap().deliveries.len()
}

#[tokio::test]
async fn one_that_fails_is_tried_less_and_less_and_holds_up_nobody() {
    let bench = Bench::new(&[FLOW]).await;
    let endpoints = Arc::new(Endpoints::default());
    endpoints.status.store(500, Ordering::SeqCst);
    bench.engine.subscribe(&subscriptions(&["bad", "good"]), endpoints.caller(&bench));
    for n in 0..20 {
        bench.queued("shop", json!({"n": n})).await;
    }
    bench.until(async || count(&bench, "good", DeliveryState::Delivered).await == 20).await;
    // The first few at once, then it is set aside: nothing more comes, however much is due.
    bench.until(async || bench.metric("hookflow_subscription_set_aside{subscription=\"bad\"}") == 1).await;
    let before = endpoints.heard("bad.example");
    assert!((5..=12).contains(&before), "{before}");
    let standing = bench.engine.subscriptions().await.unwrap();
    assert_eq!(standing.iter().map(|it| it.pending).collect::<Vec<_>>(), [20, 0]);
    assert!(standing[0].set_aside.is_some() && standing[1].set_aside.is_none());
    // A probe at a time.
    for _ in 0..3 {
        let heard = endpoints.heard("bad.example");
        bench
            .until(async || {
                bench.clock.advance(Duration::from_mins(1));
                endpoints.heard("bad.example") > heard
            })
            .await;
    }
    // It is well again: whatever waits goes out, each once more.
    endpoints.status.store(204, Ordering::SeqCst);
    bench
        .until(async || {
            bench.clock.advance(Duration::from_mins(1));
            count(&bench, "bad", DeliveryState::Pending).await == 0
        })
        .await;
    assert_eq!(bench.metric("hookflow_subscription_set_aside{subscription=\"bad\"}"), 0);
    assert_eq!(endpoints.heard("good.example"), 20);
    assert!(bench.store.states("subscription-breaker/").await.unwrap().is_empty());
}

#[tokio::test]
async fn however_many_hang_everybody_has_a_seat() {
    const HANGING: usize = 60;
    let bench = Bench::new(&[FLOW]).await;
    let endpoints = Arc::new(Endpoints::default());
    endpoints.status.store(200, Ordering::SeqCst);
    let names: Vec<_> = (0..HANGING).map(|n| format!("hanging-{n}")).chain(["good".to_owned()]).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    bench.engine.subscribe(&subscriptions(&names), endpoints.caller(&bench));
    // All are well, and may have as many tries at once as anybody.
    bench.engine.publish("order.created", &json!(0), None).await.unwrap();
    bench.until(async || endpoints.heard.lock().unwrap().len() == HANGING + 1).await;
    endpoints.hang.store(true, Ordering::SeqCst);
    for n in 0..8 {
        bench.engine.publish("order.created", &json!(n), None).await.unwrap();
    }
    // Each has a seat of its own, and together they have about all that are shared.
    bench.until(async || endpoints.hanging.load(Ordering::SeqCst) >= HANGING + 240).await;
    // No time passes, so none of these is over.
    for n in 0..50 {
        bench.engine.publish("order.created", &json!(n), None).await.unwrap();
    }
    bench.until(async || endpoints.heard("good.example") == 59).await;
    assert!(endpoints.hanging.load(Ordering::SeqCst) <= HANGING + 256);
}

#[tokio::test]
async fn what_a_run_has_emitted_outlives_a_journal_that_is_full() {
    let flow =
        "flow: shop\nwebhook: {auth: none}\nsteps: [{sleep: 500ms}, {emit: order.created}, {sleep: 500ms}]";
    let bench = Bench::new(&[flow]).await;
    let endpoints = Arc::new(Endpoints::default());
    bench.engine.subscribe(&subscriptions(&["good"]), endpoints.caller(&bench));
    let run = bench.queued("shop", json!({})).await;
    bench.store.full.store(true, Ordering::SeqCst);
    bench
        .until(async || {
            bench.clock.advance(Duration::from_millis(500));
            bench.unfinished().await == 0
        })
        .await;
    let End::Failed(fault) = &*bench.recent("shop", 1).await[0].ended.as_ref().unwrap().end.clone() else {
        panic!("it has not failed");
    };
    assert_eq!(fault.code, "run.journal-full");
    bench.until(async || count(&bench, "good", DeliveryState::Delivered).await == 1).await;
    assert_eq!(bench.store.outbox().emitted_by(&run, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn attempts_end_and_an_operator_begins_them_anew() {
    let bench = Bench::new(&[FLOW]).await;
    let endpoints = Arc::new(Endpoints::default());
    endpoints.status.store(404, Ordering::SeqCst);
    bench.engine.subscribe(&subscriptions(&["bad"]), endpoints.caller(&bench));
    bench.queued("shop", json!({})).await;
    bench
        .until(async || {
            bench.clock.advance(Duration::from_mins(10));
            count(&bench, "bad", DeliveryState::Failed).await == 1
        })
        .await;
    assert_eq!(endpoints.heard("bad.example"), 8);
    let tries = async |id: &str| -> Vec<_> {
        let tries = bench.store.outbox().tries(id).await.unwrap();
        tries.iter().map(|told| told["status"].as_u64().unwrap()).collect()
    };
    let id = endpoints.heard.lock().unwrap()[0].1.clone();
    assert!(endpoints.heard.lock().unwrap().iter().all(|(_, other)| *other == id), "under one ID");
    endpoints.status.store(200, Ordering::SeqCst);
    bench.engine.resend(&id).await.unwrap();
    bench
        .until(async || {
            bench.clock.advance(Duration::from_mins(1));
            count(&bench, "bad", DeliveryState::Delivered).await == 1
        })
        .await;
    assert_eq!(tries(&id).await, [404, 404, 404, 404, 404, 404, 404, 404, 200]);
}

#[tokio::test]
async fn a_long_list_is_worked_off_a_few_at_a_time_and_each_once() {
    const EVENTS: usize = 2_000;
    let bench = Bench::new(&[FLOW]).await;
    for n in 0..EVENTS {
        bench.engine.publish("order.created", &json!(n), None).await.unwrap();
    }
    assert_eq!(count(&bench, "good", DeliveryState::Pending).await, 0, "nobody had subscribed");
    let endpoints = Arc::new(Endpoints::default());
    bench.engine.subscribe(&subscriptions(&["good"]), endpoints.caller(&bench));
    for n in 0..EVENTS {
        bench.engine.publish("order.created", &json!(n), Some(&n.to_string())).await.unwrap();
    }
    bench.until(async || count(&bench, "good", DeliveryState::Delivered).await == EVENTS).await;
    let mut ids: Vec<_> = endpoints.heard.lock().unwrap().iter().map(|(_, id)| id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), endpoints.heard("good.example")), (EVENTS, EVENTS));
    let most = endpoints.most_at_once.load(Ordering::SeqCst);
    assert!((1..=8).contains(&most), "{most}");
}

#[tokio::test]
async fn what_a_run_emits_leaves_before_the_run_goes_on() {
    let flow =
        "flow: shop\nwebhook: {auth: none}\nsteps: [{emit: order.created}, {sleep: 1h}, {emit: order.paid}]";
    let bench = Bench::new(&[flow]).await;
    let endpoints = Arc::new(Endpoints::default());
    bench.engine.subscribe(&subscriptions(&["good"]), endpoints.caller(&bench));
    let run = bench.queued("shop", json!({})).await;
    bench.until(async || count(&bench, "good", DeliveryState::Delivered).await == 1).await;
    assert_eq!(bench.unfinished().await, 1);
    bench.clock.advance(Duration::from_hours(2));
    bench.until(async || count(&bench, "good", DeliveryState::Delivered).await == 2).await;
    let emitted = bench.store.outbox().emitted_by(&run, 9).await.unwrap();
    assert_eq!(emitted.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["order.created", "order.paid"]);
    // Off: it is kept and waits.
    bench.engine.turn_off("good").await.unwrap();
    bench.engine.publish("order.lost", &json!(null), None).await.unwrap();
    bench.engine.turn_on("good").await.unwrap();
    bench.until(async || count(&bench, "good", DeliveryState::Delivered).await == 3).await;
}

/// While it rests, retention may forget what it has emitted.
#[tokio::test]
async fn a_run_that_rests_for_long_emits_once() {
    let flow =
        "flow: shop\nwebhook: {auth: none}\nsteps: [{emit: order.created}, {sleep: 40d}, {emit: order.paid}]";
    let bench = Bench::new(&[flow]).await;
    let endpoints = Arc::new(Endpoints::default());
    bench.engine.subscribe(&subscriptions(&["good"]), endpoints.caller(&bench));
    let run = bench.queued("shop", json!({})).await;
    bench.until(async || count(&bench, "good", DeliveryState::Delivered).await == 1).await;
    let is_parked = async || bench.store.load(&run).await.unwrap().run.progress.parked.is_some();
    bench.until(is_parked).await;
    let keep = KeepEvents {
        since: Timestamp::MAX,
        pending_since: Timestamp::MAX,
        bytes: u64::MAX,
        events: u64::MAX,
    };
    assert_eq!(bench.store.outbox().forget_events(&keep, 9).await.unwrap().runs, 1);
    bench.clock.advance(Duration::from_hours(41 * 24));
    bench.all_ended().await;
    bench.until(async || count(&bench, "good", DeliveryState::Delivered).await == 1).await;
    let emitted = bench.store.outbox().emitted_by(&run, 9).await.unwrap();
    assert_eq!(emitted.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["order.paid"]);
    assert_eq!((endpoints.heard("good.example"), bench.metric("hookflow_emitted_total")), (2, 2));
}

/// Another life of the node has begun, so nothing of this one is recorded any more.
#[tokio::test]
async fn a_delivery_whose_outcome_the_store_refuses_is_tried_again_later() {
    let bench = Bench::new(&[FLOW]).await;
    let endpoints = Arc::new(Endpoints::default());
    bench.engine.subscribe(&subscriptions(&["good"]), endpoints.caller(&bench));
    bench.engine.turn_off("good").await.unwrap();
    bench.engine.publish("order.created", &json!(1), None).await.unwrap();
    bench.store.register(&"node-1".into()).await.unwrap();
    bench.engine.turn_on("good").await.unwrap();
    for tries in 1..=3 {
        bench.until(async || endpoints.heard("good.example") == tries).await;
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(endpoints.heard("good.example"), tries, "before the clock is turned");
        bench.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(count(&bench, "good", DeliveryState::Pending).await, 1);
}
