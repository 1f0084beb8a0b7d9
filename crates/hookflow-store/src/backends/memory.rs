//! Everything in memory, behind one lock: for tests, trials and flows that may be lost with the process.

mod attempts;
mod claims;
mod contents;
mod history;
mod lanes;
mod outbox;
mod rejected;
mod search;

use super::{Backend, Opened};
use crate::blobs::BlobFolder;
use crate::{
    AttemptCursor, AttemptFilter, AttemptLine, AttemptPage, Due, Erasure, FlowCount, Inbound, Journal, Life,
    NewRun, Outbox, Owner, Page, Pending, Posted, Progress, Pruned, Recorded, Rejected, RejectedPage,
    Retention, RunFilter, Settled, Store, StoreError, Told, UnfinishedRun,
};
use contents::{Contents, Row};
pub use history::{FINISHED_BYTES, FINISHED_KEPT};
use hookflow_flow::{Fact, Place};
use jiff::Timestamp;
use rejected::Refusals;
use std::collections::{BTreeMap, HashMap};
use std::env;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) const BACKEND: Backend = Backend {
    name: "memory",
    summary: "Keeps everything in memory; what was accepted is lost when the process ends.",
    open: |opening| {
        // What is kept here goes with the process.
        let blobs = BlobFolder::of_process(&env::temp_dir(), opening.blob_bytes, opening.chance.clone());
        Ok(Opened { store: new(), blobs: Arc::new(blobs) })
    },
    care: None,
};

/// By names that we or the operator have given: no stranger can choose them so that all of them collide, and a quick hash
/// is enough.
type Named<V> = HashMap<Arc<str>, V, foldhash::fast::RandomState>;

pub(super) fn new() -> Arc<dyn Store> {
    Arc::<Memory>::default()
}

/// One that keeps more finished runs than is quick.
#[cfg(feature = "conformance")]
pub(super) fn keeping(runs: usize) -> Arc<dyn Store> {
    let mut contents = Contents::default();
    contents.history = history::History::keeping(runs);
    Arc::new(Memory { contents: Mutex::new(contents), refusals: Mutex::default() })
}

#[derive(Default)]
struct Memory {
    contents: Mutex<Contents>,
    /// Apart, so that nobody who is refused holds up who is not.
    refusals: Mutex<Refusals>,
}

impl Store for Memory {
    fn is_durable(&self) -> bool {
        false
    }

    fn outbox(&self) -> &dyn Outbox {
        self
    }

    fn check(&self) -> Pending<()> {
        Pending::now(Ok(()))
    }

    fn register(&self, node: &Arc<str>) -> Pending<Life> {
        Pending::now(Ok(self.lock().register(node)))
    }

    fn retire(&self, owner: &Owner) -> Pending<()> {
        Pending::now(self.lock().retire(owner))
    }

    fn keep_version(&self, flow: &Arc<str>, version: &Arc<str>, document: &Arc<str>) -> Pending<()> {
        self.lock().keep_version(flow, version, document);
        Pending::now(Ok(()))
    }

    fn version(&self, flow: &str, version: &str) -> Pending<Option<Arc<str>>> {
        Pending::now(Ok(self.lock().document(flow, version)))
    }

    fn set_state(&self, key: &str, value: Option<&str>) -> Pending<()> {
        let states = &mut self.lock().states;
        match value {
            Some(value) => drop(states.insert(key.into(), value.into())),
            None => drop(states.remove(key)),
        }
        Pending::now(Ok(()))
    }

    fn states(&self, prefix: &str) -> Pending<BTreeMap<Arc<str>, Arc<str>>> {
        let contents = self.lock();
        let all = contents.states.iter().filter(|(key, _)| key.starts_with(prefix));
        Pending::now(Ok(all.map(|(key, value)| (Arc::clone(key), Arc::clone(value))).collect()))
    }

    fn admit(&self, owner: &Owner, now: Timestamp, batch: Vec<(NewRun, Settled)>) {
        let mut contents = self.lock();
        for (run, settled) in batch {
            // Told under the lock, so that all hear in the order in which the rows were kept.
            settled(contents.admit(owner, now, run));
        }
    }

    fn record(&self, owner: &Owner, run: &Arc<str>, progress: Progress) -> Pending<Recorded> {
        Pending::now(self.lock().record(owner, run, progress))
    }

    fn hand_in(&self, owner: &Owner, run: &Arc<str>, progress: Progress, told: Told) {
        let recorded = self.lock().record(owner, run, progress);
        told(recorded);
    }

