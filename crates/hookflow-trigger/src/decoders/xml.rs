//! XML, by the convention of hookflow-expr.

use crate::decoder::{Decoded, Decoder, Encoded};
use crate::media_type::MediaType;
use crate::{DecodeRefusal, charset};
use hookflow_expr::{XmlFault, XmlShape, read_xml};
use hookflow_text::Json;

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
    Ok(Decoded { value: value(body.media_type, &content, body.xml)?, files: Vec::new() })
}

/// The value of an XML document in the charset that its `Content-Type` or else the document says, by the default shape.
///
/// # Errors
/// When it is no XML that is taken.
pub fn decode_xml(content_type: &str, content: &[u8]) -> Result<Json, DecodeRefusal> {
    value(MediaType::read(content_type).as_ref(), content, &XmlShape::default())
}

fn value(media_type: Option<&MediaType>, content: &[u8], shape: &XmlShape) -> Result<Json, DecodeRefusal> {
    let said = match media_type.map_or(Ok(None), MediaType::charset)? {
        Some(encoding) => Some(encoding),
        // What the transport says outranks what the document says of itself.
        None => charset::of_xml(content)?,
    };
    let text = charset::text(content, said)?;
    read_xml(&text, shape).map_err(|fault| match fault {
        XmlFault::Malformed { message, line, column } => DecodeRefusal::Malformed {
            message: format!("the body is not XML that is taken: {message}"),
            line: Some(line),
            column: Some(column),
        },
        XmlFault::TooDeep { limit } => DecodeRefusal::TooDeep { limit },
        XmlFault::Unwritable(message) => DecodeRefusal::malformed(message),
    })
}
