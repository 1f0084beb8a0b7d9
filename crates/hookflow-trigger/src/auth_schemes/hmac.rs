//! Signatures: the one declarative scheme that nearly every sender's way of signing is a case of.
//!
//! A [`Recipe`] says where the signature stands, which bytes are signed and how; presets are recipes under a name.
//! The received signature is decoded and compared with the computed one over its full length in constant time, or
//! verified with a public key; every key is tried, whichever fits. A few senders sign in ways that are no case of it:
//! those are code, in `hmac/senders.rs`.

mod algorithm;
mod certificate;
mod content;
mod material;
mod public_key;
mod recipe;
mod senders;
mod signature;
mod window;

use self::algorithm::Digester;
pub use self::certificate::{Certificate, Fetched};
use self::content::Filling;
use self::material::{Material, Signed};
use self::public_key::PublicKey;
use self::recipe::Recipe;
pub(crate) use self::senders::is_sns_host;
use crate::auth_scheme::{
    AuthScheme, CannotSign, HeadProof, Reason, ReplayId, SECRETS, Secrets, Verifier, whole,
};
use crate::presets::PRESET;
use crate::{Blob, Head, Preset, presets};
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Rule, Schema, Secret};
use jiff::Timestamp;
use std::borrow::Cow;
use subtle::{Choice, ConstantTimeEq as _};

pub(super) static HMAC: AuthScheme = AuthScheme {
    name: "hmac",
    summary: "A signature over the bytes of the request, by a sender's preset or with parameters of your own.",
    example: "{type: hmac, header: X-Signature, algorithm: sha256, encoding: hex, secret: {file: secrets/inovector}}",
    ways: &[
        MapSchema {
            name: "hmac-preset",
            about: "A sender's way of signing, by the sender's name.",
            keys: Cow::Borrowed(&[PRESET, SECRETS[0], SECRETS[1], PUBLIC_KEY]),
            rules: &KEY_RULES,
        },
        MapSchema {
            name: "hmac",
            about: "A signature over the bytes of the request, with parameters of your own.",
            keys: Cow::Borrowed(&recipe::WRITTEN_OUT),
            rules: &[Rule::One(&["header", "signature"]), KEY_RULES[0], KEY_RULES[1]],
        },
    ],
    load,
};

/// The key of a sender that signs with a private one.
const PUBLIC_KEY: Key = Key::may(
    "public_key",
    Schema::AnyOf(&[ONE_PUBLIC_KEY, Schema::List(&ONE_PUBLIC_KEY)]),
    "the public key that the sender shows, or a list of them; for the handshake of Braintree the name of the key",
);
/// What a signature is verified with.
const KEY_RULES: [Rule; 2] =
    [Rule::AtLeastOne(&["secret", "secrets", "public_key"]), Rule::AtMostOne(&["secret", "secrets"])];
const ONE_PUBLIC_KEY: Schema = Schema::AnyOf(&[Schema::Text, Schema::SECRET]);

/// The most signatures of one request that are verified with public keys, which takes time.
const MOST_VERIFIED: usize = 8;

#[derive(Debug)]
struct Hmac {
    preset: Option<&'static Preset>,
    recipe: Recipe,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    /// As the recipe's `key` makes them of what is configured, and for each the digest that begins with it: an HMAC takes
    /// two blocks of its hash for the key alone.
    Secret(Vec<Secret>, Vec<Digester>),
    Public(Vec<PublicKey>),
}

fn load(
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    if let Some(node) = fields.take("preset") {
        return presets::load(node, fields, secrets, diagnostics);
    }
    let Some(recipe) = Recipe::load(fields, diagnostics) else {
        fields.know(&["secret", "secrets", "public_key"]);
        return None;
    };
    Hmac::load(None, recipe, fields, secrets, diagnostics)
}

/// What a preset of this type means, with what stands beside it.
pub(super) fn load_preset(
    preset: &'static Preset,
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    refuse_parameters(fields, diagnostics);
    match senders::find(preset.name()) {
        Some(sender) => (sender.load)(preset, fields, secrets, diagnostics),
        None => Hmac::load(Some(preset), preset_recipe(preset)?, fields, secrets, diagnostics),
    }
}

/// What a preset says is one whole: a parameter beside it would make another scheme under the same name.
fn refuse_parameters(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) {
    for Key { key, .. } in recipe::KEYS {
        if let Some((name, _)) = fields.take_entry(key) {
            diagnostics
                .error(Code("auth.preset-parameter"), &name.span, format!("`{key}` is a part of the preset"))
                .help("leave it out, or leave the preset out and write every parameter");
        }
    }
}

/// A preset's parameters go through the same loader as a file's; a test loads them all.
fn preset_recipe(preset: &Preset) -> Option<Recipe> {
    let mut diagnostics = Diagnostics::default();
    let mut fields = Fields::of(preset.node(), "a preset", &mut diagnostics)?;
    let recipe = Recipe::load(&mut fields, &mut diagnostics);
    fields.finish(&mut diagnostics);
    recipe.filter(|_| diagnostics.is_empty())
}

