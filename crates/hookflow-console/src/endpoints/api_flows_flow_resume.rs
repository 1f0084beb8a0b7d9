//! `/api/flows/{flow}/resume`: the end of an operator's pause.

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

pub(crate) const API_FLOW_RESUME: Endpoint = Endpoint {
    path: "/api/flows/{flow}/resume",
    summary: "POST: ends an operator's pause, and what was held starts; `paused` is `file` when the flow's file still pauses it.",
    routes: || post(resume),
};

async fn resume(State(desk): State<Arc<Desk>>, Path(flow): Path<String>) -> Response {
    let Some(engine) = desk.engine.get() else { return not_ready() };
    match engine.go_on(&flow).await {
        Ok(paused) => json(StatusCode::OK, &json!({"flow": flow, "paused": paused_by(paused)})),
        Err(refusal) => not_paused(&refusal),
    }
}
