//! How many rows each kind of run writes: what is hot stays narrow.

use super::{Bench, nothing};
use crate::{
    Claim, DeliveryState, Emitter, Ended, Inbound, NewRun, Outbox as _, Outgoing, Parked, Progress, Recorded,
    Sent, Store as _, Tried,
};
use hookflow_flow::{Attempt, End, Fact, FaultKind, Outcome, Place, Reply, SentRequest, StepNumber};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

impl Bench {
    /// How many rows were inserted, changed and deleted since `before`, and the count by now.
    async fn rows(&self, before: &mut u64) -> u64 {
        let now = self.store.write(|ledger| Ok(ledger.changes())).await.unwrap();
        now - std::mem::replace(before, now)
    }

    async fn record(&self, run: &str, progress: Progress) -> Recorded {
        self.store.record(&self.owner, &run.into(), progress).await.unwrap()
    }
}

fn place() -> Place {
    Place { step: StepNumber(1), turns: Vec::new() }
}

fn called(n: u32) -> Progress {
    let outcome = Outcome::Failed { kind: FaultKind::Timeout, message: String::new() };
    let fact = Fact {
        place: place(),
        verb: "http".into(),
        attempt: n,
        at: Timestamp::UNIX_EPOCH,
        outcome,
        left: None,
        tried: None,
    };
    // What is remembered of the try is in the same row.
    let request = SentRequest::masked(&Method::GET, "https://a.example/", &HeaderMap::new(), &"".into());
    let attempt = Attempt {
        step: "stock".into(),
        integration: Some("warehouse".into()),
        webhook: None,
        transactional_id: None,
        began_at: Timestamp::UNIX_EPOCH,
        took_ms: Some(7),
        ok: false,
        request,
        hops: Vec::new(),
        answer: None,
    };
    Progress { facts: vec![Arc::new(fact.tried(attempt))], ..begun() }
}

fn begun() -> Progress {
    Progress { begun_at: Some(Timestamp::UNIX_EPOCH), ..nothing() }
}

fn replied(progress: Progress) -> Progress {
    let reply = Reply { status: http::StatusCode::OK, headers: Vec::new(), body: "hello".into() };
    Progress { reply: Some(Arc::new(reply)), ..progress }
}

fn ended(progress: Progress) -> Progress {
    let end = Arc::new(End::Succeeded(serde_json::Value::Null));
    Progress { ended: Some(Ended { end, at: Timestamp::UNIX_EPOCH }), ..progress }
}

#[tokio::test]
async fn each_kind_of_run_writes_so_many_rows() {
    let bench = Bench::new().await;
    let mut before = 0;
    bench.rows(&mut before).await;

    bench.admit("sync, pure", ended(replied(begun()))).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 3, "event, reply, end");

    bench.admit("sync, a call", begun()).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 2, "event, open");
    bench.record("sync, a call", ended(replied(called(1)))).await;
    assert_eq!(bench.rows(&mut before).await, 4, "fact, reply, end, not open");

    let sent = Sent { place: place(), attempt: 1 };
    bench
        .admit("sync, a call that must not leave twice", Progress { sent: vec![sent], ..begun() })
        .await
        .unwrap();
    assert_eq!(bench.rows(&mut before).await, 3, "event, open, sent");

    bench.admit("respond early", replied(begun())).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 3, "event, open, reply");
    bench.record("respond early", ended(begun())).await;
    assert_eq!(bench.rows(&mut before).await, 2, "end, not open");

    bench.admit("async, pure", nothing()).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 2, "event, open");
    bench.record("async, pure", ended(begun())).await;
    assert_eq!(bench.rows(&mut before).await, 2, "end, not open");

    bench.admit("async, pure, cancelled too late", nothing()).await.unwrap();
    bench.rows(&mut before).await;
    let cancel = Inbound::Cancel { at: Timestamp::UNIX_EPOCH };
    bench.store.post("async, pure, cancelled too late", cancel).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 1, "inbox");
    bench.record("async, pure, cancelled too late", ended(begun())).await;
    assert_eq!(bench.rows(&mut before).await, 3, "end, not open, not in the inbox");

    // One that succeeds is not brought to the store; the engine's tests count that.
    bench.admit("relaxed, fails", ended(begun())).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 2, "event, end");

    bench.admit("async, two calls", nothing()).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 2, "event, open");
    bench.record("async, two calls", called(1)).await;
    assert_eq!(bench.rows(&mut before).await, 2, "fact, open with its beginning");
    bench.record("async, two calls", ended(called(2))).await;
    assert_eq!(bench.rows(&mut before).await, 3, "fact, end, not open");
}

