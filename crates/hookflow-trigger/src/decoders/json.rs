//! JSON: any value, numbers as they are spelt, the last of equal keys.

use crate::DecodeRefusal;
use crate::decoder::{Decoded, Decoder};
use crate::media_type::{MediaType, text};
use bytes::Bytes;

/// How deep lists and maps may nest; `serde_json` refuses the next level.
const MAX_DEPTH: usize = 127;

pub(super) static JSON: Decoder = Decoder {
    name: "json",
    summary: "Any JSON value; numbers keep their spelling. Takes `application/json`, `…+json`, `text/plain` or no type.",
    suits: MediaType::is_json,
    takes: |media_type| media_type.is_none_or(|it| it.is_json() || it.essence == "text/plain"),
    decode,
};

fn decode(body: &Bytes, media_type: Option<&MediaType>) -> Result<Decoded, DecodeRefusal> {
    let text = text(body, media_type)?;
    let value = serde_json::from_str(&text).map_err(|error| {
        let whole = error.to_string();
        // The position is told apart from the words.
        let message = whole.split(" at line ").next().unwrap_or_default();
        if message.starts_with("recursion limit") {
            return DecodeRefusal::TooDeep { limit: MAX_DEPTH };
        }
        DecodeRefusal::Malformed {
            message: format!("the body is not JSON: {message}"),
            line: Some(error.line()),
            column: Some(error.column()),
        }
    })?;
    Ok(Decoded { value, files: Vec::new() })
}
