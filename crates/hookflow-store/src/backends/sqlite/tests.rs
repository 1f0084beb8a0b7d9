mod blobs;
mod files;
mod forgetting;
mod plans;
mod rows_written;
mod troubles;

use super::*;
use crate::blobs::BLOB_BYTES;
use crate::{Admitted, StoreError, conformance};
use hookflow_runtime::{Chance, Clock};
use hookflow_trigger::{BodySpec, Event, Params, Route, Sample};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

fn event() -> Arc<Event> {
    let route = Route { flow: "shop".into(), suffix: String::new(), params: Params::default(), system: None };
    let spec = BodySpec::auto(1_000);
    let at = Timestamp::UNIX_EPOCH;
    Arc::new(Event::of_sample(Sample::default(), &spec, route, "e1", at, "http://localhost".into()).unwrap())
}

fn open(path: &Path, access: Access) -> Result<Sqlite, OpenFault> {
    let chance = Chance::system(Clock::system());
    Sqlite::open(&Opening { path: path.into(), access, blob_bytes: BLOB_BYTES, chance })
}

/// A store with a node and a flow.
struct Bench {
    store: Sqlite,
    owner: Owner,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("data/hookflow.db"), Access::Serve).unwrap();
        let owner = store.register(&"node".into()).await.unwrap().owner;
        store.keep_version(&"shop".into(), &"v1".into(), &"flow: shop".into()).await.unwrap();
        Self { store, owner, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data/hookflow.db")
    }

    /// Hands a run over.
    fn admit(&self, run: &str, progress: Progress) -> Pending<Admitted> {
        self.admit_run(NewRun {
            run: run.into(),
            flow: "shop".into(),
            attempt: 1,
            seed: [0; 16],
            started_at: Timestamp::UNIX_EPOCH,
            event: event(),
            bytes: 10,
            claims: Vec::new(),
            order: None,
            replays: None,
            progress,
        })
    }

    fn admit_run(&self, run: NewRun) -> Pending<Admitted> {
        let (sender, answer) = oneshot::channel();
        let settled = Box::new(move |outcome| drop(sender.send(outcome)));
        self.store.admit(&self.owner, Timestamp::UNIX_EPOCH, vec![(run, settled)]);
        Pending::later(answer)
    }

    async fn unfinished(&self) -> Vec<String> {
        let rows = self.store.unfinished("node", 0, 100).await.unwrap();
        rows.iter().map(|row| row.run.to_string()).collect()
    }

    /// Holds the writer until the sender is dropped, so that everything handed over meanwhile is in one transaction.
    fn hold(&self) -> (std::sync::mpsc::Sender<()>, Pending<()>) {
        let (go, gate) = std::sync::mpsc::channel();
        let (entered, inside) = std::sync::mpsc::channel();
        let held = self.store.write(move |_| {
            entered.send(()).unwrap();
            assert!(gate.recv().is_err());
            Ok(())
        });
        inside.recv().unwrap();
        (go, held)
    }
}

fn nothing() -> Progress {
    Progress::none("v1".into())
}

#[tokio::test]
async fn it_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let number = AtomicU32::new(0);
    let fresh = || -> Arc<dyn Store> {
        let name = format!("{}.db", number.fetch_add(1, Ordering::Relaxed));
        Arc::new(open(&folder.path().join(name), Access::Serve).unwrap())
    };
    conformance::every_backend_passes(fresh, event()).await.unwrap();
    let again =
        || -> Arc<dyn Store> { Arc::new(open(&folder.path().join("again.db"), Access::Serve).unwrap()) };
    conformance::what_is_kept_is_there_again(again, event()).await.unwrap();
}

#[tokio::test]
async fn a_deep_value_is_read_back() {
    let bench = Bench::new().await;
    let mut deep = serde_json::Value::Null;
    for _ in 0..1_000 {
        deep = serde_json::json!([deep]);
    }
    let end = Arc::new(hookflow_flow::End::Succeeded(deep.clone()));
    let ended = Some(crate::Ended { end: Arc::clone(&end), at: Timestamp::UNIX_EPOCH });
    bench.admit("a", Progress { ended, ..nothing() }).await.unwrap();
    let journal = bench.store.load("a").await.unwrap();
    assert_eq!(journal.run.progress.ended.unwrap().end, end);
}