#[tokio::test]
async fn a_run_that_waits_or_sleeps_writes_one_row_more_each_time() {
    let bench = Bench::new().await;
    let mut before = 0;
    let parked = |until: Option<i64>| Progress {
        parked: Some(Parked { until: until.map(|second| Timestamp::from_second(second).unwrap()), heard: 0 }),
        ..begun()
    };
    let slept = |progress| Progress {
        facts: vec![Arc::new(Fact {
            place: place(),
            verb: "sleep".into(),
            attempt: 1,
            at: Timestamp::UNIX_EPOCH,
            outcome: Outcome::Slept,
            left: None,
            tried: None,
        })],
        ..progress
    };
    bench.admit("sleep", nothing()).await.unwrap();
    bench.rows(&mut before).await;
    bench.record("sleep", parked(Some(60))).await;
    assert_eq!(bench.rows(&mut before).await, 1, "open with its moment");
    bench.record("sleep", ended(slept(begun()))).await;
    assert_eq!(bench.rows(&mut before).await, 3, "fact, end, not open");

    bench.admit("wait", nothing()).await.unwrap();
    bench.rows(&mut before).await;
    bench.record("wait", parked(Some(60))).await;
    assert_eq!(bench.rows(&mut before).await, 1, "open with its deadline");
    let Some(fact) = slept(begun()).facts.pop() else { panic!("no fact") };
    bench.store.post("wait", Inbound::Fact(fact)).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 2, "inbox, open is due");
    bench.record("wait", ended(slept(begun()))).await;
    assert_eq!(bench.rows(&mut before).await, 4, "fact, end, not open, not in the inbox");
}

#[tokio::test]
async fn an_event_that_goes_out_is_a_row_and_one_for_each_delivery() {
    let bench = Bench::new().await;
    let mut before = 0;
    let emitting = |progress| Progress {
        emitted: vec![Outgoing {
            id: "e1".into(),
            name: "order.created".into(),
            at: Timestamp::UNIX_EPOCH,
            by: Emitter::Place("1".into()),
            data: "{}".into(),
            to: vec!["crm".into(), "erp".into()],
        }],
        ..progress
    };
    bench.rows(&mut before).await;
    bench.admit("sync, pure", emitting(ended(replied(begun())))).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 6, "event, reply, end, what is emitted, two deliveries");
    let tried = |state| Tried { state, due: None, told: serde_json::Value::Null };
    bench.store.settle(&bench.owner, "e1_crm", 0, tried(DeliveryState::Delivered)).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 1, "the delivery");
    let again = Tried { due: Some(Timestamp::UNIX_EPOCH), ..tried(DeliveryState::Pending) };
    bench.store.settle(&bench.owner, "e1_erp", 0, again).await.unwrap();
    bench.rows(&mut before).await;
    bench.store.settle(&bench.owner, "e1_erp", 1, tried(DeliveryState::Delivered)).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 2, "the delivery, and the former try");
}

#[tokio::test]
async fn each_claim_is_one_row_more() {
    let bench = Bench::new().await;
    let mut before = 0;
    let claim = Claim { scope: "shop".into(), key: "k".into(), window: Duration::from_hours(1) };
    let claiming = |run: &str, key: &str, progress| NewRun {
        run: run.into(),
        flow: "shop".into(),
        attempt: 1,
        seed: [0; 16],
        started_at: Timestamp::UNIX_EPOCH,
        event: super::event(),
        bytes: 10,
        claims: vec![Claim { key: key.into(), ..claim.clone() }],
        order: None,
        replays: None,
        progress,
    };
    bench.rows(&mut before).await;
    bench.admit_run(claiming("a", "k", ended(replied(begun())))).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 4, "event, reply, end, claim");
    bench.admit_run(claiming("b", "k", nothing())).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 0, "a duplicate");
    bench.admit_run(claiming("c", "l", nothing())).await.unwrap();
    assert_eq!(bench.rows(&mut before).await, 3, "event, open, claim");
    bench.record("c", ended(begun())).await;
    assert_eq!(bench.rows(&mut before).await, 3, "end, not open, claim with its window");
}

#[tokio::test]
async fn an_end_without_a_value_takes_32_bytes_at_most() {
    const RUNS: u64 = 100;
    let bench = Bench::new().await;
    for n in 0..RUNS {
        let run = format!("r{n}");
        bench.admit(&run, nothing()).await.unwrap();
        let late = Timestamp::from_second(1_800_000_000).unwrap();
        let mut progress = ended(Progress { begun_at: Some(late), ..nothing() });
        progress.ended.as_mut().unwrap().at = late;
        bench.record(&run, progress).await;
    }
    let payload = "SELECT sum(payload) FROM dbstat WHERE name = 'ends' AND pagetype = 'leaf'";
    let bytes =
        bench.store.read(|connection| Ok(connection.query_row(payload, (), |row| row.get::<_, u64>(0))?));
    assert!((RUNS..=32 * RUNS).contains(&bytes.await.unwrap()));
}
