//! Braintree asks with 20 to 32 hex digits in the query, and expects them signed under the key's name.

use crate::Handshake;
use crate::encoding::to_hex;
use crate::handshake::{Asks, HandshakeAnswer, HandshakeRefusal, Need, query};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use sha1::Sha1;

pub(super) static BRAINTREE: Handshake = Handshake {
    name: "braintree",
    summary: "GET with `bt_challenge`: answers with the challenge signed, behind the `public_key` that Braintree shows.",
    method: Method::GET,
    needs: Need::NamedKey,
    probes: false,
    asks: Asks::Head(|asked, head| {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let Some(challenge) = query(head, "bt_challenge", hex)? else { return Ok(None) };
        // An event is longer than that, so no answer is an event's signature.
        if !(20..=32).contains(&challenge.len()) {
            return Err(HandshakeRefusal::malformed());
        }
        let signed = Hmac::<Sha1>::new_from_slice(asked.key())
            .map(|mac| to_hex(&mac.chain_update(&challenge).finalize().into_bytes()))
            .unwrap_or_default();
        Ok(Some(HandshakeAnswer::text(format!("{}|{signed}", asked.key_name()))))
    }),
};
