//! `/api/subscriptions/{subscription}/off`: an operator turns a subscription off.

use crate::answer::{json, not_delivered, not_ready};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde_json::json;
use std::sync::Arc;

pub(crate) const API_SUBSCRIPTION_OFF: Endpoint = Endpoint {
    path: "/api/subscriptions/{subscription}/off",
    summary: "POST: turns a subscription off, across restarts and reloads; what is emitted for it is kept and waits.",
    routes: || post(turn_off),
};

async fn turn_off(State(desk): State<Arc<Desk>>, Path(subscription): Path<String>) -> Response {
    let Some(engine) = desk.engine.get() else { return not_ready() };
    match engine.turn_off(&subscription).await {
        Ok(()) => json(StatusCode::OK, &json!({"subscription": subscription, "state": "off"})),
        Err(refusal) => not_delivered(&refusal),
    }
}
