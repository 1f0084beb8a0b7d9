//! Anything: the body is one file, and `webhook.body` is null.

use crate::Decoder;
use crate::decoder::{Decoded, FilePart};
use hookflow_text::Json;

pub(super) static BYTES: Decoder = Decoder {
    name: "bytes",
    summary: "Any body, with any media type or none, as the one file `webhook.files[0]`; `webhook.body` is null.",
    suits: |_| true,
    takes: |_| true,
    decode: |body| {
        let file = FilePart {
            name: "body".into(),
            filename: None,
            media_type: body.media_type.map(|found| found.essence.clone()),
            content: body.content.clone(),
        };
        Ok(Decoded { value: Json::Null, files: vec![file] })
    },
};
