//! What comes to a run from elsewhere: not from its own asks, and perhaps while another node owns it.

use hookflow_flow::{Fact, Place};
use jiff::Timestamp;
use std::sync::Arc;

/// How many entries a run's inbox takes.
pub const INBOX_ENTRIES: usize = 1_000;

/// What comes to a run from elsewhere. It lies in the run's inbox until the run ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Inbound {
    /// The outcome of an ask, such as a callback. At most one for a place.
    Fact(Arc<Fact>),
    /// The run is to end. Asking again changes nothing.
    Cancel {
        /// Since when.
        at: Timestamp,
    },
}

impl Inbound {
    /// When it came.
    pub(crate) fn at(&self) -> Timestamp {
        match self {
            Self::Fact(fact) => fact.at,
            Self::Cancel { at } => *at,
        }
    }

    /// Whether it is the fact of a place.
    pub(crate) fn is_of(&self, place: &Place) -> bool {
        matches!(self, Self::Fact(fact) if fact.place == *place)
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// It is kept.
    Kept {
        /// The flow of the run.
        flow: Arc<str>,
        /// Whose run it is.
        node: Arc<str>,
        /// Whether the run is parked, and due by now.
        parked: bool,
    },
    /// The place has one already; this one is not kept.
    Again,
    /// The place takes nothing any more, or the run has ended.
    Over,
}
