//! Everything in memory, behind one lock: for tests, trials and flows that may be lost with the process.

mod claims;
mod history;

use super::Backend;
use crate::{
    Admitted, FACTS_PER_RUN, FlowCount, Journal, NewRun, Owner, Pending, Progress, RunLine, Settled, Store,
    StoreError, UnfinishedRun, VERSIONS_KEPT,
};
use claims::Claims;
use history::History;
pub use history::{FINISHED_BYTES, FINISHED_KEPT};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) const BACKEND: Backend = Backend {
    name: "memory",
    summary: "Keeps everything in memory; what was accepted is lost when the process ends.",
    open: || Arc::<Memory>::default(),
};

#[derive(Default)]
struct Memory(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    epochs: HashMap<Arc<str>, u64>,
    runs: HashMap<Arc<str>, Row>,
    unfinished: BTreeMap<u64, Arc<str>>,
    flows: HashMap<Arc<str>, FlowRows>,
    claims: Claims,
    history: History,
    last_position: u64,
}

struct Row {
    position: u64,
    node: Arc<str>,
    run: NewRun,
}

#[derive(Default)]
struct FlowRows {
    versions: HashMap<Arc<str>, Version>,
    /// The latest ones, oldest first.
    latest: VecDeque<Arc<str>>,
    /// All kept runs, in the order of admission.
    runs: BTreeMap<u64, Arc<str>>,
}

struct Version {
    document: Arc<str>,
    runs: u64,
}

impl Store for Memory {
    fn is_durable(&self) -> bool {
        false
    }

    fn check(&self) -> Pending<()> {
        Pending::now(Ok(()))
    }

    fn register(&self, node: &Arc<str>) -> Pending<Owner> {
        let mut contents = self.lock();
        let epoch = contents.epochs.entry(Arc::clone(node)).or_default();
        *epoch += 1;
        Pending::now(Ok(Owner { node: Arc::clone(node), epoch: *epoch }))
    }

    fn keep_version(&self, flow: &Arc<str>, version: &Arc<str>, document: &Arc<str>) -> Pending<()> {
        let mut contents = self.lock();
        let rows = contents.flows.entry(Arc::clone(flow)).or_default();
        rows.versions
            .entry(Arc::clone(version))
            .or_insert_with(|| Version { document: Arc::clone(document), runs: 0 });
        rows.latest.retain(|latest| latest != version);
        rows.latest.push_back(Arc::clone(version));
        if rows.latest.len() > VERSIONS_KEPT {
            rows.latest.pop_front();
        }
        let FlowRows { versions, latest, .. } = rows;
        versions.retain(|name, version| version.runs > 0 || latest.contains(name));
        Pending::now(Ok(()))
    }

    fn version(&self, flow: &str, version: &str) -> Pending<Option<Arc<str>>> {
        let contents = self.lock();
        let version = contents.flows.get(flow).and_then(|rows| rows.versions.get(version));
        Pending::now(Ok(version.map(|version| Arc::clone(&version.document))))
    }

    fn admit(&self, owner: &Owner, now: Timestamp, batch: Vec<(NewRun, Settled)>) {
        let mut contents = self.lock();
        for (run, settled) in batch {
            // Told under the lock, so that all hear in the order in which the rows were kept.
            settled(contents.admit(owner, now, run));
        }
    }

    fn record(&self, owner: &Owner, run: &Arc<str>, progress: Progress) -> Pending<()> {
        Pending::now(self.lock().record(owner, run, progress))
    }

    fn load(&self, run: &str) -> Pending<Journal> {
        let contents = self.lock();
        let row = contents.runs.get(run).ok_or(StoreError::UnknownRun);
        Pending::now(row.map(|row| Journal { run: row.run.clone(), node: Arc::clone(&row.node) }))
    }

    fn unfinished(&self, node: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        let contents = self.lock();
        let rows = contents.unfinished_rows(node, after).take(limit);
        Pending::now(Ok(rows
            .map(|row| UnfinishedRun {
                position: row.position,
                run: Arc::clone(&row.run.run),
                flow: Arc::clone(&row.run.flow),
            })
            .collect()))
    }

    fn counts(&self, node: &str) -> Pending<Vec<FlowCount>> {
        let contents = self.lock();
        let mut counts = BTreeMap::<&Arc<str>, (u64, u64)>::new();
        for row in contents.unfinished_rows(node, 0) {
            let (events, bytes) = counts.entry(&row.run.flow).or_default();
            *events += 1;
            *bytes = bytes.saturating_add(row.run.bytes);
        }
        Pending::now(Ok(counts
            .into_iter()
            .map(|(flow, (events, bytes))| FlowCount { flow: Arc::clone(flow), events, bytes })
            .collect()))
    }

