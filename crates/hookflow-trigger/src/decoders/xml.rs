//! XML, by the convention of hookflow-expr.

use crate::decoder::{Decoded, Decoder, Encoded};
use crate::media_type::MediaType;
use crate::{DecodeRefusal, charset};
use hookflow_expr::{XmlFault, read_xml};

pub(super) static XML: Decoder = Decoder {
    name: "xml",
    summary: "An object whose one key is the root element; attributes are `@name`, repeats lists, text beside others \
              `#text`. Takes `application/xml`, `text/xml`, `…+xml`, `text/plain` or no type.",
    suits: MediaType::is_xml,
    takes: |media_type| media_type.is_none_or(|it| it.is_xml() || it.essence == "text/plain"),
    decode,
};

fn decode(body: &mut Encoded<'_, '_>) -> Result<Decoded, DecodeRefusal> {
    let content = body.whole()?;
    let said = match body.media_type.map_or(Ok(None), MediaType::charset)? {
        Some(encoding) => Some(encoding),
        // What the transport says outranks what the document says of itself.
        None => charset::of_xml(&content)?,
    };
    let text = charset::text(&content, said)?;
    let value = read_xml(&text, body.xml).map_err(|fault| match fault {
        XmlFault::Malformed { message, line, column } => DecodeRefusal::Malformed {
            message: format!("the body is not XML that is taken: {message}"),
            line: Some(line),
            column: Some(column),
        },
        XmlFault::TooDeep { limit } => DecodeRefusal::TooDeep { limit },
        XmlFault::Unwritable(message) => DecodeRefusal::malformed(message),
    })?;
    Ok(Decoded { value, files: Vec::new() })
}
