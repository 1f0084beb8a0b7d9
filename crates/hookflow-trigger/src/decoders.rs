//! The table of body formats. `auto` takes the first that suits the media type, so `bytes`, which suits every type,
//! stands last; the others are in alphabetic order.

mod bytes;
mod form;
mod json;
mod multipart;
mod text;
mod xml;

pub use xml::decode_xml;

use crate::Decoder;

/// Every body format.
pub(crate) static DECODERS: &[&Decoder] =
    &[&form::FORM, &json::JSON, &multipart::MULTIPART, &text::TEXT, &xml::XML, &bytes::BYTES];

/// The body formats, for documentation; `auto` beside them means that the media type decides.
pub fn decoders() -> &'static [&'static Decoder] {
    DECODERS
}

pub(crate) fn find(name: &str) -> Option<&'static Decoder> {
    DECODERS.iter().find(|decoder| decoder.name == name).copied()
}
