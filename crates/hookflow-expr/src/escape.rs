//! What becomes of a value that is inserted into a text.

use crate::eval_error::Failure;
use crate::program::Made;
use hookflow_text::Json;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the signs that mean themselves in every part of a URL.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a text does with every value that is inserted into it. The text's own words are never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Nothing.
    None,
    /// The text is JSON: inside quotes a value is escaped as JSON text, outside it is written as JSON.
    Json,
    /// The text is XML or HTML.
    Markup,
    /// The text is a part of a URL.
    Url,
    /// The text is a form body: as in a URL, with `+` for a space.
    Form,
    /// The text is a header's value: CR, LF and NUL are refused.
    Header,
}

impl Escape {
    /// Writes `made` at the end of `out`; `in_quotes` says whether a quote of the text is open there.
    pub(crate) fn write(self, made: &Made, in_quotes: bool, out: &mut String) -> Result<(), Failure> {
        match self {
            Self::None => out.push_str(&made.text()?),
            Self::Json if in_quotes => out.push_str(&json_inner(&made.text()?)),
            Self::Json => match made.as_json_text() {
                // What `| json` gave is taken as it is, as long as it still is JSON.
                Some(text) if serde_json::from_str::<Json>(text).is_ok() => out.push_str(text),
                _ => out.push_str(&made.json_text()?),
            },
            Self::Markup => match made.as_xml_text() {
                // What `| xml` gave is taken as it is.
                Some(text) => out.push_str(text),
                None => out.push_str(&markup(&made.text()?)),
            },
            Self::Url => out.push_str(&percent_encoded(&made.text()?)),
            Self::Form => out.push_str(&percent_encoded(&made.text()?).replace("%20", "+")),
            Self::Header => {
                let text = made.text()?;
                if breaks_header(&text) {
                    return Err(Failure::header());
                }
                out.push_str(&text);
            }
        }
        Ok(())
    }
}

/// Whether `text` would end a header.
pub(crate) fn breaks_header(text: &str) -> bool {
    text.contains(['\r', '\n', '\0'])
}

/// A text as it stands between the quotes of a JSON text.
fn json_inner(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

pub(crate) fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(sign),
        }
    }
    out
}

pub(crate) fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}
