//! Calls that wait for their turn at an integration.

use super::bench::{Bench, flow_beside, integrations};
use crate::LiveIntegration;
use bytes::Bytes;
use hookflow_flow::Integrations;
use hookflow_outbound::{Caller, Script};
use hookflow_store::Store as _;
use http::Response;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

fn calling(flow: &str, more: &str) -> String {
    format!(
        "flow: {flow}\nwebhook: {{auth: none}}\nqueue: {{workers: 1}}\nsteps: [{{http: {{method: POST, integration: it, url: {flow}}}{more}}}]"
    )
}

/// What an integration is called for: answers 429 on `/first`, once it may, and on `/second` 503 before 200.
#[derive(Default)]
struct Outside {
    hits: AtomicUsize,
    seconds: AtomicUsize,
}

impl Outside {
    fn script(self: &Arc<Self>, may: &Arc<Semaphore>) -> Script {
        let (this, may) = (Arc::clone(self), Arc::clone(may));
        Arc::new(move |request| {
            let (this, may) = (Arc::clone(&this), Arc::clone(&may));
            Box::pin(async move {
                this.hits.fetch_add(1, Ordering::SeqCst);
                let answer = match request.uri().path() {
                    "/first" => {
                        may.acquire().await.unwrap().forget();
                        Response::builder().status(429).header("retry-after", "300")
                    }
                    _ if this.seconds.fetch_add(1, Ordering::SeqCst) == 0 => Response::builder().status(503),
                    _ => Response::builder(),
                };
                Ok(answer.body(Bytes::new()).unwrap())
            })
        })
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

/// The flows `first` and `second`, which call an integration with this limit.
async fn bench(limit: &str, script: Script, retry: &str) -> Bench {
    let bench = Bench::new(&[]).await;
    let named =
        integrations(&format!("integration: it\nroot_url: http://outside.example/\nrate_limit: {limit}"));
    put_in_force(&bench, &named, script);
    let flows = [calling("first", ""), calling("second", retry)];
    let flows = flows.iter().map(|text| flow_beside(text, &named)).collect();
    bench.engine.install(flows, Arc::from("https://hooks.example")).await.unwrap();
    bench
}

fn put_in_force(bench: &Bench, named: &Integrations, script: Script) {
    let caller = Caller::scripted(script, bench.clock.clone());
    let live = named.iter().map(|integration| LiveIntegration {
        integration: Arc::clone(integration),
        caller: Some(caller.clone()),
    });
    bench.engine.integrate(live.collect());
}

#[tokio::test]
async fn who_is_about_to_call_and_is_put_off_by_the_answer_to_another_holds_no_worker() {
    let (outside, may) = (Arc::<Outside>::default(), Arc::new(Semaphore::new(0)));
    let bench = bench("2/s", outside.script(&may), "").await;
    bench.queued("first", json!({})).await;
    bench.until(async || outside.hits() == 1).await;
    let second = bench.queued("second", json!({})).await;
    // Half a second before its turn, so it has its worker.
    bench.until(async || !bench.store.load(&second).await.unwrap().run.progress.sent.is_empty()).await;
    assert_eq!(bench.metric("hookflow_runs_in_flight"), 2);
    may.add_permits(1);
    bench.until(async || bench.metric("hookflow_runs_in_flight") == 1).await;
    bench.clock.advance(Duration::from_millis(500));
    bench.until(async || bench.metric("hookflow_runs_in_flight") == 0).await;
    assert!(bench.store.load(&second).await.unwrap().run.progress.parked.is_some());
    assert_eq!(outside.hits(), 1);
    bench.clock.advance(Duration::from_mins(5));
    bench.until(async || outside.hits() == 2).await;
    bench.all_ended().await;
}

#[tokio::test]
async fn the_time_for_tries_begins_when_the_first_one_leaves() {
    let (outside, may) = (Arc::<Outside>::default(), Arc::new(Semaphore::new(1)));
    let retry = ", retry: {tries: 2, on: [503], backoff: 1s, within: 1m}";
    let bench = bench("1/h", outside.script(&may), retry).await;
    bench.queued("first", json!({})).await;
    bench.until(async || outside.hits() == 1).await;
    let second = bench.queued("second", json!({})).await;
    for hits in 2..=3 {
        bench
            .until(async || {
                let progress = bench.store.load(&second).await.unwrap().run.progress;
                progress.facts.len() == hits - 2 && progress.parked.is_some()
            })
            .await;
        bench.clock.advance(Duration::from_hours(1));
        bench.until(async || outside.hits() == hits).await;
    }
    bench.all_ended().await;
    assert_eq!(bench.metric("hookflow_runs_total{flow=\"second\",outcome=\"succeeded\"}"), 1);
}
