//! What the endpoints under `/api/` answer in common.

use crate::HistoryFault;
use crate::problem::{problem, problem_with};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hookflow_engine::{CancelRefusal, DeliveryRefusal, Full, PauseRefusal, PublishRefusal, ReplayRefusal};
use hookflow_store::StoreError;
use hookflow_text::{Code, Json};
use serde_json::json;

pub(crate) fn json(status: StatusCode, body: &Json) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Why the history is not shown.
pub(crate) fn fault_of_history(fault: &HistoryFault) -> Response {
    match fault {
        HistoryFault::Query(why) => problem(StatusCode::BAD_REQUEST, Code("ops.query"), why),
        HistoryFault::Store(error) => store_refused(error),
    }
}

/// What the store refused.
pub(crate) fn store_refused(error: &StoreError) -> Response {
    match error {
        StoreError::UnknownRun => unknown_run(),
        StoreError::Damaged(why) => problem(StatusCode::INTERNAL_SERVER_ERROR, Code("run.unreadable"), why),
        error => {
            tracing::error!(target: "console", %error, "the store did not do what an operator asked for");
            problem(StatusCode::SERVICE_UNAVAILABLE, Code("store.unavailable"), "The store does not answer")
        }
    }
}

/// Why a run's event is not run again.
pub(crate) fn not_replayed(refusal: &ReplayRefusal) -> Response {
    let title = refusal.to_string();
    match refusal {
        ReplayRefusal::UnknownRun => unknown_run(),
        ReplayRefusal::Unfinished => problem(StatusCode::CONFLICT, Code("run.unfinished"), &title),
        ReplayRefusal::FlowGone(_) => problem(StatusCode::CONFLICT, Code("run.flow-gone"), &title),
        ReplayRefusal::Version(_) => problem(StatusCode::CONFLICT, Code("run.version"), &title),
        ReplayRefusal::UnknownStep(_) => {
            problem(StatusCode::UNPROCESSABLE_ENTITY, Code("run.unknown-step"), &title)
        }
        ReplayRefusal::Full(full) => queue_full(full, &title),
        ReplayRefusal::Store(error) => store_refused(error),
        ReplayRefusal::ShuttingDown => {
            problem(StatusCode::SERVICE_UNAVAILABLE, Code("service.draining"), &title)
        }
    }
}

/// Why a run is not cancelled.
pub(crate) fn not_cancelled(refusal: &CancelRefusal) -> Response {
    match refusal {
        CancelRefusal::UnknownRun => unknown_run(),
        CancelRefusal::Ended => {
            problem(StatusCode::CONFLICT, Code("run.has-ended"), "The run has ended already")
        }
        CancelRefusal::Store(error) => store_refused(error),
    }
}

/// Why a flow is neither paused nor goes on.
pub(crate) fn not_paused(refusal: &PauseRefusal) -> Response {
    match refusal {
        PauseRefusal::UnknownFlow => {
            problem(StatusCode::NOT_FOUND, Code("flow.unknown"), "No such flow is in force")
        }
        PauseRefusal::Store(error) => store_refused(error),
    }
}

/// Why an event is not taken.
pub(crate) fn not_published(refusal: &PublishRefusal) -> Response {
    let title = refusal.to_string();
    match refusal {
        PublishRefusal::Name(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, Code("event.name"), &title),
        PublishRefusal::Key => problem(StatusCode::BAD_REQUEST, Code("ops.query"), &title),
        PublishRefusal::TooLarge => problem(StatusCode::PAYLOAD_TOO_LARGE, Code("event.too-large"), &title),
        PublishRefusal::Store(error) => store_refused(error),
    }
}

/// Why a delivery is not made again, or a subscription not turned.
pub(crate) fn not_delivered(refusal: &DeliveryRefusal) -> Response {
    match refusal {
        DeliveryRefusal::UnknownSubscription => {
            problem(StatusCode::NOT_FOUND, Code("subscription.unknown"), "No such subscription is in force")
        }
        DeliveryRefusal::UnknownDelivery => unknown_delivery(),
        DeliveryRefusal::Store(error) => store_refused(error),
    }
}

pub(crate) fn unknown_delivery() -> Response {
    problem(StatusCode::NOT_FOUND, Code("delivery.unknown"), "No such delivery is kept")
}

/// The engine comes a little later than the listener.
pub(crate) fn not_ready() -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, Code("ops.starting"), "The service is still starting")
}

/// In whole seconds, rounded up.
pub(crate) fn retry_after(full: &Full) -> u64 {
    full.retry_after.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)
}

fn unknown_run() -> Response {
    problem(StatusCode::NOT_FOUND, Code("run.unknown"), "No such run is kept")
}

fn queue_full(full: &Full, title: &str) -> Response {
    let seconds = retry_after(full);
    let members = json!({"retry_after": seconds});
    let mut response = problem_with(StatusCode::TOO_MANY_REQUESTS, Code("queue.full"), title, members);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
