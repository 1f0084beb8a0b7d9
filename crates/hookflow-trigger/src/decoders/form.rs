//! `application/x-www-form-urlencoded`.

use crate::DecodeRefusal;
use crate::decoder::{Decoded, Decoder, Encoded};
use crate::media_type::MediaType;
use crate::properties::{FormFault, read_form};
use encoding_rs::UTF_8;

pub(super) static FORM: Decoder = Decoder {
    name: "form",
    summary: "A list of properties: `a[b]=1` and `a[]=1` nest, repeats become lists, every value is text.",
    suits: MediaType::is_form,
    takes: |media_type| media_type.is_some_and(MediaType::is_form),
    decode,
};

fn decode(body: &mut Encoded<'_, '_>) -> Result<Decoded, DecodeRefusal> {
    let encoding = body.media_type.map_or(Ok(None), MediaType::charset)?.unwrap_or(UTF_8);
    if !encoding.is_ascii_compatible() {
        return Err(DecodeRefusal::MediaType {
            found: format!("a form in {}", encoding.name()),
            takes: "forms in UTF-8 and other charsets that contain ASCII".into(),
        });
    }
    let value = read_form(&body.whole()?, encoding).map_err(|fault| {
        DecodeRefusal::malformed(match fault {
            FormFault::NotText => format!("the form is not {}", encoding.name()),
            FormFault::TooMany => "the form has too many properties".into(),
        })
    })?;
    Ok(Decoded { value, files: Vec::new() })
}
