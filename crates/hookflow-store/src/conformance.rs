//! What every backend must do. A backend's tests call [`every_backend_passes`] with a way to open an empty store.

mod attempts;
mod claims;
mod looking;
mod outgoing;
mod reopening;
mod scheduling;
mod soundness;
mod states;

pub use reopening::what_is_kept_is_there_again;
pub use soundness::faults_of_file;

use crate::{
    Admitted, Claim, Duplicate, Ended, FACTS_PER_RUN, FlowCount, NewRun, Owner, Progress, Recorded,
    RunFilter, RunLine, Store, StoreError, VERSIONS_KEPT,
};
use hookflow_flow::{End, Fact, Fault, FaultKind, Outcome, Place, Reply, StepNumber};
use hookflow_text::Code;
use hookflow_trigger::Event;
use http::StatusCode;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

const WINDOW: Duration = Duration::from_hours(1);

/// Runs the whole suite, each part on a store of its own.
///
/// # Errors
/// What a store answered where the suite does not expect an error at all.
///
/// # Panics
/// Where a store does not behave.
pub async fn every_backend_passes(
    open: impl Fn() -> Arc<dyn Store>,
    event: Arc<Event>,
) -> Result<(), StoreError> {
    a_run_is_kept_from_admission_to_end(&Bench::on(open(), &event).await?).await?;
    a_run_can_be_admitted_with_its_end(&Bench::on(open(), &event).await?).await?;
    admitting_again_records_what_is_new(&Bench::on(open(), &event).await?).await?;
    an_end_is_written_once(&Bench::on(open(), &event).await?).await?;
    facts_are_appended_in_order_and_bounded(&Bench::on(open(), &event).await?).await?;
    the_first_fact_pins_the_version(&Bench::on(open(), &event).await?).await?;
    a_bad_row_is_refused_alone(&Bench::on(open(), &event).await?).await?;
    rows_of_a_batch_are_told_in_order(&Bench::on(open(), &event).await?).await?;
    unfinished_runs_come_in_pages_and_in_order(&Bench::on(open(), &event).await?).await?;
    a_former_life_may_write_nothing(&Bench::on(open(), &event).await?).await?;
    a_node_writes_only_to_its_own_runs(&Bench::on(open(), &event).await?).await?;
    claims::passes(&open, &event).await?;
    states::passes(&open, &event).await?;
    scheduling::passes(&open, &event).await?;
    outgoing::passes(&open, &event).await?;
    looking::passes(&open, &event).await?;
    attempts::passes(&open, &event).await
}

/// A store with a node and a flow in two versions.
struct Bench {
    store: Arc<dyn Store>,
    owner: Owner,
    event: Arc<Event>,
}

impl Bench {
    async fn on(store: Arc<dyn Store>, event: &Arc<Event>) -> Result<Self, StoreError> {
        store.check().await?;
        let owner = store.register(&"node-1".into()).await?.owner;
        for version in ["v1", "v2"] {
            store.keep_version(&"shop".into(), &version.into(), &format!("flow {version}").into()).await?;
        }
        Ok(Self { store, owner, event: Arc::clone(event) })
    }

    fn run(&self, id: &str) -> NewRun {
        NewRun {
            run: id.into(),
            flow: "shop".into(),
            attempt: 1,
            seed: [7; 16],
            started_at: at(0),
            event: Arc::clone(&self.event),
            bytes: 10,
            claims: Vec::new(),
            order: None,
            replays: None,
            progress: nothing(),
        }
    }

    async fn admit(&self, run: NewRun) -> Result<Admitted, StoreError> {
        self.admit_at(0, run).await
    }

