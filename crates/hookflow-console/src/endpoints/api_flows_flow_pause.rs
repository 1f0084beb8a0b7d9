//! `/api/flows/{flow}/pause`: an operator's pause.

use super::api_flows::paused_by;
use crate::answer::{json, not_paused, not_ready};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde_json::json;
use std::sync::Arc;

pub(crate) const API_FLOW_PAUSE: Endpoint = Endpoint {
    path: "/api/flows/{flow}/pause",
    summary: "POST: pauses a flow until an operator has it go on, across restarts and reloads.",
    routes: || post(pause),
};

async fn pause(State(desk): State<Arc<Desk>>, Path(flow): Path<String>) -> Response {
    let Some(engine) = desk.engine.get() else { return not_ready() };
    match engine.pause(&flow).await {
        Ok(paused) => json(StatusCode::OK, &json!({"flow": flow, "paused": paused_by(paused)})),
        Err(refusal) => not_paused(&refusal),
    }
}
