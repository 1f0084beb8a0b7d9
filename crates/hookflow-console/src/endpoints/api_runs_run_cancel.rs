//! `/api/runs/{run}/cancel`: asks a run to end.

use crate::answer::{json, not_cancelled, not_ready};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde_json::json;
use std::sync::Arc;

pub(crate) const API_RUN_CANCEL: Endpoint = Endpoint {
    path: "/api/runs/{run}/cancel",
    summary: "POST: asks a run to end; 202, and 409 when it has ended.",
    routes: || post(cancel),
};

async fn cancel(State(desk): State<Arc<Desk>>, Path(run): Path<String>) -> Response {
    let Some(engine) = desk.engine.get() else { return not_ready() };
    match engine.cancel(&run).await {
        Ok(()) => json(StatusCode::ACCEPTED, &json!({"run": run})),
        Err(refusal) => not_cancelled(&refusal),
    }
}
