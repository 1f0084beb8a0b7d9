//! What is written of a run: who owns it, how it began, what it claims, what happened, how it ended.

use hookflow_flow::{End, Fact, Reply};
use hookflow_trigger::Event;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// A node in one of its lives. Registering the same node again begins the next life and ends what the former may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The node's name.
    pub node: Arc<str>,
    /// Which life, from 1.
    pub epoch: u64,
}

/// An event and the run it starts.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The run's ID.
    pub run: Arc<str>,
    /// The flow's ID.
    pub flow: Arc<str>,
    /// Which attempt at the event, from 1.
    pub attempt: u32,
    /// What the run's randomness derives from.
    pub seed: [u8; 16],
    /// When it was admitted.
    pub started_at: Timestamp,
    /// What came, decoded.
    pub event: Arc<Event>,
    /// What it counts against the queue's bytes.
    pub bytes: u64,
    /// What nobody else may bring again while they stand.
    pub claims: Vec<Claim>,
    /// What already happened, when steps ran ahead of the admission.
    pub progress: Progress,
}

/// A dedupe key or a replay ID. It belongs to its run: it stands while the run is unfinished, is kept with the reply
/// for its window when the run succeeds, and is released when the run fails or its reply is a 5xx or 429.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Within which it is unique: flow and credential.
    pub scope: Arc<str>,
    /// The key.
    pub key: Arc<str>,
    /// How long it is kept after the end.
    pub window: Duration,
}

/// What happened in a run since it was last recorded, written in one transaction.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The flow's version that the run is on. The first fact pins it.
    pub version: Arc<str>,
    /// When a worker first took the run, which is `now()` for all of it and what its timeouts are counted from. The
    /// first fact pins it too.
    pub begun_at: Option<Timestamp>,
    /// In order.
    pub facts: Vec<Arc<Fact>>,
    /// The reply, when it was given now. The first one stands.
    pub reply: Option<Arc<Reply>>,
    /// The end, which is written once.
    pub ended: Option<Ended>,
}

impl Progress {
    /// Nothing yet.
    pub fn none(version: Arc<str>) -> Self {
        Self { version, begun_at: None, facts: Vec::new(), reply: None, ended: None }
    }
}

/// How and when a run ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How.
    pub end: Arc<End>,
    /// When.
    pub at: Timestamp,
}

/// All that is kept of a run: enough to replay it.
#[derive(Debug, Clone)]
pub struct Journal {
    /// As it was admitted, with everything that has happened since.
    pub run: NewRun,
    /// Whose run it is.
    pub node: Arc<str>,
}

/// A run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedRun {
    /// Its place in the order of admission at its node; the cursor for the next page.
    pub position: u64,
    /// The run's ID.
    pub run: Arc<str>,
    /// The flow's ID.
    pub flow: Arc<str>,
}

/// A run in a list.
#[derive(Debug, Clone)]
pub struct RunLine {
    /// The run's ID.
    pub run: Arc<str>,
    /// When it was admitted.
    pub started_at: Timestamp,
    /// The version it is on.
    pub version: Arc<str>,
    /// How it ended, if it did.
    pub ended: Option<Ended>,
}
