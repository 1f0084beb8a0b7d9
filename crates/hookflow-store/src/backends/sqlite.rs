//! One file on the node's own disk. What was admitted is on the disk before anybody hears of it.

mod attempts;
mod care;
mod fact_row;
mod failure;
mod file;
mod handing_over;
mod ledger;
mod outbox;
mod readers;
mod reading;
mod rejected;
mod rows;
mod schema;
mod search;
mod waiting;
mod writer;

use super::{Access, Backend, Care, OpenFault, Opened, Opening};
use crate::blobs::BlobFolder;
use crate::{
    AttemptCursor, AttemptFilter, AttemptLine, AttemptPage, Due, Erasure, FlowCount, Inbound, Journal, Life,
    NewRun, Outbox, Owner, Page, Pending, Posted, Progress, Pruned, Recorded, Rejected, RejectedPage,
    Retention, RunFilter, Settled, Store, StoreError, Told, UnfinishedRun,
};
use failure::Failure;
use file::File;
use hookflow_flow::{Fact, Place};
use hookflow_runtime::fault_point;
use hookflow_trigger::Blobs;
use jiff::Timestamp;
use ledger::{Forgotten, Ledger};
use readers::{READERS, Readers};
use rusqlite::Connection;
use search::Found;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;
use writer::Writer;

/// What is read may nest deep, and reading it recurses as deep. Only what is touched is used.
const STACK: usize = 8 << 20;
/// How many runs one transaction forgets at most.
const FORGOTTEN_AT_ONCE: usize = 1_000;

pub(super) const BACKEND: Backend = Backend {
    name: "sqlite",
    summary: "Keeps everything in one file on a local disk; what was accepted outlives the process and the machine's power.",
    open: |opening| {
        let store = Sqlite::open(opening)?;
        let blobs = Arc::clone(&store.blobs);
        Ok(Opened { store: Arc::new(store), blobs })
    },
    care: Some(Care { check: care::check, set_aside: care::set_aside }),
};

/// The threads end when it is dropped, after everything that was handed over.
struct Sqlite {
    path: PathBuf,
    blobs: Arc<BlobFolder>,
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    threads: Vec<JoinHandle<()>>,
}

impl Sqlite {
    fn open(opening: &Opening) -> Result<Self, OpenFault> {
        let (writer, readers) = (Arc::new(Writer::new()), Arc::new(Readers::new()));
        let (file, connection, blobs) = match opening.access {
            Access::Serve => {
                let (file, connection) = File::to_serve(&opening.path)?;
                let blobs = blobs_to_serve(opening, &connection)?;
                (file, Some(connection), blobs)
            }
            Access::Read => {
                let file = File::to_read(&opening.path)?;
                (file, None, BlobFolder::to_read(beside(&opening.path), opening.chance.clone()))
            }
        };
        let (path, blobs, file) = (opening.path.clone(), Arc::new(blobs), Arc::new(file));
        let mut store = Self { path, blobs, writer, readers, threads: Vec::new() };
        match connection {
            Some(connection) => {
                let (file, writer) = (Arc::clone(&file), Arc::clone(&store.writer));
                store.start("store writer", move || writer.work(&file, connection))?;
            }
            None => store.writer.close(),
        }
        for _ in 0..READERS {
            let (file, readers) = (Arc::clone(&file), Arc::clone(&store.readers));
            store.start("store reader", move || readers.work(&file))?;
        }
        Ok(store)
    }

    fn start(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), OpenFault> {
        let thread = thread::Builder::new().name(name.into()).stack_size(STACK).spawn(work);
        let fault = |error| OpenFault { path: self.path.clone(), why: format!("no thread is left: {error}") };
        self.threads.push(thread.map_err(fault)?);
        Ok(())
    }

    fn write<T: Send + 'static>(
        &self,
        perform: impl FnMut(&mut Ledger) -> Result<T, Failure> + Send + 'static,
    ) -> Pending<T> {
        let (sender, answer) = oneshot::channel();
        self.writer.hand(perform, move |outcome| drop(sender.send(outcome)));
        Pending::later(answer)
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Pending<T> {
        let (sender, answer) = oneshot::channel();
        self.readers.ask(read, move |outcome| drop(sender.send(outcome)));
        Pending::later(answer)
    }

    /// Forgets what a reader finds, so that the writer looks at no more than that.
    fn forget(
        &self,
        find: impl FnOnce(&Connection) -> Result<Found, Failure> + Send + 'static,
        with_claims: bool,
    ) -> Pending<Pruned> {
        let (sender, answer) = oneshot::channel();
        let (writer, blobs) = (Arc::clone(&self.writer), Arc::clone(&self.blobs));
        let answered = move |outcome| drop(sender.send(outcome));
        self.readers.ask(find, move |found| match found {
            Ok(Found { positions, more }) if !positions.is_empty() => writer.hand(
                move |ledger| ledger.forget(&positions, with_claims),
                move |forgotten| {
                    answered(forgotten.map(|Forgotten { runs, unnamed }| {
                        fault_point("store.forgotten");
                        for blob in &unnamed {
                            blobs.remove(blob);
                        }
                        Pruned { runs, more }
                    }));
                },
            ),
            found => answered(found.map(|_| Pruned::default())),
        });
        Pending::later(answer)
    }
}