    async fn admit_at(&self, second: i64, run: NewRun) -> Result<Admitted, StoreError> {
        let (sender, answer) = oneshot::channel();
        let settled = Box::new(move |outcome| drop(sender.send(outcome)));
        self.store.admit(&self.owner, at(second), vec![(run, settled)]);
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("nobody was told".into())))
    }

    async fn record(&self, run: &str, progress: Progress) -> Result<Recorded, StoreError> {
        self.store.record(&self.owner, &run.into(), progress).await
    }

    async fn recent(&self, flow: &str, limit: usize) -> Result<Vec<RunLine>, StoreError> {
        let filter = RunFilter { flow: Some(flow.into()), ..RunFilter::default() };
        Ok(self.store.find(&filter, None, limit).await?.runs)
    }

    async fn unfinished(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.store.unfinished("node-1", 0, 1_000).await?;
        Ok(rows.iter().map(|row| row.run.to_string()).collect())
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn nothing() -> Progress {
    Progress::none("v1".into())
}

fn fact(n: u32) -> Arc<Fact> {
    let outcome = Outcome::Failed { kind: FaultKind::Timeout, message: format!("try {n}") };
    let place = Place { step: StepNumber(0), turns: Vec::new() };
    Arc::new(Fact {
        place,
        verb: "http".into(),
        attempt: n,
        at: at(i64::from(n)),
        outcome,
        left: None,
        tried: None,
    })
}

fn facts(numbers: std::ops::RangeInclusive<u32>) -> Progress {
    Progress { facts: numbers.map(fact).collect(), ..nothing() }
}

fn succeeded() -> Progress {
    let end = Arc::new(End::Succeeded("done".into()));
    Progress { ended: Some(Ended { end, at: at(60) }), ..nothing() }
}

fn failed() -> Progress {
    let end = Arc::new(End::Failed(Fault::new(FaultKind::Connect, Code("step.http.connect"), "away")));
    Progress { ended: Some(Ended { end, at: at(60) }), ..nothing() }
}

fn reply(status: u16) -> Arc<Reply> {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    Arc::new(Reply { status, headers: Vec::new(), body: "hello".into() })
}

fn replied(status: u16, progress: Progress) -> Progress {
    Progress { reply: Some(reply(status)), ..progress }
}

fn claims(run: NewRun, key: &str) -> NewRun {
    let claim = Claim { scope: "shop/partner".into(), key: key.into(), window: WINDOW };
    NewRun { claims: vec![claim], ..run }
}

fn duplicate(run: &str, ended: bool, reply: Option<Arc<Reply>>) -> Admitted {
    Admitted::Duplicate(Duplicate { run: run.into(), ended, reply })
}

async fn a_run_is_kept_from_admission_to_end(bench: &Bench) -> Result<(), StoreError> {
    assert!((bench.admit(bench.run("a")).await?).is_kept());
    let counts = vec![FlowCount { flow: "shop".into(), events: 1, bytes: 10 }];
    assert_eq!(bench.store.counts("node-1").await?, counts);
    bench.record("a", Progress { begun_at: Some(at(1)), ..nothing() }).await?;
    bench.record("a", Progress { begun_at: Some(at(2)), ..facts(1..=1) }).await?;
    bench.record("a", Progress { begun_at: Some(at(3)), ..replied(201, nothing()) }).await?;
    bench.record("a", replied(500, succeeded())).await?;
    let journal = bench.store.load("a").await?;
    assert_eq!(journal.run.progress.begun_at, Some(at(2)), "the first fact pins it");
    assert_eq!((&*journal.node, &*journal.run.flow, journal.run.seed), ("node-1", "shop", [7; 16]));
    assert_eq!((journal.run.started_at, journal.run.attempt), (at(0), 1));
    assert_eq!(journal.run.event.id(), bench.event.id());
    assert_eq!(journal.run.event.body(), bench.event.body());
    assert_eq!(journal.run.progress.facts, [fact(1)]);
    assert_eq!(journal.run.progress.reply, Some(reply(201)), "the first reply stands");
    let ended = journal.run.progress.ended.map(|ended| (ended.end, ended.at));
    assert_eq!(ended, Some((Arc::new(End::Succeeded("done".into())), at(60))));
    assert!(bench.unfinished().await?.is_empty());
    assert!(bench.store.counts("node-1").await?.is_empty());
    assert_eq!(bench.store.load("b").await.map(drop), Err(StoreError::UnknownRun));
    assert_eq!(bench.store.seed("a").await, Ok([7; 16]));
    assert_eq!(bench.store.seed("b").await, Err(StoreError::UnknownRun));
    assert_eq!(bench.record("b", nothing()).await, Err(StoreError::UnknownRun));
    assert_eq!(bench.store.version("shop", "v1").await?.as_deref(), Some("flow v1"));
    assert_eq!(bench.store.version("shop", "v3").await?, None);
    Ok(())
}

async fn a_run_can_be_admitted_with_its_end(bench: &Bench) -> Result<(), StoreError> {
    let progress = Progress { facts: vec![fact(1)], ..replied(200, succeeded()) };
    assert!((bench.admit(NewRun { progress, ..bench.run("a") }).await?).is_kept());
    assert!((bench.admit(bench.run("b")).await?).is_kept());
    assert_eq!(bench.unfinished().await?, ["b"]);
    let lines = bench.recent("shop", 10).await?;
    let shown: Vec<_> = lines.iter().map(|line| (&*line.run, line.ended.is_some())).collect();
    assert_eq!(shown, [("b", false), ("a", true)]);
    assert_eq!(bench.recent("shop", 1).await?.len(), 1);
    assert!(bench.recent("other", 10).await?.is_empty());
    assert_eq!(bench.store.load("a").await?.run.progress.reply, Some(reply(200)));
    Ok(())
}

async fn admitting_again_records_what_is_new(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(claims(bench.run("a"), "k")).await?;
    assert!((bench.admit(claims(bench.run("a"), "k")).await?).is_kept(), "its own claim");
    let progress = replied(200, succeeded());
    assert!((bench.admit(NewRun { progress, ..claims(bench.run("a"), "k") }).await?).is_kept());
    assert!(bench.unfinished().await?.is_empty());
    assert_eq!(bench.admit(bench.run("a")).await, Err(StoreError::Ended));
    assert_eq!(bench.recent("shop", 10).await?.len(), 1);
    Ok(())
}

async fn an_end_is_written_once(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(bench.run("a")).await?;
    bench.record("a", failed()).await?;
    assert_eq!(bench.record("a", succeeded()).await, Err(StoreError::Ended));
    assert_eq!(bench.record("a", facts(1..=1)).await, Err(StoreError::Ended));
    let journal = bench.store.load("a").await?;
    assert!(journal.run.progress.ended.is_some_and(|ended| matches!(*ended.end, End::Failed(_))));
    assert!(journal.run.progress.facts.is_empty());
    Ok(())
}

async fn facts_are_appended_in_order_and_bounded(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(bench.run("a")).await?;
    let most = u32::try_from(FACTS_PER_RUN).unwrap_or(u32::MAX);
    for numbers in [1..=1, 2..=5, 6..=most] {
        bench.record("a", facts(numbers)).await?;
    }
    assert_eq!(bench.record("a", facts(1..=1)).await, Err(StoreError::JournalFull));
    assert_eq!(bench.store.load("a").await?.run.progress.facts, facts(1..=most).facts);
    bench.record("a", failed()).await?;
    let too_many = NewRun { progress: facts(1..=most + 1), ..bench.run("b") };
    assert_eq!(bench.admit(too_many).await, Err(StoreError::JournalFull));
    Ok(())
}

async fn the_first_fact_pins_the_version(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(bench.run("a")).await?;
    bench.record("a", Progress { version: "v2".into(), ..facts(1..=1) }).await?;
    bench.record("a", facts(2..=2)).await?;
    assert_eq!(&*bench.store.load("a").await?.run.progress.version, "v2");
    // What a kept run is on stays, and what is the latest.
    for n in 3..=3 + VERSIONS_KEPT {
        bench.store.keep_version(&"shop".into(), &format!("v{n}").into(), &"flow".into()).await?;
    }
    assert!(bench.store.version("shop", "v1").await?.is_none());
    assert!(bench.store.version("shop", "v2").await?.is_some());
    assert!(bench.store.version("shop", "v3").await?.is_none());
    assert!(bench.store.version("shop", "v4").await?.is_some());
    bench.admit(NewRun { progress: Progress::none("v4".into()), ..bench.run("b") }).await?;
    let unknown = Progress { version: "never".into(), ..facts(1..=1) };
    assert_eq!(bench.record("b", unknown).await, Err(StoreError::UnknownVersion));
    assert!(bench.store.load("b").await?.run.progress.facts.is_empty());
    // An end pins it as well, when nothing has before.
    bench.admit(NewRun { progress: Progress::none("v4".into()), ..bench.run("c") }).await?;
    let unknown = Progress { version: "never".into(), ..succeeded() };
    assert_eq!(bench.record("c", unknown).await, Err(StoreError::UnknownVersion));
    bench.record("c", Progress { version: "v5".into(), ..replied(200, succeeded()) }).await?;
    let progress = bench.store.load("c").await?.run.progress;
    assert_eq!((&*progress.version, progress.reply), ("v5", Some(reply(200))));
    Ok(())
}

async fn a_bad_row_is_refused_alone(bench: &Bench) -> Result<(), StoreError> {
    let unknown = NewRun { progress: Progress::none("never".into()), ..bench.run("bad") };
    let elsewhere = NewRun { flow: "nowhere".into(), ..bench.run("worse") };
    let mut answers = Vec::new();
    let rows = [bench.run("a"), unknown, elsewhere, bench.run("b")].map(|run| {
        let (sender, answer) = oneshot::channel();
        answers.push(answer);
        (run, Box::new(move |outcome| drop(sender.send(outcome))) as crate::Settled)
    });
    bench.store.admit(&bench.owner, at(0), rows.into());
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await.ok());
    }
    let refused = || Some(Err(StoreError::UnknownVersion));
    let is_kept = |n: usize| matches!(outcomes.get(n), Some(Some(Ok(Admitted::Kept { .. }))));
    assert!(is_kept(0) && is_kept(3));
    assert_eq!(outcomes.get(1..3), Some(&[refused(), refused()][..]));
    assert_eq!(bench.unfinished().await?, ["a", "b"]);
    Ok(())
}

