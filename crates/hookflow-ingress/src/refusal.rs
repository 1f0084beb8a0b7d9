//! Why the door says no to a request. A refusal is an expected answer: a value, never an error.

use crate::certificates::Unfetched;
use crate::problem::Problem;
use hookflow_engine::ResumeRefusal;
use hookflow_flow::Mismatch;
use hookflow_text::Code;
use hookflow_trigger::{BlobFault, DecodeRefusal, HandshakeRefusal, Unauthorized};
use http::StatusCode;
use std::time::Duration;

/// What a caller is told to wait when nothing better is known.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Why a request is not admitted, in the order of the guards.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The listener, or the caller's address, has as many connections as it may.
    ConnectionsFull,
    /// The head did not come in time.
    HeadTooSlow,
    /// The head is larger than it may be.
    HeadTooLarge,
    /// Two statements of the body's length, between which two servers may choose differently.
    AmbiguousLength,
    /// Not HTTP.
    Malformed,
    /// The service shuts down.
    Draining,
    /// Two headers of proxies that name different callers.
    Origin,
    /// No such flow, a disabled one, another path, or not for this address: nobody learns which.
    UnknownRoute,
    /// A method that the flow does not take; what it takes.
    Method(String),
    /// More body than this many bytes, announced or sent.
    BodyTooLarge(u64),
    /// A handshake with a wrong token, or with words that are not repeated.
    Handshake(HandshakeRefusal),
    /// No credential passes.
    Unauthorized(Unauthorized),
    /// A certificate by which a credential might pass could not be fetched.
    Unfetched(Unfetched),
    /// A sender is verified and wants to be visited, as too many already do.
    TooManyVisits,
    /// The body did not come in time.
    BodyTooSlow,
    /// The bodies that are being read take up all the room there is for them.
    MemoryFull,
    /// A body that is too large for memory could not be written away, or read back.
    Spool(BlobFault),
    /// A body that the flow does not take.
    Body(DecodeRefusal),
    /// An event that is not as the webhook expects, and where.
    Mismatch(Vec<Mismatch>),
    /// More often than the flow, or this address, may; when one more is taken.
    TooOften(Duration),
    /// No place in the flow's queue: the status that the flow chose, and when there may be one.
    QueueFull(StatusCode, Duration),
    /// The flow is paused and its caller would wait.
    Paused,
    /// The event could not be made safe.
    StoreUnavailable,
    /// The URL of a `wait` that was called before.
    ResumedAgain,
    /// The URL of a `wait` whose run, or whose time, has ended.
    ResumeOver,
    /// It is not known now who waits for this call, or it could not be kept; why.
    NotResumed(String),
}

impl From<ResumeRefusal> for Refusal {
    fn from(why: ResumeRefusal) -> Self {
        match why {
            ResumeRefusal::Unknown => Self::UnknownRoute,
            ResumeRefusal::Again => Self::ResumedAgain,
            ResumeRefusal::Over => Self::ResumeOver,
            ResumeRefusal::Unavailable(why) => Self::NotResumed(why),
        }
    }
}

impl From<Unauthorized> for Refusal {
    fn from(why: Unauthorized) -> Self {
        match why.fault() {
            Some(fault) => Self::Spool(fault.clone()),
            None => Self::Unauthorized(why),
        }
    }
}

impl From<HandshakeRefusal> for Refusal {
    fn from(why: HandshakeRefusal) -> Self {
        match why.fault() {
            Some(fault) => Self::Spool(fault.clone()),
            None => Self::Handshake(why),
        }
    }
}

