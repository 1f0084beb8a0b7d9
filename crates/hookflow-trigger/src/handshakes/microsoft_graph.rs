//! Microsoft Graph asks when a subscription is made, with a whole sentence.

use crate::Handshake;
use crate::handshake::{Asks, HandshakeAnswer, Need, in_token, query};
use http::Method;

pub(super) static MICROSOFT_GRAPH: Handshake = Handshake {
    name: "microsoft_graph",
    summary: "POST with `validationToken` in the query: repeats it.",
    method: Method::POST,
    needs: Need::Nothing,
    probes: false,
    asks: Asks::Head(|_, head| {
        let in_sentence = |byte: u8| in_token(byte) || b" :,;_!()".contains(&byte);
        Ok(query(head, "validationToken", in_sentence)?.map(HandshakeAnswer::text))
    }),
};
