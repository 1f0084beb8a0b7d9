//! What stands in the file of a subscription.

use hookflow_text::{Key, MapSchema, Schema};
use std::borrow::Cow;

pub(super) static SUBSCRIPTION: MapSchema = MapSchema {
    name: "subscription",
    about: "Whom outgoing events are sent to, and which.",
    keys: Cow::Borrowed(&[
        Key::must("subscription", Schema::Like("^[A-Za-z_][A-Za-z0-9_]*$"), "its name"),
        Key::may("title", Schema::Text, "what people call it"),
        Key::must("callback_url", Schema::Like("^https?://"), "where its events are sent"),
        Key::may("method", Schema::Word(&["PATCH", "POST", "PUT"]), "the method of a delivery (POST)"),
        Key::may(
            "content_type",
            Schema::Word(&["application/json", "application/x-www-form-urlencoded"]),
            "how the body of a delivery is written (application/json)",
        ),
        Key::may("max_attempts", Schema::Integer(1, 100), "how often a delivery is tried in all (5)"),
        Key::may("enabled", Schema::Bool, "whether events are sent (true)"),
        Key::may(
            "secrets",
            Schema::List(&Schema::SECRET),
            "what deliveries are signed with; several while one is being replaced (they are not signed)",
        ),
        Key::may(
            "signature",
            Schema::Word(&["both", "standard-webhooks", "x-signature"]),
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
