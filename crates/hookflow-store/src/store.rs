//! What every backend does: operations, each one transaction.
//!
//! An operation is handed over when its method returns: it happens whether or not anybody waits for the answer. All
//! operations on runs carry their owner and are refused for one whose life has ended.

use crate::{
    AttemptCursor, AttemptFilter, AttemptLine, AttemptPage, Due, Erasure, INBOX_ENTRIES, Inbound, Journal,
    Life, NewRun, Outbox, Owner, Page, Pending, Posted, Progress, Pruned, Recorded, Rejected, RejectedPage,
    Retention, RunFilter, UnfinishedRun,
};
use hookflow_flow::{Fact, Place, Reply};
use jiff::Timestamp;
use std::collections::BTreeMap;
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

/// The same of what was recorded.
pub type Told = Box<dyn FnOnce(Result<Recorded, StoreError>) + Send>;

/// Where events and runs are kept.
pub trait Store: Send + Sync + fmt::Debug {
    /// Whether what is kept outlives the process.
    fn is_durable(&self) -> bool;

    /// Where events that go out are kept.
    fn outbox(&self) -> &dyn Outbox;

    /// Whether it can be written to.
    fn check(&self) -> Pending<()>;

    /// Begins a node's next life, and ends what the former one may do.
    fn register(&self, node: &Arc<str>) -> Pending<Life>;

    /// Ends a life in order: what is unfinished then was not in flight.
    fn retire(&self, owner: &Owner) -> Pending<()>;

    /// Keeps a flow's document for as long as it is one of the latest or a kept run is on it.
    fn keep_version(&self, flow: &Arc<str>, version: &Arc<str>, document: &Arc<str>) -> Pending<()>;

    /// A kept document.
    fn version(&self, flow: &str, version: &str) -> Pending<Option<Arc<str>>>;

    /// Keeps what an operator has set, such as a pause; `None` forgets it. It belongs to all nodes.
    fn set_state(&self, key: &str, value: Option<&str>) -> Pending<()>;

    /// What operators have set under keys that begin so, by key.
    fn states(&self, prefix: &str) -> Pending<BTreeMap<Arc<str>, Arc<str>>>;

    /// Admits events, each with its claims, and what has already happened of each, up to its end. A row is refused
    /// alone, never with its batch. A run of the same owner that is already there is not admitted again: what is new is
    /// recorded in it, so it does not matter whether the run or somebody who waits for it is the first to have it kept.
    /// A run with an order key is admitted before it begins.
    fn admit(&self, owner: &Owner, now: Timestamp, batch: Vec<(NewRun, Settled)>);

    /// Records what happened in a run, up to its end. A run that was parked is parked no longer, unless it is again.
    fn record(&self, owner: &Owner, run: &Arc<str>, progress: Progress) -> Pending<Recorded>;

    /// The same for somebody who does not wait.
    fn hand_in(&self, owner: &Owner, run: &Arc<str>, progress: Progress, told: Told);

    /// Everything that is kept of a run.
    fn load(&self, run: &str) -> Pending<Journal>;

    /// What a run's randomness derives from, alone.
    fn seed(&self, run: &str) -> Pending<[u8; 16]>;

    /// A node's runs that have not ended, in the order of their turns, from behind the turn `after`.
    fn unfinished(&self, node: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>>;

    /// The same of one flow, without those that are parked or behind another of their order key.
    fn ready(&self, node: &str, flow: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>>;

    /// How many events wait at a node, and how many bytes, by flow: neither ended nor parked.
    fn counts(&self, node: &str) -> Pending<Vec<FlowCount>>;

    /// A node's parked runs whose moment has come, the earliest first, and when the next one's comes.
    fn due(&self, node: &str, now: Timestamp, limit: usize) -> Pending<Due>;

    /// Puts into a run's inbox what comes from elsewhere, whoever owns the run. A parked run is due with it.
    fn post(&self, run: &str, inbound: Inbound) -> Pending<Posted>;

    /// Nothing is taken for this place any more. Returns what had come for it before: that one has won.
    fn close(&self, owner: &Owner, run: &Arc<str>, place: &Place) -> Pending<Option<Arc<Fact>>>;

    /// Counts a crash against runs that may have been in flight, and returns for each how many that makes. A run that
    /// has ended or is not kept counts none.
    fn suspect(&self, owner: &Owner, runs: Vec<Arc<str>>) -> Pending<Vec<u32>>;

    /// Notes which run is alone in flight, or that none is. The next life is told.
    fn alone(&self, owner: &Owner, run: Option<&Arc<str>>) -> Pending<()>;

    /// Runs that are kept, the newest first, from before the position `before`. A page may be short and still have a
    /// next one: a search looks at a bounded number of runs.
    fn find(&self, filter: &RunFilter, before: Option<u64>, limit: usize) -> Pending<Page>;

    /// Tries of calls, the latest first, from before `before`. A page may be short and still have a next one. Of what is
    /// large it has the outline.
    fn attempts(
        &self,
        filter: &AttemptFilter,
        before: Option<AttemptCursor>,
        limit: usize,
    ) -> Pending<AttemptPage>;

    /// All that is kept of one: which of a run's facts it is, from 1.
    fn attempt(&self, run: &str, number: u64) -> Pending<Option<AttemptLine>>;

    /// Forgets ended runs that are beyond what is retained, at most `limit` of them, the oldest first.
    fn prune(&self, keep: &Retention, limit: usize) -> Pending<Pruned>;

    /// Forgets ended runs of a flow, with their claims. What is unfinished is not touched.
    fn erase(&self, what: &Erasure, limit: usize) -> Pending<Pruned>;

    /// Keeps requests that were refused, in order, and forgets the oldest beyond, at most, [`REJECTED_PER_FLOW`](crate::REJECTED_PER_FLOW)
    /// and [`REJECTED_KEPT`](crate::REJECTED_KEPT).
    fn keep_rejected(&self, rejected: Vec<Rejected>) -> Pending<()>;

    /// Requests that were refused, the newest first, from before the position `before`: of a flow, or all.
    fn rejected(&self, flow: Option<&str>, before: Option<u64>, limit: usize) -> Pending<RejectedPage>;

    /// Forgets requests that were refused before a moment, of a flow or all, and returns how many.
    fn forget_rejected(&self, flow: Option<&str>, before: Timestamp) -> Pending<u64>;
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// It is kept.
    Kept {
        /// Its turn in the order in which its node takes runs up.
        turn: u64,
        /// Whether a run of the same order key is before it: it gets another turn when that one has ended.
        behind: bool,
    },
    /// Another run holds one of its claims; nothing of it is kept.
    Duplicate(Duplicate),
}

impl Admitted {
    /// Whether it is kept.
    pub const fn is_kept(&self) -> bool {
        matches!(self, Self::Kept { .. })
    }
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

/// The waiting events of a flow.
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
    /// What is kept of this run cannot be read, or what is new of it cannot be written. Others can, and another try does
    /// not help.
    #[error("{0}")]
    Damaged(String),
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
    /// The run has as many entries in its inbox as it may have.
    #[error("a run has at most {INBOX_ENTRIES} entries in its inbox")]
    InboxFull,
}
