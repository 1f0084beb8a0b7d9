//! Blobs: there as long as a run names them, whatever happens in between.

use super::*;
use crate::{Ended, Retention};
use hookflow_text::{Diagnostics, SecretRef, SecretSource, Source, parse};
use hookflow_trigger::{Auth, Body, Credentials, Gathering, Head, Received, decode};
use hookflow_trigger::{Blob, Blobs, Means};
use http::{HeaderMap, Method};
use std::fs;

struct NoSecrets;

impl SecretSource for NoSecrets {
    fn resolve(&self, _: &SecretRef) -> Result<Vec<u8>, String> {
        Err("there are none".into())
    }
}

/// An event whose body is a new blob, of one byte so many times.
fn spooled(blobs: &Arc<BlobFolder>, byte: u8, times: usize) -> Arc<Event> {
    let blobs = Arc::clone(blobs) as Arc<dyn Blobs>;
    let mut body = Gathering::new(Some(Arc::clone(&blobs)));
    body.add(vec![byte; times].into()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/pdf".parse().unwrap());
    let head = Head {
        method: Method::POST,
        path: "/hook/shop".into(),
        query: None,
        headers,
        ip: "192.0.2.1".parse().unwrap(),
        received_at: Timestamp::UNIX_EPOCH,
        base_url: "https://hooks.example/".into(),
    };
    let mut diagnostics = Diagnostics::default();
    let mut yaml = |text: &str| parse(&Source::new("a.yaml", text), &mut diagnostics).unwrap();
    let (none, auth) = (yaml("{}"), yaml("none"));
    let credentials = Credentials::load(&none, &NoSecrets, &mut diagnostics);
    let auth = Auth::load(&auth, &credentials, &mut diagnostics).unwrap();
    let received = Received { head, body: body.finish().unwrap() };
    let authenticated = auth.verify(received, Timestamp::UNIX_EPOCH).unwrap();
    let route = Route { flow: "shop".into(), suffix: String::new(), params: Params::default(), system: None };
    let mut room = |_| true;
    let means = &mut Means::new(blobs, &mut room);
    Arc::new(decode(authenticated, &BodySpec::auto(1 << 20), route, "e1", means).unwrap())
}

impl Bench {
    /// Admits a run of this event that has ended.
    async fn admit_event(&self, run: &str, event: Arc<Event>) -> Result<Admitted, StoreError> {
        let end = Arc::new(hookflow_flow::End::Succeeded(serde_json::Value::Null));
        let ended = Some(Ended { end, at: Timestamp::UNIX_EPOCH });
        let progress = Progress { ended, ..nothing() };
        let (attempt, seed, started_at, bytes) = (1, [0; 16], Timestamp::UNIX_EPOCH, 10);
        let (run, flow, claims, order, replays) = (run.into(), "shop".into(), Vec::new(), None, None);
        self.admit_run(NewRun {
            run,
            flow,
            attempt,
            seed,
            started_at,
            event,
            bytes,
            claims,
            order,
            replays,
            progress,
        })
        .await
    }

    async fn content(&self, run: &str) -> Result<Vec<u8>, StoreError> {
        let journal = self.store.load(run).await?;
        let blob = journal.run.event.blobs().next().unwrap().clone();
        Ok(Body::Spooled(blob).whole().unwrap().to_vec())
    }

    /// Forgets all but so many runs.
    async fn keep(&self, runs: u64) {
        let keep = Retention { ended_since: Timestamp::MIN, bytes: u64::MAX, runs };
        self.store.prune(&keep, 100).await.unwrap();
    }

    async fn until_taken(&self, bytes: u64) {
        let removed = async {
            while self.store.blobs.taken() != bytes {
                tokio::task::yield_now().await;
            }
        };
        Clock::system().timeout(std::time::Duration::from_secs(10), removed).await.unwrap();
    }
}

fn with_room(folder: &tempfile::TempDir, blob_bytes: u64) -> Sqlite {
    let (path, chance) = (folder.path().join("data/hookflow.db"), Chance::system(Clock::system()));
    Sqlite::open(&Opening { path, access: Access::Serve, blob_bytes, chance }).unwrap()
}

#[tokio::test]
async fn a_blob_goes_with_the_last_run_that_names_it() {
    let bench = Bench::new().await;
    let bytes = vec![7; 100_000];
    let event = spooled(&bench.store.blobs, 7, 100_000);
    bench.admit_event("first", event).await.unwrap();
    assert_eq!(bench.content("first").await.unwrap(), bytes, "although nobody holds the event");
    let loaded = bench.store.load("first").await.unwrap().run.event;
    bench.admit_event("replay", Arc::clone(&loaded)).await.unwrap();
    bench.keep(1).await;
    assert_eq!(bench.content("first").await, Err(StoreError::UnknownRun));
    assert_eq!(bench.content("replay").await.unwrap(), bytes);
    bench.keep(0).await;
    bench.until_taken(0).await;
    let late = bench.admit_event("late", loaded).await;
    assert_eq!(late, Err(StoreError::UnknownRun), "what it replays has been forgotten");
}

#[tokio::test]
async fn a_row_that_is_refused_leaves_no_blob() {
    let bench = Bench::new().await;
    let stale = Owner { epoch: bench.owner.epoch + 1, ..bench.owner.clone() };
    let bench = Bench { owner: stale, ..bench };
    let event = spooled(&bench.store.blobs, 7, 100_000);
    assert_eq!(bench.store.blobs.taken(), 100_000);
    assert_eq!(bench.admit_event("a", event).await, Err(StoreError::Stale));
    bench.until_taken(0).await;
}

#[tokio::test]
async fn a_start_removes_what_no_event_names_and_a_reader_does_not() {
    let bench = Bench::new().await;
    bench.admit_event("a", spooled(&bench.store.blobs, 1, 100_000)).await.unwrap();
    let orphan = spooled(&bench.store.blobs, 2, 70_000);
    let reader = open(&bench.path(), Access::Read).unwrap();
    let reader = Bench { store: reader, owner: bench.owner.clone(), folder: tempfile::tempdir().unwrap() };
    assert_eq!(reader.content("a").await.unwrap(), vec![1; 100_000]);
    orphan.blobs().for_each(Blob::keep);
    assert_eq!(bench.store.blobs.taken(), 170_000);
    let (folder, owner) = (bench.folder, bench.owner);
    drop((bench.store, orphan, reader));
    let store = open(&folder.path().join("data/hookflow.db"), Access::Serve).unwrap();
    let bench = Bench { store, owner, folder };
    assert_eq!(bench.store.blobs.taken(), 100_000);
    assert_eq!(bench.content("a").await.unwrap(), vec![1; 100_000]);
    // What cannot be had any more is said, and nothing else is touched by it.
    let blobs = bench.folder.path().join("data/hookflow.db.blobs");
    fs::remove_dir_all(&blobs).unwrap();
    let journal = bench.store.load("a").await.unwrap();
    let blob = journal.run.event.blobs().next().unwrap().clone();
    assert!(Body::Spooled(blob).whole().is_err());
}

#[tokio::test]
async fn what_has_ended_leaves_room_for_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_room(&folder, 400_000);
    let owner = store.register(&"node".into()).await.unwrap().owner;
    store.keep_version(&"shop".into(), &"v1".into(), &"flow: shop".into()).await.unwrap();
    let bench = Bench { store, owner, folder };
    bench.admit("small", nothing()).await.unwrap();
    for run in ["a", "b", "c"] {
        bench.admit_event(run, spooled(&bench.store.blobs, 1, 100_000)).await.unwrap();
    }
    bench.keep(u64::MAX).await;
    bench.until_taken(200_000).await;
    assert_eq!(bench.content("a").await, Err(StoreError::UnknownRun));
    assert_eq!(bench.content("b").await.unwrap().len(), 100_000);
    bench.keep(u64::MAX).await;
    assert_eq!(bench.store.blobs.taken(), 200_000);
    assert_eq!(bench.unfinished().await, ["small"]);
}

