//! Looking at what is kept, and forgetting it.

use super::{Bench, at, claims, failed, succeeded};
use crate::{
    Erasure, NewRun, Page, Parked, Progress, Pruned, REJECTED_KEPT, REJECTED_PER_FLOW, Rejected,
    RejectedPage, Retention, RunFilter, RunStatus, Store, StoreError,
};
use hookflow_trigger::Event;
use std::sync::Arc;

pub(super) async fn passes(open: &impl Fn() -> Arc<dyn Store>, event: &Arc<Event>) -> Result<(), StoreError> {
    runs_are_found_by_what_is_asked(&Bench::on(open(), event).await?).await?;
    pages_follow_each_other(&Bench::on(open(), event).await?).await?;
    what_is_beyond_retention_is_forgotten(&Bench::on(open(), event).await?).await?;
    a_flow_or_a_key_can_be_erased(&Bench::on(open(), event).await?).await?;
    what_was_refused_is_listed_and_forgotten(&Bench::on(open(), event).await?).await
}

async fn found(bench: &Bench, filter: RunFilter) -> Result<Vec<String>, StoreError> {
    let page = bench.store.find(&filter, None, 100).await?;
    assert_eq!(page.next, None);
    Ok(page.runs.iter().map(|line| line.run.to_string()).collect())
}

async fn all(bench: &Bench) -> Result<Vec<String>, StoreError> {
    found(bench, RunFilter::default()).await
}

async fn runs_are_found_by_what_is_asked(bench: &Bench) -> Result<(), StoreError> {
    bench.store.keep_version(&"other".into(), &"v1".into(), &"flow".into()).await?;
    bench.admit(bench.run("a")).await?;
    bench.admit(NewRun { flow: "other".into(), started_at: at(10), ..bench.run("b") }).await?;
    bench.admit(NewRun { started_at: at(20), ..bench.run("c") }).await?;
    let again = NewRun { started_at: at(30), attempt: 2, replays: Some("a".into()), ..bench.run("d") };
    bench.admit(again).await?;
    bench.record("a", failed()).await?;
    let parked = Progress { parked: Some(Parked { until: None, heard: 0 }), ..super::nothing() };
    bench.record("c", parked).await?;
    bench.record("d", succeeded()).await?;
    assert_eq!(all(bench).await?, ["d", "c", "b", "a"]);
    let none = RunFilter::default;
    assert_eq!(found(bench, RunFilter { flow: Some("shop".into()), ..none() }).await?, ["d", "c", "a"]);
    for (status, run) in [
        (RunStatus::Running, "b"),
        (RunStatus::Waiting, "c"),
        (RunStatus::Succeeded, "d"),
        (RunStatus::Failed, "a"),
    ] {
        assert_eq!(found(bench, RunFilter { status: Some(status), ..none() }).await?, [run]);
    }
    let between = RunFilter { since: Some(at(10)), until: Some(at(30)), ..none() };
    assert_eq!(found(bench, between).await?, ["c", "b"]);
    assert_eq!(
        found(bench, RunFilter { search: Some("c".into()), flow: Some("nowhere".into()), ..none() })
            .await?
            .len(),
        0
    );
    // The event is the same in all of them.
    let event = RunFilter { search: Some(bench.event.id().to_string()), ..none() };
    assert_eq!(found(bench, event).await?.len(), 4);
    let nothing = RunFilter { search: Some("what nobody has sent".into()), ..none() };
    assert!(found(bench, nothing).await?.is_empty());
    let page = bench.store.find(&none(), None, 1).await?;
    let line = page.runs.first().map(|line| (line.attempt, line.replays.as_deref(), line.status));
    assert_eq!(line, Some((2, Some("a"), RunStatus::Succeeded)));
    let line = page.runs.first().map(|line| (&*line.flow, line.started_at, &*line.version));
    assert_eq!(line, Some(("shop", at(30), "v1")));
    Ok(())
}

async fn pages_follow_each_other(bench: &Bench) -> Result<(), StoreError> {
    for n in 0..10 {
        bench.admit(bench.run(&format!("r{n}"))).await?;
    }
    let (mut before, mut seen) = (None, Vec::new());
    for _ in 0..100 {
        let Page { runs, next } = bench.store.find(&RunFilter::default(), before, 3).await?;
        assert!(runs.len() <= 3);
        seen.extend(runs.iter().map(|line| line.run.to_string()));
        before = next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..10).rev().map(|n| format!("r{n}")).collect::<Vec<_>>());
    Ok(())
}

async fn what_is_beyond_retention_is_forgotten(bench: &Bench) -> Result<(), StoreError> {
    for n in 0..6 {
        bench.admit(claims(bench.run(&format!("r{n}")), &format!("k{n}"))).await?;
    }
    for n in 1..6 {
        bench.record(&format!("r{n}"), succeeded()).await?;
    }
    let everything = Retention { ended_since: at(0), bytes: u64::MAX, runs: u64::MAX };
    assert_eq!(bench.store.prune(&everything, 100).await?, Pruned::default());
    let pruned = bench.store.prune(&Retention { runs: 2, ..everything }, 2).await?;
    assert_eq!(pruned, Pruned { runs: 2, more: true });
    let pruned = bench.store.prune(&Retention { runs: 2, ..everything }, 2).await?;
    assert_eq!(pruned, Pruned { runs: 1, more: false });
    assert_eq!(all(bench).await?, ["r5", "r4", "r0"], "what is unfinished stays");
    assert_eq!(bench.store.load("r1").await.map(drop), Err(StoreError::UnknownRun));
    // Its claim stays for its window.
    let again = bench.admit(claims(bench.run("again"), "k1")).await?;
    assert_eq!(again, super::duplicate("r1", true, None));
    let old = Retention { ended_since: at(61), ..everything };
    assert_eq!(bench.store.prune(&old, 100).await?.runs, 2);
    assert_eq!(all(bench).await?, ["r0"]);
    bench.record("r0", succeeded()).await?;
    assert_eq!(bench.store.prune(&Retention { bytes: 1, ..everything }, 100).await?.runs, 1);
    Ok(())
}

