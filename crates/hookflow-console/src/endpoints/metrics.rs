//! `/metrics`: what is counted and measured, for Prometheus.

use crate::console::Desk;
use crate::endpoint::Endpoint;
use crate::problem::problem;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hookflow_text::Code;
use prometheus_client::encoding::text;
use std::sync::Arc;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) const METRICS: Endpoint = Endpoint {
    path: "/metrics",
    summary: "What is counted and measured, as OpenMetrics text.",
    routes: || get(metrics),
};

async fn metrics(State(desk): State<Arc<Desk>>) -> Response {
    let mut body = String::new();
    match text::encode(&mut body, &desk.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], body).into_response(),
        Err(error) => {
            tracing::error!(target: "console", %error, "the metrics could not be written");
            problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code("ops.metrics"),
                "The metrics could not be written",
            )
        }
    }
}
