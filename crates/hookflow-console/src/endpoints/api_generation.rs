//! `/api/generation`: what is in force besides the flows, and what became of the last reload.

use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;

pub(crate) const API_GENERATION: Endpoint = Endpoint {
    path: "/api/generation",
    summary: "The generation in force: its number, credentials and settings, and why the last reload was refused.",
    routes: || get(generation),
};

async fn generation(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], desk.in_force.generation().to_string())
}
