//! monday.com asks once, in a body that nobody has signed and that holds nothing else.

use crate::Handshake;
use crate::handshake::{Asks, HandshakeAnswer, Need, body_json, checked, in_token};
use hookflow_text::Json;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::json;

pub(super) static MONDAY: Handshake = Handshake {
    name: "monday",
    summary: "An unsigned JSON body with nothing but a `challenge`: repeats it as JSON.",
    method: Method::POST,
    needs: Need::Nothing,
    probes: false,
    asks: Asks::Ping(
        |head| {
            let is_json = |value: &HeaderValue| value.as_bytes().starts_with(b"application/json");
            head.headers.get(CONTENT_TYPE).is_some_and(is_json)
        },
        |body| {
            let Json::Object(fields) = body_json(body) else { return Ok(None) };
            let Some(Json::String(challenge)) = fields.get("challenge").filter(|_| fields.len() == 1) else {
                return Ok(None);
            };
            Ok(Some(HandshakeAnswer::json(&json!({"challenge": checked(challenge, in_token)?}))))
        },
    ),
};
