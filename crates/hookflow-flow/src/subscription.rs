//! Subscriptions: who gets which of the events that go out, where, how it is written and how it is signed.

mod keys;
mod message;

pub use keys::SUBSCRIPTION;
pub use message::Message;

use crate::lowering::read_id;
use crate::step_kinds::http::url::has_scheme;
use hookflow_text::{Code, Diagnostics, Fields, Node, Secret, SecretRef, SecretSource, Span};
use hookflow_trigger::from_base64;
use http::Method;
use std::collections::BTreeMap;
use std::sync::Arc;
use url::Url;

/// How often a delivery is tried in all, unless the file says otherwise.
const TRIES: u32 = 5;
/// How many secrets one may have. More than two are rare, and each makes a signature.
const MOST_SECRETS: usize = 4;
/// How many patterns one may have.
const MOST_PATTERNS: usize = 100;
/// How many characters a pattern may have.
const LONGEST_PATTERN: usize = 100;
const METHODS: &[&str] = &["PATCH", "POST", "PUT"];
const SIGNATURES: &[&str] = &["both", "standard-webhooks", "x-signature"];
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Who gets events, and how.
#[derive(Debug)]
pub struct Subscription {
    /// Its name.
    pub id: Arc<str>,
    /// What people call it.
    pub title: Option<String>,
    /// Where deliveries go.
    pub callback_url: Url,
    /// The method.
    pub method: Method,
    /// How often a delivery is tried in all.
    pub max_attempts: u32,
    /// Whether it gets anything.
    pub enabled: bool,
    /// Which events it gets.
    pub events: Vec<Pattern>,
    /// Where its name stands.
    pub span: Span,
    form: bool,
    signs: Signs,
    secrets: Vec<Key>,
}

/// Which signatures its deliveries carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signs {
    XSignature,
    StandardWebhooks,
    Both,
}

/// A secret, as each signature has it.
#[derive(Debug)]
struct Key {
    text: Secret,
    /// What Standard Webhooks signs with.
    decoded: Option<Secret>,
}

/// Names of events: one, or all that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    begins: Arc<str>,
    open: bool,
}

/// The subscriptions of a folder.
#[derive(Debug, Default)]
pub struct Subscriptions(BTreeMap<Arc<str>, Arc<Subscription>>);

impl Subscriptions {
    /// Reads a subscription's document and adds it.
    pub fn load(&mut self, root: &Node, secrets: &dyn SecretSource, diagnostics: &mut Diagnostics) {
        let Some(subscription) = Subscription::load(root, secrets, diagnostics) else { return };
        match self.0.get(&subscription.id) {
            None => drop(self.0.insert(Arc::clone(&subscription.id), Arc::new(subscription))),
            Some(first) => {
                let message = format!("two subscriptions have the name `{}`", subscription.id);
                diagnostics
                    .error(Code("subscription.duplicate"), &subscription.span, message)
                    .also(&first.span, "first here");
            }
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.0.values()
    }
}

impl Subscription {
    /// How often a delivery is tried at most.
    pub const MOST_TRIES: u64 = 20;

    fn load(root: &Node, secrets: &dyn SecretSource, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(root, "a subscription", diagnostics)?;
        let id = fields
            .require("subscription", diagnostics)
            .and_then(|node| Some((read_name(node, diagnostics)?, node)));
        let title = fields.take("title").and_then(|node| node.as_str(diagnostics)).map(str::to_owned);
        let url =
            fields.require("callback_url", diagnostics).and_then(|node| callback_url(node, diagnostics));
        let method = match fields.take("method") {
            Some(node) => node.one_of(METHODS, diagnostics),
            None => Some("POST"),
        };
        let content_type = match fields.take("content_type") {
            Some(node) => node.one_of(&[JSON, FORM], diagnostics),
            None => Some(JSON),
        };
        let tries = match fields.take("max_attempts") {
            Some(node) => node.as_integer(1, Self::MOST_TRIES, diagnostics),
            None => Some(TRIES.into()),
        };
        let enabled = fields.take("enabled").map_or(Some(true), |node| node.as_bool(diagnostics));
        let signs = match fields.take("signature") {
            Some(node) => node.one_of(SIGNATURES, diagnostics),
            None => Some("x-signature"),
        };
        let signs = match signs? {
            "both" => Signs::Both,
            "standard-webhooks" => Signs::StandardWebhooks,
            _ => Signs::XSignature,
        };
        let secrets = read_secrets(&mut fields, signs, secrets, diagnostics);
        let events = fields.require("events", diagnostics).and_then(|node| patterns(node, diagnostics));
        fields.finish(diagnostics);
        let (id, node) = id?;
        Some(Self {
            id,
            title,
            callback_url: url?,
            method: Method::from_bytes(method?.as_bytes()).ok()?,
            max_attempts: u32::try_from(tries?).ok()?,
            enabled: enabled?,
            events: events?,
            span: node.span.clone(),
            form: content_type? == FORM,
            signs,
            secrets: secrets?,
        })
    }

