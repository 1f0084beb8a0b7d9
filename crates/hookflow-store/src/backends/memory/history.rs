//! How much of what has ended is kept: so many runs and so many bytes over all flows, the oldest ends going first.

use super::contents::Row;
use crate::{NewRun, Retention};
use hookflow_flow::End;
use hookflow_text::weight as weight_of;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many finished runs are kept: as many as stay in a processor's cache, for freeing one that has left it costs
/// more than the rest of its admission.
pub const FINISHED_KEPT: usize = 100;
/// About how many bytes of finished runs are kept.
pub const FINISHED_BYTES: u64 = 64 << 20;

/// What a run takes beside its data.
const FRAME: u64 = 1_024;

#[derive(Default)]
pub(super) struct History {
    finished: VecDeque<(Arc<str>, u64)>,
    bytes: u64,
}

impl History {
    pub(super) fn add(&mut self, id: &Arc<str>, run: &NewRun) {
        let bytes = weight(run);
        self.bytes = self.bytes.saturating_add(bytes);
        self.finished.push_back((Arc::clone(id), bytes));
    }

    /// The run to forget next, while there are too many.
    pub(super) fn surplus(&mut self) -> Option<Arc<str>> {
        if self.finished.len() <= FINISHED_KEPT && self.bytes <= FINISHED_BYTES {
            return None;
        }
        let (id, bytes) = self.finished.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(id)
    }

    /// The oldest run, if it is beyond what is retained.
    pub(super) fn beyond(&self, keep: &Retention, runs: &HashMap<Arc<str>, Row>) -> Option<Arc<str>> {
        let (oldest, _) = self.finished.front()?;
        let ended = runs.get(oldest).and_then(|row| row.run.progress.ended.as_ref());
        let many = u64::try_from(self.finished.len()).unwrap_or(u64::MAX) > keep.runs;
        let old = ended.is_none_or(|ended| ended.at < keep.ended_since);
        (many || old || self.bytes > keep.bytes).then(|| Arc::clone(oldest))
    }

    pub(super) fn remove(&mut self, run: &str) {
        if let Some(n) = self.finished.iter().position(|(id, _)| **id == *run)
            && let Some((_, bytes)) = self.finished.remove(n)
        {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

fn weight(run: &NewRun) -> u64 {
    let progress = &run.progress;
    let facts: usize = progress.facts.iter().map(|fact| fact.outcome.weight()).sum();
    let reply = progress.reply.as_ref().map_or(0, |reply| reply.body.len());
    let end = match progress.ended.as_ref().map(|ended| &*ended.end) {
        Some(End::Succeeded(value)) => weight_of(value),
        Some(End::Failed(fault)) => fault.message.len(),
        None => 0,
    };
    let data = u64::try_from(facts + reply + end).unwrap_or(u64::MAX);
    FRAME.saturating_add(run.bytes).saturating_add(data)
}
