//! `/version`: which build this is.

use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;
use std::sync::Arc;

pub(crate) const VERSION: Endpoint = Endpoint {
    path: "/version",
    summary: "The name and the version of this build.",
    routes: || get(version),
};

async fn version(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    let body = json!({"name": "hookflow", "version": desk.version}).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body)
}
