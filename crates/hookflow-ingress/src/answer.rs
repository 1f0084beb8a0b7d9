//! From what became of a request to the answer on the wire: [`respond`] is the one function that chooses a status.

use crate::problem::Problem;
use crate::refusal::{PATIENCE, Refusal};
use crate::request_id::{RequestId, X_REQUEST_ID};
use bytes::Bytes;
use hookflow_engine::{Conclusion, Duplicate, LiveFlow, WaitPoint};
use hookflow_flow::{Durability, Fault, FaultKind, OnTimeout, Reply};
use hookflow_text::Code;
use hookflow_trigger::HandshakeAnswer;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;

const X_RUN_ID: HeaderName = HeaderName::from_static("x-run-id");
/// Says that an accepted event need not be on disk, for its flow is relaxed.
const X_DURABILITY: HeaderName = HeaderName::from_static("x-hookflow-durability");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// What belongs to the connection or to us, so that no flow sets it.
const OURS: [HeaderName; 7] = [
    X_REQUEST_ID,
    X_RUN_ID,
    X_DURABILITY,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was not admitted.
    Refused(Refusal),
    /// It asked whether the flow is there, and it is.
    Live,
    /// It asked whether the webhook is ours, and it is.
    Handshake(HandshakeAnswer),
    /// Its event is safe and nobody waits for the run.
    Queued { run: Arc<str>, live: Arc<LiveFlow> },
    /// Its event repeats another.
    Repeated { duplicate: Duplicate, live: Arc<LiveFlow> },
    /// The run came to an answer.
    Concluded { run: Arc<str>, conclusion: Conclusion },
    /// The caller's time is over and the run, which is safe, goes on.
    Late { run: Arc<str>, on_timeout: OnTimeout },
    /// A run that waits goes on with it.
    Resumed(Arc<WaitPoint>),
}

/// An answer, and what the log and the metrics say of it.
pub(crate) struct Answer {
    pub(crate) response: Response<Bytes>,
    /// Of a no.
    pub(crate) code: Option<Code>,
}

/// Chooses the status, the headers and the body of every answer.
pub(crate) fn respond(outcome: Outcome, request_id: &RequestId) -> Answer {
    match outcome {
        Outcome::Refused(refusal) => no(&refusal.problem(), None, request_id),
        Outcome::Live => yes(StatusCode::OK, Bytes::new(), None, request_id),
        Outcome::Handshake(answer) => handshake(answer, request_id),
        Outcome::Queued { run, live } => queued(&run, &live, request_id),
        Outcome::Repeated { duplicate, live } => repeated(&duplicate, Some(&live), request_id),
        Outcome::Concluded { run, conclusion } => concluded(&run, conclusion, request_id),
        Outcome::Resumed(point) => as_written(&point.waiting.reply, &point.run, request_id),
        Outcome::Late { run, on_timeout: OnTimeout::Accept } => {
            state(StatusCode::ACCEPTED, "running", &run, request_id)
        }
        Outcome::Late { run, on_timeout: OnTimeout::Fail } => {
            let title = "The flow did not answer in time; its run goes on";
            let problem = Problem::new(StatusCode::GATEWAY_TIMEOUT, Code("flow-timeout"), title);
            no(&problem.run(&run), Some(&run), request_id)
        }
    }
}

/// Says in the answer to an event that was accepted when its flow promises less than others.
pub(crate) fn mark_durability(response: &mut Response<Bytes>, flow: Option<&LiveFlow>) {
    let is_relaxed = flow.is_some_and(|live| live.flow.durability == Durability::Relaxed);
    if is_relaxed && response.headers().contains_key(X_RUN_ID) {
        response.headers_mut().insert(X_DURABILITY, HeaderValue::from_static("relaxed"));
    }
}

/// As its sender wants it: there is no run.
fn handshake(answer: HandshakeAnswer, request_id: &RequestId) -> Answer {
    let HandshakeAnswer { status, headers, body, visit: _ } = answer;
    let mut answer = yes(status, body, None, request_id);
    answer.response.headers_mut().extend(headers);
    answer
}

