//! Trello asks with HEAD, which the door answers for every flow that there is.

use crate::Handshake;
use crate::handshake::{Asks, HandshakeAnswer, Need};
use http::{Method, StatusCode};

pub(super) static TRELLO: Handshake = Handshake {
    name: "trello",
    summary: "HEAD: answers 200, as every flow does.",
    method: Method::HEAD,
    needs: Need::Nothing,
    probes: false,
    asks: Asks::Head(|_, _| Ok(Some(HandshakeAnswer::empty(StatusCode::OK)))),
};
