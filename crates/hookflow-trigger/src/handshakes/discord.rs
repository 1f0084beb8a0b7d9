//! Discord pings: an interaction of type 1, and a webhook event of type 0.

use crate::Handshake;
use crate::handshake::{Asks, HandshakeAnswer, Need, body_json};
use hookflow_text::Json;
use http::{Method, StatusCode};
use serde_json::json;

pub(super) static DISCORD: Handshake = Handshake {
    name: "discord",
    summary: "A signed PING: answers an interaction's with `{\"type\":1}` and a webhook event's with 204.",
    method: Method::POST,
    needs: Need::Nothing,
    probes: true,
    asks: Asks::Signed(|_, _, body| {
        let body = body_json(body);
        // A webhook event of type 1 has an event with it.
        if body.get("event").is_some_and(|event| !event.is_null()) {
            return Ok(None);
        }
        Ok(match body.get("type").and_then(Json::as_u64) {
            Some(1) => Some(HandshakeAnswer::json(&json!({"type": 1}))),
            Some(0) => Some(HandshakeAnswer::empty(StatusCode::NO_CONTENT)),
            _ => None,
        })
    }),
};
