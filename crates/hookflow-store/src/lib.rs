//! Where events and runs are kept: operations, each one transaction, and the backends that perform them.
//!
//! Nothing above this crate knows tables, files or paths.

mod attempts;
pub mod backends;
pub mod blobs;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod history;
mod inbox;
mod journal;
mod lasting;
mod outbox;
mod pending;
mod rejected;
mod store;

pub use attempts::{AttemptCursor, AttemptFilter, AttemptLine, AttemptPage};
pub use history::{Erasure, Page, Pruned, Retention, RunFilter, RunLine, RunStatus, SEARCHED_PER_PAGE};
pub use inbox::{INBOX_ENTRIES, Inbound, Posted};
pub use journal::{
    Claim, Due, Ended, Journal, Life, NewRun, Owner, Parked, Progress, Recorded, Sent, UnfinishedRun,
};
pub use outbox::{
    DELIVERIES_PER_PAGE, Delivery, DeliveryFilter, DeliveryLine, DeliveryPage, DeliveryState, DueDeliveries,
    EmittedLine, Emitter, KeepEvents, Outbox, Outgoing, Published, Resent, TRIES_KEPT, Tried, Undelivered,
};
pub use pending::Pending;
pub use rejected::{REJECTED_KEPT, REJECTED_PER_FLOW, Rejected, RejectedPage};
pub use store::{
    Admitted, Duplicate, FACTS_PER_RUN, FlowCount, Settled, Store, StoreError, Told, VERSIONS_KEPT,
};