    /// Whether it gets events of this name.
    pub fn gets(&self, event: &str) -> bool {
        self.events.iter().any(|pattern| pattern.fits(event))
    }
}

impl Pattern {
    fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = node.as_str(diagnostics)?;
        let (begins, open) = text.strip_suffix('*').map_or((text, false), |begins| (begins, true));
        let is_name =
            begins.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if !is_name || text.is_empty() || text.len() > LONGEST_PATTERN {
            diagnostics
                .error(Code("subscription.event"), &node.span, format!("`{text}` cannot be an event's name"))
                .help("write a name such as `order.created`, or how names begin: `order.*`, and `*` for all");
            return None;
        }
        Some(Self { begins: begins.into(), open })
    }

    fn fits(&self, name: &str) -> bool {
        if self.open { name.starts_with(&*self.begins) } else { *self.begins == *name }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.begins, if self.open { "*" } else { "" })
    }
}

/// A name that can stand in a URL: that of a flow's step, and `-` as well.
fn read_name(node: &Node, diagnostics: &mut Diagnostics) -> Option<Arc<str>> {
    let text = node.as_str(diagnostics)?;
    let mut bytes = text.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let goes_on = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if begins && goes_on && text.len() <= LONGEST_PATTERN && text.contains('-') {
        return Some(text.into());
    }
    read_id(node, diagnostics)
}

fn callback_url(node: &Node, diagnostics: &mut Diagnostics) -> Option<Url> {
    let text = node.as_str(diagnostics)?.trim();
    let why = match Url::parse(text) {
        Err(error) => error.to_string(),
        Ok(_) if text.contains("${") || text.contains("@{") => "it is not evaluated".into(),
        Ok(url) if !has_scheme(text) || !url.has_host() || url.fragment().is_some() => {
            "it begins with `http://` or `https://` and has no `#`".into()
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "it holds no user or password".into()
        }
        Ok(url) => return Some(url),
    };
    diagnostics.error(Code("subscription.url"), &node.span, format!("deliveries cannot go there: {why}"));
    None
}

fn read_secrets(
    fields: &mut Fields<'_>,
    signs: Signs,
    source: &dyn SecretSource,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Key>> {
    let Some(node) = fields.take("secrets") else {
        if signs == Signs::XSignature {
            return Some(Vec::new());
        }
        let message = "deliveries cannot be signed without a secret";
        diagnostics
            .error(Code("subscription.secret"), fields.span(), message)
            .help("add `secrets: [{env: NAME}]`, or leave `signature` out");
        return None;
    };
    let list = node.as_list(diagnostics)?;
    if list.is_empty() || list.len() > MOST_SECRETS {
        let message = format!("a subscription has 1 to {MOST_SECRETS} secrets, or no `secrets` at all");
        diagnostics.error(Code("subscription.secret"), &node.span, message);
        return None;
    }
    let key = |node: &Node| {
        let text = SecretRef::load(node, source, diagnostics)?;
        if signs == Signs::XSignature {
            return Some(Key { text, decoded: None });
        }
        let decoded = std::str::from_utf8(text.expose()).ok();
        let decoded = decoded.map(|text| text.strip_prefix("whsec_").unwrap_or(text));
        let decoded = decoded.and_then(from_base64).and_then(Secret::new);
        if decoded.is_none() {
            diagnostics
                .error(Code("subscription.secret"), &node.span, "this secret is no Standard Webhooks secret")
                .help("those are base64, and may begin with `whsec_`: `openssl rand -base64 32` makes one");
        }
        Some(Key { text, decoded: Some(decoded?) })
    };
    // All of them, so that each mistake is told.
    list.iter().map(key).collect::<Vec<_>>().into_iter().collect()
}

fn patterns(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<Pattern>> {
    let list = node.as_list(diagnostics)?;
    if list.is_empty() || list.len() > MOST_PATTERNS {
        let message = format!("a subscription names 1 to {MOST_PATTERNS} events; `*` is all");
        diagnostics.error(Code("subscription.event"), &node.span, message);
        return None;
    }
    list.iter().map(|node| Pattern::read(node, diagnostics)).collect::<Vec<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests;
