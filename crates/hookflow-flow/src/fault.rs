//! What failed while a run was under way: whose fault, and whether another try may help.

use hookflow_text::{Code, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The closed list of error kinds that a flow can read as `error.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A deadline passed.
    Timeout,
    /// No connection to the other side.
    Connect,
    /// The other side's certificate, or the handshake.
    Tls,
    /// An answer whose status is not in `ok`.
    Status,
    /// The other side asked to slow down.
    RateLimited,
    /// An answer, a value or a body beyond its cap.
    TooLarge,
    /// An answer that is not what `response` says.
    Parse,
    /// Data that does not fit its schema.
    Validation,
    /// An expression or a template.
    Expression,
    /// Credentials for the other side.
    Auth,
    /// A call that policy does not let out.
    Refused,
    /// The node went down between sending and hearing.
    Interrupted,
    /// Somebody cancelled the run.
    Cancelled,
    /// A bound of the run: steps, calls, items, bytes.
    Limit,
    /// The flow's own `fail`.
    Custom,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// What the caller sent.
    Caller,
    /// Who wrote the flow.
    Author,
    /// The other side of a call.
    Remote,
    /// This service.
    Us,
}

/// What failed while a run was under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Which of the closed list.
    pub kind: FaultKind,
    /// Dotted word with a page in the docs, or the free text of `fail`'s `code`.
    pub code: String,
    /// One sentence for the flow's author and the operator; never shown to the caller.
    pub message: String,
    /// The ID or path of the step.
    #[serde(default)]
    pub step: Option<String>,
    /// The status that the other side answered.
    #[serde(default)]
    pub status: Option<u16>,
    /// The status that the caller gets (`fail.status`).
    #[serde(default)]
    pub answer: Option<u16>,
    /// How often a call was tried.
    #[serde(default)]
    pub attempts: Option<u32>,
    /// The fault that this one replaced.
    #[serde(default)]
    pub cause: Option<Box<Fault>>,
}

impl Fault {
    /// A fault with its kind, code and message.
    pub fn new(kind: FaultKind, code: Code, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.0.to_owned(),
            message: message.into(),
            step: None,
            status: None,
            answer: None,
            attempts: None,
            cause: None,
        }
    }

    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self.kind {
            FaultKind::Validation => Blame::Caller,
            FaultKind::Expression | FaultKind::Custom | FaultKind::Limit | FaultKind::Refused => {
                Blame::Author
            }
            FaultKind::Interrupted | FaultKind::Cancelled => Blame::Us,
            _ => Blame::Remote,
        }
    }

    /// Whether another try may help.
    pub fn retry(&self) -> bool {
        match self.kind {
            FaultKind::Timeout | FaultKind::Connect | FaultKind::RateLimited => true,
            FaultKind::Status => self.status.is_some_and(|status| status == 429 || status >= 500),
            _ => false,
        }
    }

    /// `error` as a flow reads it: `{kind, step, status, message, attempts, cause, code}`.
    pub fn to_json(&self) -> Json {
        json!({
            "kind": self.kind,
            "code": self.code,
            "step": self.step,
            "status": self.status,
            "message": self.message,
            "attempts": self.attempts,
            "cause": self.cause.as_ref().map(|cause| cause.to_json()),
        })
    }
}
