//! Outside services: where they are, what every call of them has, and the webhooks that flows call by name.
//!
//! A webhook's definition belongs to the version of a flow that calls it. Everything else (root URL, headers of all
//! calls, limits, secrets) is what is in force when a call is performed.

mod kept;
mod outlet;
mod pool;
mod proxy;
mod variables;

pub(crate) use kept::{Definitions, called, definitions};
pub use outlet::{Header, Outlet, TlsFiles};
pub use pool::{POOL, PoolRule};
pub use proxy::{PROXY, ProxyRule};

use crate::lowering::read_id;
use crate::reading::Reading;
use crate::retry::{RETRY, Retry};
use crate::sent_file::FILE;
use crate::step_kinds::http::multipart::FIELDS;
use crate::step_kinds::http::url::UrlTemplate;
use crate::step_kinds::http::{Around, FORMATS, Http};
use crate::written::{NAME, RANGES, REDIRECTS, STATUSES};
use crate::{CallUrl, Via};
use hookflow_text::{
    Code, Diagnostics, Fields, Key, MapSchema, Node, NodeValue, Rule, Schema, SecretSource, Span, nearest,
};
use kept::canonical;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use variables::Variables;

const METHODS: &[&str] = &["DELETE", "GET", "PATCH", "POST", "PUT"];

/// An integration's file.
pub static INTEGRATION: MapSchema = MapSchema {
    name: "integration",
    about: "An outside service: where it is, what every call of it has, and its webhooks.",
    keys: Cow::Borrowed(&[
        Key::must("integration", NAME, "its name in flows"),
        Key::may("title", Schema::Text, "what people call it"),
        Key::may(
            "root_url",
            Schema::AnyOf(&[Schema::Like(""), Schema::Null]),
            "what its URLs follow; without it they have to be whole",
        ),
        Key::may("rate_limit", Schema::RATE, "how fast all of its calls together may be (no limit)"),
        Key::may("timeout", Schema::DURATION, "how long a try may take (30s)"),
        Key::may("allow", RANGES, "private ranges that it may reach (outbound.allow)"),
        Key::may("tls", Schema::Map(&outlet::TLS), "whom it trusts, and what it shows"),
        Key::may("proxy", PROXY, "the proxy that its calls go by; null: none (outbound.proxy)"),
        Key::may("max_response", Schema::SIZE, "the largest answer (outbound.response)"),
        Key::may(
            "redirects",
            REDIRECTS,
            "how many redirects its calls follow; after that a 3xx is the answer (0)",
        ),
        Key::may("pool", Schema::Map(&pool::POOL), "the connections that are kept (outbound.pool)"),
        Key::may("headers", Schema::MapOf(&outlet::HEADER), "headers of all of its calls"),
        Key::may(
            "webhooks",
            Schema::MapOf(&Schema::Map(&WEBHOOK)),
            "its webhooks by their names, which `call` uses",
        ),
    ]),
    rules: &[],
};

/// That of a call, with a text body that is called `body`.
static WEBHOOK: MapSchema = MapSchema {
    name: "outbound-webhook",
    about: "A call that flows make by name. Its templates read the names of `with`, `run`, and what the call is known by.",
    keys: Cow::Borrowed(&[
        Key::may("title", Schema::Text, "what people call it"),
        Key::may("description", Schema::Text, "what it is for"),
        Key::may("method", Schema::Word(METHODS), "GET, or POST when there is a body"),
        Key::may("url", Schema::Text, "what follows the integration's root"),
        Key::may("query", Schema::TEXTS, "a map of names to text, added to the URL's query"),
        Key::may(
            "headers",
            Schema::MapOf(&outlet::OWN_HEADER),
            "headers of its own; null: the integration's is not sent",
        ),
        Key::may("body", Schema::Text, "the body as text; what JSON is in it is kept sound"),
        Key::may("json", Schema::Any, "the body as a value"),
        Key::may("form", Schema::ANY_MAP, "the body as form fields"),
        Key::may("xml", Schema::Any, "the body as a value, written as XML"),
        Key::may("bytes", Schema::Text, "the body as bytes, in base64"),
        Key::may("file", FILE, "the body as a file: one of `webhook.files`, or bytes"),
        Key::may("multipart", FIELDS, "the body as `multipart/form-data`: text, files and JSON by name"),
        Key::may("ok", STATUSES, "which answers are good: statuses and classes ([2xx])"),
        Key::may("response", Schema::Word(FORMATS), "how the answer's body is read (auto)"),
        Key::may("redirects", REDIRECTS, "how many redirects are followed (the integration's)"),
        Key::may("sign", Schema::Text, "a credential: each try is signed as its sender would sign"),
        Key::may("capture", Schema::TEXTS, "a map of names to paths into the answer's body"),
        Key::may(
            "retry",
            Schema::Map(&RETRY),
            "how often it is tried; by itself only when it holds the transactional ID",
        ),
    ]),
    rules: &[Rule::AtMostOne(&["body", "json", "form", "xml", "bytes", "file", "multipart"])],
};

