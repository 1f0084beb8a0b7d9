//! Looking at what is kept, and forgetting it.

use crate::Ended;
use jiff::Timestamp;
use std::sync::Arc;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// It waits for a worker, or has one.
    Running,
    /// It waits for a moment or for what comes from elsewhere.
    Waiting,
    /// It ended well.
    Succeeded,
    /// It failed.
    Failed,
}

/// Which runs to look for; nothing set: all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFilter {
    /// Of this flow.
    pub flow: Option<Arc<str>>,
    /// That have come so far.
    pub status: Option<RunStatus>,
    /// Admitted then or later.
    pub since: Option<Timestamp>,
    /// Admitted before.
    pub until: Option<Timestamp>,
    /// With this text in the ID, or in the event as it is kept.
    pub search: Option<String>,
}

/// How many runs one page of a search looks at.
pub const SEARCHED_PER_PAGE: usize = 10_000;

/// Runs of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The newest first.
    pub runs: Vec<RunLine>,
    /// Where the next page begins; `None`: there is nothing more.
    pub next: Option<u64>,
}

/// A run in a list.
#[derive(Debug, Clone)]
pub struct RunLine {
    /// Its place in the order of admission.
    pub position: u64,
    /// The run's ID.
    pub run: Arc<str>,
    /// The flow's ID.
    pub flow: Arc<str>,
    /// Which attempt at the event.
    pub attempt: u32,
    /// When it was admitted.
    pub started_at: Timestamp,
    /// The version it is on.
    pub version: Arc<str>,
    /// The run whose event it runs again.
    pub replays: Option<Arc<str>>,
    /// How far it has come.
    pub status: RunStatus,
    /// How it ended, if it did.
    pub ended: Option<Ended>,
}

/// How much of what has ended is kept. Claims are kept for their windows all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Ends before this moment are forgotten.
    pub ended_since: Timestamp,
    /// About how many bytes are kept.
    pub bytes: u64,
    /// How many runs are kept.
    pub runs: u64,
}

/// Whose history is forgotten on request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Of this flow.
    pub flow: Arc<str>,
    /// Only runs with this order key or dedupe key.
    pub key: Option<Arc<str>>,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// How many runs.
    pub runs: u64,
    /// Whether there is more to forget.
    pub more: bool,
}
