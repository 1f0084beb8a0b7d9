//! `/api/attempts/{attempt}`: all that is kept of a try of a call.

use crate::answer::{fault_of_history, json};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use crate::problem::problem;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use hookflow_text::Code;
use std::sync::Arc;

pub(crate) const API_ATTEMPT: Endpoint = Endpoint {
    path: "/api/attempts/{attempt}",
    summary: "A try of a call, with all that is kept of large bodies: up to 1 MiB of each.",
    routes: || get(attempt),
};

async fn attempt(State(desk): State<Arc<Desk>>, Path(attempt): Path<String>) -> Response {
    match desk.history.attempt(&attempt).await {
        Ok(Some(shown)) => json(StatusCode::OK, &shown),
        Ok(None) => problem(StatusCode::NOT_FOUND, Code("attempt.unknown"), "No such attempt is kept"),
        Err(fault) => fault_of_history(&fault),
    }
}
