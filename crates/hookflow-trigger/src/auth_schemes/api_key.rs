//! A key in a header or in the query.

use crate::auth_scheme::{
    AuthScheme, CannotSign, Carrier, HeadProof, Reason, ReplayId, Secrets, Verifier, is_any,
};
use crate::headers::load_name;
use crate::{Fetched, Head};
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Rule, Schema, Secret};
use jiff::Timestamp;
use std::borrow::Cow;

pub(super) static API_KEY: AuthScheme = AuthScheme {
    name: "api_key",
    summary: "A key in a header, or in a field of the query; several keys while one is being replaced.",
    example: "{type: api_key, header: X-Api-Key, keys: [{env: KEY}, {env: OLD_KEY}]}",
    ways: &[MapSchema {
        name: "api-key",
        about: "A key in a header or in the query.",
        keys: Cow::Borrowed(&[
            Key::may("header", Schema::Like(""), "the header that holds the key"),
            Key::may("query", Schema::Text, "the field of the query that holds the key"),
            Key::may("key", Schema::SECRET, "the key"),
            Key::may(
                "keys",
                Schema::List(&Schema::SECRET),
                "several keys, any of which may match, while one is being replaced",
            ),
        ]),
        rules: &[Rule::One(&["header", "query"]), Rule::One(&["key", "keys"])],
    }],
    load,
};

#[derive(Debug)]
struct ApiKey {
    /// One: where the key travels.
    carriers: [Carrier; 1],
    keys: Vec<Secret>,
}

fn load(
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    let header = fields.take("header");
    let query = fields.take("query");
    let keys = secrets.any(fields, "key", "keys", diagnostics);
    let carrier = match (header, query) {
        (Some(node), None) => Carrier::Header(load_name(node, diagnostics)?),
        (None, Some(node)) => Carrier::Query(node.as_str(diagnostics)?.to_owned()),
        _ => {
            diagnostics
                .error(Code("auth.api-key-place"), fields.span(), "an API key has one place")
                .help("write either `header: X-Api-Key` or `query: api_key`");
            return None;
        }
    };
    let keys = keys?.into_iter().map(|(_, key)| key).collect();
    Some(Box::new(ApiKey { carriers: [carrier], keys }))
}

impl Verifier for ApiKey {
    fn verify_head(&self, head: &Head) -> Result<HeadProof, Reason> {
        let [carrier] = &self.carriers;
        let presented = carrier.read(head)?;
        if is_any(&presented, &self.keys).into() { Ok(HeadProof::Complete) } else { Err(Reason::Mismatch) }
    }

    fn verify_body(
        &self,
        head: &Head,
        _: &[u8],
        _: Timestamp,
        _: &Fetched,
    ) -> Result<Option<ReplayId>, Reason> {
        self.verify_head(head).map(|_| None)
    }

    fn sign(&self, head: &mut Head, _: &[u8], _: Timestamp) -> Result<(), CannotSign> {
        let [carrier] = &self.carriers;
        carrier.write(head, self.keys.first().map_or(&[][..], Secret::expose))
    }

    fn carriers(&self) -> &[Carrier] {
        &self.carriers
    }
}
