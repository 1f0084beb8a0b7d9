//! Which run goes when: turns, order keys, parked runs, inboxes, crashes.

use super::{Bench, at, fact, facts, failed, nothing, succeeded};
use crate::{
    Admitted, INBOX_ENTRIES, Inbound, NewRun, Owner, Parked, Posted, Progress, Recorded, Sent, Store,
    StoreError,
};
use hookflow_flow::{Fact, Place, StepNumber};
use hookflow_trigger::Event;
use jiff::Timestamp;
use std::sync::Arc;

pub(super) async fn passes(open: &impl Fn() -> Arc<dyn Store>, event: &Arc<Event>) -> Result<(), StoreError> {
    what_is_handed_in_is_told_in_order(&Bench::on(open(), event).await?).await?;
    runs_of_a_key_follow_each_other(&Bench::on(open(), event).await?).await?;
    parked_runs_are_due_at_their_moment(&Bench::on(open(), event).await?).await?;
    an_inbox_takes_one_fact_for_a_place(&Bench::on(open(), event).await?).await?;
    a_closed_place_takes_nothing(&Bench::on(open(), event).await?).await?;
    an_inbox_is_bounded(&Bench::on(open(), event).await?).await?;
    what_was_sent_is_kept(&Bench::on(open(), event).await?).await?;
    crashes_are_counted(&Bench::on(open(), event).await?).await
}

pub(super) fn place(step: u32) -> Place {
    Place { step: StepNumber(step), turns: Vec::new() }
}

fn came(step: u32, second: i64) -> Arc<Fact> {
    Arc::new(Fact { place: place(step), at: at(second), ..Fact::clone(&fact(1)) })
}

fn parked(until: Option<Timestamp>) -> Progress {
    Progress { parked: Some(Parked { until, heard: 0 }), ..nothing() }
}

fn ordered(bench: &Bench, id: &str, key: &str) -> NewRun {
    NewRun { order: Some(key.into()), ..bench.run(id) }
}

async fn ready(bench: &Bench, after: u64) -> Result<Vec<(u64, String)>, StoreError> {
    let rows = bench.store.ready("node-1", "shop", after, 100).await?;
    assert!(rows.iter().all(|row| row.bytes == 10 && &*row.flow == "shop"));
    Ok(rows.iter().map(|row| (row.turn, row.run.to_string())).collect())
}

async fn names(bench: &Bench) -> Result<Vec<String>, StoreError> {
    Ok(ready(bench, 0).await?.into_iter().map(|(_, run)| run).collect())
}

fn turn(admitted: &Admitted) -> (u64, bool) {
    match admitted {
        Admitted::Kept { turn, behind } => (*turn, *behind),
        Admitted::Duplicate(_) => (0, false),
    }
}

async fn what_is_handed_in_is_told_in_order(bench: &Bench) -> Result<(), StoreError> {
    let (sender, mut told) = tokio::sync::mpsc::channel(10);
    let names = ["a", "b", "never", "a"];
    for name in ["a", "b"] {
        bench.admit(bench.run(name)).await?;
    }
    for name in names {
        let sender = sender.clone();
        let told = Box::new(move |outcome| assert!(sender.try_send((name, outcome)).is_ok()));
        bench.store.hand_in(&bench.owner, &name.into(), succeeded(), told);
    }
    drop(sender);
    let mut heard = Vec::new();
    while let Some(outcome) = told.recv().await {
        heard.push(outcome);
    }
    let good = || Ok(Recorded::default());
    let bad = [("never", Err(StoreError::UnknownRun)), ("a", Err(StoreError::Ended))];
    assert_eq!(heard, [[("a", good()), ("b", good())], bad].concat());
    assert!(bench.unfinished().await?.is_empty());
    Ok(())
}