async fn rows_of_a_batch_are_told_in_order(bench: &Bench) -> Result<(), StoreError> {
    let (sender, mut told) = tokio::sync::mpsc::channel(100);
    let rows = (0..100).map(|n| {
        let sender = sender.clone();
        (
            bench.run(&format!("r{n}")),
            Box::new(move |_| assert!(sender.try_send(n).is_ok())) as crate::Settled,
        )
    });
    bench.store.admit(&bench.owner, at(0), rows.collect());
    drop(sender);
    let mut order = Vec::new();
    while let Some(n) = told.recv().await {
        order.push(n);
    }
    assert_eq!(order, (0..100).collect::<Vec<_>>());
    Ok(())
}

async fn unfinished_runs_come_in_pages_and_in_order(bench: &Bench) -> Result<(), StoreError> {
    let names: Vec<_> = (0..10).rev().map(|n| format!("r{n}")).collect();
    for name in &names {
        bench.admit(bench.run(name)).await?;
    }
    bench.record("r4", succeeded()).await?;
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page = bench.store.unfinished("node-1", after, 4).await?;
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 4);
        after = last.turn;
        found.extend(page.iter().map(|row| row.run.to_string()));
    }
    let expected: Vec<_> = names.into_iter().filter(|name| name != "r4").collect();
    assert_eq!(found, expected);
    Ok(())
}

