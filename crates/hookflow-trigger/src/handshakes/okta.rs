//! Okta asks once, with the same fixed header as its events.

use crate::Handshake;
use crate::auth_scheme::HeadProof;
use crate::handshake::{Asks, HandshakeAnswer, HandshakeRefusal, Need, checked, in_token};
use http::{Method, StatusCode};
use serde_json::json;

pub(super) static OKTA: Handshake = Handshake {
    name: "okta",
    summary: "GET with the header `X-Okta-Verification-Challenge` and the credential's own: repeats the challenge as JSON.",
    method: Method::GET,
    needs: Need::Nothing,
    probes: false,
    asks: Asks::Head(|asked, head| {
        let Some(value) = head.headers.get("x-okta-verification-challenge") else { return Ok(None) };
        if !matches!(asked.verifier.verify_head(head), Ok(HeadProof::Complete)) {
            return Err(HandshakeRefusal::stranger(StatusCode::UNAUTHORIZED));
        }
        let text = value.to_str().map_err(|_| HandshakeRefusal::malformed())?;
        Ok(Some(HandshakeAnswer::json(&json!({"verification": checked(text, in_token)?}))))
    }),
};