async fn runs_of_a_key_follow_each_other(bench: &Bench) -> Result<(), StoreError> {
    let (a, a_behind) = turn(&bench.admit(ordered(bench, "a", "k")).await?);
    let (b, b_behind) = turn(&bench.admit(ordered(bench, "b", "k")).await?);
    let (c, c_behind) = turn(&bench.admit(ordered(bench, "c", "l")).await?);
    let (d, d_behind) = turn(&bench.admit(bench.run("d")).await?);
    bench.admit(ordered(bench, "e", "k")).await?;
    assert!(0 < a && a < b && b < c && c < d);
    assert_eq!((a_behind, b_behind, c_behind, d_behind), (false, true, false, false));
    assert_eq!(names(bench).await?, ["a", "c", "d"]);
    assert_eq!(ready(bench, a).await?.first().map(|(turn, _)| *turn), Some(c));
    assert!(bench.store.ready("node-1", "other", 0, 10).await?.is_empty());
    assert!(bench.store.ready("node-2", "shop", 0, 10).await?.is_empty());
    assert_eq!(bench.store.ready("node-1", "shop", 0, 2).await?.len(), 2);
    // Those behind wait as well, so they count.
    assert_eq!(bench.store.counts("node-1").await?.first().map(|count| count.events), Some(5));
    assert_eq!(bench.record("c", succeeded()).await?.promoted, None);
    let promoted = bench.record("a", failed()).await?.promoted;
    assert!(promoted.is_some_and(|row| row.turn > d && &*row.run == "b"), "its turn is new");
    assert_eq!(names(bench).await?, ["d", "b"]);
    let promoted = bench.record("b", succeeded()).await?.promoted;
    assert_eq!(ready(bench, 0).await?.last().cloned(), promoted.map(|row| (row.turn, "e".into())));
    assert_eq!(bench.record("e", succeeded()).await?.promoted, None);
    assert!(!turn(&bench.admit(ordered(bench, "f", "k")).await?).1);
    Ok(())
}

async fn parked_runs_are_due_at_their_moment(bench: &Bench) -> Result<(), StoreError> {
    for run in ["a", "b", "c", "d"] {
        bench.admit(bench.run(run)).await?;
    }
    bench.record("a", parked(Some(at(30)))).await?;
    bench.record("b", parked(Some(at(20)))).await?;
    bench.record("c", parked(None)).await?;
    assert_eq!(names(bench).await?, ["d"]);
    assert_eq!(bench.store.counts("node-1").await?.first().map(|count| count.events), Some(1));
    let due = async |second| -> Result<(Vec<String>, Option<Timestamp>), StoreError> {
        let due = bench.store.due("node-1", at(second), 10).await?;
        Ok((due.runs.iter().map(|row| row.run.to_string()).collect(), due.next))
    };
    assert_eq!(due(19).await?, (vec![], Some(at(20))));
    assert_eq!(due(20).await?, (vec!["b".into()], Some(at(30))));
    assert_eq!(due(30).await?, (vec!["b".into(), "a".into()], None));
    assert_eq!(bench.store.due("node-1", at(30), 1).await?.runs.len(), 1);
    assert!(bench.store.due("node-2", at(30), 10).await?.runs.is_empty());
    // Parked anew, in hand again, ended.
    bench.record("b", parked(Some(at(40)))).await?;
    assert_eq!(due(30).await?, (vec!["a".into()], Some(at(40))));
    bench.record("a", nothing()).await?;
    assert_eq!(due(30).await?, (vec![], Some(at(40))));
    assert_eq!(names(bench).await?, ["a", "d"]);
    bench.record("b", succeeded()).await?;
    assert_eq!(due(50).await?, (vec![], None));
    // What comes from elsewhere makes due.
    let posted = bench.store.post("c", Inbound::Fact(came(1, 45))).await?;
    let kept = Posted::Kept { flow: "shop".into(), node: "node-1".into(), parked: true };
    assert_eq!(posted, kept);
    assert_eq!(due(44).await?, (vec![], Some(at(45))));
    assert_eq!(due(45).await?, (vec!["c".into()], None));
    let late = NewRun { progress: parked(Some(at(60))), ..bench.run("e") };
    bench.admit(late).await?;
    assert_eq!(due(60).await?, (vec!["c".into(), "e".into()], None));
    bench.store.post("e", Inbound::Cancel { at: at(50) }).await?;
    assert_eq!(due(50).await?, (vec!["c".into(), "e".into()], None));
    // What came before it was parked, and was not heard of.
    bench.record("e", parked(None)).await?;
    assert_eq!(due(50).await?, (vec!["c".into(), "e".into()], None));
    let heard = Progress { parked: Some(Parked { until: Some(at(70)), heard: 1 }), ..nothing() };
    bench.record("e", heard).await?;
    assert_eq!(due(50).await?, (vec!["c".into()], Some(at(70))));
    Ok(())
}

