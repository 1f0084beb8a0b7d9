//! `/api/subscriptions/{subscription}/on`: an operator turns a subscription on.

use crate::answer::{json, not_delivered, not_ready};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde_json::json;
use std::sync::Arc;

pub(crate) const API_SUBSCRIPTION_ON: Endpoint = Endpoint {
    path: "/api/subscriptions/{subscription}/on",
    summary: "POST: turns a subscription on again, and tries its endpoint at once.",
    routes: || post(turn_on),
};

async fn turn_on(State(desk): State<Arc<Desk>>, Path(subscription): Path<String>) -> Response {
    let Some(engine) = desk.engine.get() else { return not_ready() };
    match engine.turn_on(&subscription).await {
        Ok(()) => json(StatusCode::OK, &json!({"subscription": subscription, "state": "on"})),
        Err(refusal) => not_delivered(&refusal),
    }
}