/// An outside service.
#[derive(Debug)]
pub struct Integration {
    /// Its name in flows.
    pub id: Arc<str>,
    /// What people call it.
    pub title: Option<String>,
    /// What is in force for all of its calls; `None` for one that is known only by what a kept version calls of it.
    pub outlet: Option<Outlet>,
    /// The content type of its shared headers: how values in the text of a body are escaped follows from it.
    pub(crate) content_type: Option<String>,
    /// By name.
    pub webhooks: BTreeMap<Arc<str>, Arc<OutboundWebhook>>,
    /// Where its name, or else its document, stands.
    pub span: Span,
}

/// A call of an integration that flows make by name.
#[derive(Debug)]
pub struct OutboundWebhook {
    /// Its name, unique in the integration.
    pub name: Arc<str>,
    /// What people call it.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Headers of its own that no flow is to know.
    pub headers: Vec<Header>,
    /// What its templates read, besides what is always there.
    pub variables: Vec<String>,
    /// Where its name stands.
    pub span: Span,
    pub(crate) http: Arc<Http>,
    pub(crate) retry: Option<Retry>,
    /// Its definition, written in one way.
    definition: String,
}

/// The outside services of a folder, or those that a kept version of a flow calls.
#[derive(Debug, Clone, Default)]
pub struct Integrations(BTreeMap<Arc<str>, Arc<Integration>>);

impl Integrations {
    /// Reads an integration's document and adds it.
    pub fn load(&mut self, root: &Node, secrets: &dyn SecretSource, diagnostics: &mut Diagnostics) {
        let Some(integration) = Integration::load(root, secrets, diagnostics) else { return };
        match self.0.get(&integration.id) {
            None => drop(self.0.insert(Arc::clone(&integration.id), Arc::new(integration))),
            Some(first) => {
                let message = format!("two integrations have the name `{}`", integration.id);
                diagnostics
                    .error(Code("integration.duplicate"), &integration.span, message)
                    .also(&first.span, "first here");
            }
        }
    }

    /// The integration of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Integration>> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Integration>> {
        self.0.values()
    }

    /// Those that the documentation's examples call.
    pub fn of_examples() -> Self {
        struct Invented;
        impl SecretSource for Invented {
            fn resolve(&self, _: &hookflow_text::SecretRef) -> Result<Vec<u8>, String> {
                Ok(b"secret".to_vec())
            }
        }
        let mut integrations = Self::default();
        let mut diagnostics = Diagnostics::default();
        let source = hookflow_text::Source::new("config/integrations/warehouse.yaml", EXAMPLE_INTEGRATION);
        if let Some(root) = hookflow_text::parse(&source, &mut diagnostics) {
            integrations.load(&root, &Invented, &mut diagnostics);
        }
        integrations
    }
}

/// The integration that examples of the documentation call.
pub const EXAMPLE_INTEGRATION: &str = r#"integration: warehouse
title: Warehouse API
root_url: https://api.warehouse.example/v3/operations/
rate_limit: 8/s
timeout: 10s
headers:
  Content-Type: application/json
  Authorization: {value: {env: WAREHOUSE_TOKEN}, private: true}
webhooks:
  reserve_stock:
    title: Reserve stock
    description: Holds the goods for an order.
    method: POST
    url: reservations?transactionId=${WebhookRequest.TransactionalId}
    headers: {X-Source: shop}
    body: |
      {"sku": "${ sku }", "request_id": "${WebhookRequest.TransactionalId}"}
    response: json
    capture: {order_no: "data[0].id"}
  stock_levels:
    method: GET
    url: stock?sku=${ sku }
    headers: {Authorization: null}
    response: json
"#;

