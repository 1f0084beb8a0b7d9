//! The table of handshakes, in alphabetic order.

mod adobe_sign;
mod asana;
mod aws_sns;
mod braintree;
mod discord;
mod dropbox;
mod ebay;
mod meta;
mod microsoft_graph;
mod monday;
mod okta;
mod slack;
mod trello;
mod twitch;
mod woocommerce;
mod x;
mod xero;
mod zoom;

use crate::Handshake;

/// Every handshake.
static HANDSHAKES: &[&Handshake] = &[
    &adobe_sign::ADOBE_SIGN,
    &asana::ASANA,
    &aws_sns::AWS_SNS,
    &braintree::BRAINTREE,
    &discord::DISCORD,
    &dropbox::DROPBOX,
    &ebay::EBAY,
    &meta::META,
    &microsoft_graph::MICROSOFT_GRAPH,
    &monday::MONDAY,
    &okta::OKTA,
    &slack::SLACK,
    &trello::TRELLO,
    &twitch::TWITCH,
    &woocommerce::WOOCOMMERCE,
    &x::X,
    &xero::XERO,
    &zoom::ZOOM,
];

/// The senders that ask whether a webhook is ours.
pub fn handshakes() -> &'static [&'static Handshake] {
    HANDSHAKES
}
