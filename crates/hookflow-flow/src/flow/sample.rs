//! A webhook's `sample:`: one request that the flow can be tried on.

use super::Surroundings;
use crate::step_kinds::respond::header_name;
use hookflow_text::{Code, Diagnostics, Fields, Json, Node};
use hookflow_trigger::SampleBody;
use http::{HeaderMap, HeaderValue, Method};
use sha2::{Digest as _, Sha256};

/// One request that a flow can be tried on.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The request.
    pub request: hookflow_trigger::Sample,
    /// What follows the flow's ID in the URL.
    pub suffix: String,
}

impl Sample {
    pub(super) fn load(
        node: &Node,
        surroundings: &Surroundings<'_>,
        hash: &mut Sha256,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let mut fields = Fields::of(node, "a sample", diagnostics)?;
        let method = match fields.take("method") {
            None => Method::POST,
            Some(node) => {
                let word = node.one_of(&["DELETE", "GET", "PATCH", "POST", "PUT"], diagnostics)?;
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
        Some(Self { request: hookflow_trigger::Sample { method, headers, query, body }, suffix })
    }
}

fn read_headers(node: Option<&Node>, diagnostics: &mut Diagnostics) -> Option<HeaderMap> {
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