async fn a_flow_or_a_key_can_be_erased(bench: &Bench) -> Result<(), StoreError> {
    bench.store.keep_version(&"other".into(), &"v1".into(), &"flow".into()).await?;
    bench.admit(claims(bench.run("a"), "k")).await?;
    bench.admit(NewRun { order: Some("customer".into()), ..bench.run("b") }).await?;
    bench.admit(bench.run("c")).await?;
    bench.admit(bench.run("d")).await?;
    bench.admit(NewRun { flow: "other".into(), ..bench.run("e") }).await?;
    for run in ["a", "b", "c", "e"] {
        bench.record(run, succeeded()).await?;
    }
    let shop = |key: Option<&str>| Erasure { flow: "shop".into(), key: key.map(Into::into) };
    assert_eq!(bench.store.erase(&shop(Some("nobody")), 10).await?.runs, 0);
    assert_eq!(bench.store.erase(&shop(Some("customer")), 10).await?.runs, 1);
    assert_eq!(bench.store.erase(&shop(Some("k")), 10).await?.runs, 1);
    assert_eq!(all(bench).await?, ["e", "d", "c"]);
    assert!(bench.admit(claims(bench.run("f"), "k")).await?.is_kept(), "its claim is gone too");
    bench.record("f", succeeded()).await?;
    assert_eq!(bench.store.erase(&shop(None), 1).await?, Pruned { runs: 1, more: true });
    assert_eq!(bench.store.erase(&shop(None), 10).await?, Pruned { runs: 1, more: false });
    assert_eq!(all(bench).await?, ["e", "d"]);
    Ok(())
}

async fn what_was_refused_is_listed_and_forgotten(bench: &Bench) -> Result<(), StoreError> {
    let rejected = |n: i64, flow: Option<&str>| Rejected {
        at: at(n),
        flow: flow.map(Arc::from),
        told: serde_json::json!({"n": n, "reason": "none"}),
    };
    let store = &bench.store;
    let listed = async |flow, before, limit| {
        let RejectedPage { rejected, next } = store.rejected(flow, before, limit).await?;
        let numbers: Vec<_> = rejected.iter().filter_map(|it| it.told.get("n")?.as_i64()).collect();
        Ok::<_, StoreError>((numbers, next))
    };
    assert_eq!(store.rejected(None, None, 10).await?, RejectedPage::default());
    store
        .keep_rejected(vec![rejected(1, Some("shop")), rejected(2, None), rejected(3, Some("other"))])
        .await?;
    store.keep_rejected(vec![rejected(4, Some("shop"))]).await?;
    assert_eq!(store.rejected(None, None, 1).await?.rejected, [rejected(4, Some("shop"))]);
    let (first, next) = listed(None, None, 3).await?;
    assert_eq!((first, next.is_some()), (vec![4, 3, 2], true));
    assert_eq!(listed(None, next, 3).await?, (vec![1], None));
    assert_eq!(listed(Some("shop"), None, 10).await?, (vec![4, 1], None));
    assert_eq!(listed(Some("nowhere"), None, 10).await?, (vec![], None));
    // What is for no flow pushes out nothing but its own kind.
    for _ in 0..12 {
        store.keep_rejected((0..100).map(|n| rejected(n + 10, None)).collect()).await?;
    }
    let (all, _) = listed(None, None, usize::MAX >> 1).await?;
    assert!(all.len() <= REJECTED_PER_FLOW + 3 && all.starts_with(&[109, 108]), "{}", all.len());
    assert_eq!((all.contains(&2), all.ends_with(&[4, 3, 1])), (false, true), "the oldest of its kind went");
    for n in 0..200 {
        store.keep_rejected((0..100).map(|m| rejected(n, Some(&format!("f{m}")))).collect()).await?;
    }
    assert!(listed(None, None, usize::MAX >> 1).await?.0.len() <= REJECTED_KEPT);
    assert_eq!(listed(Some("shop"), None, 1).await?, (vec![], None), "then the oldest of all go");
    assert!(store.forget_rejected(None, at(199)).await? > 0);
    let (left, _) = listed(None, None, usize::MAX >> 1).await?;
    assert!(left.len() == 100 && left.iter().all(|n| *n == 199), "{left:?}");
    assert_eq!(store.forget_rejected(Some("f7"), at(1_000)).await?, 1);
    assert_eq!(store.forget_rejected(Some("f7"), at(1_000)).await?, 0);
    assert_eq!(listed(None, None, 1_000).await?.0.len(), 99);
    Ok(())
}
