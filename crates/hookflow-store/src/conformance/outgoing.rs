//! Events that go out, and their deliveries.

use super::{Bench, at, nothing, replied, succeeded};
use crate::{
    DeliveryFilter, DeliveryLine, DeliveryState, DueDeliveries, Emitter, Erasure, KeepEvents, NewRun, Outbox,
    Outgoing, Owner, Progress, Resent, Store, StoreError, TRIES_KEPT, Tried, Undelivered,
};
use hookflow_trigger::Event;
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;

pub(super) async fn passes(open: &impl Fn() -> Arc<dyn Store>, event: &Arc<Event>) -> Result<(), StoreError> {
    an_event_is_written_with_its_run_and_once_for_a_place(&Bench::on(open(), event).await?).await?;
    what_comes_with_an_end_is_kept(&Bench::on(open(), event).await?).await?;
    a_refused_run_emits_nothing(&Bench::on(open(), event).await?).await?;
    a_key_is_known_again(&Bench::on(open(), event).await?).await?;
    deliveries_are_due_by_subscription(&Bench::on(open(), event).await?).await?;
    a_try_is_recorded_once_and_by_its_owner(&Bench::on(open(), event).await?).await?;
    every_try_is_kept_up_to_a_bound(&Bench::on(open(), event).await?).await?;
    deliveries_are_listed_and_made_again(&Bench::on(open(), event).await?).await?;
    events_are_forgotten_and_what_is_pending_later(&Bench::on(open(), event).await?).await?;
    what_is_pending_takes_nobodys_place(&Bench::on(open(), event).await?).await
}

