//! The table of presets: senders' ways of signing under a name, each written as a credential would write it out.
//!
//! The table itself is `presets.yaml`, so that a preset is by construction something that a user could write.

use crate::auth_scheme::{Secrets, Verifier};
use crate::auth_schemes::load_preset;
use hookflow_text::{Code, Diagnostics, Fields, Key, Node, Schema, Source, nearest, parse};
use std::sync::LazyLock;
use std::time::Duration;

/// A named set of parameters of a type of credential, or a sender's way that is code.
#[derive(Debug)]
pub struct Preset {
    name: String,
    aliases: Vec<String>,
    sender: String,
    /// For how long it sends an event again that was not taken, where its documentation says so.
    retries: Option<Duration>,
    /// `hmac` or `token`.
    kind: String,
    /// A map of parameters; of a way that is code, its description.
    parameters: Node,
    is_code: bool,
}

/// The key that names one.
pub(crate) const PRESET: Key = Key::must(
    "preset",
    Schema::Listed(words),
    "whose way of signing it is; `hookflow credential show` says what that means",
);

/// Every word that means a preset, with its sender.
fn words() -> Vec<(String, String)> {
    let words = presets().iter().flat_map(|preset| preset.names().map(|name| (name, preset.sender())));
    let words = words.flat_map(|(name, sender)| {
        let other = name.replace('_', "-");
        let other = (other != name).then_some(other);
        [name.to_owned()].into_iter().chain(other).map(|name| (name, sender.to_owned()))
    });
    words.collect()
}

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| read(&mut Diagnostics::default()));

/// Every preset, in alphabetic order.
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

/// The preset that is meant by a word; `-` and `_` are the same.
pub(crate) fn find(word: &str) -> Option<&'static Preset> {
    let word = word.replace('-', "_");
    PRESETS.iter().find(|preset| preset.names().any(|name| name == word))
}

/// What the preset at `node` means, with what stands beside it.
pub(crate) fn load(
    node: &Node,
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    let found = find_or_say(node, diagnostics);
    if found.is_none() {
        fields.know(&["secret", "secrets", "public_key"]);
    }
    load_preset(found?, fields, secrets, diagnostics)
}

fn find_or_say(node: &Node, diagnostics: &mut Diagnostics) -> Option<&'static Preset> {
    let name = node.as_str(diagnostics)?;
    let found = find(name);
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

impl Preset {
    /// The word under `preset:`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name and other words for it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// Whose way it is.
    pub fn sender(&self) -> &str {
        &self.sender
    }

    /// For how long the sender sends an event again that was not taken; `None` where that is not known for sure.
    pub fn retries(&self) -> Option<Duration> {
        self.retries
    }

    /// The type of credential that it is a case of.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The parameters, as a credential of its type would write them out; of a way that is code, a comment.
    pub fn parameters(&self) -> String {
        if self.is_code {
            return self.parameters.text().lines().flat_map(|line| ["# ", line, "\n"]).collect();
        }
        // In the table they stand two levels deep.
        let lines = self.parameters.span.text().lines();
        lines.flat_map(|line| [line.strip_prefix("    ").unwrap_or(line), "\n"]).collect()
    }

    pub(crate) fn node(&self) -> &Node {
        &self.parameters
    }
}

/// Reads the table; a test holds that there is nothing to report.
fn read(diagnostics: &mut Diagnostics) -> Vec<Preset> {
    let source = Source::new("presets.yaml", include_str!("presets.yaml"));
    let root = parse(&source, diagnostics);
    let entries = root.as_ref().and_then(|root| root.as_map(diagnostics)).unwrap_or_default();
    entries.iter().filter_map(|(name, node)| Preset::read(name.text(), node, diagnostics)).collect()
}

impl Preset {
    fn read(name: &str, node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a preset", diagnostics)?;
        let aliases = match fields.take("aliases") {
            Some(node) => node.as_list(diagnostics)?.iter().map(|item| item.text().to_owned()).collect(),
            None => Vec::new(),
        };
        let sender = fields.require("sender", diagnostics)?.as_str(diagnostics)?.to_owned();
        let retries = match fields.take("retries") {
            Some(node) => Some(node.as_duration(diagnostics)?),
            None => None,
        };
        let kind = match fields.take("type") {
            Some(node) => node.one_of(&["hmac", "token"], diagnostics)?,
            None => "hmac",
        };
        let code = fields.take("code");
        let parameters = match code {
            Some(node) => node,
            None => fields.require("parameters", diagnostics)?,
        };
        fields.finish(diagnostics);
        Some(Self {
            name: name.to_owned(),
            aliases,
            sender,
            retries,
            kind: kind.to_owned(),
            parameters: parameters.clone(),
            is_code: code.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole_and_in_order() {
        let mut diagnostics = Diagnostics::default();
        let read = read(&mut diagnostics);
        assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
        let names: Vec<_> = read.iter().map(|preset| preset.name.clone()).collect();
        assert_eq!(names.len(), 58);
        assert!(names.is_sorted());
        assert!(
            read.iter()
                .all(|preset| preset.names().all(|name| !name.contains('-') && !preset.sender.is_empty()))
        );
    }

    #[test]
    fn a_preset_is_found_by_every_word_and_shown_as_it_is_written() {
        for word in ["hmac-raw", "hmac_raw", "generic", "inovector"] {
            assert_eq!(find(word).unwrap().name(), "hmac_raw");
        }
        assert!(find("GitHub").is_none());
        assert_eq!(
            find("shopify").unwrap().parameters().lines().next(),
            Some("signature: {headers: [x-shopify-hmac-sha256, shopify-hmac-sha256], encoding: base64}")
        );
        assert!(find("github").unwrap().parameters().contains("\nprefix: 'sha256='\n"));
    }
}
