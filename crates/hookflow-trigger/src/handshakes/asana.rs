//! Asana sends the secret that it is going to sign with, in a request that nobody has signed. It is repeated and not
//! believed: the secret that counts is the credential's, as Asana's API shows it to whoever made the webhook.

use crate::Handshake;
use crate::handshake::{Asks, HandshakeAnswer, HandshakeRefusal, Need, checked, in_token};
use http::{HeaderName, Method, StatusCode};

const SECRET: HeaderName = HeaderName::from_static("x-hook-secret");

pub(super) static ASANA: Handshake = Handshake {
    name: "asana",
    summary: "An unsigned POST with the header `X-Hook-Secret`: repeats the header.",
    method: Method::POST,
    needs: Need::Nothing,
    probes: false,
    asks: Asks::Head(|_, head| {
        let Some(value) = head.headers.get(SECRET) else { return Ok(None) };
        let sound = value.to_str().is_ok_and(|text| checked(text, in_token).is_ok());
        if !sound || head.headers.get_all(SECRET).iter().count() > 1 {
            return Err(HandshakeRefusal::malformed());
        }
        let mut answer = HandshakeAnswer::empty(StatusCode::OK);
        answer.headers.insert(SECRET, value.clone());
        Ok(Some(answer))
    }),
};
