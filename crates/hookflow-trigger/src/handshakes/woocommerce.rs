//! WooCommerce sends an unsigned form when a webhook is saved, and keeps the webhook pending unless it hears 200.

use crate::Handshake;
use crate::handshake::{Asks, HandshakeAnswer, Need};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};

/// As long as a number of 64 bits gets.
const LONGEST_NUMBER: usize = 20;

pub(super) static WOOCOMMERCE: Handshake = Handshake {
    name: "woocommerce",
    summary: "The unsigned form `webhook_id=…` that WooCommerce posts when a webhook is saved: answers 200.",
    method: Method::POST,
    needs: Need::Nothing,
    probes: false,
    asks: Asks::Ping(
        |head| {
            let form = |value: &http::HeaderValue| {
                value.as_bytes().starts_with(b"application/x-www-form-urlencoded")
            };
            let signed = head.headers.contains_key("x-wc-webhook-signature");
            !signed && head.headers.get(CONTENT_TYPE).is_some_and(form)
        },
        |body| {
            let number = body.strip_prefix(b"webhook_id=").unwrap_or_default();
            let asks = (1..=LONGEST_NUMBER).contains(&number.len()) && number.iter().all(u8::is_ascii_digit);
            Ok(asks.then(|| HandshakeAnswer::empty(StatusCode::OK)))
        },
    ),
};
