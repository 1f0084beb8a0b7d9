//! JSON: any value, numbers as they are spelt, the last of equal keys.

use crate::DecodeRefusal;
use crate::decoder::{Decoded, Decoder, Encoded};
use crate::media_type::{MediaType, text};
use hookflow_text::Json;
use serde::Deserialize as _;

/// How deep lists and maps may nest.
const MAX_DEPTH: usize = 128;

pub(super) static JSON: Decoder = Decoder {
    name: "json",
    summary: "Any JSON value; numbers keep their spelling. Takes `application/json`, `…+json`, `text/plain` or no type.",
    suits: MediaType::is_json,
    takes: |media_type| media_type.is_none_or(|it| it.is_json() || it.essence == "text/plain"),
    decode,
};

fn decode(body: &mut Encoded<'_, '_>) -> Result<Decoded, DecodeRefusal> {
    let content = body.whole()?;
    let text = text(&content, body.media_type)?;
    let value = serde_json::from_str(&text).or_else(|error| {
        if error.to_string().starts_with("recursion limit") { deep(&text) } else { Err(malformed(&error)) }
    })?;
    Ok(Decoded { value, files: Vec::new() })
}

/// The parser's own limit is one level short of ours, so what nests that deep is measured first.
fn deep(text: &str) -> Result<Json, DecodeRefusal> {
    if depth(text) > MAX_DEPTH {
        return Err(DecodeRefusal::TooDeep { limit: MAX_DEPTH });
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    parser.disable_recursion_limit();
    let value = Json::deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    value.map_err(|error| malformed(&error))
}

/// How many brackets are open at the deepest place, outside of quotes.
fn depth(text: &str) -> usize {
    let (mut open, mut deepest, mut in_quotes, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_quotes => escaped = true,
            b'"' => in_quotes = !in_quotes,
            _ if in_quotes => {}
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

fn malformed(error: &serde_json::Error) -> DecodeRefusal {
    let whole = error.to_string();
    // The position is told apart from the words.
    let message = whole.split(" at line ").next().unwrap_or_default();
    DecodeRefusal::Malformed {
        message: format!("the body is not JSON: {message}"),
        line: Some(error.line()),
        column: Some(error.column()),
    }
}
