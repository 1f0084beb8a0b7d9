//! What is in force for every call of an integration: where its root is, which headers it gets, how fast it may go and
//! whom it may reach. None of it belongs to a flow's version, and no fact holds any of it.

use super::{PoolRule, ProxyRule};
use crate::step_kinds::http::call_header;
use crate::step_kinds::http::url::has_scheme;
use crate::written::redirects;
use hookflow_text::{
    Code, Diagnostics, Fields, Key, MapSchema, Node, NodeValue, Rate, Schema, SecretRef, SecretSource, Span,
};
use http::{HeaderName, HeaderValue, header};
use ipnet::IpNet;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;
use url::Url;

pub(super) static TLS: MapSchema = MapSchema {
    name: "integration-tls",
    about: "Files in PEM form, relative to the folder.",
    keys: Cow::Borrowed(&[
        Key::may("ca", Schema::Text, "whom to trust (the usual ones)"),
        Key::may("cert", Schema::Text, "a certificate to show; it goes together with `key`"),
        Key::may("key", Schema::Text, "its key"),
    ]),
    rules: &[],
};

/// The value of a header.
pub(super) static HEADER: Schema =
    Schema::AnyOf(&[Schema::Text, Schema::SECRET, Schema::Map(&PRIVATE_HEADER)]);
/// The same for a webhook's own, where null leaves the integration's out.
pub(super) static OWN_HEADER: Schema =
    Schema::AnyOf(&[Schema::Text, Schema::SECRET, Schema::Map(&PRIVATE_HEADER), Schema::Null]);

static PRIVATE_HEADER: MapSchema = MapSchema {
    name: "header",
    about: "A header's value, and whether it is shown.",
    keys: Cow::Borrowed(&[
        Key::must(
            "value",
            Schema::AnyOf(&[Schema::Text, Schema::SECRET]),
            "text, or where a secret comes from",
        ),
        Key::may(
            "private",
            Schema::Bool,
            "whether it is masked wherever it is shown; secrets always are (false)",
        ),
    ]),
    rules: &[],
};

/// What is in force for every call of an integration.
#[derive(Debug, Default)]
pub struct Outlet {
    /// What its URLs follow.
    pub root_url: Option<Url>,
    /// What every call gets that does not say otherwise.
    pub headers: Vec<Header>,
    /// How fast all of its calls together may be.
    pub rate_limit: Option<Rate>,
    /// How long a try may take.
    pub timeout: Option<Duration>,
    /// The ranges that it may reach although they are not public; `None`: those of all calls.
    pub allow: Option<Vec<IpNet>>,
    /// Whom it trusts and what it shows.
    pub tls: Option<TlsFiles>,
    /// The proxy that its calls go by; `None`: that of all calls; `Some(None)`: none.
    pub proxy: Option<Option<ProxyRule>>,
    /// The largest answer; `None`: that of all calls.
    pub max_response: Option<u64>,
    /// How many redirects its calls follow that do not say otherwise.
    pub redirects: u8,
    /// The connections that are kept for its next call; `None`: as for all calls.
    pub pool: Option<PoolRule>,
}

/// A header whose value no flow knows.
#[derive(Debug, Clone)]
pub struct Header {
    /// Its name.
    pub name: HeaderName,
    /// Its value; marked as sensitive when it is not to be shown.
    pub value: HeaderValue,
}

/// Files in PEM form, relative to the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whom to trust.
    pub ca: Option<String>,
    /// A certificate to show, and its key.
    pub identity: Option<(String, String)>,
    /// Where this is written.
    pub span: Span,
}

impl Outlet {
    pub(super) fn load(
        fields: &mut Fields<'_>,
        secrets: &dyn SecretSource,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let headers = fields.take("headers").and_then(|node| node.as_map(diagnostics)).unwrap_or_default();
        Self {
            root_url: fields.take("root_url").and_then(|node| root_url(node, diagnostics)),
            headers: headers
                .iter()
                .filter_map(|(key, node)| Header::load(key, node, secrets, diagnostics))
                .collect(),
            rate_limit: fields.take("rate_limit").and_then(|node| node.as_rate(diagnostics)),
            timeout: fields.take("timeout").and_then(|node| node.as_duration(diagnostics)),
            allow: fields
                .take("allow")
                .and_then(|node| node.as_list(diagnostics))
                .map(|list| list.iter().filter_map(|node| range(node, diagnostics)).collect()),
            tls: fields.take("tls").and_then(|node| TlsFiles::load(node, diagnostics)),
            proxy: fields.take("proxy").map(|node| {
                let named = Some(node).filter(|node| !node.is_null());
                named.and_then(|node| ProxyRule::load(node, secrets, diagnostics))
            }),
            max_response: fields.take("max_response").and_then(|node| node.as_size(diagnostics)),
            redirects: fields
                .take("redirects")
                .and_then(|node| redirects(node, diagnostics))
                .unwrap_or_default(),
            pool: fields.take("pool").and_then(|node| PoolRule::load(node, diagnostics)),
        }
    }

