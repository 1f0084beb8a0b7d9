//! Xero's "intent to receive": requests without events, signed rightly and wrongly, that want 200 and 401.

use crate::Handshake;
use crate::handshake::{Asks, HandshakeAnswer, Need, body_json};
use hookflow_text::Json;
use http::{Method, StatusCode};

pub(super) static XERO: Handshake = Handshake {
    name: "xero",
    summary: "A signed POST without events: answers 200 without a body.",
    method: Method::POST,
    needs: Need::Nothing,
    probes: true,
    asks: Asks::Signed(|_, _, body| {
        let body = body_json(body);
        let empty = body.get("events").and_then(Json::as_array).is_some_and(Vec::is_empty);
        Ok(empty.then(|| HandshakeAnswer::empty(StatusCode::OK)))
    }),
};
