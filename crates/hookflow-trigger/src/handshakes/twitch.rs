//! Twitch asks when a subscription is made.

use crate::Handshake;
use crate::handshake::{Asks, HandshakeAnswer, HandshakeRefusal, Need, body_json, checked, in_token};
use hookflow_text::Json;
use http::Method;

pub(super) static TWITCH: Handshake = Handshake {
    name: "twitch",
    summary: "A signed POST with `Twitch-Eventsub-Message-Type: webhook_callback_verification`: repeats its `challenge`.",
    method: Method::POST,
    needs: Need::Nothing,
    probes: false,
    asks: Asks::Signed(|_, head, body| {
        let kind = head.headers.get("twitch-eventsub-message-type");
        if kind.is_none_or(|kind| kind != "webhook_callback_verification") {
            return Ok(None);
        }
        let body = body_json(body);
        let challenge = body.get("challenge").and_then(Json::as_str);
        let challenge = checked(challenge.ok_or_else(HandshakeRefusal::malformed)?, in_token)?;
        Ok(Some(HandshakeAnswer::text(challenge.to_owned())))
    }),
};
