//! Plain text.

use crate::decoder::{Decoded, Decoder};
use crate::media_type::text;
use hookflow_text::Json;

pub(super) static TEXT: Decoder = Decoder {
    name: "text",
    summary: "The body as one text, in any charset that browsers know. Takes `text/…`, JSON, XML and forms.",
    suits: |media_type| media_type.is_text() && !media_type.is_xml(),
    takes: |media_type| {
        media_type.is_some_and(|it| it.is_text() || it.is_json() || it.is_xml() || it.is_form())
    },
    decode: |body| {
        let value = Json::String(text(&body.whole()?, body.media_type)?.into_owned());
        Ok(Decoded { value, files: Vec::new() })
    },
};
