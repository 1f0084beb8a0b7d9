//! A key in a header or in the query.

use crate::auth_scheme::{AuthScheme, CannotSign, Carrier, HeadProof, Reason, ReplayId, Secrets, Verifier};
use crate::headers::{load_name, only_text};
use crate::{Head, properties};
use hookflow_text::{Code, Diagnostics, Fields, Secret};
use http::HeaderValue;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use subtle::{Choice, ConstantTimeEq as _};

pub(super) static API_KEY: AuthScheme = AuthScheme {
    name: "api_key",
    summary: "A key in a header, or in a field of the query; several keys while one is being replaced.",
    example: "{type: api_key, header: X-Api-Key, keys: [{env: KEY}, {env: OLD_KEY}]}",
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

impl ApiKey {
    fn presented<'h>(&self, head: &'h Head) -> Result<Cow<'h, [u8]>, Reason> {
        let [carrier] = &self.carriers;
        match carrier {
            Carrier::Header(name) => only_text(&head.headers, name)
                .map(|text| Cow::Borrowed(text.as_bytes()))
                .map_err(|why| Reason::header(&why, name)),
            Carrier::Query(name) => {
                let what = || format!("the query's `{name}`");
                let query = head.query.as_deref().unwrap_or_default().as_bytes();
                let mut values = properties::pairs(query).filter(|(key, _)| **key == *name.as_bytes());
                let (_, value) = values.next().ok_or_else(|| Reason::Missing(what()))?;
                if values.next().is_some() { Err(Reason::Repeated(what())) } else { Ok(value) }
            }
        }
    }
}

impl Verifier for ApiKey {
    fn verify_head(&self, head: &Head) -> Result<HeadProof, Reason> {
        // Digests have one length, so neither the length of a key nor how far it agrees shows in the time.
        let presented = Sha256::digest(self.presented(head)?);
        let fits = self
            .keys
            .iter()
            .fold(Choice::from(0), |fits, key| fits | Sha256::digest(key.expose()).ct_eq(&presented));
        if fits.into() { Ok(HeadProof::Complete) } else { Err(Reason::Mismatch) }
    }

    fn verify_body(&self, head: &Head, _: &[u8], _: Timestamp) -> Result<Option<ReplayId>, Reason> {
        self.verify_head(head).map(|_| None)
    }

    fn sign(&self, head: &mut Head, _: &[u8], _: Timestamp) -> Result<(), CannotSign> {
        let key = self.keys.first().map_or(&[][..], Secret::expose);
        let [carrier] = &self.carriers;
        match carrier {
            Carrier::Header(name) => {
                let mut value = HeaderValue::from_bytes(key)
                    .map_err(|_| CannotSign("the key cannot stand in a header".into()))?;
                value.set_sensitive(true);
                head.headers.insert(name, value);
            }
            Carrier::Query(name) => {
                let mut pairs = form_urlencoded::Serializer::new(head.query.take().unwrap_or_default());
                let key = std::str::from_utf8(key).map_err(|_| CannotSign("the key is not text".into()))?;
                head.query = Some(pairs.append_pair(name, key).finish());
            }
        }
        Ok(())
    }

    fn carriers(&self) -> &[Carrier] {
        &self.carriers
    }
}
