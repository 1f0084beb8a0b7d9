//! `/api/events`: sends an event to everybody who has subscribed to it.

use crate::answer::{json, not_published, not_ready};
use crate::asked::Wrong;
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use hookflow_text::Json;
use serde_json::json;
use std::sync::Arc;

/// Known again by what the caller calls it.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

pub(crate) const API_EVENTS: Endpoint = Endpoint {
    path: "/api/events",
    summary: "POST `{event, data}`: sends an event to every subscription that matches its name; 202 with its `event_id` once it is \
              kept, the same for the same `Idempotency-Key`.",
    routes: || post(publish),
};

async fn publish(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    let (name, data, key) = match read(&headers, &body) {
        Ok(read) => read,
        Err(wrong) => return wrong.into_problem(),
    };
    let Some(engine) = desk.engine.get() else { return not_ready() };
    match engine.publish(&name, &data, key).await {
        Ok(published) => json(StatusCode::ACCEPTED, &json!({"event_id": &*published.id})),
        Err(refusal) => not_published(&refusal),
    }
}

/// The data is any JSON value, so it is not read as a field.
fn read<'h>(headers: &'h HeaderMap, body: &[u8]) -> Result<(String, Json, Option<&'h str>), Wrong> {
    let wrong = |why: &str| Wrong::of(why);
    let Ok(Json::Object(mut fields)) = serde_json::from_slice(body) else {
        return Err(wrong("the body is not a JSON object"));
    };
    let Some(Json::String(name)) = fields.remove("event") else {
        return Err(wrong("`event` is missing or no text"));
    };
    let data = fields.remove("data").unwrap_or(Json::Null);
    if let Some(name) = fields.keys().next() {
        return Err(wrong(&format!("`{name}` is not known here")));
    }
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let key = keys.next().map(|key| key.to_str().map_err(|_| wrong("the `Idempotency-Key` is no text")));
    if keys.next().is_some() {
        return Err(wrong("there are two `Idempotency-Key`s"));
    }
    Ok((name, data, key.transpose()?))
}
