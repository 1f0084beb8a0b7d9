//! Where events and runs are kept: operations, each one transaction, and the backends that perform them.
//!
//! Nothing above this crate knows tables, files or paths.

pub mod backends;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod journal;
mod pending;
mod store;

pub use journal::{Claim, Ended, Journal, NewRun, Owner, Progress, RunLine, UnfinishedRun};
pub use pending::Pending;
pub use store::{Admitted, Duplicate, FACTS_PER_RUN, FlowCount, Settled, Store, StoreError, VERSIONS_KEPT};
