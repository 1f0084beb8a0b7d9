//! The body of every no: `application/problem+json` (RFC 9457).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hookflow_text::Code;
use serde_json::json;

/// Where each code has its page.
const PAGES: &str = "https://hookflow.dev/errors/";

pub(crate) fn problem(status: StatusCode, code: Code, title: &str) -> Response {
    let body = json!({
        "type": format!("{PAGES}{code}"),
        "title": title,
        "status": status.as_u16(),
        "code": code.0,
    });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