impl Store for Sqlite {
    fn is_durable(&self) -> bool {
        true
    }

    fn outbox(&self) -> &dyn Outbox {
        self
    }

    fn check(&self) -> Pending<()> {
        Pending::now(self.writer.check())
    }

    fn register(&self, node: &Arc<str>) -> Pending<Life> {
        let node = Arc::clone(node);
        self.write(move |ledger| ledger.register(&node))
    }

    fn retire(&self, owner: &Owner) -> Pending<()> {
        let owner = owner.clone();
        self.write(move |ledger| ledger.retire(&owner))
    }

    fn keep_version(&self, flow: &Arc<str>, version: &Arc<str>, document: &Arc<str>) -> Pending<()> {
        let (flow, version, document) = (Arc::clone(flow), Arc::clone(version), Arc::clone(document));
        self.write(move |ledger| ledger.keep_version(&flow, &version, &document))
    }

    fn version(&self, flow: &str, version: &str) -> Pending<Option<Arc<str>>> {
        let (flow, version) = (flow.to_owned(), version.to_owned());
        self.read(move |connection| reading::version(connection, &flow, &version))
    }

    fn set_state(&self, key: &str, value: Option<&str>) -> Pending<()> {
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        self.write(move |ledger| ledger.set_state(&key, value.as_deref()))
    }

    fn states(&self, prefix: &str) -> Pending<BTreeMap<Arc<str>, Arc<str>>> {
        let prefix = prefix.to_owned();
        self.read(move |connection| reading::states(connection, &prefix))
    }

    fn admit(&self, owner: &Owner, now: Timestamp, batch: Vec<(NewRun, Settled)>) {
        for (run, settled) in batch {
            self.hand_run(owner.clone(), now, run, settled);
        }
    }

    fn record(&self, owner: &Owner, run: &Arc<str>, progress: Progress) -> Pending<Recorded> {
        let (sender, answer) = oneshot::channel();
        self.hand_in(owner, run, progress, Box::new(move |outcome| drop(sender.send(outcome))));
        Pending::later(answer)
    }

    fn hand_in(&self, owner: &Owner, run: &Arc<str>, progress: Progress, told: Told) {
        self.hand_progress(owner.clone(), Arc::clone(run), progress, told);
    }

    fn load(&self, run: &str) -> Pending<Journal> {
        let (run, blobs) = (run.to_owned(), Arc::clone(&self.blobs) as Arc<dyn Blobs>);
        self.read(move |connection| reading::load(connection, &run, &blobs))
    }

    fn seed(&self, run: &str) -> Pending<[u8; 16]> {
        let run = run.to_owned();
        self.read(move |connection| {
            let seed =
                reading::one(connection, "SELECT seed FROM events WHERE run = ?1", (run,), |row| row.get(0))?;
            seed.ok_or_else(|| StoreError::UnknownRun.into())
        })
    }

    fn unfinished(&self, node: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        let node = node.to_owned();
        self.read(move |connection| reading::unfinished(connection, &node, after, limit))
    }

    fn ready(&self, node: &str, flow: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        let (node, flow) = (node.to_owned(), flow.to_owned());
        self.read(move |connection| reading::ready(connection, &node, &flow, after, limit))
    }

    fn counts(&self, node: &str) -> Pending<Vec<FlowCount>> {
        let node = node.to_owned();
        self.read(move |connection| reading::counts(connection, &node))
    }

    fn due(&self, node: &str, now: Timestamp, limit: usize) -> Pending<Due> {
        let node = node.to_owned();
        self.read(move |connection| reading::due(connection, &node, now, limit))
    }

    fn post(&self, run: &str, inbound: Inbound) -> Pending<Posted> {
        let run = run.to_owned();
        self.write(move |ledger| ledger.post(&run, &inbound))
    }

