//! Slack asks when the URL of an app's events is set.

use crate::Handshake;
use crate::handshake::{Asks, HandshakeAnswer, HandshakeRefusal, Need, body_json, checked, in_token};
use hookflow_text::Json;
use http::Method;

pub(super) static SLACK: Handshake = Handshake {
    name: "slack",
    summary: "A signed POST of the type `url_verification`: repeats its `challenge`.",
    method: Method::POST,
    needs: Need::Nothing,
    probes: false,
    asks: Asks::Signed(|_, _, body| {
        let body = body_json(body);
        if body.get("type").and_then(Json::as_str) != Some("url_verification") {
            return Ok(None);
        }
        let challenge = body.get("challenge").and_then(Json::as_str);
        let challenge = checked(challenge.ok_or_else(HandshakeRefusal::malformed)?, in_token)?;
        Ok(Some(HandshakeAnswer::text(challenge.to_owned())))
    }),
};