pub(super) fn outgoing(id: &str, by: Emitter, to: &[&str]) -> Outgoing {
    let to = to.iter().map(|name| Arc::from(*name)).collect();
    let (name, data) = ("order.created".into(), r#"{"total":10.10}"#.into());
    Outgoing { id: id.into(), name, at: at(1), by, data, to }
}

fn called(id: &str, to: &[&str]) -> Outgoing {
    outgoing(id, Emitter::Caller(None), to)
}

fn emitting(id: &str, place: &str, to: &[&str]) -> Progress {
    Progress { emitted: vec![outgoing(id, Emitter::Place(place.into()), to)], ..nothing() }
}

fn tried(state: DeliveryState, due: Option<Timestamp>) -> Tried {
    Tried { state, due, told: json!({"status": 503}) }
}

fn outbox(bench: &Bench) -> &dyn Outbox {
    bench.store.outbox()
}

async fn due(bench: &Bench, subscription: &str, second: i64) -> Result<DueDeliveries, StoreError> {
    outbox(bench).due_deliveries("node-1", subscription, at(second), 10).await
}

async fn all(bench: &Bench) -> Result<Vec<DeliveryLine>, StoreError> {
    Ok(outbox(bench).deliveries(&DeliveryFilter::default(), None, 100).await?.deliveries)
}

async fn an_event_is_written_with_its_run_and_once_for_a_place(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(NewRun { progress: emitting("e1", "0", &["crm", "erp"]), ..bench.run("a") }).await?;
    bench.record("a", emitting("e2", "0", &["crm"])).await?;
    bench.record("a", emitting("e3", "0[1]", &[])).await?;
    bench.record("a", Progress { emitted: emitting("e4", "2", &["erp"]).emitted, ..succeeded() }).await?;
    let emitted = outbox(bench).emitted_by("a", 10).await?;
    let shown: Vec<_> = emitted.iter().map(|it| (&*it.id, it.at, it.deliveries.len())).collect();
    assert_eq!(shown, [("e1", at(1), 2), ("e3", at(1), 0), ("e4", at(1), 1)], "a place emits once");
    assert_eq!(outbox(bench).emitted_by("a", 1).await?.len(), 1);
    assert!(outbox(bench).emitted_by("b", 10).await?.is_empty());
    let found = outbox(bench).delivery("e1_crm").await?;
    let found = found.map(|it| (it.line.event, it.line.name, it.line.tries, it.run, it.data));
    let expected = ("e1".into(), "order.created".into(), 0, Some("a".into()), r#"{"total":10.10}"#.into());
    assert_eq!(found, Some(expected));
    for id in ["e1_", "e1", "", "_crm", "e3_crm"] {
        assert!(outbox(bench).delivery(id).await?.is_none(), "{id}");
    }
    assert!(bench.store.load("a").await?.run.progress.emitted.is_empty(), "it is no part of the journal");
    Ok(())
}

/// A run may end with the first that is written of it.
async fn what_comes_with_an_end_is_kept(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(bench.run("a")).await?;
    let told = replied(201, emitting("e1", "0", &["crm"]));
    bench.record("a", Progress { begun_at: Some(at(7)), ended: succeeded().ended, ..told }).await?;
    assert_eq!(outbox(bench).emitted_by("a", 10).await?.len(), 1, "its event");
    assert_eq!(due(bench, "crm", 9).await?.ids.len(), 1, "and its delivery");
    let kept = bench.store.load("a").await?.run.progress;
    assert_eq!(kept.reply.map(|reply| reply.status.as_u16()), Some(201));
    assert_eq!(kept.begun_at, Some(at(7)));
    assert!(kept.ended.is_some() && kept.parked.is_none());
    Ok(())
}

async fn a_refused_run_emits_nothing(bench: &Bench) -> Result<(), StoreError> {
    let unknown = Progress { version: "never".into(), ..emitting("e1", "0", &["crm"]) };
    let refused = bench.admit(NewRun { progress: unknown, ..bench.run("a") }).await;
    assert_eq!(refused, Err(StoreError::UnknownVersion));
    assert_eq!(bench.record("b", emitting("e2", "0", &["crm"])).await, Err(StoreError::UnknownRun));
    assert!(all(bench).await?.is_empty());
    Ok(())
}

async fn a_key_is_known_again(bench: &Bench) -> Result<(), StoreError> {
    let keyed = |id, key: &str| outgoing(id, Emitter::Caller(Some(key.into())), &["crm"]);
    let publish = async |event: Outgoing| -> Result<(String, bool), StoreError> {
        let published = outbox(bench).publish(&bench.owner, &event).await?;
        Ok((published.id.to_string(), published.is_new))
    };
    assert_eq!(publish(keyed("e1", "k")).await?, ("e1".into(), true));
    assert_eq!(publish(keyed("e2", "k")).await?, ("e1".into(), false));
    assert_eq!(publish(keyed("e3", "l")).await?, ("e3".into(), true));
    assert_eq!(publish(called("e4", &["crm"])).await?, ("e4".into(), true));
    assert_eq!(publish(called("e5", &["crm"])).await?, ("e5".into(), true));
    assert_eq!(all(bench).await?.len(), 4);
    let stale = Owner { epoch: 99, ..bench.owner.clone() };
    assert_eq!(outbox(bench).publish(&stale, &called("e6", &[])).await, Err(StoreError::Stale));
    Ok(())
}

async fn deliveries_are_due_by_subscription(bench: &Bench) -> Result<(), StoreError> {
    for (id, second) in [("e1", 30), ("e2", 20), ("e3", 20)] {
        let event = Outgoing { at: at(second), ..called(id, &["crm", "erp"]) };
        outbox(bench).publish(&bench.owner, &event).await?;
    }
    let ids = |due: &DueDeliveries| due.ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let none = due(bench, "crm", 19).await?;
    assert_eq!((ids(&none), none.next), (vec![], Some(at(20))));
    let some = due(bench, "crm", 20).await?;
    assert_eq!((ids(&some), some.next), (vec!["e2_crm".into(), "e3_crm".into()], Some(at(30))));
    assert_eq!(ids(&due(bench, "erp", 30).await?), ["e2_erp", "e3_erp", "e1_erp"]);
    assert_eq!(outbox(bench).due_deliveries("node-1", "erp", at(30), 2).await?.ids.len(), 2);
    assert!(outbox(bench).due_deliveries("node-2", "erp", at(30), 2).await?.ids.is_empty());
    assert!(due(bench, "nobody", 30).await?.ids.is_empty());
    let settled = tried(DeliveryState::Delivered, None);
    outbox(bench).settle(&bench.owner, "e2_erp", 0, settled).await?;
    outbox(bench).settle(&bench.owner, "e3_erp", 0, tried(DeliveryState::Pending, Some(at(90)))).await?;
    let later = due(bench, "erp", 30).await?;
    assert_eq!((ids(&later), later.next), (vec!["e1_erp".into()], Some(at(90))));
    let waiting =
        |subscription: &str, deliveries| Undelivered { subscription: subscription.into(), deliveries };
    assert_eq!(outbox(bench).undelivered("node-1").await?, [waiting("crm", 3), waiting("erp", 2)]);
    assert!(outbox(bench).undelivered("node-2").await?.is_empty());
    Ok(())
}

async fn a_try_is_recorded_once_and_by_its_owner(bench: &Bench) -> Result<(), StoreError> {
    outbox(bench).publish(&bench.owner, &called("e1", &["crm"])).await?;
    let again = || tried(DeliveryState::Pending, Some(at(5)));
    let settle =
        async |owner: &Owner, tries, tried| outbox(bench).settle(owner, "e1_crm", tries, tried).await;
    let other = bench.store.register(&"node-2".into()).await?.owner;
    assert_eq!(settle(&other, 0, again()).await, Ok(false), "another node's");
    let stale = Owner { epoch: 99, ..bench.owner.clone() };
    assert_eq!(settle(&stale, 0, again()).await, Err(StoreError::Stale));
    assert_eq!(settle(&bench.owner, 0, again()).await, Ok(true));
    assert_eq!(settle(&bench.owner, 0, again()).await, Ok(false), "this try is recorded");
    let kept = all(bench).await?.pop();
    let kept = kept.map(|line| (line.state, line.tries, line.due, line.last));
    assert_eq!(kept, Some((DeliveryState::Pending, 1, Some(at(5)), Some(json!({"status": 503})))));
    assert_eq!(settle(&bench.owner, 1, tried(DeliveryState::Failed, None)).await, Ok(true));
    assert_eq!(settle(&bench.owner, 2, again()).await, Ok(false), "it is not pending");
    assert_eq!(outbox(bench).settle(&bench.owner, "e9_crm", 0, again()).await, Ok(false));
    assert!(due(bench, "crm", 99).await?.ids.is_empty());
    Ok(())
}

async fn every_try_is_kept_up_to_a_bound(bench: &Bench) -> Result<(), StoreError> {
    outbox(bench).publish(&bench.owner, &called("e1", &["crm", "erp"])).await?;
    let told = async |id: &str| -> Result<Vec<u64>, StoreError> {
        let tries = outbox(bench).tries(id).await?;
        Ok(tries.iter().filter_map(|told| told.get("try")?.as_u64()).collect())
    };
    assert!(told("e1_crm").await?.is_empty() && told("e9_crm").await?.is_empty());
    let settle = async |tries, state, due, n: u64| {
        let outcome = Tried { state, due, told: json!({"try": n}) };
        outbox(bench).settle(&bench.owner, "e1_crm", tries, outcome).await
    };
    for n in 0..3 {
        settle(n, DeliveryState::Pending, Some(at(5)), n.into()).await?;
    }
    assert_eq!(told("e1_crm").await?, [0, 1, 2]);
    // What is refused is no try, and who sends it again forgets nothing.
    assert_eq!(settle(1, DeliveryState::Delivered, None, 99).await, Ok(false));
    outbox(bench).resend("e1_crm", at(50)).await?;
    assert_eq!(told("e1_crm").await?, [0, 1, 2]);
    settle(0, DeliveryState::Delivered, None, 3).await?;
    assert_eq!(told("e1_crm").await?, [0, 1, 2, 3]);
    for n in 4..100 {
        outbox(bench).resend("e1_crm", at(50)).await?;
        settle(0, DeliveryState::Failed, None, n).await?;
    }
    let most = u64::try_from(TRIES_KEPT).unwrap_or(u64::MAX);
    assert_eq!(told("e1_crm").await?, (100 - most..100).collect::<Vec<_>>(), "the latest");
    assert!(told("e1_erp").await?.is_empty(), "another's are its own");
    // They go with their delivery.
    let none = KeepEvents { since: at(99), pending_since: at(99), bytes: 0, events: 0 };
    outbox(bench).forget_events(&none, 10).await?;
    assert!(told("e1_crm").await?.is_empty());
    Ok(())
}

async fn deliveries_are_listed_and_made_again(bench: &Bench) -> Result<(), StoreError> {
    for n in 0..6 {
        let mut event = Outgoing { at: at(n), ..called(&format!("e{n}"), &["crm", "erp"]) };
        if n == 3 {
            event.name = "order.paid".into();
        }
        outbox(bench).publish(&bench.owner, &event).await?;
    }
    outbox(bench).settle(&bench.owner, "e2_crm", 0, tried(DeliveryState::Failed, None)).await?;
    let find = async |filter: DeliveryFilter| -> Result<Vec<String>, StoreError> {
        let page = outbox(bench).deliveries(&filter, None, 100).await?;
        Ok(page.deliveries.iter().map(|line| line.id.to_string()).collect())
    };
    let (mut before, mut found) = (None, Vec::new());
    loop {
        let page = outbox(bench).deliveries(&DeliveryFilter::default(), before, 5).await?;
        found.extend(page.deliveries.iter().map(|line| line.id.to_string()));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), 12);
    assert_eq!(found.get(..3), Some(&["e5_erp".into(), "e5_crm".into(), "e4_erp".into()][..]));
    let nothing = DeliveryFilter::default;
    let of_one = find(DeliveryFilter { subscription: Some("crm".into()), ..nothing() }).await?;
    assert_eq!(of_one, ["e5_crm", "e4_crm", "e3_crm", "e2_crm", "e1_crm", "e0_crm"]);
    assert_eq!(find(DeliveryFilter { state: Some(DeliveryState::Failed), ..nothing() }).await?, ["e2_crm"]);
    let paid = find(DeliveryFilter { event: Some("order.paid".into()), ..nothing() }).await?;
    assert_eq!(paid, ["e3_erp", "e3_crm"]);
    let within = DeliveryFilter { since: Some(at(1)), until: Some(at(2)), ..nothing() };
    assert_eq!(find(within).await?, ["e1_erp", "e1_crm"]);

    let resent = Resent { subscription: "crm".into(), node: "node-1".into() };
    assert_eq!(outbox(bench).resend("e2_crm", at(50)).await?, Some(resent));
    assert_eq!(outbox(bench).resend("e9_crm", at(50)).await?, None);
    let again = outbox(bench).delivery("e2_crm").await?.map(|it| (it.line.state, it.line.tries, it.line.due));
    assert_eq!(again, Some((DeliveryState::Pending, 0, Some(at(50)))));
    assert_eq!(due(bench, "crm", 50).await?.ids.last().map(|id| &**id), Some("e2_crm"));
    Ok(())
}

async fn events_are_forgotten_and_what_is_pending_later(bench: &Bench) -> Result<(), StoreError> {
    for n in 0..6 {
        let event = Outgoing { at: at(n), ..called(&format!("e{n}"), &["crm"]) };
        outbox(bench).publish(&bench.owner, &event).await?;
        if n != 1 {
            let id = format!("e{n}_crm");
            outbox(bench).settle(&bench.owner, &id, 0, tried(DeliveryState::Delivered, None)).await?;
        }
    }
    let keep = KeepEvents { since: at(3), pending_since: at(0), bytes: u64::MAX, events: u64::MAX };
    let first = outbox(bench).forget_events(&keep, 1).await?;
    assert_eq!((first.runs, first.more), (1, true));
    let rest = outbox(bench).forget_events(&keep, 10).await?;
    assert_eq!((rest.runs, rest.more), (1, false));
    let left = async || -> Result<Vec<String>, StoreError> {
        Ok(all(bench).await?.iter().map(|line| line.id.to_string()).collect())
    };
    assert_eq!(left().await?, ["e5_crm", "e4_crm", "e3_crm", "e1_crm"], "what is pending stays");
    let few = KeepEvents { since: at(0), events: 3, ..keep };
    outbox(bench).forget_events(&KeepEvents { bytes: 30, ..few }, 10).await?;
    assert_eq!(left().await?.last().map(String::as_str), Some("e1_crm"));
    assert!(left().await?.len() < 4, "the oldest that are too much go");
    let later = KeepEvents { since: at(2), pending_since: at(2), ..keep };
    outbox(bench).forget_events(&later, 10).await?;
    assert!(!left().await?.contains(&"e1_crm".to_owned()));
    assert!(outbox(bench).due_deliveries("node-1", "crm", at(99), 9).await?.ids.is_empty());

    // What is erased is erased whole.
    let progress = Progress { ended: succeeded().ended, ..emitting("e9", "0", &["crm"]) };
    bench.admit(NewRun { progress, ..bench.run("a") }).await?;
    assert_eq!(outbox(bench).emitted_by("a", 9).await?.len(), 1);
    bench.store.erase(&Erasure { flow: "shop".into(), key: None }, 10).await?;
    assert!(outbox(bench).emitted_by("a", 9).await?.is_empty());
    assert!(outbox(bench).delivery("e9_crm").await?.is_none());
    Ok(())
}

/// Neither by its number nor by its size.
async fn what_is_pending_takes_nobodys_place(bench: &Bench) -> Result<(), StoreError> {
    let publish = async |n: i64, to: &str| -> Result<(), StoreError> {
        let data = if to == "erp" { "x".repeat(1_000) } else { "x".repeat(10) };
        let id = format!("e{n}");
        let to = vec![to.into()];
        let by = Emitter::Caller(Some(id.as_str().into()));
        let event = Outgoing { at: at(n), data: data.into(), by, to, ..called(&id, &[]) };
        outbox(bench).publish(&bench.owner, &event).await.map(drop)
    };
    let settle = async |n: i64, to: &str| -> Result<bool, StoreError> {
        let delivered = tried(DeliveryState::Delivered, None);
        outbox(bench).settle(&bench.owner, &format!("e{n}_{to}"), 0, delivered).await
    };
    let left = async || -> Result<Vec<String>, StoreError> {
        Ok(all(bench).await?.iter().rev().map(|line| line.id.to_string()).collect())
    };
    publish(0, "erp").await?;
    for n in 1..=20 {
        publish(n, "crm").await?;
        // What came between and is gone.
        if n <= 10 {
            settle(n, "crm").await?;
        }
    }
    let keep = KeepEvents { since: at(0), pending_since: at(0), bytes: u64::MAX, events: 5 };
    assert_eq!(outbox(bench).forget_events(&keep, 100).await?.runs, 5);
    for n in 11..=20 {
        settle(n, "crm").await?;
    }
    publish(21, "erp").await?;
    let forget = async |keep: KeepEvents| -> Result<u64, StoreError> {
        Ok(outbox(bench).forget_events(&keep, 100).await?.runs)
    };
    assert_eq!(forget(KeepEvents { events: 15, ..keep }).await?, 0);
    assert_eq!(forget(KeepEvents { events: 14, ..keep }).await?, 1);
    assert_eq!(forget(KeepEvents { bytes: 50, ..keep }).await?, 9);
    assert_eq!(left().await?, ["e0_erp", "e16_crm", "e17_crm", "e18_crm", "e19_crm", "e20_crm", "e21_erp"]);
    assert_eq!(forget(KeepEvents { bytes: 30, ..keep }).await?, 2);
    assert_eq!(forget(KeepEvents { events: 0, ..keep }).await?, 3);
    assert_eq!(left().await?, ["e0_erp", "e21_erp"]);
    // It is pending no more, and then again.
    settle(21, "erp").await?;
    outbox(bench).resend("e21_erp", at(50)).await?;
    assert_eq!(forget(KeepEvents { events: 0, ..keep }).await?, 0);
    settle(21, "erp").await?;
    assert_eq!(forget(KeepEvents { events: 1, bytes: 1_000, ..keep }).await?, 0);
    assert_eq!(forget(KeepEvents { events: 1, bytes: 999, ..keep }).await?, 1);
    assert_eq!(left().await?, ["e0_erp"]);
    Ok(())
}