    /// The content type that its calls have unless they say otherwise.
    pub(super) fn content_type(&self) -> Option<String> {
        let header = self.headers.iter().find(|header| header.name == header::CONTENT_TYPE)?;
        Some(header.value.to_str().ok()?.to_owned())
    }
}

impl Header {
    /// Reads a value, `{env: NAME}`, `{file: path}` or `{value: any of these, private: true}`.
    fn load(
        key: &Node,
        node: &Node,
        secrets: &dyn SecretSource,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let name = call_header(key, diagnostics)?;
        let (node, private) = match &node.value {
            NodeValue::Map(entries) if entries.iter().any(|(key, _)| key.text() == "value") => {
                let mut fields = Fields::of(node, "a header", diagnostics)?;
                let value = fields.require("value", diagnostics);
                let private = fields.take("private").map(|node| node.as_bool(diagnostics));
                fields.finish(diagnostics);
                (value?, private.unwrap_or(Some(false))?)
            }
            _ => (node, false),
        };
        let secret = matches!(node.value, NodeValue::Map(_));
        let bytes = if secret {
            SecretRef::load(node, secrets, diagnostics)?.expose().to_vec()
        } else {
            let text = node.as_str(diagnostics)?;
            if text.contains("${") || text.contains("@{") {
                diagnostics
                    .error(Code("integration.header"), &node.span, "a shared header is not evaluated")
                    .help("write it into the webhooks that need it");
                return None;
            }
            text.as_bytes().to_vec()
        };
        let Ok(mut value) = HeaderValue::from_bytes(&bytes) else {
            let message = format!("the value of `{name}` holds what no header can hold");
            diagnostics.error(Code("integration.header"), &node.span, message);
            return None;
        };
        value.set_sensitive(secret || private);
        Some(Self { name, value })
    }
}

/// Those of a webhook's headers that are no text: what no flow is to know.
pub(super) fn private_headers(
    entries: &[(Node, Node)],
    secrets: &dyn SecretSource,
    diagnostics: &mut Diagnostics,
) -> Vec<Header> {
    let private = entries.iter().filter(|(_, node)| matches!(node.value, NodeValue::Map(_)));
    private.filter_map(|(key, node)| Header::load(key, node, secrets, diagnostics)).collect()
}

impl TlsFiles {
    fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "`tls`", diagnostics)?;
        let mut path = |key| fields.take(key).map(|node| node.as_str(diagnostics).map(str::to_owned));
        let (ca, cert, key) = (path("ca"), path("cert"), path("key"));
        fields.finish(diagnostics);
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert?, key?)),
            (None, None) => None,
            _ => {
                diagnostics.error(Code("integration.tls"), &node.span, "`cert` and `key` go together");
                return None;
            }
        };
        Some(Self { ca: ca.flatten(), identity, span: node.span.clone() })
    }
}

fn root_url(node: &Node, diagnostics: &mut Diagnostics) -> Option<Url> {
    let text = if node.is_null() { "" } else { node.as_str(diagnostics)?.trim() };
    if text.is_empty() {
        return None;
    }
    let url = Url::parse(text).map_err(|error| error.to_string());
    let url = url.and_then(|url| {
        if text.contains("${") {
            Err("it is not evaluated".to_owned())
        } else if !has_scheme(text) || !url.has_host() || url.fragment().is_some() {
            Err("it begins with `http://` or `https://` and has no `#`".to_owned())
        } else if !url.username().is_empty() || url.password().is_some() {
            Err("it holds no user or password; use a header".to_owned())
        } else {
            Ok(url)
        }
    });
    match url {
        Ok(url) => Some(url),
        Err(why) => {
            diagnostics.error(Code("integration.url"), &node.span, format!("this is not a root URL: {why}"));
            None
        }
    }
}

fn range(node: &Node, diagnostics: &mut Diagnostics) -> Option<IpNet> {
    let text = node.as_str(diagnostics)?;
    let range = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    if range.is_none() {
        diagnostics
            .error(Code("config.range"), &node.span, format!("`{text}` is not a range of addresses"))
            .help("write an address and the length of its prefix, such as `10.1.0.0/16`");
    }
    range
}
