//! A webhook's `sample:`: one request that the flow can be tried on.

use super::{Mismatch, SampleRefused, Surroundings, Webhook};
use crate::step_kinds::respond::header_name;
use hookflow_text::{Code, Diagnostics, Fields, Json, Key, MapSchema, Node, Rule, Schema, Span};
use hookflow_trigger::SampleBody;
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::sync::Arc;

/// The keys of a request that stands in a file.
pub(super) const REQUEST: [Key; 6] = [
    Key::may("method", Schema::Word(METHODS), "its method (POST)"),
    Key::may("suffix", Schema::Text, "what follows the flow's ID in the URL (nothing)"),
    Key::may("headers", Schema::TEXTS, "a map of names to text"),
    Key::may("query", Schema::ANY_MAP, "the fields of the query"),
    Key::may("body", Schema::Any, "the body as a value, in the format that the webhook takes"),
    Key::may("body_file", Schema::Text, "a file that holds the body, relative to the folder"),
];

pub(super) static SAMPLE: MapSchema = MapSchema {
    name: "sample",
    about: "One request that a flow can be tried on.",
    keys: Cow::Borrowed(&REQUEST),
    rules: &[Rule::AtMostOne(&["body", "body_file"])],
};

/// The methods that a request may have.
pub(super) const METHODS: &[&str] = &["DELETE", "GET", "PATCH", "POST", "PUT"];

/// One request that a flow can be tried on.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The request.
    pub request: hookflow_trigger::Sample,
    /// What follows the flow's ID in the URL.
    pub suffix: String,
    span: Span,
}

impl Sample {
    pub(super) fn load(
        node: &Node,
        surroundings: &Surroundings<'_>,
        hash: &mut Sha256,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let fields = Fields::of(node, "a sample", diagnostics)?;
        Self::read(fields, node, surroundings, hash, diagnostics)
    }

    /// Reads the keys of a request out of a map that may have known others.
    pub(super) fn read(
        mut fields: Fields<'_>,
        node: &Node,
        surroundings: &Surroundings<'_>,
        hash: &mut Sha256,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let method = match fields.take("method") {
            None => Method::POST,
            Some(node) => {
                let word = node.one_of(METHODS, diagnostics)?;
                Method::from_bytes(word.as_bytes()).ok()?
            }
        };
        let suffix =
            fields.take("suffix").and_then(|node| node.as_str(diagnostics)).unwrap_or_default().to_owned();
        let headers = read_headers(fields.take("headers"), diagnostics)?;
        let query = match fields.take("query") {
            None => Json::Null,
            Some(node) => {
                node.as_map(diagnostics)?;
                node.to_json(diagnostics)
            }
        };
        let value = fields.take("body").map(|node| node.to_json(diagnostics));
        let file = fields.take("body_file");
        fields.finish(diagnostics);
        let body = match (value, file) {
            (Some(_), Some(file)) => {
                diagnostics.error(
                    Code("sample.two-bodies"),
                    &file.span,
                    "a sample has one body: `body` or `body_file`",
                );
                return None;
            }
            (Some(value), None) => SampleBody::Value(value),
            (None, Some(file)) => SampleBody::Bytes(read_file(file, surroundings, hash, diagnostics)?.into()),
            (None, None) => SampleBody::Empty,
        };
        let request = hookflow_trigger::Sample { method, headers, query, body };
        Some(Self { request, suffix, span: node.span.clone() })
    }
}

/// Says so when the webhook would refuse its own sample: one of both is not as its author thinks.
pub(super) fn check(flow: &Arc<str>, webhook: &Webhook, diagnostics: &mut Diagnostics) {
    let Some(sample) = &webhook.sample else { return };
    if let Some(why) = objection(flow, webhook, sample) {
        diagnostics
            .error(Code("sample.refused"), &sample.span, why)
            .help("write the sample as a real request is, or change what the webhook takes");
    }
}

fn objection(flow: &Arc<str>, webhook: &Webhook, sample: &Sample) -> Option<String> {
    let Sample { request, suffix, .. } = sample;
    // POST is what is meant when no method is written.
    if request.method != Method::POST && !webhook.methods.contains(&request.method) {
        let (taken, method) = (webhook.methods.allow(), &request.method);
        return Some(format!("the webhook takes {taken}, and the sample is a {method}"));
    }
    let event = match webhook.sample_event(flow, "sample".into(), Timestamp::UNIX_EPOCH, "https://localhost")
    {
        Ok(event) => event,
        Err(SampleRefused::Path(_)) if suffix.is_empty() => {
            return Some("the webhook's `path` needs a `suffix` in the sample".into());
        }
        Err(why) => return Some(why.to_string()),
    };
    let found = webhook.expects.as_ref().map(|expects| expects.check(&event)).unwrap_or_default();
    let places = found.iter().map(|Mismatch { at, expected }| format!("`{at}` ({expected})"));
    let places = places.collect::<Vec<_>>().join(", ");
    (!places.is_empty()).then(|| format!("the sample is not as `expects` says: {places}"))
}

