//! Header names in files and header values in requests.

use hookflow_text::{Code, Diagnostics, Node};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;

/// Why there is not exactly one readable value.
pub(crate) enum NotOne {
    Missing,
    Repeated,
    Unreadable,
}

/// A header name that stands in a file.
pub(crate) fn load_name(node: &Node, diagnostics: &mut Diagnostics) -> Option<HeaderName> {
    let text = node.as_str(diagnostics)?;
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        diagnostics.error(Code("auth.header-name"), &node.span, format!("`{text}` is not a header name"));
    }
    name
}

/// The value of a header that must come exactly once and be plain ASCII text.
pub(crate) fn only_text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, NotOne> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(NotOne::Missing)?;
    if values.next().is_some() {
        return Err(NotOne::Repeated);
    }
    value.to_str().map_err(|_| NotOne::Unreadable)
}

/// A value as text: UTF-8 when it is, else each byte as the character of that number (ISO 8859-1).
pub(crate) fn text_of(value: &HeaderValue) -> Cow<'_, str> {
    let bytes = value.as_bytes();
    std::str::from_utf8(bytes).map_or_else(|_| Cow::Owned(latin1(bytes)), Cow::Borrowed)
}

/// Bytes as ISO 8859-1.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
