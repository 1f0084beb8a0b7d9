//! The log of attempts: what is a try of a call is listed, in the order of time, and goes with its run.

use super::{Bench, at, fact, nothing, succeeded};
use crate::{AttemptCursor, AttemptFilter, AttemptLine, NewRun, Progress, Retention, Store, StoreError};
use hookflow_flow::{ATTEMPT_BODY, Attempt, Fact, KeptBody, Outcome, SentRequest, UnreadAnswer};
use hookflow_trigger::Event;
use http::{HeaderMap, Method};
use serde_json::{Map, json};
use std::sync::Arc;

pub(super) async fn passes(open: &impl Fn() -> Arc<dyn Store>, event: &Arc<Event>) -> Result<(), StoreError> {
    attempts_are_found_by_what_is_asked(&Bench::on(open(), event).await?).await?;
    pages_of_attempts_follow_each_other(&Bench::on(open(), event).await?).await?;
    large_ones_are_listed_in_outline_and_kept_whole(&Bench::on(open(), event).await?).await?;
    attempts_go_with_their_run(&Bench::on(open(), event).await?).await
}

/// The `n`th try of a call, which began at second `n`.
fn tried(n: u32, integration: Option<&str>, ok: bool) -> Arc<Fact> {
    let request =
        SentRequest::masked(&Method::POST, "https://a.example/", &HeaderMap::new(), &"hello".into());
    let attempt = Attempt {
        step: "stock".into(),
        integration: integration.map(Into::into),
        webhook: None,
        transactional_id: Some("t-1".into()),
        began_at: at(i64::from(n)),
        took_ms: Some(7),
        ok,
        request,
        hops: Vec::new(),
        answer: None,
    };
    Arc::new(Fact::clone(&fact(n)).tried(attempt))
}

/// The same with a large body, and a large answer.
pub(super) fn large(n: u32) -> Arc<Fact> {
    let mut fact = Fact::clone(&tried(n, Some("crm"), true));
    let body = "x".repeat(2 * ATTEMPT_BODY);
    let captures = [("all".to_owned(), body.clone().into())].into_iter().collect();
    fact.outcome =
        Outcome::Answered { status: 200, headers: Map::new(), body: json!({"page": body}), captures };
    if let Some(attempt) = &mut fact.tried {
        attempt.request.body = KeptBody::of(body.as_bytes());
        attempt.answer = Some(UnreadAnswer::of(200, &HeaderMap::new(), body.as_bytes()));
    }
    Arc::new(fact)
}

fn progress(facts: Vec<Arc<Fact>>) -> Progress {
    Progress { facts, ..nothing() }
}

async fn found(bench: &Bench, filter: &AttemptFilter) -> Result<Vec<u32>, StoreError> {
    let page = bench.store.attempts(filter, None, 100).await?;
    assert_eq!(page.next, None);
    Ok(page.attempts.iter().map(|line| line.fact.attempt).collect())
}

async fn attempts_are_found_by_what_is_asked(bench: &Bench) -> Result<(), StoreError> {
    bench.store.keep_version(&"other".into(), &"v1".into(), &"flow".into()).await?;
    let begun = progress(vec![tried(3, Some("warehouse"), false), fact(9)]);
    bench.admit(NewRun { progress: begun, ..bench.run("a") }).await?;
    bench.admit(NewRun { flow: "other".into(), ..bench.run("b") }).await?;
    bench.record("b", progress(vec![tried(1, None, true), tried(2, Some("crm"), true)])).await?;
    bench.record("a", progress(vec![tried(4, Some("warehouse"), true)])).await?;
    let all = AttemptFilter::default;
    assert_eq!(found(bench, &all()).await?, [4, 3, 2, 1], "what is no call is no attempt");
    for (filter, expected) in [
        (AttemptFilter { run: Some("a".into()), ..all() }, &[4, 3][..]),
        (AttemptFilter { run: Some("nobody".into()), ..all() }, &[]),
        (AttemptFilter { flow: Some("other".into()), ..all() }, &[2, 1]),
        (AttemptFilter { flow: Some("nowhere".into()), ..all() }, &[]),
        (AttemptFilter { integration: Some("warehouse".into()), ..all() }, &[4, 3]),
        (AttemptFilter { integration: Some("crm".into()), flow: Some("shop".into()), ..all() }, &[]),
        (AttemptFilter { integration: Some("crm".into()), run: Some("a".into()), ..all() }, &[]),
        (AttemptFilter { failed: true, ..all() }, &[3]),
        (AttemptFilter { since: Some(at(2)), until: Some(at(4)), ..all() }, &[3, 2]),
        (AttemptFilter { until: Some(at(3)), integration: Some("crm".into()), ..all() }, &[2]),
    ] {
        assert_eq!(found(bench, &filter).await?, expected, "{filter:?}");
    }
    let page = bench.store.attempts(&all(), None, 1).await?;
    assert!(page.next.is_some());
    let Some(AttemptLine { at: place, run, flow, version, fact }) = page.attempts.first() else {
        return Err(StoreError::UnknownRun);
    };
    assert_eq!((&**run, &**flow, &**version, place.began_at), ("a", "shop", "v1", at(4)));
    assert_eq!(*fact, tried(4, Some("warehouse"), true), "as it was written");
    Ok(())
}

