//! `/api/runs`: the runs that are kept.

use crate::answer::{fault_of_history, json};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const API_RUNS: Endpoint = Endpoint {
    path: "/api/runs",
    summary: "The runs that are kept or, of relaxed flows, remembered, newest first; `?flow=`, `?status=`, `?since=`, `?until=` and `?search=` narrow the \
              list, `?limit=` and `?before=` page through it.",
    routes: || get(runs),
};

async fn runs(State(desk): State<Arc<Desk>>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    match desk.history.runs_beside(desk.engine.get(), query, desk.clock.now()).await {
        Ok(page) => json(StatusCode::OK, &page),
        Err(fault) => fault_of_history(&fault),
    }
}
