//! Adobe Acrobat Sign asks with the ID of its client, which it sends with every event too.

use crate::Handshake;
use crate::auth_scheme::HeadProof;
use crate::handshake::{Asks, HandshakeAnswer, HandshakeRefusal, Need, checked, in_token};
use http::{Method, StatusCode};
use serde_json::json;

pub(super) static ADOBE_SIGN: Handshake = Handshake {
    name: "adobe_sign",
    summary: "GET with the header `X-AdobeSign-ClientId` that is the credential's own: repeats it as JSON.",
    method: Method::GET,
    needs: Need::Nothing,
    probes: false,
    asks: Asks::Head(|asked, head| {
        let Some(value) = head.headers.get("x-adobesign-clientid") else { return Ok(None) };
        if !matches!(asked.verifier.verify_head(head), Ok(HeadProof::Complete)) {
            return Err(HandshakeRefusal::stranger(StatusCode::UNAUTHORIZED));
        }
        let text = value.to_str().map_err(|_| HandshakeRefusal::malformed())?;
        Ok(Some(HandshakeAnswer::json(&json!({"xAdobeSignClientId": checked(text, in_token)?}))))
    }),
};
