//! `/api/rejected`: the requests that were refused at the public door.

use crate::answer::{fault_of_history, json};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const API_REJECTED: Endpoint = Endpoint {
    path: "/api/rejected",
    summary: "The requests that were refused, newest first; `?flow=` narrows the list, `?limit=` and `?before=` page through \
              it.",
    routes: || get(rejected),
};

async fn rejected(State(desk): State<Arc<Desk>>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    match desk.history.rejected(query).await {
        Ok(page) => json(StatusCode::OK, &page),
        Err(fault) => fault_of_history(&fault),
    }
}
