//! Anything: the body is one file, and `webhook.body` is null.

use crate::Decoder;
use crate::body::each_piece;
use crate::decoder::{Decoded, FilePart};
use crate::encoding::to_hex;
use hookflow_text::Json;
use sha2::{Digest as _, Sha256};

pub(super) static BYTES: Decoder = Decoder {
    name: "bytes",
    summary: "Any body, with any media type or none, as the one file `webhook.files[0]`; `webhook.body` is null.",
    suits: |_| true,
    takes: |_| true,
    decode: |body| {
        let mut sha256 = None;
        if let Some(blob) = body.content.spooled() {
            let mut digest = Sha256::new();
            each_piece(blob.reader(), |piece| digest.update(piece))?;
            sha256 = Some(to_hex(&digest.finalize()));
        }
        let file = FilePart {
            name: "body".into(),
            filename: None,
            media_type: body.media_type.map(|found| found.essence.clone()),
            content: body.content.clone(),
            sha256,
        };
        Ok(Decoded { value: Json::Null, files: vec![file] })
    },
};
