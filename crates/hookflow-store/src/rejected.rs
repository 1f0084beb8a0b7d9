//! Requests that were refused, as they are kept for the operator. They belong to no run and count against no bound of runs.

use hookflow_text::Json;
use jiff::Timestamp;
use std::sync::Arc;

/// How many refused requests are kept in all.
pub const REJECTED_KEPT: usize = 10_000;
/// How many are kept of one flow, or of those that are for none: noise pushes out nothing but its own kind.
pub const REJECTED_PER_FLOW: usize = 1_000;

/// A request that was refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// When.
    pub at: Timestamp,
    /// For which flow, if that was known.
    pub flow: Option<Arc<str>>,
    /// What is told of it: nothing that may be a secret.
    pub told: Json,
}

/// Refused requests of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RejectedPage {
    /// The newest first.
    pub rejected: Vec<Rejected>,
    /// Where the next page begins; `None`: there is nothing more.
    pub next: Option<u64>,
}
