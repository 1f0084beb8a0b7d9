//! The named credentials of `config/credentials.yaml`.

use crate::auth_scheme::{AuthScheme, CannotSign, Secrets, Verifier};
use crate::handshake::Switch;
use crate::presets::PRESET;
use crate::{Handshake, Head, Preset, auth_schemes, handshakes};
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, OneOf, Schema, SecretSource};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The file of credentials.
pub static CREDENTIALS: Schema = Schema::MapOf(&Schema::OneOf(&OneOf {
    name: "credential",
    about: "A way in which one caller proves who it is.",
    of: ways,
}));

/// Every way of writing a credential, with what all of them may have.
fn ways() -> Vec<(Vec<&'static str>, MapSchema)> {
    let ways = auth_schemes().iter().flat_map(|scheme| scheme.ways.iter().map(move |way| (scheme, way)));
    let ways = ways.map(|(scheme, way)| {
        let kind = Key::must("type", Schema::Is(scheme.name), scheme.summary);
        let keys = [kind].into_iter().chain(way.keys.iter().copied()).chain(HANDSHAKE);
        let keys: Cow<'static, [Key]> = keys.collect();
        let known_by =
            ["type", PRESET.key].into_iter().filter(|known| keys.iter().any(|key| key.key == *known));
        (known_by.collect(), MapSchema { name: way.name, about: way.about, keys, rules: way.rules })
    });
    ways.collect()
}

/// What every credential may have.
const HANDSHAKE: [Key; 2] = [
    Key::may(
        "handshake",
        Schema::Listed(|| {
            let known = handshakes().iter();
            known.map(|handshake| (handshake.name.to_owned(), handshake.summary.to_owned())).collect()
        }),
        "the question of its sender, whether the webhook is ours, that is answered without an event",
    ),
    Key::may(
        "verify_token",
        Schema::SECRET,
        "what the sender repeats in the question, where the handshake compares it",
    ),
];

/// Every credential by its name.
#[derive(Debug, Default)]
pub struct Credentials {
    /// `None`: it stands in the file, but there is something wrong with it.
    by_name: BTreeMap<Arc<str>, Option<Arc<Credential>>>,
    /// Who names one that is not there means one that nobody passes.
    forgiving: bool,
}

/// A way in which one caller proves who it is.
#[derive(Debug)]
pub struct Credential {
    name: Arc<str>,
    scheme: &'static AuthScheme,
    verifier: Box<dyn Verifier>,
    handshake: Option<Switch>,
}

impl Credentials {
    /// Reads the file. Credentials with mistakes are reported and left out.
    pub fn load(root: &Node, secrets: &dyn SecretSource, diagnostics: &mut Diagnostics) -> Self {
        let mut by_name = BTreeMap::new();
        for (key, value) in root.as_map(diagnostics).unwrap_or_default() {
            let name: Arc<str> = key.text().into();
            let credential = if &*name == "none" {
                diagnostics
                    .error(Code("auth.reserved-name"), &key.span, "no credential can be named `none`")
                    .help("`auth: none` on a webhook means that nobody proves anything");
                None
            } else {
                Credential::load(&name, value, secrets, diagnostics)
            };
            by_name.insert(name, credential.map(Arc::new));
        }
        Self { by_name, forgiving: false }
    }

    /// The same, for a flow of former days: a name that is gone is no mistake, and nobody passes it.
    #[must_use]
    pub fn forgiving(&self) -> Self {
        Self { by_name: self.by_name.clone(), forgiving: true }
    }

    /// Whether a name that is gone is no mistake.
    pub const fn is_forgiving(&self) -> bool {
        self.forgiving
    }

    /// The credential of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Credential>> {
        self.by_name.get(name)?.as_ref()
    }

    /// Whether the file has this name, be it with mistakes.
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Every name in the file, in alphabetic order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &**name)
    }

    /// Every credential, in alphabetic order of the names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Credential>> {
        self.by_name.values().flatten()
    }
}

impl Credential {
    fn load(
        name: &Arc<str>,
        node: &Node,
        source: &dyn SecretSource,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let mut fields = Fields::of(node, "a credential", diagnostics)?;
        let kind = fields.require("type", diagnostics)?;
        if kind.text() == "none" {
            diagnostics
                .error(Code("auth.no-type-none"), &kind.span, "there is no credential of type `none`")
                .help("write `auth: none` on the webhook that nobody needs to prove anything to");
            return None;
        }
        let names: Vec<_> = auth_schemes().iter().map(|scheme| scheme.name).collect();
        let word = kind.one_of(&names, diagnostics)?;
        let scheme = *auth_schemes().iter().find(|scheme| scheme.name == word)?;
        let secrets = Secrets { source };
        let verifier = (scheme.load)(&mut fields, &secrets, diagnostics);
        // What a handshake needs depends on the credential's own part.
        let handshake = if let Some(verifier) = &verifier {
            Switch::load(&mut fields, &**verifier, &secrets, diagnostics)
        } else {
            fields.know(&["handshake", "verify_token"]);
            Ok(None)
        };
        fields.finish(diagnostics);
        Some(Self { name: Arc::clone(name), scheme, verifier: verifier?, handshake: handshake.ok()? })
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its kind.
    pub fn scheme(&self) -> &'static AuthScheme {
        self.scheme
    }

    /// The preset that it names.
    pub fn preset(&self) -> Option<&'static Preset> {
        self.verifier.preset()
    }

    /// The handshake that it switches on.
    pub fn handshake(&self) -> Option<&'static Handshake> {
        self.handshake.as_ref().map(Switch::handshake)
    }

    /// Adds to a request what a right sender would add: headers, or a field of the query.
    ///
    /// # Errors
    /// When the proof has to stand in the body itself.
    pub fn sign(&self, head: &mut Head, body: &[u8], now: Timestamp) -> Result<(), CannotSign> {
        self.verifier.sign(head, body, now)
    }

    /// Why no request can be signed with it, if none can: the proof stands in the body, or takes a private key.
    pub fn cannot_sign(&self) -> Option<CannotSign> {
        let (path, headers) = (String::from("/"), HeaderMap::new());
        let (ip, received_at) = (Ipv4Addr::LOCALHOST.into(), Timestamp::UNIX_EPOCH);
        let base_url = "https://localhost".into();
        let mut head = Head { method: Method::POST, path, query: None, headers, ip, received_at, base_url };
        self.sign(&mut head, b"{}", received_at).err()
    }

    pub(crate) fn switch(&self) -> Option<&Switch> {
        self.handshake.as_ref()
    }

    pub(crate) fn verifier(&self) -> &dyn Verifier {
        &*self.verifier
    }
}
