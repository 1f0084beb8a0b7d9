//! X (Twitter) asks every hour, and expects the token signed with the key that signs its events.

use crate::Handshake;
use crate::encoding::to_base64;
use crate::handshake::{Asks, HandshakeAnswer, Need, in_token, query, sign};
use http::Method;
use serde_json::json;

pub(super) static X: Handshake = Handshake {
    name: "x",
    summary: "GET with `crc_token`: answers with the token signed.",
    method: Method::GET,
    needs: Need::Key,
    probes: false,
    // Without braces and quotes no token is the body of an event.
    asks: Asks::Head(|asked, head| {
        let Some(token) = query(head, "crc_token", in_token)? else { return Ok(None) };
        let signed = format!("sha256={}", to_base64(&sign(asked.key(), &token)));
        Ok(Some(HandshakeAnswer::json(&json!({"response_token": signed}))))
    }),
};
