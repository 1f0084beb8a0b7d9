//! `/api/rejected`: the requests that were refused at the public door lately.

use crate::console::Desk;
use crate::endpoint::Endpoint;
use crate::problem::problem;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hookflow_text::Code;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// How many are listed unless asked for more or fewer.
const USUAL: usize = 100;

pub(crate) const API_REJECTED: Endpoint = Endpoint {
    path: "/api/rejected",
    summary: "The requests that were refused lately, newest first; `?flow=` and `?limit=` narrow the list.",
    routes: || get(rejected),
};

async fn rejected(State(desk): State<Arc<Desk>>, Query(query): Query<HashMap<String, String>>) -> Response {
    let limit = query.get("limit").map_or(Ok(USUAL), |limit| limit.parse());
    let Ok(limit) = limit else {
        return problem(StatusCode::BAD_REQUEST, Code("ops.query"), "`limit` is not a number");
    };
    let items = (desk.rejected)(query.get("flow").map(String::as_str), limit);
    let body = json!({"items": items, "next": null}).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
