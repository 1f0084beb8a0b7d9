//! Why a call brought no answer.

/// A call that failed. Any answer, whatever its status, is a response and no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallFault {
    /// What kind.
    pub kind: CallFaultKind,
    /// For the flow's author: names the host and the reason; never the path, the query, a header or a body.
    pub message: String,
    /// Whether any of the request may have reached the other side. If not, another try cannot repeat anything.
    pub sent: bool,
}

/// What kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFaultKind {
    /// No complete answer within the deadline.
    Timeout,
    /// The name does not resolve, or nobody takes the connection.
    Connect,
    /// No TLS, or not with whom it should be.
    Tls,
    /// The response's body is larger than the limit.
    TooLarge,
    /// The URL or its address must not be called.
    Refused,
    /// The connection broke off, or what came is not HTTP.
    Protocol,
}
