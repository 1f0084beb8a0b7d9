//! The request of a test.

use super::Tested;
use crate::flow::Sample;
use crate::flow::sample::REQUEST;
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, Rule, Schema, Span, nearest};
use hookflow_trigger::{Credential, SampleBody};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

pub(super) static TEST_REQUEST: MapSchema = MapSchema {
    name: "test-request",
    about: "What comes in, in a test.",
    keys: Cow::Borrowed(&{
        let [method, suffix, headers, query, body, body_file] = REQUEST;
        [
            Key::may(
                "sample",
                Schema::Bool,
                "whether it is the flow's sample, with what stands beside this laid over it (false)",
            ),
            Key::may(
                "credential",
                Schema::Text,
                "who signs it: a credential, or `none` (the first that the flow asks for)",
            ),
            Key::may("from", Schema::Like(""), "the address that it comes from (one that may call)"),
            Key::may("text", Schema::Text, "the body as text"),
            method,
            suffix,
            headers,
            query,
            body,
            body_file,
        ]
    }),
    rules: &[Rule::AtMostOne(&["body", "body_file", "text"])],
};

/// What comes in, in a test.
#[derive(Debug)]
pub struct TestRequest {
    /// The request itself.
    pub request: hookflow_trigger::Sample,
    /// What follows the flow's ID in the URL.
    pub suffix: String,
    /// Who sends it.
    pub signing: Signing,
    /// Where it comes from; without it, from where the flow may be called.
    pub ip: Option<IpAddr>,
}

/// What a test's request proves.
#[derive(Debug)]
pub enum Signing {
    /// What the flow asks for, by the first of its credentials.
    Own,
    /// Nothing.
    Unsigned,
    /// That its sender knows this credential's secret.
    By(Arc<Credential>),
}

impl TestRequest {
    pub(super) fn load(node: &Node, tested: &Tested<'_, '_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a test's request", diagnostics)?;
        let from_sample = match fields.take("sample") {
            Some(node) => node.as_bool(diagnostics)?,
            None => false,
        };
        let signing = match fields.take("credential") {
            Some(node) => read_signing(node, tested, diagnostics)?,
            None => Signing::Own,
        };
        let ip = fields.take("from").and_then(|node| {
            let ip = node.as_str(diagnostics)?.parse().ok();
            ip.or_else(|| node.mistyped("an address such as `203.0.113.7`", diagnostics))
        });
        let text = fields.take("text").and_then(|node| node.as_str(diagnostics)).map(str::to_owned);
        let has = ["method", "suffix", "query", "body", "body_file"].map(|key| fields.has(key));
        // What a test reads is no part of what the flow is compiled from.
        let written = Sample::read(fields, node, tested.surroundings, &mut Sha256::new(), diagnostics)?;
        let [method, suffix, query, body, body_file] = has;
        let mut request = if from_sample {
            Self::of_sample(&node.span, tested, diagnostics)?
        } else {
            Self::plain(written.clone())
        };
        if from_sample {
            let Sample { request: own, suffix: own_suffix, .. } = written;
            request.request.headers.extend(own.headers);
            if method {
                request.request.method = own.method;
            }
            if suffix {
                request.suffix = own_suffix;
            }
            if query {
                request.request.query = own.query;
            }
            if body || body_file {
                request.request.body = own.body;
            }
        }
        if let Some(text) = text {
            if body || body_file {
                let message = "a request has one body: `body`, `body_file` or `text`";
                diagnostics.error(Code("sample.two-bodies"), &node.span, message);
            }
            request.request.body = SampleBody::Bytes(text.into());
        }
        Some(Self { signing, ip, ..request })
    }

    /// The flow's own sample, or an empty request for a flow that nobody calls.
    pub(super) fn of_sample(
        span: &Span,
        tested: &Tested<'_, '_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        if let Some(sample) = tested.webhook.and_then(|webhook| webhook.sample.clone()) {
            return Some(Self::plain(sample));
        }
        diagnostics
            .error(Code("test.request"), span, "the flow has no `sample` to be tested with")
            .help("write a `request` with `headers`, `query` and `body`, or give the webhook a `sample`");
        None
    }

    fn plain(sample: Sample) -> Self {
        let Sample { request, suffix, .. } = sample;
        Self { request, suffix, signing: Signing::Own, ip: None }
    }
}

fn read_signing(node: &Node, tested: &Tested<'_, '_>, diagnostics: &mut Diagnostics) -> Option<Signing> {
    let name = node.as_str(diagnostics)?;
    if name == "none" {
        return Some(Signing::Unsigned);
    }
    let credentials = tested.surroundings.credentials;
    if let Some(credential) = credentials.get(name) {
        return Some(Signing::By(Arc::clone(credential)));
    }
    let diagnostic = diagnostics.error(
        Code("test.request"),
        &node.span,
        format!("there is no credential `{name}` in `config/credentials.yaml`"),
    );
    match nearest(name, credentials.names()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help("`credential: none` sends the request unsigned"),
    };
    None
}
