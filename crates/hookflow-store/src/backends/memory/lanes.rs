//! Runs of one order key: the first one may go, the others are behind it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

type Key = (Arc<str>, Arc<str>);

/// By flow and key, the unfinished runs in the order of admission.
#[derive(Default)]
pub(super) struct Lanes(HashMap<Key, VecDeque<Arc<str>>>);

impl Lanes {
    /// Puts a run at the end of its lane. Returns whether another is before it.
    pub(super) fn join(&mut self, flow: &Arc<str>, key: &Arc<str>, run: &Arc<str>) -> bool {
        let lane = self.0.entry((Arc::clone(flow), Arc::clone(key))).or_default();
        lane.push_back(Arc::clone(run));
        lane.len() > 1
    }

    /// Takes a run out that has ended. Returns who goes next, when it was the first.
    pub(super) fn leave(&mut self, flow: &Arc<str>, key: &Arc<str>, run: &str) -> Option<Arc<str>> {
        let key = (Arc::clone(flow), Arc::clone(key));
        let lane = self.0.get_mut(&key)?;
        let was_first = lane.front().is_some_and(|first| **first == *run);
        lane.retain(|other| **other != *run);
        let next = lane.front().cloned().filter(|_| was_first);
        if lane.is_empty() {
            self.0.remove(&key);
        }
        next
    }
}
