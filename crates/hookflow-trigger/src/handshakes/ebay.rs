//! eBay asks with a code, and wants to see that we know the token that was entered there, and our own URL.

use crate::Handshake;
use crate::encoding::to_hex;
use crate::handshake::{Asks, HandshakeAnswer, Need, query};
use hookflow_text::Secret;
use http::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};

pub(super) static EBAY: Handshake = Handshake {
    name: "ebay",
    summary: "GET with `challenge_code`: answers with the SHA-256 of the code, the `verify_token` and the URL, in hex.",
    method: Method::GET,
    needs: Need::VerifyToken,
    probes: false,
    asks: Asks::Head(|asked, head| {
        let in_code = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let Some(code) = query(head, "challenge_code", in_code)? else { return Ok(None) };
        let token = asked.verify_token().first().map_or(&[][..], Secret::expose);
        let base_url = head.base_url.trim_end_matches('/');
        let parts = [code.as_bytes(), token, base_url.as_bytes(), head.path.as_bytes()];
        let digest = to_hex(&Sha256::digest(parts.concat()));
        Ok(Some(HandshakeAnswer::json(&json!({"challengeResponse": digest}))))
    }),
};
