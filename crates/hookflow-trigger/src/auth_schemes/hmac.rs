//! Signatures: the one declarative scheme that nearly every sender's way of signing is a case of.
//!
//! A [`Recipe`] says where the signature stands, which bytes are signed and how; presets are recipes under a name.
//! The received signature is decoded and compared with the computed one over its full length in constant time; every
//! secret is tried, whichever fits.

mod algorithm;
mod content;
mod material;
mod recipe;
mod signature;
mod window;

use self::material::Material;
use self::recipe::Recipe;
use crate::auth_scheme::{AuthScheme, CannotSign, HeadProof, Reason, ReplayId, Secrets, Verifier};
use crate::{Head, Preset, presets};
use hookflow_text::{Code, Diagnostics, Fields, Node, Secret, nearest};
use jiff::Timestamp;
use subtle::{Choice, ConstantTimeEq as _};

pub(super) static HMAC: AuthScheme = AuthScheme {
    name: "hmac",
    summary: "A signature over the bytes of the request, by a sender's preset or with parameters of your own.",
    example: "{type: hmac, header: X-Signature, algorithm: sha256, encoding: hex, secret: {file: secrets/inovector}}",
    load,
};

#[derive(Debug)]
struct Hmac {
    preset: Option<&'static Preset>,
    recipe: Recipe,
    /// As the recipe's `key` makes them of what is configured.
    keys: Vec<Secret>,
}

fn load(
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    let loaded = secrets.any(fields, "secret", "secrets", diagnostics);
    let (preset, recipe) = match fields.take("preset") {
        Some(node) => {
            refuse_parameters(fields, diagnostics);
            let preset = find_preset(node, diagnostics)?;
            (Some(preset), preset_recipe(preset)?)
        }
        None => (None, Recipe::load(fields, diagnostics)?),
    };
    let keys: Vec<_> =
        loaded?.into_iter().map(|(node, secret)| recipe.key.make(&secret, &node, diagnostics)).collect();
    Some(Box::new(Hmac { preset, recipe, keys: keys.into_iter().collect::<Option<_>>()? }))
}

/// What a preset says is one whole: a parameter beside it would make another scheme under the same name.
fn refuse_parameters(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) {
    for key in recipe::KEYS {
        if let Some((name, _)) = fields.take_entry(key) {
            diagnostics
                .error(Code("auth.preset-parameter"), &name.span, format!("`{key}` is a part of the preset"))
                .help("leave it out, or leave the preset out and write every parameter");
        }
    }
}

fn find_preset(node: &Node, diagnostics: &mut Diagnostics) -> Option<&'static Preset> {
    let name = node.as_str(diagnostics)?;
    let found = presets::find(name);
    if found.is_none() {
        let names = presets().iter().flat_map(Preset::names);
        let diagnostic = diagnostics.error(
            Code("auth.unknown-preset"),
            &node.span,
            format!("there is no preset `{name}`"),
        );
        match nearest(name, names) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help("without a preset, name the `header` that holds the signature"),
        };
    }
    found
}

/// A preset's parameters go through the same loader as a file's; a test loads them all.
fn preset_recipe(preset: &Preset) -> Option<Recipe> {
    let mut diagnostics = Diagnostics::default();
    let mut fields = Fields::of(preset.node(), "a preset", &mut diagnostics)?;
    let recipe = Recipe::load(&mut fields, &mut diagnostics);
    fields.finish(&mut diagnostics);
    recipe.filter(|_| diagnostics.is_empty())
}

impl Verifier for Hmac {
    fn verify_head(&self, head: &Head) -> Result<HeadProof, Reason> {
        self.recipe.check_head(head)?;
        Ok(HeadProof::NeedsBody)
    }

    fn verify_body(&self, head: &Head, body: &[u8], now: Timestamp) -> Result<Option<ReplayId>, Reason> {
        let recipe = &self.recipe;
        recipe.check_head(head)?;
        let material = Material::new(head, body);
        let received = recipe.signature.received(&material)?;
        let timestamp = recipe.timestamp(&material, now)?;
        recipe.check_body_hash(&material)?;
        let mut fits = Choice::from(0);
        for url in recipe.urls(head) {
            for key in &self.keys {
                let expected = recipe.digest(key.expose(), &material, timestamp.as_deref(), &url)?;
                fits |= received
                    .iter()
                    .fold(Choice::from(0), |fits, candidate| fits | candidate.ct_eq(&expected));
            }
        }
        if fits.into() { recipe.replay_id(&material) } else { Err(Reason::Mismatch) }
    }

    fn sign(&self, head: &mut Head, body: &[u8], now: Timestamp) -> Result<(), CannotSign> {
        let key = self.keys.first().ok_or_else(|| CannotSign("there is no secret".into()))?;
        self.recipe.sign(key.expose(), head, body, now)
    }

    fn preset(&self) -> Option<&'static Preset> {
        self.preset
    }
}

#[cfg(test)]
mod tests;