#[tokio::test]
async fn the_bytes_that_are_retained_count_blobs() {
    let bench = Bench::new().await;
    for run in ["a", "b", "c"] {
        bench.admit_event(run, spooled(&bench.store.blobs, 1, 2_000_000)).await.unwrap();
    }
    let keep = Retention { ended_since: Timestamp::MIN, bytes: 4_500_000, runs: u64::MAX };
    assert_eq!(bench.store.prune(&keep, 100).await.unwrap().runs, 1, "the file itself is far smaller");
    bench.until_taken(4_000_000).await;
    assert_eq!(bench.content("a").await, Err(StoreError::UnknownRun));
    assert_eq!(bench.store.prune(&keep, 100).await.unwrap().runs, 0);
}

/// A fact whose answer has so many bytes.
fn answered(bytes: usize) -> Progress {
    let place = Place { step: hookflow_flow::StepNumber(0), turns: Vec::new() };
    let (headers, captures) = (serde_json::Map::new(), serde_json::Map::new());
    let body = "x".repeat(bytes).into();
    let outcome = hookflow_flow::Outcome::Answered { status: 200, headers, body, captures };
    let at = Timestamp::UNIX_EPOCH;
    let fact = Fact { place, verb: "http".into(), attempt: 1, at, outcome, left: None, tried: None };
    Progress { facts: vec![Arc::new(fact)], ..nothing() }
}