    fn recent(&self, flow: &str, limit: usize) -> Pending<Vec<RunLine>> {
        let contents = self.lock();
        let ids = contents.flows.get(flow).into_iter().flat_map(|rows| rows.runs.values().rev());
        let rows = ids.filter_map(|run| contents.runs.get(run)).take(limit);
        Pending::now(Ok(rows
            .map(|row| RunLine {
                run: Arc::clone(&row.run.run),
                started_at: row.run.started_at,
                version: Arc::clone(&row.run.progress.version),
                ended: row.run.progress.ended.clone(),
            })
            .collect()))
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        // Every operation judges first and then changes what cannot fail.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contents = self.lock();
        write!(f, "Memory: {} runs, {} unfinished", contents.runs.len(), contents.unfinished.len())
    }
}

impl Contents {
    fn admit(&mut self, owner: &Owner, now: Timestamp, run: NewRun) -> Result<Admitted, StoreError> {
        if self.runs.contains_key(&run.run) {
            return self.record(owner, &run.run, run.progress).map(|()| Admitted::Kept);
        }
        self.judge_owner(owner)?;
        if run.progress.facts.len() > FACTS_PER_RUN {
            return Err(StoreError::JournalFull);
        }
        self.claims.forget_until(now);
        if let Some(duplicate) = self.claims.taken(&run.claims, &self.runs) {
            return Ok(Admitted::Duplicate(duplicate));
        }
        let rows = self.flows.get_mut(&run.flow).ok_or(StoreError::UnknownVersion)?;
        let version = rows.versions.get_mut(&run.progress.version).ok_or(StoreError::UnknownVersion)?;
        version.runs += 1;
        self.last_position += 1;
        let position = self.last_position;
        rows.runs.insert(position, Arc::clone(&run.run));
        self.claims.take(&run);
        let id = Arc::clone(&run.run);
        let has_ended = run.progress.ended.is_some();
        self.runs.insert(Arc::clone(&id), Row { position, node: Arc::clone(&owner.node), run });
        if has_ended {
            self.end(&id);
        } else {
            self.unfinished.insert(position, id);
        }
        Ok(Admitted::Kept)
    }

    fn record(&mut self, owner: &Owner, run: &Arc<str>, progress: Progress) -> Result<(), StoreError> {
        self.judge_owner(owner)?;
        let row = self.runs.get_mut(run).ok_or(StoreError::UnknownRun)?;
        let kept = &mut row.run.progress;
        if row.node != owner.node {
            return Err(StoreError::Stale);
        }
        if kept.ended.is_some() {
            return Err(StoreError::Ended);
        }
        if kept.facts.len() + progress.facts.len() > FACTS_PER_RUN {
            return Err(StoreError::JournalFull);
        }
        if kept.version != progress.version && kept.facts.is_empty() {
            let versions = self.flows.get_mut(&row.run.flow).map(|rows| &mut rows.versions);
            let versions = versions.ok_or(StoreError::UnknownVersion)?;
            versions.get_mut(&progress.version).ok_or(StoreError::UnknownVersion)?.runs += 1;
            if let Some(before) = versions.get_mut(&kept.version) {
                before.runs -= 1;
            }
            kept.version = progress.version;
        }
        if kept.facts.is_empty() {
            kept.begun_at = progress.begun_at.or(kept.begun_at);
        }
        kept.facts.extend(progress.facts);
        if kept.reply.is_none() {
            kept.reply = progress.reply;
        }
        if progress.ended.is_some() {
            kept.ended = progress.ended;
            self.unfinished.remove(&row.position);
            self.end(run);
        }
        Ok(())
    }

    fn judge_owner(&self, owner: &Owner) -> Result<(), StoreError> {
        let current = self.epochs.get(&owner.node) == Some(&owner.epoch);
        if current { Ok(()) } else { Err(StoreError::Stale) }
    }

    /// What an end brings with it: claims are kept or released, and the oldest history makes room.
    fn end(&mut self, run: &Arc<str>) {
        let Some(row) = self.runs.get(run) else { return };
        self.claims.end(&row.run);
        self.history.add(run, &row.run);
        while let Some(oldest) = self.history.surplus() {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, run: &str) {
        let Some(row) = self.runs.remove(run) else { return };
        let Some(rows) = self.flows.get_mut(&row.run.flow) else { return };
        rows.runs.remove(&row.position);
        let version = &row.run.progress.version;
        if let Some(kept) = rows.versions.get_mut(version) {
            kept.runs -= 1;
            if kept.runs == 0 && !rows.latest.contains(version) {
                rows.versions.remove(version);
            }
        }
    }

    fn unfinished_rows(&self, node: &str, after: u64) -> impl Iterator<Item = &Row> {
        let later = self.unfinished.range(after.saturating_add(1)..);
        later.filter_map(|(_, run)| self.runs.get(run)).filter(move |row| *row.node == *node)
    }
}

#[cfg(test)]
mod tests;
