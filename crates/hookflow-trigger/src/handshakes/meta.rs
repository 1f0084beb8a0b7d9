//! Meta (Facebook, Instagram, WhatsApp) asks with the token that was chosen when the webhook was registered.

use crate::Handshake;
use crate::auth_scheme::{Carrier, is_any};
use crate::handshake::{Asks, HandshakeAnswer, HandshakeRefusal, Need, in_token, query};
use http::{Method, StatusCode};

pub(super) static META: Handshake = Handshake {
    name: "meta",
    summary: "GET with `hub.mode=subscribe`: repeats `hub.challenge` when `hub.verify_token` is the `verify_token`, else 403.",
    method: Method::GET,
    needs: Need::VerifyToken,
    probes: false,
    asks: Asks::Head(|asked, head| {
        if query(head, "hub.mode", in_token)?.as_deref() != Some("subscribe") {
            return Ok(None);
        }
        let stranger = || HandshakeRefusal::stranger(StatusCode::FORBIDDEN);
        let token = Carrier::Query("hub.verify_token".into()).read(head).map_err(|_| stranger())?;
        if !bool::from(is_any(&token, asked.verify_token())) {
            return Err(stranger());
        }
        let challenge = query(head, "hub.challenge", in_token)?.ok_or_else(HandshakeRefusal::malformed)?;
        Ok(Some(HandshakeAnswer::text(challenge)))
    }),
};
