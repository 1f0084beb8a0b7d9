//! Plain text.

use crate::decoder::{Decoded, Decoder};
use crate::media_type::{MediaType, text};
use hookflow_text::Json;

pub(super) static TEXT: Decoder = Decoder {
    name: "text",
    summary: "The body as one text, in UTF-8, US-ASCII or ISO-8859-1. Takes `text/…`, JSON, XML and forms.",
    suits: MediaType::is_text,
    takes: |media_type| {
        media_type.is_some_and(|it| it.is_text() || it.is_json() || it.is_xml() || it.is_form())
    },
    decode: |body, media_type| {
        let value = Json::String(text(body, media_type)?.into_owned());
        Ok(Decoded { value, files: Vec::new() })
    },
};