#[tokio::test]
async fn a_large_outcome_is_a_blob_and_not_in_the_file() {
    let bench = Bench::new().await;
    bench.admit("a", nothing()).await.unwrap();
    let most = 64 << 10;
    bench.store.record(&bench.owner, &"a".into(), answered(most / 2)).await.unwrap();
    assert_eq!(bench.store.blobs.taken(), 0);
    bench.store.record(&bench.owner, &"a".into(), answered(10 * most)).await.unwrap();
    let taken = usize::try_from(bench.store.blobs.taken()).unwrap();
    assert!((10 * most..10 * most + 1_000).contains(&taken), "{taken}");
    let longest = "SELECT max(octet_length(fact)) FROM facts";
    let longest = bench.store.read(|file| Ok(file.query_row(longest, (), |row| row.get::<_, usize>(0))?));
    assert!(longest.await.unwrap() < most);
    let reader = open(&bench.path(), Access::Read).unwrap();
    let facts = reader.load("a").await.unwrap().run.progress.facts;
    assert_eq!(facts, [answered(most / 2).facts, answered(10 * most).facts].concat());
    // The file of another body is no outcome, and one that is gone is none.
    let root = bench.folder.path().join("data/hookflow.db.blobs");
    let shard = fs::read_dir(root).unwrap().next().unwrap().unwrap().path();
    let blob = fs::read_dir(shard).unwrap().next().unwrap().unwrap().path();
    for damage in [vec![0xff; taken], vec![b'{'; taken], b"{}".to_vec()] {
        fs::write(&blob, damage).unwrap();
        assert!(matches!(bench.store.load("a").await, Err(StoreError::Damaged(_))));
    }
    fs::remove_file(&blob).unwrap();
    assert!(matches!(bench.store.load("a").await, Err(StoreError::Damaged(_))));
}

#[tokio::test]
async fn a_large_outcome_goes_with_its_run_and_one_that_is_refused_leaves_nothing() {
    let bench = Bench::new().await;
    let end = Arc::new(hookflow_flow::End::Succeeded(serde_json::Value::Null));
    let ended = |progress| Progress {
        ended: Some(Ended { end: Arc::clone(&end), at: Timestamp::UNIX_EPOCH }),
        ..progress
    };
    bench.admit("a", nothing()).await.unwrap();
    bench.store.record(&bench.owner, &"a".into(), ended(answered(100_000))).await.unwrap();
    assert!(bench.store.blobs.taken() > 100_000);
    let late = bench.store.record(&bench.owner, &"a".into(), answered(200_000)).await;
    assert_eq!(late, Err(StoreError::Ended));
    let what = Erasure { flow: "shop".into(), key: None };
    assert_eq!(bench.store.erase(&what, 10).await.unwrap().runs, 1);
    bench.until_taken(0).await;
}

#[tokio::test]
async fn no_run_waits_for_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_room(&folder, 100_000);
    let owner = store.register(&"node".into()).await.unwrap().owner;
    store.keep_version(&"shop".into(), &"v1".into(), &"flow: shop".into()).await.unwrap();
    let bench = Bench { store, owner, folder };
    bench.admit("a", nothing()).await.unwrap();
    for bytes in [200_000, 70_000] {
        bench.store.record(&bench.owner, &"a".into(), answered(bytes)).await.unwrap();
    }
    assert!((70_000..71_000).contains(&bench.store.blobs.taken()), "the other one is in the file");
    let facts = bench.store.load("a").await.unwrap().run.progress.facts;
    assert_eq!(facts, [answered(200_000).facts, answered(70_000).facts].concat());
}
