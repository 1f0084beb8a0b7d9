//! What happened: the outcomes of asks, and nothing else. Facts are the journal, and the journal is the recovery.

use crate::{FaultKind, Place};
use hookflow_text::Json;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The outcome of one ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// The ask's place.
    pub place: Place,
    /// The verb that asked; a replay that finds another verb at the place has diverged.
    pub verb: String,
    /// Which try.
    pub attempt: u32,
    /// When. The machine knows no other time.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an ask. Externally tagged, so that numbers keep their spelling when read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The other side answered, well or badly.
    Answered {
        /// The status.
        status: u16,
        /// By lower-case name; repeated ones joined with a comma.
        headers: serde_json::Map<String, Json>,
        /// As `response` reads it.
        body: Json,
        /// By name; null where the path leads nowhere.
        captures: serde_json::Map<String, Json>,
    },
    /// There is no answer.
    Failed {
        /// Why.
        kind: FaultKind,
        /// One sentence.
        message: String,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It reached its end or a `stop`, whose value this is.
    Succeeded(Json),
    /// A fault that nothing handled.
    Failed(crate::Fault),
}
