//! `application/x-www-form-urlencoded`.

use crate::DecodeRefusal;
use crate::decoder::{Decoded, Decoder};
use crate::media_type::MediaType;
use crate::properties::{FormFault, read_form};
use bytes::Bytes;

pub(super) static FORM: Decoder = Decoder {
    name: "form",
    summary: "A list of properties: `a[b]=1` and `a[]=1` nest, repeats become lists, every value is text.",
    suits: MediaType::is_form,
    takes: |media_type| media_type.is_some_and(MediaType::is_form),
    decode,
};

fn decode(body: &Bytes, media_type: Option<&MediaType>) -> Result<Decoded, DecodeRefusal> {
    // Another charset would hide behind the percent signs, where it cannot be told from UTF-8 with certainty.
    if media_type.is_some_and(|media_type| !media_type.is_utf8()) {
        return Err(DecodeRefusal::MediaType {
            found: "a form in another charset".into(),
            takes: "forms in UTF-8".into(),
        });
    }
    let value = read_form(body).map_err(|fault| {
        DecodeRefusal::malformed(match fault {
            FormFault::NotUtf8 => "the form is not UTF-8",
            FormFault::TooMany => "the form has too many properties",
        })
    })?;
    Ok(Decoded { value, files: Vec::new() })
}
