//! `Content-Type`, as far as choosing a decoder needs it.

use crate::DecodeRefusal;
use crate::headers::latin1;
use http::header::{CONTENT_TYPE, HeaderMap};
use std::borrow::Cow;

/// A media type and its charset, both in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// `application/json`.
    pub(crate) essence: String,
    charset: Option<String>,
}

impl MediaType {
    /// What the headers say; `None` without the header or when it is empty.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let mut parts = value.split(';');
        let essence = parts.next()?.trim().to_ascii_lowercase();
        let charset = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .map(|(_, charset)| charset.trim().trim_matches('"').to_ascii_lowercase());
        (!essence.is_empty()).then_some(Self { essence, charset })
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

    /// Whether its text is UTF-8, said or unsaid.
    pub(crate) fn is_utf8(&self) -> bool {
        matches!(self.charset.as_deref(), None | Some("utf-8" | "utf8" | "us-ascii" | "ascii"))
    }
}

/// A body as text, by the charset of its media type: UTF-8 (without its byte order mark), US-ASCII, ISO 8859-1.
pub(crate) fn text<'b>(
    body: &'b [u8],
    media_type: Option<&MediaType>,
) -> Result<Cow<'b, str>, DecodeRefusal> {
    let charset =
        media_type.filter(|media_type| !media_type.is_utf8()).and_then(|found| found.charset.as_deref());
    match charset {
        None => {
            let text = std::str::from_utf8(body).map_err(|error| not_utf8(body, error.valid_up_to()))?;
            Ok(Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)))
        }
        Some("iso-8859-1" | "iso8859-1" | "latin1") => Ok(Cow::Owned(latin1(body))),
        Some(other) => Err(DecodeRefusal::MediaType {
            found: format!("text in the charset `{other}`"),
            takes: "UTF-8, US-ASCII and ISO-8859-1".into(),
        }),
    }
}

fn not_utf8(body: &[u8], at: usize) -> DecodeRefusal {
    let before = body.get(..at).unwrap_or_default();
    let mut lines = before.split(|byte| *byte == b'\n');
    let last = lines.next_back().unwrap_or_default();
    DecodeRefusal::Malformed {
        message: "the body is not UTF-8".into(),
        line: Some(lines.count() + 1),
        column: Some(last.len() + 1),
    }
}
