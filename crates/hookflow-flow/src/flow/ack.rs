//! A flow's `ack:`: the fixed answer of a flow without `respond`.

use crate::Reply;
use crate::step_kinds::respond::{self, BodyRule};
use bytes::Bytes;
use hookflow_text::{Code, Diagnostics, Fields, Node, NodeValue, Span};
use http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};

/// The fixed answer of a flow without `respond`.
#[derive(Debug)]
pub struct Ack {
    /// The answer.
    pub reply: Reply,
    /// Where it stands.
    pub span: Span,
}

impl Ack {
    pub(super) fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let reply = fixed_reply(node, "an `ack`", 202, diagnostics)?;
        Some(Self { reply, span: node.key_span() })
    }
}

/// Reads a reply in which nothing is evaluated, with the status that it has unless it says otherwise.
pub(crate) fn fixed_reply(
    node: &Node,
    what: &'static str,
    status: u64,
    diagnostics: &mut Diagnostics,
) -> Option<Reply> {
    refuse_templates(node, what, diagnostics)?;
    let mut fields = Fields::of(node, what, diagnostics)?;
    let status = fields.take("status").map_or(Some(status), |node| node.as_integer(200, 299, diagnostics));
    let mut headers = Vec::new();
    for (name, value) in fields.take("headers").and_then(|node| node.as_map(diagnostics)).unwrap_or_default()
    {
        let name = respond::header_name(name, Code("respond.header"), diagnostics)?;
        let value = HeaderValue::from_str(value.as_str(diagnostics)?).ok();
        let Some(value) = value else { return node.mistyped("a header value on one line", diagnostics) };
        headers.push((name, value));
    }
    let json = fields.take("json").map(|node| node.to_json(diagnostics));
    let text = fields.take("text").and_then(|node| node.as_str(diagnostics));
    fields.finish(diagnostics);
    let (content_type, body) = match (json, text) {
        (Some(_), Some(_)) => {
            diagnostics.error(
                Code("respond.two-bodies"),
                &node.key_span(),
                "an answer has one body: `json` or `text`",
            );
            return None;
        }
        (Some(json), None) => (Some("application/json"), Bytes::from(json.to_string())),
        (None, Some(text)) => (Some("text/plain; charset=utf-8"), Bytes::copy_from_slice(text.as_bytes())),
        (None, None) => (None, Bytes::new()),
    };
    let status = StatusCode::from_u16(u16::try_from(status?).ok()?).ok()?;
    if BodyRule::of(status) == BodyRule::Forbidden && content_type.is_some() {
        diagnostics.error(
            Code("respond.body-not-allowed"),
            &node.key_span(),
            format!("an answer with status {} has no body", status.as_u16()),
        );
        return None;
    }
    add_content_type(&mut headers, content_type);
    Some(Reply { status, headers, body })
}

/// Adds the content type of a body unless the flow wrote one.
pub(crate) fn add_content_type(
    headers: &mut Vec<(HeaderName, HeaderValue)>,
    content_type: Option<&'static str>,
) {
    if let Some(value) = content_type
        && !headers.iter().any(|(name, _)| name == CONTENT_TYPE)
    {
        headers.push((CONTENT_TYPE, HeaderValue::from_static(value)));
    }
}

/// It leaves before the flow runs, or goes on, so there is nothing a template could read.
fn refuse_templates(node: &Node, what: &str, diagnostics: &mut Diagnostics) -> Option<()> {
    match &node.value {
        NodeValue::Scalar(scalar) if scalar.text.contains("${") || scalar.text.contains("@{") => {
            diagnostics
                .error(
                    Code("flow.ack-template"),
                    &node.span,
                    format!("{what} is sent before the flow runs on, so it holds no template"),
                )
                .help("use a `respond` step to answer with values");
            None
        }
        NodeValue::Scalar(_) => Some(()),
        NodeValue::Seq(items) => items.iter().try_for_each(|item| refuse_templates(item, what, diagnostics)),
        NodeValue::Map(entries) => {
            entries.iter().try_for_each(|(_, value)| refuse_templates(value, what, diagnostics))
        }
    }
}
