//! The body of every no: `application/problem+json` (RFC 9457).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hookflow_text::{Code, Json};
use serde_json::json;

/// Where each code has its page.
const PAGES: &str = "https://hookflow.dev/errors/";

pub(crate) fn problem(status: StatusCode, code: Code, title: &str) -> Response {
    problem_with(status, code, title, Json::Null)
}

/// With the members of an object beside those that every problem has.
pub(crate) fn problem_with(status: StatusCode, code: Code, title: &str, members: Json) -> Response {
    let mut body = json!({
        "type": format!("{PAGES}{code}"),
        "title": title,
        "status": status.as_u16(),
        "code": code.0,
    });
    if let (Json::Object(body), Json::Object(members)) = (&mut body, members) {
        body.extend(members);
    }
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