    fn load(&self, run: &str) -> Pending<Journal> {
        let contents = self.lock();
        let row = contents.runs.get(run).ok_or(StoreError::UnknownRun);
        Pending::now(row.map(|row| Journal {
            run: row.run.clone(),
            node: Arc::clone(&row.node),
            inbox: row.inbox.clone(),
        }))
    }

    fn seed(&self, run: &str) -> Pending<[u8; 16]> {
        Pending::now(self.lock().runs.get(run).map(|row| row.run.seed).ok_or(StoreError::UnknownRun))
    }

    fn unfinished(&self, node: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        let contents = self.lock();
        Pending::now(Ok(contents.unfinished(node, after).take(limit).map(Row::line).collect()))
    }

    fn ready(&self, node: &str, flow: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        let contents = self.lock();
        let rows = contents.unfinished(node, after);
        let rows =
            rows.filter(|row| *row.run.flow == *flow && !row.behind && row.run.progress.parked.is_none());
        Pending::now(Ok(rows.take(limit).map(Row::line).collect()))
    }

    fn counts(&self, node: &str) -> Pending<Vec<FlowCount>> {
        let contents = self.lock();
        let mut counts = BTreeMap::<&Arc<str>, (u64, u64)>::new();
        for row in contents.unfinished(node, 0).filter(|row| row.run.progress.parked.is_none()) {
            let (events, bytes) = counts.entry(&row.run.flow).or_default();
            *events += 1;
            *bytes = bytes.saturating_add(row.run.bytes);
        }
        Pending::now(Ok(counts
            .into_iter()
            .map(|(flow, (events, bytes))| FlowCount { flow: Arc::clone(flow), events, bytes })
            .collect()))
    }

    fn due(&self, node: &str, now: Timestamp, limit: usize) -> Pending<Due> {
        Pending::now(Ok(self.lock().due(node, now, limit)))
    }

    fn post(&self, run: &str, inbound: Inbound) -> Pending<Posted> {
        Pending::now(self.lock().post(run, inbound))
    }

    fn close(&self, owner: &Owner, run: &Arc<str>, place: &Place) -> Pending<Option<Arc<Fact>>> {
        Pending::now(self.lock().close(owner, run, place))
    }

    fn suspect(&self, owner: &Owner, runs: Vec<Arc<str>>) -> Pending<Vec<u32>> {
        Pending::now(self.lock().suspect(owner, &runs))
    }

    fn alone(&self, owner: &Owner, run: Option<&Arc<str>>) -> Pending<()> {
        Pending::now(self.lock().alone(owner, run))
    }

    fn find(&self, filter: &RunFilter, before: Option<u64>, limit: usize) -> Pending<Page> {
        Pending::now(Ok(search::find(&self.lock(), filter, before, limit)))
    }

    fn attempts(
        &self,
        filter: &AttemptFilter,
        before: Option<AttemptCursor>,
        limit: usize,
    ) -> Pending<AttemptPage> {
        Pending::now(Ok(attempts::list(&self.lock(), filter, before, limit)))
    }

    fn attempt(&self, run: &str, number: u64) -> Pending<Option<AttemptLine>> {
        Pending::now(Ok(attempts::one(&self.lock(), run, number)))
    }

    fn prune(&self, keep: &Retention, limit: usize) -> Pending<Pruned> {
        Pending::now(Ok(self.lock().prune(keep, limit)))
    }

    fn erase(&self, what: &Erasure, limit: usize) -> Pending<Pruned> {
        Pending::now(Ok(self.lock().erase(what, limit)))
    }

    fn keep_rejected(&self, rejected: Vec<Rejected>) -> Pending<()> {
        self.refusals().keep(rejected);
        Pending::now(Ok(()))
    }

    fn rejected(&self, flow: Option<&str>, before: Option<u64>, limit: usize) -> Pending<RejectedPage> {
        Pending::now(Ok(self.refusals().list(flow, before, limit)))
    }

    fn forget_rejected(&self, flow: Option<&str>, before: Timestamp) -> Pending<u64> {
        Pending::now(Ok(self.refusals().forget(flow, before)))
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        // Every operation judges first and then changes what cannot fail.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contents = self.lock();
        write!(f, "Memory: {} runs, {} unfinished", contents.runs.len(), contents.unfinished.len())
    }
}

#[cfg(test)]
mod tests;
