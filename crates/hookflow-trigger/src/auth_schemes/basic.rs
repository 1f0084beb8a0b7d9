//! A user name and a password (RFC 7617).

use crate::auth_scheme::{AuthScheme, CannotSign, Carrier, HeadProof, Reason, ReplayId, Secrets, Verifier};
use crate::headers::only_text;
use crate::{Fetched, Head, encoding};
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Schema, Secret};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use subtle::ConstantTimeEq as _;

pub(super) static BASIC: AuthScheme = AuthScheme {
    name: "basic",
    summary: "A user name and a password in the `Authorization` header.",
    example: "{type: basic, username: acme, password: {env: PARTNER_PASSWORD}}",
    ways: &[MapSchema {
        name: "basic",
        about: "A user name and a password.",
        keys: Cow::Borrowed(&[
            Key::must("username", Schema::Text, "the name, without a `:`"),
            Key::must("password", Schema::SECRET, "the password"),
        ]),
        rules: &[],
    }],
    load,
};

#[derive(Debug)]
struct Basic {
    username: String,
    password: Secret,
}

fn load(
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    let username = fields.require("username", diagnostics);
    let password = fields.require("password", diagnostics);
    let password = password.and_then(|node| secrets.one(node, diagnostics));
    let node = username?;
    let username = node.as_str(diagnostics)?;
    if username.contains(':') {
        diagnostics.error(Code("auth.username"), &node.span, "a user name has no `:`, which ends it");
        return None;
    }
    Some(Box::new(Basic { username: username.to_owned(), password: password? }))
}

impl Verifier for Basic {
    fn verify_head(&self, head: &Head) -> Result<HeadProof, Reason> {
        let text =
            only_text(&head.headers, &AUTHORIZATION).map_err(|why| Reason::header(&why, &AUTHORIZATION))?;
        let unreadable = || Reason::Unreadable("the header `authorization`".into());
        let (scheme, encoded) = text.split_once(' ').ok_or_else(unreadable)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(Reason::Unexpected("the scheme of the header `authorization`".into()));
        }
        let presented = encoding::base64(encoded.trim()).ok_or_else(unreadable)?;
        // Digests have one length, so neither the length of a password nor how far it agrees shows in the time.
        let expected =
            Sha256::new().chain_update(&self.username).chain_update(":").chain_update(self.password.expose());
        if expected.finalize().ct_eq(&Sha256::digest(presented)).into() {
            Ok(HeadProof::Complete)
        } else {
            Err(Reason::Mismatch)
        }
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
        let pair = [self.username.as_bytes(), b":", self.password.expose()].concat();
        let mut value = HeaderValue::try_from(format!("Basic {}", encoding::to_base64(&pair)))
            .map_err(|_| CannotSign("the password cannot stand in a header".into()))?;
        value.set_sensitive(true);
        head.headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    fn carriers(&self) -> &[Carrier] {
        const CARRIERS: &[Carrier] = &[Carrier::Header(AUTHORIZATION)];
        CARRIERS
    }

    fn challenge(&self) -> Option<&'static str> {
        Some("Basic realm=\"webhook\", charset=\"UTF-8\"")
    }
}