fn concluded(run: &Arc<str>, conclusion: Conclusion, request_id: &RequestId) -> Answer {
    match conclusion {
        Conclusion::Reply(reply) => as_written(&reply, run, request_id),
        Conclusion::Completed => state(StatusCode::OK, "completed", run, request_id),
        Conclusion::Duplicate(duplicate) => repeated(&duplicate, None, request_id),
        Conclusion::Failed(fault) => {
            let problem = Problem::new(failure_status(&fault), Code("flow-failed"), "The flow failed");
            no(&problem.run(run), Some(run), request_id)
        }
        Conclusion::NotKept => no(&Refusal::StoreUnavailable.problem(), None, request_id),
        Conclusion::Gone => unanswered(run, request_id),
    }
}

/// The flow's `ack`, else ours.
fn queued(run: &Arc<str>, live: &LiveFlow, request_id: &RequestId) -> Answer {
    match live.flow.ack() {
        Some(ack) => as_written(ack, run, request_id),
        None => state(StatusCode::ACCEPTED, "queued", run, request_id),
    }
}

/// The first answer again; `live` is the flow when nobody waits for its runs.
fn repeated(duplicate: &Duplicate, live: Option<&LiveFlow>, request_id: &RequestId) -> Answer {
    let Duplicate { run, ended, reply } = duplicate;
    let mut answer = match (reply, live) {
        (Some(reply), _) => as_written(reply, run, request_id),
        (None, Some(live)) => queued(run, live, request_id),
        (None, None) if *ended => state(StatusCode::OK, "completed", run, request_id),
        (None, None) => return unanswered(run, request_id),
    };
    if *ended || reply.is_some() {
        answer.response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

fn unanswered(run: &Arc<str>, request_id: &RequestId) -> Answer {
    let title = "There is no answer yet";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code("run.unanswered"), title);
    no(&problem.retry_after(PATIENCE).run(run), Some(run), request_id)
}

/// `fail.status` when the flow set one that is a failure, else by whose fault it is. Never a success.
fn failure_status(fault: &Fault) -> StatusCode {
    let chosen = fault.answer.and_then(|status| StatusCode::from_u16(status).ok());
    match chosen.filter(|status| status.is_client_error() || status.is_server_error()) {
        Some(status) => status,
        None if fault.kind == FaultKind::Validation => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn as_written(reply: &Reply, run: &Arc<str>, request_id: &RequestId) -> Answer {
    let bodiless = matches!(reply.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = if bodiless { Bytes::new() } else { reply.body.clone() };
    let mut answer = yes(reply.status, body, Some(run), request_id);
    let headers = answer.response.headers_mut();
    for (name, value) in &reply.headers {
        if !OURS.contains(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    answer
}

fn state(status: StatusCode, word: &str, run: &Arc<str>, request_id: &RequestId) -> Answer {
    let body = format!(r#"{{"run_id":"{run}","status":"{word}"}}"#);
    let mut answer = yes(status, body.into(), Some(run), request_id);
    answer.response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn no(problem: &Problem, run: Option<&Arc<str>>, request_id: &RequestId) -> Answer {
    let body = if problem.bare { Bytes::new() } else { problem.to_json(request_id.as_str()).into() };
    let mut answer = yes(problem.status, body, run, request_id);
    let headers = answer.response.headers_mut();
    if !problem.bare {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    }
    if let Some(wait) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, whole_seconds(wait).into());
    }
    if let Some(allow) = problem.allow.as_ref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        headers.insert(header::ALLOW, allow);
    }
    if let Some(challenge) = problem.challenge {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if problem.closes {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer.code = Some(problem.code);
    answer
}

fn yes(status: StatusCode, body: Bytes, run: Option<&Arc<str>>, request_id: &RequestId) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, request_id.value().clone());
    if let Some(run) = run.and_then(|run| HeaderValue::from_str(run).ok()) {
        headers.insert(X_RUN_ID, run);
    }
    Answer { response, code: None }
}

/// Rounded up: who comes back too early is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests;
