//! `/api/flows`: the flows in force.

use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;
use std::sync::Arc;

pub(crate) const API_FLOWS: Endpoint = Endpoint {
    path: "/api/flows",
    summary: "The flows in force, each with its version and, where it has a webhook, its URL.",
    routes: || get(flows),
};

async fn flows(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    let body = json!({"items": desk.in_force.flows(), "next": null}).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body)
}
