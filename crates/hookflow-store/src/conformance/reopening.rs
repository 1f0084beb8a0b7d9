//! What a store that outlives the process must have again after it was opened again.

use super::attempts::large;
use super::outgoing::outgoing;
use super::scheduling::place;
use super::{Bench, at, claims, duplicate, fact, facts, nothing, replied, reply, succeeded};
use crate::{Emitter, Inbound, NewRun, Owner, Parked, Progress, Rejected, Sent, Store, StoreError};
use hookflow_trigger::Event;
use std::sync::Arc;

/// Fills the store that `open` opens, lets go of it, opens it again and looks for everything.
///
/// # Errors
/// What a store answered where the suite does not expect an error at all.
///
/// # Panics
/// Where a store does not behave.
pub async fn what_is_kept_is_there_again(
    open: impl Fn() -> Arc<dyn Store>,
    event: Arc<Event>,
) -> Result<(), StoreError> {
    let before = Bench::on(open(), &event).await?;
    assert!(before.store.is_durable());
    let first = fill(before).await?;
    let store = open();
    assert_eq!(store.record(&first, &"a".into(), nothing()).await.map(drop), Ok(()), "its life goes on");
    let life = store.register(&first.node).await?;
    assert_eq!((life.owner.epoch, life.clean, life.alone.as_deref()), (first.epoch + 1, false, Some("a")));
    assert_eq!(store.record(&first, &"a".into(), nothing()).await, Err(StoreError::Stale));
    let bench = Bench { store, owner: life.owner, event };
    assert_eq!(bench.unfinished().await?, ["a", "b", "c", "d"]);
    let ready: Vec<_> = bench.store.ready("node-1", "shop", 0, 10).await?;
    let ready: Vec<_> = ready.iter().map(|row| &*row.run).collect();
    assert_eq!(ready, ["a", "b"], "one is behind, one is parked");
    assert_eq!(bench.store.due("node-1", at(90), 10).await?.runs.len(), 1);
    assert_eq!(bench.store.states("").await?.get("paused/shop").map(|since| &**since), Some("now"));
    assert_eq!(bench.store.version("shop", "v2").await?.as_deref(), Some("flow v2"));
    let journal = bench.store.load("a").await?;
    let NewRun { run, attempt, bytes, order, claims: held, progress, .. } = &journal.run;
    assert_eq!((&**run, *attempt, *bytes, order, held.len()), ("a", 1, 10, &None, 1));
    assert_eq!(journal.run.event.to_record(), bench.event.to_record());
    assert_eq!((progress.begun_at, &*progress.version), (Some(at(5)), "v2"));
    assert_eq!((&progress.facts, &progress.reply), (&facts(1..=2).facts, &Some(reply(202))));
    assert_eq!(progress.sent, [sent()]);
    assert_eq!(journal.inbox, [Inbound::Fact(fact(9)), Inbound::Cancel { at: at(8) }]);
    let kept = bench.store.attempt("b", 1).await?.map(|line| line.fact);
    assert_eq!(kept, Some(large(1)), "what is large is there too");
    let parked = bench.store.load("d").await?.run.progress.parked;
    assert_eq!(parked, Some(Parked { until: Some(at(90)), heard: 0 }));
    let taken = bench.admit(claims(bench.run("again"), "k")).await?;
    assert_eq!(taken, duplicate("a", false, Some(reply(202))));
    let taken = bench.admit(claims(bench.run("again"), "l")).await?;
    assert_eq!(taken, duplicate("e", true, Some(reply(201))));
    // Positions and turns go on from where they were.
    let promoted = bench.record("b", succeeded()).await?.promoted;
    assert_eq!(promoted.map(|row| row.run.to_string()), Some("c".into()));
    assert!(bench.admit(bench.run("f")).await?.is_kept());
    assert_eq!(bench.unfinished().await?, ["a", "d", "c", "f"]);
    let due = bench.store.outbox().due_deliveries("node-1", "crm", at(9), 9).await?;
    assert_eq!((due.ids, due.next), (vec!["e1_crm".into()], None));
    assert_eq!(bench.store.rejected(None, None, 9).await?.rejected, [rejected()]);
    let lines = bench.recent("shop", 10).await?;
    assert_eq!(lines.iter().map(|line| &*line.run).collect::<Vec<_>>(), ["f", "e", "d", "c", "b", "a"]);
    Ok(())
}

fn rejected() -> Rejected {
    Rejected { at: at(1), flow: None, told: "no".into() }
}

fn sent() -> Sent {
    Sent { place: place(1), attempt: 1 }
}

async fn fill(bench: Bench) -> Result<Owner, StoreError> {
    bench.admit(claims(bench.run("a"), "k")).await?;
    let ordered = |id| NewRun { order: Some("customer".into()), ..bench.run(id) };
    bench.admit(ordered("b")).await?;
    bench.admit(ordered("c")).await?;
    bench.store.keep_rejected(vec![rejected()]).await?;
    let emitted = vec![outgoing("e1", Emitter::Place("1".into()), &["crm"])];
    bench.record("b", Progress { emitted, facts: vec![large(1)], ..nothing() }).await?;
    bench.admit(bench.run("d")).await?;
    let ended = replied(201, succeeded());
    bench.admit(NewRun { progress: ended, ..claims(bench.run("e"), "l") }).await?;
    let begun = Progress { version: "v2".into(), begun_at: Some(at(5)), sent: vec![sent()], ..facts(1..=2) };
    bench.record("a", replied(202, begun)).await?;
    bench.store.post("a", Inbound::Fact(fact(9))).await?;
    bench.store.post("a", Inbound::Cancel { at: at(8) }).await?;
    let parked = Parked { until: Some(at(90)), heard: 0 };
    bench.record("d", Progress { parked: Some(parked), ..nothing() }).await?;
    bench.store.alone(&bench.owner, Some(&"a".into())).await?;
    bench.store.set_state("paused/shop", Some("now")).await?;
    Ok(bench.owner)
}
