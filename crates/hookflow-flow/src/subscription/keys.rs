//! What stands in the file of a subscription.

use super::{FORM, JSON, METHODS, SIGNATURES, Subscription};
use hookflow_text::{Key, MapSchema, Schema};
use std::borrow::Cow;

/// A subscription's file.
pub static SUBSCRIPTION: MapSchema = MapSchema {
    name: "subscription",
    about: "Whom outgoing events are sent to, and which.",
    keys: Cow::Borrowed(&[
        Key::must("subscription", Schema::Like("^[A-Za-z_][A-Za-z0-9_]*$"), "its name"),
        Key::may("title", Schema::Text, "what people call it"),
        Key::must("callback_url", Schema::Like("^https?://"), "where its events are sent"),
        Key::may("method", Schema::Word(METHODS), "the method of a delivery (POST)"),
        Key::may(
            "content_type",
            Schema::Word(&[JSON, FORM]),
            "how the body of a delivery is written (application/json)",
        ),
        Key::may(
            "max_attempts",
            Schema::Integer(1, Subscription::MOST_TRIES),
            "how often a delivery is tried in all (5)",
        ),
        Key::may("enabled", Schema::Bool, "whether events are sent (true)"),
        Key::may(
            "secrets",
            Schema::List(&Schema::SECRET),
            "what deliveries are signed with; several while one is being replaced (they are not signed)",
        ),
        Key::may(
            "signature",
            Schema::Word(SIGNATURES),
            "how they are signed: `X-Signature` with the HMAC-SHA256 of the body in hex, Standard Webhooks, or both (x-signature)",
        ),
        Key::must(
            "events",
            Schema::List(&Schema::Like("")),
            "the names of the events; `*` matches the rest of one, as in `invoice.*`",
        ),
    ]),
    rules: &[],
};
