//! Places in a flow's queue, and the memory that all of them share.

use super::FlowQueue;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A place in a flow's queue. Dropping it gives it back.
pub struct QueuePlace {
    pub(super) queue: Arc<FlowQueue>,
    pub(super) bytes: u64,
    /// Its event has left the queue and counts against the memory of all flows only.
    pub(super) started: bool,
}

/// The bytes of the events of all flows, from the queue to the end of their runs.
pub(crate) struct Overall {
    limit: u64,
    bytes: AtomicU64,
    /// Runs of relaxed flows that are remembered.
    listed: AtomicUsize,
}

/// How many runs of all relaxed flows are remembered, but for the latest of each flow.
const LISTED: usize = 200_000;

impl QueuePlace {
    /// What it counts against the queue's bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its event leaves memory but goes on counting in its flow's queue: it lies in the store.
    pub(crate) fn stays_counted(&mut self) {
        self.started = true;
    }

    /// What it was for has begun before, or has ended: it counts in no queue.
    pub(crate) fn did_not_count(mut self) {
        self.started = true;
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        if !self.started {
            self.queue.give_back(self.bytes, |_| {});
        }
        self.queue.overall.give_back(self.bytes);
    }
}

impl fmt::Debug for QueuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuePlace").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Overall {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, bytes: AtomicU64::new(0), listed: AtomicUsize::new(0) }
    }

    /// Counts one more run that is remembered; `false` when it has to take the place of another. `first`: there is none
    /// of its flow.
    pub(crate) fn list_one_more(&self, first: bool) -> bool {
        let more = |listed: usize| (first || listed < LISTED).then_some(listed + 1);
        self.listed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(crate) fn list_fewer(&self, runs: usize) {
        self.listed.fetch_sub(runs, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, bytes: u64) -> bool {
        // What is larger than everything would never fit, so it is taken when it is alone.
        let more = |taken: u64| taken.checked_add(bytes).filter(|sum| taken == 0 || *sum <= self.limit);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What tests see of a queue.
#[cfg(test)]
impl FlowQueue {
    /// How many places are taken.
    pub(crate) fn items(&self) -> u64 {
        self.lock().items
    }

    /// What is in it, if anything.
    pub(crate) fn left(&self) -> Option<String> {
        let state = self.lock();
        let super::State { items, bytes, waiting, in_hand, callers, .. } = &*state;
        let is_empty =
            *items == 0 && *bytes == 0 && waiting.is_empty() && in_hand.is_empty() && callers.is_empty();
        let (waiting, in_hand, callers) = (waiting.len(), in_hand.len(), callers.len());
        (!is_empty).then(|| {
            format!("{items} places, {bytes} bytes, {waiting} wait, {in_hand} in hand, {callers} callers")
        })
    }
}
