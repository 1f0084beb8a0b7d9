//! What happened: the outcomes of asks, and nothing else. Facts are the journal, and the journal is the recovery.

use crate::{Attempt, FaultKind, Place};
use hookflow_text::{Json, weight};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

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
    /// When a first try left, if that was later than it was asked for: its integration had no turn for it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Timestamp>,
    /// What came of it.
    pub outcome: Outcome,
    /// What is remembered of a call beside that. It is written in a column of its own, and no replay reads it.
    #[serde(skip)]
    pub tried: Option<Box<Attempt>>,
}

impl Fact {
    /// The same with what is remembered of its call.
    #[must_use]
    pub fn tried(self, attempt: Attempt) -> Self {
        Self { tried: Some(Box::new(attempt)), ..self }
    }

    /// How many bytes of memory its data takes, more or less.
    pub fn weight(&self) -> usize {
        self.outcome.weight() + self.tried.as_ref().map_or(0, |attempt| attempt.weight())
    }
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
    /// The time has come.
    Slept,
    /// The step's own URL was called.
    Resumed {
        /// With which method.
        method: String,
        /// By lower-case name.
        headers: serde_json::Map<String, Json>,
        /// By name.
        query: Json,
        /// Decoded.
        body: Json,
        /// What is known of each file.
        files: Json,
    },
    /// The other run has ended so.
    Ended(End),
    /// There is no answer.
    Failed {
        /// Why.
        kind: FaultKind,
        /// One sentence.
        message: String,
    },
}

impl Outcome {
    /// The same without what may be large: for lists, when all of it lies elsewhere.
    #[must_use]
    pub fn outline(&self) -> Self {
        let none = serde_json::Map::new;
        match self {
            Self::Answered { status, headers, body, .. } => Self::Answered {
                status: *status,
                headers: headers.clone(),
                body: json!({"bytes": weight(body), "not_shown": true}),
                captures: none(),
            },
            Self::Resumed { method, .. } => Self::Resumed {
                method: method.clone(),
                headers: none(),
                query: Json::Null,
                body: Json::Null,
                files: Json::Null,
            },
            Self::Ended(End::Succeeded(_)) => Self::Ended(End::Succeeded(Json::Null)),
            Self::Slept | Self::Ended(End::Failed(_)) | Self::Failed { .. } => self.clone(),
        }
    }

    /// How many bytes of memory its data takes, more or less.
    pub fn weight(&self) -> usize {
        let map = |map: &serde_json::Map<String, Json>| {
            map.iter().map(|(name, value)| name.len() + weight(value)).sum::<usize>()
        };
        match self {
            Self::Answered { headers, body, captures, .. } => map(headers) + weight(body) + map(captures),
            Self::Resumed { method, headers, query, body, files } => {
                method.len() + map(headers) + weight(query) + weight(body) + weight(files)
            }
            Self::Ended(End::Succeeded(value)) => weight(value),
            Self::Ended(End::Failed(fault)) => fault.message.len(),
            Self::Failed { message, .. } => message.len(),
            Self::Slept => 0,
        }
    }
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