impl Refusal {
    /// What the caller hears.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::ConnectionsFull => {
                unavailable(Code("connection.limit"), "Too many connections").retry_after(PATIENCE)
            }
            Self::HeadTooSlow => {
                slow(Code("request.head-timeout"), "The request's head did not arrive in time")
            }
            Self::HeadTooLarge => Problem::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                Code("request.head-too-large"),
                "The request's headers are too large or too many",
            )
            .closing(),
            Self::AmbiguousLength => {
                bad(Code("request.ambiguous-length"), "The request states its length twice").closing()
            }
            Self::Malformed => bad(Code("request.malformed"), "The request is not valid HTTP").closing(),
            Self::Draining => {
                unavailable(Code("service.draining"), "The service is shutting down").retry_after(PATIENCE)
            }
            Self::Origin => bad(Code("request.origin"), "Two headers name different callers")
                .detail("X-Forwarded-For and Forwarded disagree".into()),
            Self::UnknownRoute => {
                Problem::new(StatusCode::NOT_FOUND, Code("route.unknown"), "There is nothing here")
            }
            Self::Method(allow) => Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                Code("route.method"),
                "The method is not taken here",
            )
            .allow(allow.clone()),
            Self::BodyTooLarge(limit) => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code("body.too-large"), "The body is too large")
                    .detail(at_most(*limit))
                    .closing()
            }
            Self::Handshake(why) => {
                Problem::new(why.status, Code("handshake.refused"), "The handshake is not answered")
            }
            Self::Unauthorized(why) => unauthorized(why),
            Self::Unfetched(why) => {
                let title = "The sender's certificate could not be fetched";
                unavailable(Code("auth.certificate-unavailable"), title).retry_after(why.retry_after)
            }
            Self::TooManyVisits => {
                unavailable(Code("handshake.busy"), "Too many subscriptions are being confirmed")
                    .retry_after(PATIENCE)
            }
            Self::BodyTooSlow => slow(Code("body.timeout"), "The body did not arrive in time"),
            Self::MemoryFull => memory_full(),
            Self::Spool(_) => not_stored(),
            Self::Body(why) => undecodable(why),
            Self::Mismatch(mismatches) => mismatched(mismatches),
            Self::TooOften(retry_after) => too_often(*retry_after),
            Self::QueueFull(status, retry_after) => {
                Problem::new(*status, Code("queue.full"), "The queue is full").retry_after(*retry_after)
            }
            Self::Paused => unavailable(Code("flow.paused"), "The flow is paused").retry_after(PATIENCE),
            Self::ResumedAgain => {
                Problem::new(StatusCode::CONFLICT, Code("resume.again"), "This was called before")
            }
            Self::ResumeOver => {
                Problem::new(StatusCode::GONE, Code("resume.over"), "Nobody waits for this any more")
            }
            Self::StoreUnavailable | Self::NotResumed(_) => {
                unavailable(Code("store.unavailable"), "The event could not be stored").retry_after(PATIENCE)
            }
        }
    }

    /// What only the operator may read.
    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::Unauthorized(why) => Some(why.reason()),
            Self::Unfetched(why) => Some(why.why.clone()),
            Self::Handshake(why) => Some(why.to_string()),
            Self::NotResumed(why) => Some(why.clone()),
            Self::BodyTooLarge(limit) => Some(at_most(*limit)),
            Self::Spool(fault) => Some(fault.to_string()),
            Self::Body(DecodeRefusal::Malformed { message, line: Some(line), column: Some(column) }) => {
                Some(format!("line {line}, column {column}: {message}"))
            }
            Self::Body(why) => Some(why.to_string()),
            Self::Mismatch(mismatches) => {
                Some(mismatches.iter().map(|found| found.at.as_str()).collect::<Vec<_>>().join(", "))
            }
            _ => None,
        }
    }
}

fn unauthorized(why: &Unauthorized) -> Problem {
    let title = "The request is not authenticated";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, why.code(), title);
    let problem = if why.is_bare() { problem.bare() } else { problem };
    match why.challenge() {
        Some(challenge) => problem.challenge(challenge),
        None => problem,
    }
}

fn at_most(limit: u64) -> String {
    format!("at most {limit} bytes are taken")
}

fn bad(code: Code, title: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, title)
}

fn slow(code: Code, title: &'static str) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, code, title).closing()
}

fn mismatched(mismatches: &[Mismatch]) -> Problem {
    let title = "The request is not as expected here";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code("expects.mismatch"), title)
        .errors(mismatches.iter().map(|found| (found.at.clone(), found.expected.clone())).collect())
}

fn too_often(retry_after: Duration) -> Problem {
    let title = "Requests come too often";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, Code("rate.limited"), title).retry_after(retry_after)
}

fn unavailable(code: Code, title: &'static str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, title)
}

fn memory_full() -> Problem {
    unavailable(Code("service.memory"), "Too many bodies are being read").retry_after(PATIENCE).closing()
}

fn not_stored() -> Problem {
    unavailable(Code("store.blobs"), "The body could not be stored").retry_after(PATIENCE).closing()
}

fn undecodable(why: &DecodeRefusal) -> Problem {
    let unsupported = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    match why {
        DecodeRefusal::MediaType { .. } => {
            Problem::new(unsupported, why.code(), "The body's media type is not taken")
                .detail(why.to_string())
        }
        DecodeRefusal::Encoding { .. } => {
            Problem::new(unsupported, why.code(), "The body's content encoding is not taken")
                .detail(why.to_string())
        }
        DecodeRefusal::Malformed { line, column, .. } => {
            bad(why.code(), "The body cannot be read").detail(why.to_string()).position(*line, *column)
        }
        DecodeRefusal::TooLarge { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, why.code(), "The body is too large")
                .detail(why.to_string())
        }
        DecodeRefusal::TooDeep { .. } => bad(why.code(), "The body cannot be read").detail(why.to_string()),
        DecodeRefusal::NoRoom => memory_full(),
        DecodeRefusal::Blob(_) => not_stored(),
    }
}
