//! `/api/reload`: reads the folder again.

use crate::Reloaded;
use crate::console::Desk;
use crate::endpoint::Endpoint;
use crate::problem::problem_with;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use hookflow_text::Code;
use serde_json::json;
use std::sync::Arc;

pub(crate) const API_RELOAD: Endpoint = Endpoint {
    path: "/api/reload",
    summary: "POST reads the folder again: 200 with what has changed, or 422 with the mistakes and nothing has.",
    routes: || post(reload),
};

async fn reload(State(desk): State<Arc<Desk>>) -> Response {
    match desk.in_force.reload().await {
        Reloaded::Swapped(changes) => {
            ([(header::CONTENT_TYPE, "application/json")], changes.to_string()).into_response()
        }
        Reloaded::Refused(mistakes) => problem_with(
            StatusCode::UNPROCESSABLE_ENTITY,
            Code("reload.refused"),
            "There are mistakes in the files; the former generation is in force",
            mistakes,
        ),
        Reloaded::Impossible(why) => problem_with(
            StatusCode::SERVICE_UNAVAILABLE,
            Code("reload.impossible"),
            "The files could not be put in force; the former generation is",
            json!({"detail": why}),
        ),
    }
}
