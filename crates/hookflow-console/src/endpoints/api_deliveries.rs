//! `/api/deliveries`: what went out, and what became of it.

use crate::answer::{fault_of_history, json};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const API_DELIVERIES: Endpoint = Endpoint {
    path: "/api/deliveries",
    summary: "The deliveries that are kept, newest first; `?subscription=`, `?state=`, `?event=`, `?since=` and `?until=` narrow \
              the list, `?limit=` and `?before=` page through it.",
    routes: || get(deliveries),
};

async fn deliveries(
    State(desk): State<Arc<Desk>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    match desk.history.deliveries(query, desk.clock.now()).await {
        Ok(page) => json(StatusCode::OK, &page),
        Err(fault) => fault_of_history(&fault),
    }
}
