//! Zoom asks when an endpoint is saved and every 72 hours, and expects its token signed.

use crate::Handshake;
use crate::encoding::to_hex;
use crate::handshake::{Asks, HandshakeAnswer, HandshakeRefusal, Need, body_json, checked, in_token, sign};
use hookflow_text::Json;
use http::Method;
use serde_json::json;

pub(super) static ZOOM: Handshake = Handshake {
    name: "zoom",
    summary: "A signed POST of the event `endpoint.url_validation`: answers with its `plainToken` and that signed.",
    method: Method::POST,
    needs: Need::Key,
    probes: false,
    // What is signed of an event begins with `v0:`, so without a colon no token is an event.
    asks: Asks::Signed(|asked, _, body| {
        let body = body_json(body);
        if body.get("event").and_then(Json::as_str) != Some("endpoint.url_validation") {
            return Ok(None);
        }
        let token = body.pointer("/payload/plainToken").and_then(Json::as_str);
        let token = checked(token.ok_or_else(HandshakeRefusal::malformed)?, in_token)?;
        let signed = to_hex(&sign(asked.key(), token));
        Ok(Some(HandshakeAnswer::json(&json!({"encryptedToken": signed, "plainToken": token}))))
    }),
};