async fn a_former_life_may_write_nothing(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(bench.run("a")).await?;
    let next = bench.store.register(&bench.owner.node).await?.owner;
    assert_eq!(next.epoch, bench.owner.epoch + 1);
    assert_eq!(bench.admit(bench.run("b")).await, Err(StoreError::Stale));
    assert_eq!(bench.admit(bench.run("a")).await, Err(StoreError::Stale));
    assert_eq!(bench.record("a", facts(1..=1)).await, Err(StoreError::Stale));
    assert_eq!(bench.unfinished().await?, ["a"], "the next life finds it");
    bench.store.record(&next, &"a".into(), succeeded()).await?;
    Ok(())
}

async fn a_node_writes_only_to_its_own_runs(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(claims(bench.run("a"), "k")).await?;
    let other = bench.store.register(&"node-2".into()).await?.owner;
    assert_eq!(bench.store.record(&other, &"a".into(), succeeded()).await, Err(StoreError::Stale));
    assert!(bench.store.unfinished("node-2", 0, 10).await?.is_empty());
    assert!(bench.store.counts("node-2").await?.is_empty());
    let there = Bench { store: Arc::clone(&bench.store), owner: other, event: Arc::clone(&bench.event) };
    // A claim binds every node.
    assert_eq!(there.admit(claims(there.run("b"), "k")).await?, duplicate("a", false, None));
    bench.record("a", succeeded()).await?;
    Ok(())
}
