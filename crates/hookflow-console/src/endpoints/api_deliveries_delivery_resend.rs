//! `/api/deliveries/{delivery}/resend`: has a delivery made again.

use crate::answer::{json, not_delivered, not_ready};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde_json::json;
use std::sync::Arc;

pub(crate) const API_DELIVERY_RESEND: Endpoint = Endpoint {
    path: "/api/deliveries/{delivery}/resend",
    summary: "POST: has a delivery made again under its ID, with all its attempts; 202.",
    routes: || post(resend),
};

async fn resend(State(desk): State<Arc<Desk>>, Path(delivery): Path<String>) -> Response {
    let Some(engine) = desk.engine.get() else { return not_ready() };
    match engine.resend(&delivery).await {
        Ok(()) => json(StatusCode::ACCEPTED, &json!({"delivery": delivery, "state": "pending"})),
        Err(refusal) => not_delivered(&refusal),
    }
}
