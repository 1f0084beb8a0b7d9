//! What is written of a run: who owns it, how it began, what it claims, what happened, how it ended.

use crate::{Inbound, Outgoing};
use hookflow_flow::{End, Fact, Place, Reply};
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

/// What a node is told when its next life begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// What it may write as.
    pub owner: Owner,
    /// Whether the former life ended in order, or there was none.
    pub clean: bool,
    /// The run that was alone in flight when the former life ended.
    pub alone: Option<Arc<str>>,
    /// The last turn that was given.
    pub last_turn: u64,
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
    /// Runs of one flow and one key are taken up one after the other's end.
    pub order: Option<Arc<str>>,
    /// The run whose event it runs again.
    pub replays: Option<Arc<str>>,
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
    /// The tries that are about to leave and must not leave twice.
    pub sent: Vec<Sent>,
    /// The events that it has emitted now. What a place has emitted before is not kept again.
    pub emitted: Vec<Outgoing>,
    /// The reply, when it was given now. The first one stands.
    pub reply: Option<Arc<Reply>>,
    /// That nobody has the run in hand until its moment.
    pub parked: Option<Parked>,
    /// The end, which is written once.
    pub ended: Option<Ended>,
}

/// One try of an ask.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sent {
    /// The ask's place.
    pub place: Place,
    /// Which try.
    pub attempt: u32,
}

/// A run that waits for a moment, or for what comes from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parked {
    /// When it has something to do; `None`: only when something comes.
    pub until: Option<Timestamp>,
    /// How many entries of its inbox it has heard of. When there are more by now, it is due at once.
    pub heard: usize,
}

impl Progress {
    /// Nothing yet.
    pub fn none(version: Arc<str>) -> Self {
        Self {
            version,
            begun_at: None,
            facts: Vec::new(),
            sent: Vec::new(),
            emitted: Vec::new(),
            reply: None,
            parked: None,
            ended: None,
        }
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
    /// What has come for it from elsewhere, in order; also what is a fact by now.
    pub inbox: Vec<Inbound>,
}

/// A run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedRun {
    /// Its turn at its node: the order of admission, but a run that was behind another has its turn when that one has
    /// ended. The cursor for the next page.
    pub turn: u64,
    /// The run's ID.
    pub run: Arc<str>,
    /// The flow's ID.
    pub flow: Arc<str>,
    /// What it counts against the queue's bytes.
    pub bytes: u64,
}

/// What came of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// The next run of the same flow and order key, which the end has made ready.
    pub promoted: Option<UnfinishedRun>,
}

/// The parked runs whose moment has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// The earliest first.
    pub runs: Vec<UnfinishedRun>,
    /// When the first of those that are not due will be.
    pub next: Option<Timestamp>,
}
