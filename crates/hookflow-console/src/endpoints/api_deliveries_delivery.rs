//! `/api/deliveries/{delivery}`: everything that is known of a delivery.

use crate::answer::{fault_of_history, json, unknown_delivery};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;

pub(crate) const API_DELIVERY: Endpoint = Endpoint {
    path: "/api/deliveries/{delivery}",
    summary: "A delivery: its event, what it carries, and what came of each of its tries, the latest 50.",
    routes: || get(delivery),
};

async fn delivery(State(desk): State<Arc<Desk>>, Path(delivery): Path<String>) -> Response {
    match desk.history.delivery(&delivery).await {
        Ok(Some(shown)) => json(StatusCode::OK, &shown),
        Ok(None) => unknown_delivery(),
        Err(fault) => fault_of_history(&fault),
    }
}
