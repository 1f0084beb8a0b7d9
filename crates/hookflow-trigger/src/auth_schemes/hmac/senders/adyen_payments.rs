//! Adyen's payment notifications: a batch of items, each of which holds the signature of eight of its own fields.
//! Every item must be right, and nothing but the eight fields is signed.

use super::super::algorithm::{Algorithm, Encoding, KeyRule};
use super::Sender;
use crate::auth_scheme::{CannotSign, HeadProof, Reason, ReplayId, Secrets, Verifier, read_json};
use crate::{Fetched, Head, Preset};
use hookflow_text::{Diagnostics, Fields, Json, Secret};
use jiff::Timestamp;
use subtle::{Choice, ConstantTimeEq as _};

pub(super) static SENDER: Sender = Sender { preset: "adyen_payments", load };

/// The signed fields, in order.
const SIGNED: [&str; 8] = [
    "/pspReference",
    "/originalReference",
    "/merchantAccountCode",
    MERCHANT_REFERENCE,
    "/amount/value",
    "/amount/currency",
    "/eventCode",
    "/success",
];
/// The one field of which somebody else chooses the words.
const MERCHANT_REFERENCE: &str = "/merchantReference";

#[derive(Debug)]
struct AdyenPayments {
    preset: &'static Preset,
    keys: Vec<Secret>,
}

fn load(
    preset: &'static Preset,
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    let rule = KeyRule::decoded(Encoding::Hex);
    let loaded = secrets.any(fields, "secret", "secrets", diagnostics)?;
    let keys: Vec<_> =
        loaded.into_iter().map(|(node, secret)| rule.make(&secret, &node, diagnostics)).collect();
    Some(Box::new(AdyenPayments { preset, keys: keys.into_iter().collect::<Option<_>>()? }))
}

impl AdyenPayments {
    fn fits(&self, item: &Json) -> Result<Choice, Reason> {
        let received = match item.pointer("/additionalData/hmacSignature") {
            Some(Json::String(text)) => {
                Encoding::Base64.decode(text).ok_or_else(|| Reason::Unreadable("the signature".into()))?
            }
            _ => return Err(Reason::Missing("the `hmacSignature` of an item".into())),
        };
        let content = content(item)?;
        Ok(self.keys.iter().fold(Choice::from(0), |fits, key| {
            let mut digester = Algorithm::HmacSha256.begin(key.expose());
            digester.update(content.as_bytes());
            fits | received.ct_eq(&digester.finish())
        }))
    }
}

/// The eight fields with colons between them. With a colon in any but one of them, two items could share a signature.
fn content(item: &Json) -> Result<String, Reason> {
    let mut values = Vec::with_capacity(SIGNED.len());
    for pointer in SIGNED {
        let value = match item.pointer(pointer) {
            None | Some(Json::Null) => String::new(),
            Some(Json::String(text)) => text.clone(),
            Some(Json::Number(number)) => number.to_string(),
            Some(Json::Bool(truth)) => truth.to_string(),
            Some(_) => return Err(unexpected(pointer)),
        };
        if value.contains(':') && pointer != MERCHANT_REFERENCE {
            return Err(unexpected(pointer));
        }
        values.push(value);
    }
    Ok(values.join(":"))
}

fn unexpected(pointer: &str) -> Reason {
    Reason::Unexpected(format!("`{}` of an item", pointer.trim_start_matches('/')))
}

impl Verifier for AdyenPayments {
    fn verify_head(&self, _: &Head) -> Result<HeadProof, Reason> {
        Ok(HeadProof::NeedsBody)
    }

    fn verify_body(
        &self,
        _: &Head,
        body: &[u8],
        _: Timestamp,
        _: &Fetched,
    ) -> Result<Option<ReplayId>, Reason> {
        let body = read_json(body)?;
        let missing = || Reason::Missing("an item of `notificationItems`".into());
        let items = body.get("notificationItems").and_then(Json::as_array).ok_or_else(missing)?;
        if items.is_empty() {
            return Err(missing());
        }
        for item in items {
            let item = item.get("NotificationRequestItem").ok_or_else(missing)?;
            if !bool::from(self.fits(item)?) {
                return Err(Reason::Mismatch);
            }
        }
        Ok(None)
    }

    fn sign(&self, _: &mut Head, _: &[u8], _: Timestamp) -> Result<(), CannotSign> {
        Err(CannotSign("the signatures stand in the body, which signing does not change".into()))
    }

    fn preset(&self) -> Option<&'static Preset> {
        Some(self.preset)
    }
}