impl Integration {
    fn load(root: &Node, secrets: &dyn SecretSource, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(root, "an integration", diagnostics)?;
        let id = fields
            .require("integration", diagnostics)
            .and_then(|node| Some((read_id(node, diagnostics)?, node)));
        let title = fields.take("title").and_then(|node| node.as_str(diagnostics)).map(str::to_owned);
        let outlet = Outlet::load(&mut fields, secrets, diagnostics);
        let webhooks = fields.take("webhooks").and_then(|node| node.as_map(diagnostics));
        fields.finish(diagnostics);
        let (id, node) = id?;
        let content_type = outlet.content_type();
        let mut integration = Self {
            id,
            title,
            outlet: Some(outlet),
            content_type,
            webhooks: BTreeMap::new(),
            span: node.span.clone(),
        };
        for (key, node) in webhooks.unwrap_or_default() {
            let Some(name) = read_id(key, diagnostics) else { continue };
            if let Some(webhook) = integration.webhook(name, key, node, secrets, diagnostics) {
                integration.webhooks.insert(Arc::clone(&webhook.name), Arc::new(webhook));
            }
        }
        Some(integration)
    }

    fn webhook(
        &self,
        name: Arc<str>,
        key: &Node,
        node: &Node,
        secrets: &dyn SecretSource,
        diagnostics: &mut Diagnostics,
    ) -> Option<OutboundWebhook> {
        let mut fields = Fields::of(node, "an outbound webhook", diagnostics)?;
        let mut text = |key| fields.take(key).and_then(|node| node.as_str(diagnostics)).map(str::to_owned);
        let (title, description) = (text("title"), text("description"));
        let headers = match fields.take("headers").map(|node| &node.value) {
            Some(NodeValue::Map(entries)) => outlet::private_headers(entries, secrets, diagnostics),
            _ => Vec::new(),
        };
        let retry = fields.take("retry").map(|node| Retry::load(node, diagnostics));
        let variables = Variables::default();
        let mut reading = Reading { known: &variables, diagnostics };
        let via = Some((self.via(Some(&name)), self.content_type.as_deref()));
        let http = Http::read(&mut reading, &mut fields, Around { methods: METHODS, text: "body", via });
        let url = fields.take("url");
        fields.finish(diagnostics);
        let (variables, transactional) = variables.read();
        let mut http = http?;
        http.transactional = transactional;
        self.check_url(&http.url, url.unwrap_or(key), diagnostics);
        let retry = match (retry, transactional) {
            (Some(retry), true) => Some(retry?.of_what_is_known_again()),
            (Some(retry), false) => Some(retry?),
            (None, transactional) => transactional.then(Retry::of_a_transaction),
        };
        let (definition, span) = (canonical(node), key.span.clone());
        let http = Arc::new(http);
        Some(OutboundWebhook { name, title, description, headers, variables, span, http, retry, definition })
    }

    /// A call by this integration.
    pub(crate) fn via(&self, webhook: Option<&Arc<str>>) -> Via {
        let (integration, webhook) = (Arc::clone(&self.id), webhook.cloned());
        Via { integration, webhook, without: Arc::from([]), content_type: None }
    }

    /// Whether a URL leads anywhere from the root in force.
    pub(crate) fn check_url(&self, url: &UrlTemplate, node: &Node, diagnostics: &mut Diagnostics) {
        let Some(outlet) = &self.outlet else { return };
        let root = outlet.root_url.as_ref();
        let sound = match url.constant() {
            Some(constant) => constant.under(root).map(drop),
            None if url.is_whole() || root.is_some() => Ok(()),
            None => CallUrl::Rest(String::new()).under(None).map(drop),
        };
        if let Err(why) = sound {
            diagnostics.error(Code("integration.url"), &node.span, format!("the URL leads nowhere: {why}"));
        }
    }

    /// What of it belongs to the version of a flow.
    pub(crate) fn hash(&self, webhook: Option<&OutboundWebhook>, hash: &mut Sha256) {
        let definition = webhook.map_or("", |webhook| &webhook.definition);
        for part in [&*self.id, self.content_type.as_deref().unwrap_or(""), definition] {
            hash.update(part);
            hash.update([0]);
        }
    }
}

/// Says that there is no such integration, and which one may be meant.
pub(crate) fn unknown_integration(
    node: &Node,
    name: &str,
    integrations: &Integrations,
    diagnostics: &mut Diagnostics,
) {
    let message = format!("there is no integration `{name}`");
    let diagnostic = diagnostics.error(Code("integration.unknown"), &node.span, message);
    match nearest(name, integrations.0.keys().map(AsRef::as_ref)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help("an integration is a file in `config/integrations/`"),
    };
}

#[cfg(test)]
mod tests;
