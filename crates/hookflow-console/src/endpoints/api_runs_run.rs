//! `/api/runs/{run}`: everything that is known of a run.

use crate::answer::{fault_of_history, json};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use crate::history::{HistoryFault, in_memory_only};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use hookflow_store::StoreError;
use hookflow_text::Json;
use std::sync::Arc;

pub(crate) const API_RUN: Endpoint = Endpoint {
    path: "/api/runs/{run}",
    summary: "A run: its request, what went in and out of each step, its answer and its end.",
    routes: || get(run),
};

async fn run(State(desk): State<Arc<Desk>>, Path(run): Path<String>) -> Response {
    match desk.history.run(&run).await {
        Ok(shown) => json(StatusCode::OK, &shown),
        Err(fault) => match in_memory(&desk, &fault, &run) {
            Some(shown) => json(StatusCode::OK, &shown),
            None => fault_of_history(&fault),
        },
    }
}

fn in_memory(desk: &Desk, fault: &HistoryFault, run: &str) -> Option<Json> {
    let is_unknown = matches!(fault, HistoryFault::Store(StoreError::UnknownRun));
    in_memory_only(desk.engine.get().filter(|_| is_unknown)?, run)
}
