//! How much of what has ended is kept: so many runs and so many bytes over all flows, the oldest ends going first.

use super::Named;
use super::contents::Row;
use crate::{NewRun, Retention};
use hookflow_flow::End;
use hookflow_text::weight as weight_of;
use hookflow_trigger::Blob;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many finished runs are kept: as many as stay in a processor's cache, for freeing one that has left it costs
/// more than the rest of its admission.
pub const FINISHED_KEPT: usize = 100;
/// About how many bytes of finished runs are kept.
pub const FINISHED_BYTES: u64 = 64 << 20;

/// About how many bytes of blobs finished runs keep: no more than this, nor than a quarter of what all blobs may take, so
/// that what has ended leaves room for what comes.
pub const FINISHED_BLOBS: u64 = 1 << 30;

/// What a run takes beside its data.
const FRAME: u64 = 1_024;

pub(super) struct History {
    /// How many finished runs are kept.
    kept: usize,
    finished: VecDeque<Finished>,
    bytes: u64,
    blob_bytes: u64,
    blob_room: u64,
}

struct Finished {
    run: Arc<str>,
    bytes: u64,
    blob_bytes: u64,
}

impl Default for History {
    fn default() -> Self {
        Self::keeping(FINISHED_KEPT)
    }
}

impl History {
    pub(super) const fn keeping(kept: usize) -> Self {
        Self { kept, finished: VecDeque::new(), bytes: 0, blob_bytes: 0, blob_room: 0 }
    }

    pub(super) fn add(&mut self, id: &Arc<str>, run: &NewRun) {
        let bytes = weight(run);
        self.bytes = self.bytes.saturating_add(bytes);
        let blob_bytes = run.event.blobs().map(Blob::len).sum();
        if let Some(blob) = run.event.blobs().next() {
            self.blob_room = FINISHED_BLOBS.min(blob.limit() / 4);
        }
        self.blob_bytes = self.blob_bytes.saturating_add(blob_bytes);
        self.finished.push_back(Finished { run: Arc::clone(id), bytes, blob_bytes });
    }

    /// The run to forget next, while there are too many.
    pub(super) fn surplus(&mut self) -> Option<Arc<str>> {
        let fits = self.finished.len() <= self.kept
            && self.bytes <= FINISHED_BYTES
            && self.blob_bytes <= self.blob_room;
        if fits {
            return None;
        }
        let oldest = self.finished.pop_front()?;
        self.take_off(&oldest);
        Some(oldest.run)
    }

    fn take_off(&mut self, finished: &Finished) {
        self.bytes = self.bytes.saturating_sub(finished.bytes);
        self.blob_bytes = self.blob_bytes.saturating_sub(finished.blob_bytes);
    }

    /// The oldest run, if it is beyond what is retained.
    pub(super) fn beyond(&self, keep: &Retention, runs: &Named<Row>) -> Option<Arc<str>> {
        let oldest = &self.finished.front()?.run;
        let ended = runs.get(oldest).and_then(|row| row.run.progress.ended.as_ref());
        let many = u64::try_from(self.finished.len()).unwrap_or(u64::MAX) > keep.runs;
        let old = ended.is_none_or(|ended| ended.at < keep.ended_since);
        (many || old || self.bytes > keep.bytes).then(|| Arc::clone(oldest))
    }

    pub(super) fn remove(&mut self, run: &str) {
        if let Some(n) = self.finished.iter().position(|it| *it.run == *run)
            && let Some(finished) = self.finished.remove(n)
        {
            self.take_off(&finished);
        }
    }
}

fn weight(run: &NewRun) -> u64 {
    let progress = &run.progress;
    let facts: usize = progress.facts.iter().map(|fact| fact.weight()).sum();
    let reply = progress.reply.as_ref().map_or(0, |reply| reply.body.len());
    let end = match progress.ended.as_ref().map(|ended| &*ended.end) {
        Some(End::Succeeded(value)) => weight_of(value),
        Some(End::Failed(fault)) => fault.message.len(),
        None => 0,
    };
    let data = u64::try_from(facts + reply + end).unwrap_or(u64::MAX);
    FRAME.saturating_add(run.bytes).saturating_add(data)
}