async fn pages_of_attempts_follow_each_other(bench: &Bench) -> Result<(), StoreError> {
    for n in 0..5 {
        // Two at the same moment are told apart.
        let facts = vec![tried(n, Some("crm"), true), tried(n, Some("crm"), false), tried(n + 1, None, true)];
        bench.admit(NewRun { progress: progress(facts), ..bench.run(&format!("r{n}")) }).await?;
    }
    for (integration, many) in [(None, 15), (Some("crm"), 10)] {
        let filter = AttemptFilter { integration: integration.map(Into::into), ..AttemptFilter::default() };
        let (mut before, mut seen) = (None::<AttemptCursor>, Vec::new());
        for _ in 0..100 {
            let page = bench.store.attempts(&filter, before, 2).await?;
            assert!(page.attempts.len() <= 2);
            seen.extend(page.attempts.iter().map(|line| line.at));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), many);
        assert!(seen.is_sorted_by(|one, next| one > next), "each once, and the latest first");
    }
    Ok(())
}

async fn large_ones_are_listed_in_outline_and_kept_whole(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(NewRun { progress: progress(vec![large(1)]), ..bench.run("a") }).await?;
    bench.record("a", progress(vec![tried(2, None, true), large(3), fact(4)])).await?;
    let outcomes = |facts: &[Arc<Fact>]| facts.iter().map(|fact| fact.outcome.clone()).collect::<Vec<_>>();
    let facts = [large(1), tried(2, None, true), large(3), fact(4)];
    assert_eq!(outcomes(&bench.store.load("a").await?.run.progress.facts), outcomes(&facts));
    let listed = bench.store.attempts(&AttemptFilter::default(), None, 10).await?.attempts;
    assert_eq!(listed.iter().map(|line| line.at.number).collect::<Vec<_>>(), [3, 2, 1]);
    let outlines = listed.iter().map(|line| line.fact.tried.clone());
    let expected = [large(3), tried(2, None, true), large(1)];
    let expected = expected.iter().map(|fact| fact.tried.as_ref().map(|attempt| Box::new(attempt.outline())));
    assert_eq!(outlines.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    for (number, expected) in [(1, Some(large(1))), (2, Some(tried(2, None, true))), (3, Some(large(3)))] {
        let line = bench.store.attempt("a", number).await?;
        assert!(line.as_ref().is_some_and(|line| &*line.run == "a" && line.at.number == number));
        assert_eq!(line.map(|line| line.fact), expected, "as it was written");
    }
    for (run, number) in [("a", 0), ("a", 4), ("a", 5), ("a", u64::MAX), ("b", 1)] {
        assert!(bench.store.attempt(run, number).await?.is_none(), "{run} {number}");
    }
    Ok(())
}

async fn attempts_go_with_their_run(bench: &Bench) -> Result<(), StoreError> {
    for run in ["a", "b"] {
        bench.admit(bench.run(run)).await?;
        bench.record(run, progress(vec![tried(1, Some("crm"), true)])).await?;
    }
    bench.record("a", succeeded()).await?;
    assert_eq!(found(bench, &AttemptFilter::default()).await?.len(), 2);
    let none = Retention { ended_since: at(1_000), bytes: u64::MAX, runs: u64::MAX };
    assert_eq!(bench.store.prune(&none, 100).await?.runs, 1);
    let left = bench.store.attempts(&AttemptFilter::default(), None, 100).await?;
    assert_eq!(left.attempts.iter().map(|line| &*line.run).collect::<Vec<_>>(), ["b"]);
    Ok(())
}