impl Hmac {
    fn load(
        preset: Option<&'static Preset>,
        recipe: Recipe,
        fields: &mut Fields<'_>,
        secrets: &Secrets<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Box<dyn Verifier>> {
        let keys = if let Some(kind) = recipe.algorithm.key_kind() {
            Keys::Public(PublicKey::load(fields, kind, &recipe.key, secrets, diagnostics)?)
        } else {
            let loaded = secrets.any(fields, "secret", "secrets", diagnostics)?;
            let keys: Vec<_> = loaded
                .into_iter()
                .map(|(node, secret)| recipe.key.make(&secret, &node, diagnostics))
                .collect();
            let keys: Vec<Secret> = keys.into_iter().collect::<Option<_>>()?;
            let begun = keys.iter().map(|key| recipe.algorithm.begin(key.expose())).collect();
            Keys::Secret(keys, begun)
        };
        Some(Box::new(Self { preset, recipe, keys }))
    }

    /// What one of the received signatures is right for at this URL, in a form that no other request has; `None` when
    /// none is right.
    fn signed(
        &self,
        received: &[Vec<u8>],
        material: &Material<'_>,
        timestamp: Option<&str>,
        url: &str,
    ) -> Result<Option<Vec<u8>>, Reason> {
        let mut signed = None;
        match &self.keys {
            Keys::Secret(keys, begun) => {
                // Every secret is tried, also when one has fitted already.
                for (key, begun) in keys.iter().zip(begun) {
                    let filling = Filling { material, timestamp, url, key: key.expose() };
                    let expected = self.recipe.digest(begun.clone(), &filling)?;
                    let fits = received
                        .iter()
                        .fold(Choice::from(0), |fits, candidate| fits | candidate.ct_eq(&expected));
                    signed = signed.or(bool::from(fits).then_some(expected));
                }
            }
            Keys::Public(keys) => {
                // Not the signature: there may be several right ones for the same content.
                let filling = Filling { material, timestamp, url, key: &[] };
                let content = self.recipe.digest(self.recipe.algorithm.begin(&[]), &filling)?;
                let verified = keys.iter().any(|key| {
                    let mut candidates = received.iter().take(MOST_VERIFIED);
                    self.recipe.algorithm.key_kind().is_some_and(|kind| {
                        candidates.any(|candidate| key.verifies(kind.making(), &content, candidate))
                    })
                });
                signed = verified.then_some(content);
            }
        }
        Ok(signed)
    }

    fn judge(&self, material: &Material<'_>, now: Timestamp) -> Result<Option<ReplayId>, Reason> {
        let recipe = &self.recipe;
        let received = recipe.signature.received(material)?;
        let timestamp = recipe.timestamp(material, now)?;
        recipe.check_body_hash(material)?;
        let mut signed = None;
        for url in recipe.urls(material.head) {
            let here = self.signed(&received, material, timestamp.as_deref(), &url)?;
            signed = signed.or(here);
        }
        recipe.replay_id(material, &signed.ok_or(Reason::Mismatch)?)
    }
}

impl Verifier for Hmac {
    fn verify_head(&self, head: &Head) -> Result<HeadProof, Reason> {
        self.recipe.check_head(head)?;
        Ok(HeadProof::NeedsBody)
    }

    fn verify_body(
        &self,
        head: &Head,
        body: &[u8],
        now: Timestamp,
        _: &Fetched,
    ) -> Result<Option<ReplayId>, Reason> {
        self.judge(&Material::new(head, Signed::Held(&self.recipe.signed_body(head, body)?)), now)
    }

    fn verify_spooled(
        &self,
        head: &Head,
        body: &Blob,
        now: Timestamp,
        fetched: &Fetched,
    ) -> Result<Option<ReplayId>, Reason> {
        // A public key is asked about all of the content at once.
        if matches!(self.keys, Keys::Public(_)) || self.recipe.signs_decoded() {
            return self.verify_body(head, &whole(body)?, now, fetched);
        }
        self.judge(&Material::new(head, Signed::Spooled(body)), now)
    }

    fn sign(&self, head: &mut Head, body: &[u8], now: Timestamp) -> Result<(), CannotSign> {
        let key = self.keys().first().ok_or_else(only_the_sender)?;
        self.recipe.sign(key.expose(), head, body, now)
    }

    fn keys(&self) -> &[Secret] {
        match &self.keys {
            Keys::Secret(keys, _) => keys,
            Keys::Public(_) => &[],
        }
    }

    fn preset(&self) -> Option<&'static Preset> {
        self.preset
    }
}

fn only_the_sender() -> CannotSign {
    CannotSign("only the sender has the private key".into())
}

#[cfg(test)]
mod tests;