    fn close(&self, owner: &Owner, run: &Arc<str>, place: &Place) -> Pending<Option<Arc<Fact>>> {
        let (owner, run, place) = (owner.clone(), Arc::clone(run), place.clone());
        self.write(move |ledger| ledger.close(&owner, &run, &place))
    }

    fn suspect(&self, owner: &Owner, runs: Vec<Arc<str>>) -> Pending<Vec<u32>> {
        let owner = owner.clone();
        self.write(move |ledger| ledger.suspect(&owner, &runs))
    }

    fn alone(&self, owner: &Owner, run: Option<&Arc<str>>) -> Pending<()> {
        let (owner, run) = (owner.clone(), run.cloned());
        self.write(move |ledger| ledger.alone(&owner, run.as_ref()))
    }

    fn find(&self, filter: &RunFilter, before: Option<u64>, limit: usize) -> Pending<Page> {
        let filter = filter.clone();
        self.read(move |connection| search::find(connection, &filter, before, limit))
    }

    fn attempts(
        &self,
        filter: &AttemptFilter,
        before: Option<AttemptCursor>,
        limit: usize,
    ) -> Pending<AttemptPage> {
        let filter = filter.clone();
        self.read(move |connection| attempts::list(connection, &filter, before, limit))
    }

    fn attempt(&self, run: &str, number: u64) -> Pending<Option<AttemptLine>> {
        let (run, blobs) = (run.to_owned(), Arc::clone(&self.blobs) as Arc<dyn Blobs>);
        self.read(move |connection| attempts::show(connection, &run, number, &blobs))
    }

    fn prune(&self, keep: &Retention, limit: usize) -> Pending<Pruned> {
        let (keep, limit, blobs) = (*keep, limit.min(FORGOTTEN_AT_ONCE), Arc::clone(&self.blobs));
        let find = move |connection: &Connection| match search::beyond(connection, &keep, limit)? {
            // What has ended leaves room for what comes.
            found if found.positions.is_empty() && blobs.taken() > blobs.limit() / 2 => {
                search::heavy(connection, blobs.limit() / 2, limit)
            }
            found => Ok(found),
        };
        self.forget(find, false)
    }

    fn erase(&self, what: &Erasure, limit: usize) -> Pending<Pruned> {
        let (what, limit) = (what.clone(), limit.min(FORGOTTEN_AT_ONCE));
        self.forget(move |connection| search::erasable(connection, &what, limit), true)
    }

    fn keep_rejected(&self, rejected: Vec<Rejected>) -> Pending<()> {
        self.write(move |ledger| ledger.keep_rejected(&rejected))
    }

    fn rejected(&self, flow: Option<&str>, before: Option<u64>, limit: usize) -> Pending<RejectedPage> {
        let flow = flow.map(str::to_owned);
        self.read(move |connection| rejected::list(connection, flow.as_deref(), before, limit))
    }

    fn forget_rejected(&self, flow: Option<&str>, before: Timestamp) -> Pending<u64> {
        let flow = flow.map(str::to_owned);
        self.write(move |ledger| ledger.forget_rejected(flow.as_deref(), before))
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sqlite: {}", self.path.display())
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // The readers hand over to the writer, so they go first.
        self.readers.close();
        let (writers, readers): (Vec<_>, Vec<_>) =
            self.threads.drain(..).partition(|thread| thread.thread().name() == Some("store writer"));
        readers.into_iter().for_each(join);
        self.writer.close();
        writers.into_iter().for_each(join);
    }
}

/// The folder of the blobs that the events in a file name. It belongs to that file alone, as its log does.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".blobs");
    name.into()
}

/// Opens the folder, and removes what no event names: nobody writes to it before the file is open. What was written on its
/// way to an event when the process ended is such.
fn blobs_to_serve(opening: &Opening, connection: &Connection) -> Result<BlobFolder, OpenFault> {
    let root = beside(&opening.path);
    let fault = |why: String| OpenFault { path: root.clone(), why };
    let blobs = BlobFolder::open(&root, opening.blob_bytes, opening.chance.clone());
    let blobs = blobs.map_err(|error| fault(error.to_string()))?;
    let named = reading::blobs(connection).map_err(|failure| fault(failure.told().to_string()))?;
    let swept = blobs.sweep(|id| named.contains(id));
    swept.map_err(|error| fault(error.to_string()))?;
    Ok(blobs)
}

/// The last hold on the store may be let go by somebody whom one of its own threads has just told something.
fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != thread::current().id() {
        drop(thread.join());
    }
}

#[cfg(test)]
mod tests;