pub(super) fn read_headers(node: Option<&Node>, diagnostics: &mut Diagnostics) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    let Some(node) = node else { return Some(headers) };
    for (key, value) in node.as_map(diagnostics)? {
        let name = header_name(key, Code("respond.header"), diagnostics)?;
        let Ok(text) = HeaderValue::from_str(value.as_str(diagnostics)?) else {
            return value.mistyped("a header value on one line", diagnostics);
        };
        headers.append(name, text);
    }
    Some(headers)
}

fn read_file(
    node: &Node,
    surroundings: &Surroundings<'_>,
    hash: &mut Sha256,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<u8>> {
    let path = node.as_str(diagnostics)?;
    match (surroundings.read_file)(path) {
        Ok(bytes) => {
            hash.update(&bytes);
            Some(bytes)
        }
        Err(why) => {
            let message = format!("the sample's file `{path}` cannot be read: {why}");
            diagnostics.error(Code("sample.file"), &node.span, message);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flow;
    use hookflow_text::{Source, parse};
    use hookflow_trigger::Credentials;

    fn mistakes(webhook: &str) -> Vec<String> {
        let mut diagnostics = Diagnostics::default();
        let text =
            format!("flow: a\nwebhook: {{auth: none, {webhook}}}\nsteps: [{{respond: {{status: 200}}}}]");
        let root = parse(&Source::new("a.yaml", text), &mut diagnostics).unwrap();
        let credentials = Credentials::default();
        let read_file = |_: &str| Ok(b"{\"id\": 7}".to_vec());
        let surroundings = Surroundings {
            credentials: &credentials,
            integrations: &crate::Integrations::default(),
            body_limit: 1 << 20,
            read_file: &read_file,
        };
        let flow = Flow::load(&root, &surroundings, &mut diagnostics);
        assert_eq!(flow.is_none(), diagnostics.has_errors());
        let told = diagnostics.iter().map(|it| format!("{}: {}", it.code, it.message));
        told.collect()
    }

    #[test]
    fn a_sample_is_one_that_its_webhook_takes() {
        for (webhook, expected) in [
            ("expects: {body: {id: string}}, sample: {body: {id: A-1}}", None),
            (
                "expects: {strict: true, body: {id: string, n: integer?}}, sample: {body: {id: 7, n: 1.5}}",
                Some("the sample is not as `expects` says: `body.id` (string), `body.n` (integer)"),
            ),
            (
                "expects: {body: {id: string}}, sample: {body_file: order.json}",
                Some("the sample is not as `expects` says: `body.id` (string)"),
            ),
            (
                "expects: {headers: [X-Shop], query: {page: integer}}, sample: {headers: {X-Other: a}, query: {page: x}}",
                Some(
                    "the sample is not as `expects` says: `headers.x-shop` (a value), `query.page` (integer)",
                ),
            ),
            (
                "expects: {headers: [X-Shop], query: {page: integer}}, sample: {headers: {X-Shop: a}, query: {page: 3}}",
                None,
            ),
            (
                "body: json, sample: {headers: {Content-Type: text/xml}, body_file: order.json}",
                Some(
                    "the webhook does not take the sample's body: the webhook takes `json` bodies; this request has the Content-Type `text/xml`",
                ),
            ),
            (
                "body: xml, sample: {body_file: order.json}",
                Some("the webhook does not take the sample's body"),
            ),
            (
                "path: '/orders/{id}', sample: {body: 1}",
                Some("the webhook's `path` needs a `suffix` in the sample"),
            ),
            (
                "path: '/orders/{id}', sample: {suffix: /other/1, body: 1}",
                Some(
                    "the webhook's path does not take the sample's suffix `/other/1`: write `suffix: …` in the sample",
                ),
            ),
            ("path: '/orders/{id}', sample: {suffix: /orders/1, body: 1}", None),
            ("methods: [PUT], sample: {body: 1}", None),
            (
                "methods: [PUT], sample: {method: GET}",
                Some("the webhook takes PUT, HEAD, and the sample is a GET"),
            ),
        ] {
            let told = mistakes(webhook);
            match expected {
                None => assert!(told.is_empty(), "{webhook}: {told:?}"),
                Some(expected) => {
                    assert_eq!(told.len(), 1, "{webhook}: {told:?}");
                    assert!(
                        told[0].starts_with(&format!("sample.refused: {expected}")),
                        "{webhook}: {told:?}"
                    );
                }
            }
        }
    }
}