async fn an_inbox_takes_one_fact_for_a_place(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(bench.run("a")).await?;
    let post = async |inbound| bench.store.post("a", inbound).await;
    let kept = Posted::Kept { flow: "shop".into(), node: "node-1".into(), parked: false };
    assert_eq!(post(Inbound::Fact(came(1, 5))).await?, kept);
    assert_eq!(post(Inbound::Fact(came(1, 6))).await?, Posted::Again);
    assert_eq!(post(Inbound::Fact(came(2, 7))).await?, kept);
    assert_eq!(post(Inbound::Cancel { at: at(8) }).await?, kept);
    assert_eq!(post(Inbound::Cancel { at: at(9) }).await?, kept);
    let inbox = bench.store.load("a").await?.inbox;
    let expected = [Inbound::Fact(came(1, 5)), Inbound::Fact(came(2, 7)), Inbound::Cancel { at: at(8) }];
    assert_eq!(inbox, expected);
    // A place that has become a fact has still been called.
    let taken = Progress { facts: vec![came(1, 5)], ..nothing() };
    bench.record("a", taken).await?;
    assert_eq!(post(Inbound::Fact(came(1, 9))).await?, Posted::Again);
    bench.record("a", succeeded()).await?;
    assert_eq!(post(Inbound::Fact(came(3, 9))).await?, Posted::Over);
    assert_eq!(post(Inbound::Cancel { at: at(9) }).await?, Posted::Over);
    assert_eq!(bench.store.post("b", Inbound::Cancel { at: at(9) }).await, Err(StoreError::UnknownRun));
    Ok(())
}

async fn a_closed_place_takes_nothing(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(bench.run("a")).await?;
    let (run, owner) = ("a".into(), &bench.owner);
    assert_eq!(bench.store.close(owner, &run, &place(1)).await?, None);
    assert_eq!(bench.store.close(owner, &run, &place(1)).await?, None);
    assert_eq!(bench.store.post("a", Inbound::Fact(came(1, 5))).await?, Posted::Over);
    bench.store.post("a", Inbound::Fact(came(2, 5))).await?;
    assert_eq!(bench.store.close(owner, &run, &place(2)).await?, Some(came(2, 5)), "it was first");
    let stale = Owner { epoch: 99, ..owner.clone() };
    assert_eq!(bench.store.close(&stale, &run, &place(3)).await, Err(StoreError::Stale));
    assert_eq!(bench.store.close(owner, &"b".into(), &place(3)).await, Err(StoreError::UnknownRun));
    bench.record("a", succeeded()).await?;
    assert_eq!(bench.store.close(owner, &run, &place(3)).await, Err(StoreError::Ended));
    Ok(())
}

async fn an_inbox_is_bounded(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(bench.run("a")).await?;
    for step in (0..).take(INBOX_ENTRIES) {
        bench.store.post("a", Inbound::Fact(came(step, 5))).await?;
    }
    let more = bench.store.post("a", Inbound::Fact(came(u32::MAX, 5))).await;
    assert_eq!(more, Err(StoreError::InboxFull));
    assert_eq!(bench.store.load("a").await?.inbox.len(), INBOX_ENTRIES);
    Ok(())
}

async fn what_was_sent_is_kept(bench: &Bench) -> Result<(), StoreError> {
    let sent = |attempt| Sent { place: Place { turns: vec![3, 1], ..place(1) }, attempt };
    let begun = Progress { sent: vec![sent(1)], ..nothing() };
    bench.admit(NewRun { progress: begun, ..bench.run("a") }).await?;
    bench.record("a", Progress { sent: vec![sent(2)], ..facts(1..=1) }).await?;
    let progress = bench.store.load("a").await?.run.progress;
    assert_eq!((progress.sent, progress.facts), (vec![sent(1), sent(2)], vec![fact(1)]));
    Ok(())
}

async fn crashes_are_counted(bench: &Bench) -> Result<(), StoreError> {
    let (store, node) = (&bench.store, &bench.owner.node);
    bench.admit(bench.run("a")).await?;
    bench.admit(bench.run("b")).await?;
    bench.record("b", succeeded()).await?;
    store.alone(&bench.owner, Some(&"a".into())).await?;
    let second = store.register(node).await?;
    assert_eq!(second.last_turn, 2);
    assert_eq!((second.clean, second.alone.as_deref()), (false, Some("a")));
    let runs = || ["a", "b", "never"].map(Into::into).to_vec();
    assert_eq!(store.suspect(&second.owner, runs()).await?, [1, 0, 0]);
    assert_eq!(store.suspect(&second.owner, runs()).await?, [2, 0, 0]);
    assert_eq!(store.suspect(&bench.owner, runs()).await, Err(StoreError::Stale));
    assert_eq!(store.alone(&bench.owner, None).await, Err(StoreError::Stale));
    assert_eq!(store.retire(&bench.owner).await, Err(StoreError::Stale));
    store.alone(&second.owner, Some(&"a".into())).await?;
    store.alone(&second.owner, None).await?;
    let third = store.register(node).await?;
    assert_eq!((third.clean, third.alone), (false, None));
    store.retire(&third.owner).await?;
    assert!(store.register(node).await?.clean);
    assert!(store.register(&"new".into()).await?.clean);
    Ok(())
}
