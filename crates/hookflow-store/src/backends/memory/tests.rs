use super::*;
use crate::{
    Admitted, Claim, DeliveryFilter, DeliveryState, Emitter, Ended, Outgoing, RunFilter, Tried,
    VERSIONS_KEPT, conformance,
};
use hookflow_flow::{End, Fact, Outcome, Place, StepNumber};
use hookflow_trigger::{BodySpec, Event, Params, Route, Sample};
use serde_json::json;
use std::time::Duration;
use tokio::sync::oneshot;

fn event() -> Arc<Event> {
    let route = Route { flow: "shop".into(), suffix: String::new(), params: Params::default(), system: None };
    let spec = BodySpec::auto(1_000);
    let at = Timestamp::UNIX_EPOCH;
    Arc::new(Event::of_sample(Sample::default(), &spec, route, "e1", at, "http://localhost".into()).unwrap())
}

async fn bench() -> (Arc<dyn Store>, Owner) {
    let store = new();
    let owner = store.register(&"node".into()).await.unwrap().owner;
    store.keep_version(&"shop".into(), &"v1".into(), &"flow: shop".into()).await.unwrap();
    (store, owner)
}

fn ended(id: &str, bytes: u64, event: &Arc<Event>) -> NewRun {
    let end = Arc::new(End::Succeeded(json!(null)));
    NewRun {
        run: id.into(),
        flow: "shop".into(),
        attempt: 1,
        seed: [0; 16],
        started_at: Timestamp::UNIX_EPOCH,
        event: Arc::clone(event),
        bytes,
        claims: Vec::new(),
        order: None,
        replays: None,
        progress: Progress {
            ended: Some(Ended { end, at: Timestamp::UNIX_EPOCH }),
            ..Progress::none("v1".into())
        },
    }
}

async fn admit(store: &dyn Store, owner: &Owner, run: NewRun) -> Result<Admitted, StoreError> {
    let (sender, answer) = oneshot::channel();
    store.admit(
        owner,
        Timestamp::UNIX_EPOCH,
        vec![(run, Box::new(move |outcome| drop(sender.send(outcome))))],
    );
    answer.await.unwrap()
}

#[tokio::test]
async fn it_passes_the_suite() {
    conformance::every_backend_passes(new, event()).await.unwrap();
}

#[tokio::test]
async fn history_is_bounded_in_runs_and_a_claim_outlives_its_run() {
    let ((store, owner), event) = (bench().await, event());
    let claim = Claim { scope: "s".into(), key: "k".into(), window: Duration::from_hours(1) };
    let claiming = |id| NewRun { claims: vec![claim.clone()], ..ended(id, 1, &event) };
    admit(&*store, &owner, claiming("first")).await.unwrap();
    for n in (2..=VERSIONS_KEPT + 1).rev() {
        store.keep_version(&"shop".into(), &format!("v{n}").into(), &"flow: shop".into()).await.unwrap();
    }
    assert!(store.version("shop", "v1").await.unwrap().is_some());
    for n in 0..FINISHED_KEPT {
        let mut run = ended(&format!("r{n}"), 1, &event);
        run.progress.version = "v2".into();
        admit(&*store, &owner, run).await.unwrap();
    }
    assert_eq!(store.load("first").await.map(drop), Err(StoreError::UnknownRun));
    assert_eq!(store.find(&RunFilter::default(), None, usize::MAX).await.unwrap().runs.len(), FINISHED_KEPT);
    assert_eq!(store.version("shop", "v1").await.unwrap(), None, "no kept run is on it");
    let again = admit(&*store, &owner, claiming("again")).await;
    assert!(matches!(again, Ok(Admitted::Duplicate(duplicate)) if &*duplicate.run == "first"));
}

#[tokio::test]
async fn history_is_bounded_in_bytes_and_facts_count() {
    let ((store, owner), event) = (bench().await, event());
    admit(&*store, &owner, ended("first", FINISHED_BYTES / 2, &event)).await.unwrap();
    let mut second = ended("second", 1, &event);
    let half = usize::try_from(FINISHED_BYTES / 2).unwrap();
    second.progress.facts.push(Arc::new(Fact {
        place: Place { step: StepNumber(0), turns: Vec::new() },
        verb: "http".into(),
        attempt: 1,
        at: Timestamp::UNIX_EPOCH,
        outcome: Outcome::Answered {
            status: 200,
            headers: serde_json::Map::new(),
            body: json!([{"text": "x".repeat(half)}]),
            captures: serde_json::Map::new(),
        },
        left: None,
        tried: None,
    }));
    admit(&*store, &owner, second).await.unwrap();
    assert_eq!(store.load("first").await.map(drop), Err(StoreError::UnknownRun));
    assert!(store.load("second").await.is_ok());
    assert_eq!(format!("{store:?}"), "Memory: 1 runs, 0 unfinished");
}

/// However many are pending, as many as ever are kept of those that are not.
#[tokio::test]
async fn what_is_pending_pushes_nothing_out() {
    const MORE_THAN_ARE_KEPT: usize = 10_001;
    let (store, owner) = bench().await;
    let publish = |id: String| {
        let (name, by, at) = ("order.created".into(), Emitter::Caller(None), Timestamp::UNIX_EPOCH);
        let event = Outgoing { id: id.into(), name, at, by, data: "1".into(), to: vec!["crm".into()] };
        store.outbox().publish(&owner, &event)
    };
    let settle = |id: String| {
        let delivered = Tried { state: DeliveryState::Delivered, due: None, told: json!(null) };
        store.outbox().settle(&owner, &format!("{id}_crm"), 0, delivered)
    };
    for n in 0..MORE_THAN_ARE_KEPT {
        publish(format!("p{n}")).await.unwrap();
    }
    for n in 0..MORE_THAN_ARE_KEPT {
        publish(format!("d{n}")).await.unwrap();
        settle(format!("d{n}")).await.unwrap();
    }
    let count = async |state| {
        let (mut count, mut before) = (0, None);
        loop {
            let filter = DeliveryFilter { state: Some(state), ..DeliveryFilter::default() };
            let page = store.outbox().deliveries(&filter, before, usize::MAX).await.unwrap();
            count += page.deliveries.len();
            before = page.next;
            if before.is_none() {
                return count;
            }
        }
    };
    assert_eq!(count(DeliveryState::Pending).await, MORE_THAN_ARE_KEPT);
    assert_eq!(count(DeliveryState::Delivered).await, MORE_THAN_ARE_KEPT - 1);
    assert!(store.outbox().delivery("d0_crm").await.unwrap().is_none(), "the oldest of them");
}
