//! Dropbox asks once, when a webhook is registered.

use crate::Handshake;
use crate::handshake::{Asks, HandshakeAnswer, Need, in_token, query};
use http::Method;

pub(super) static DROPBOX: Handshake = Handshake {
    name: "dropbox",
    summary: "GET with `challenge`: repeats it.",
    method: Method::GET,
    needs: Need::Nothing,
    probes: false,
    asks: Asks::Head(|_, head| Ok(query(head, "challenge", in_token)?.map(HandshakeAnswer::text))),
};
