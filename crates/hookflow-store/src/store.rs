//! What every backend does: operations, each one transaction.
//!
//! An operation is handed over when its method returns: it happens whether or not anybody waits for the answer. All
//! operations on runs carry their owner and are refused for one whose life has ended.

use crate::{Journal, NewRun, Owner, Pending, Progress, RunLine, UnfinishedRun};
use hookflow_flow::Reply;
use jiff::Timestamp;
use std::fmt;
use std::sync::Arc;

/// How many facts a run may have.
pub const FACTS_PER_RUN: usize = 10_000;

/// How many of a flow's latest versions are kept although no run is on them: who read the flow just before it was
/// replaced may still begin one.
pub const VERSIONS_KEPT: usize = 100;

/// Told once what came of a row, by the store's own side, after the commit and in the order of the commits. It must not
/// wait and must not call the store.
pub type Settled = Box<dyn FnOnce(Result<Admitted, StoreError>) + Send>;

/// Where events and runs are kept.
pub trait Store: Send + Sync + fmt::Debug {
    /// Whether what is kept outlives the process.
    fn is_durable(&self) -> bool;

    /// Whether it can be written to.
    fn check(&self) -> Pending<()>;

    /// Begins a node's next life.
    fn register(&self, node: &Arc<str>) -> Pending<Owner>;

    /// Keeps a flow's document for as long as it is one of the latest or a kept run is on it.
    fn keep_version(&self, flow: &Arc<str>, version: &Arc<str>, document: &Arc<str>) -> Pending<()>;

    /// A kept document.
    fn version(&self, flow: &str, version: &str) -> Pending<Option<Arc<str>>>;

    /// Admits events, each with its claims, and what has already happened of each, up to its end. A row is refused
    /// alone, never with its batch. A run of the same owner that is already there is not admitted again: what is new is
    /// recorded in it, so it does not matter whether the run or somebody who waits for it is the first to have it kept.
    fn admit(&self, owner: &Owner, now: Timestamp, batch: Vec<(NewRun, Settled)>);

    /// Records what happened in a run, up to its end.
    fn record(&self, owner: &Owner, run: &Arc<str>, progress: Progress) -> Pending<()>;

    /// Everything that is kept of a run.
    fn load(&self, run: &str) -> Pending<Journal>;

    /// A node's runs that have not ended, in the order of their admission, from behind the position `after`.
    fn unfinished(&self, node: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>>;

    /// How many unfinished events a node holds, and how many bytes, by flow.
    fn counts(&self, node: &str) -> Pending<Vec<FlowCount>>;

    /// A flow's latest runs that are kept, newest first.
    fn recent(&self, flow: &str, limit: usize) -> Pending<Vec<RunLine>>;
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// It is kept.
    Kept,
    /// Another run holds one of its claims; nothing of it is kept.
    Duplicate(Duplicate),
}

/// The run that an event would repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Its ID.
    pub run: Arc<str>,
    /// Whether it has ended.
    pub ended: bool,
    /// What it replied, if it did.
    pub reply: Option<Arc<Reply>>,
}

/// The unfinished events of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowCount {
    /// The flow's ID.
    pub flow: Arc<str>,
    /// How many.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why an operation was refused, or could not be performed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or written to. Another try may help.
    #[error("the store cannot be written to: {0}")]
    Unavailable(String),
    /// The owner's life has ended, or the run is another's.
    #[error("the run belongs to another node, or to a later life of this one")]
    Stale,
    /// No such run is kept.
    #[error("no such run is kept")]
    UnknownRun,
    /// The version was not kept before a run was put on it.
    #[error("no such version of the flow is kept")]
    UnknownVersion,
    /// The run has ended; an end is written once.
    #[error("the run has ended")]
    Ended,
    /// The run has as many facts as a run may have.
    #[error("a run has at most {FACTS_PER_RUN} facts")]
    JournalFull,
}
