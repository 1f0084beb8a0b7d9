//! Where events and runs are kept: operations, each one transaction, and the backends that perform them.
//!
//! Nothing above this crate knows tables, files or paths.

pub mod backends;
pub mod blobs;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod history;
mod inbox;
mod journal;
mod lasting;
mod pending;
mod rejected;
mod store;

pub use history::{Erasure, Page, Pruned, Retention, RunFilter, RunLine, RunStatus, SEARCHED_PER_PAGE};
pub use inbox::{INBOX_ENTRIES, Inbound, Posted};
pub use journal::{
    Claim, Due, Ended, Journal, Life, NewRun, Owner, Parked, Progress, Recorded, Sent, UnfinishedRun,
};
pub use pending::Pending;
pub use rejected::{REJECTED_KEPT, REJECTED_PER_FLOW, Rejected, RejectedPage};
pub use store::{
    Admitted, Duplicate, FACTS_PER_RUN, FlowCount, Settled, Store, StoreError, Told, VERSIONS_KEPT,
};
