//! `Content-Type`, as far as choosing a decoder needs it.

use crate::{DecodeRefusal, charset, header_value};
use encoding_rs::Encoding;
use http::header::{CONTENT_TYPE, HeaderMap};
use std::borrow::Cow;

/// A media type with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// `application/json`, in lower case.
    pub(crate) essence: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// What the headers say; `None` without the header or when it is empty.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers.get(CONTENT_TYPE)?.to_str().ok()?)
    }

    /// A media type as a header writes it. Parameters that cannot be read are none.
    pub(crate) fn read(value: &str) -> Option<Self> {
        let (essence, parameters) = header_value::split(value)
            .unwrap_or_else(|| (value.split(';').next().unwrap_or_default().trim(), Vec::new()));
        (!essence.is_empty()).then(|| Self { essence: essence.to_ascii_lowercase(), parameters })
    }

    /// A parameter, its name in lower case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// What it says of the encoding of its text.
    pub(crate) fn charset(&self) -> Result<Option<&'static Encoding>, DecodeRefusal> {
        self.parameter("charset").map(charset::of_label).transpose()
    }

    /// `application/json` and everything that ends in `+json`.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.essence.as_str(), "application/json" | "text/json") || self.essence.ends_with("+json")
    }

    /// `application/xml`, `text/xml` and everything that ends in `+xml`.
    pub(crate) fn is_xml(&self) -> bool {
        matches!(self.essence.as_str(), "application/xml" | "text/xml") || self.essence.ends_with("+xml")
    }

    /// `application/x-www-form-urlencoded`.
    pub(crate) fn is_form(&self) -> bool {
        self.essence == "application/x-www-form-urlencoded"
    }

    /// Everything under `text/`.
    pub(crate) fn is_text(&self) -> bool {
        self.essence.starts_with("text/")
    }

    /// `multipart/form-data`.
    pub(crate) fn is_multipart(&self) -> bool {
        self.essence == "multipart/form-data"
    }
}

/// A body as text: by its byte order mark, else by the charset of its media type, else UTF-8.
pub(crate) fn text<'b>(
    body: &'b [u8],
    media_type: Option<&MediaType>,
) -> Result<Cow<'b, str>, DecodeRefusal> {
    charset::text(body, media_type.map_or(Ok(None), MediaType::charset)?)
}
