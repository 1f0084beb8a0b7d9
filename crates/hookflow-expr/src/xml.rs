//! XML as a value and back, by one convention.
//!
//! An element is a key, a repeated one a list; attributes are `@name`; text stands under `#text` beside others and is
//! else the value itself. The order of text between elements is lost, which is why a webhook keeps its raw body.
//!
//! Documents come from strangers: there is no DTD and so no entity but the five of XML and characters by number,
//! nothing is ever fetched, and everything has a bound.

mod read;
mod write;

pub use read::read_xml;
pub use write::write_xml;

/// How deep elements may nest. A list of elements makes two levels of a value, so this is 128 levels at most.
pub(crate) const MAX_DEPTH: usize = 64;
/// How many elements and attributes a document may have.
pub(crate) const MAX_NODES: usize = 200_000;
/// How many attributes an element may have.
pub(crate) const MAX_ATTRIBUTES: usize = 256;
/// How many bytes of text an element may have.
pub(crate) const MAX_TEXT: usize = 16 << 20;

/// How XML is laid out as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlShape {
    /// Stands before the name of an attribute.
    pub attributes: String,
    /// The key of text that has attributes or elements beside it.
    pub text: String,
    /// Elements that are lists even when they come once, each by its path from the root (`order.items.item`).
    pub lists: Vec<String>,
}

impl Default for XmlShape {
    fn default() -> Self {
        Self { attributes: "@".into(), text: "#text".into(), lists: Vec::new() }
    }
}

/// Why a text is no document that is taken, or a value none that can be written as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlFault {
    /// It is not well-formed, or has what is not taken.
    #[error("{message}")]
    Malformed {
        /// What is wrong.
        message: String,
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
    },
    /// Elements nest deeper than this.
    #[error("the elements nest deeper than {limit} levels")]
    TooDeep {
        /// The deepest that is taken.
        limit: usize,
    },
    /// A value that has no XML form.
    #[error("{0}")]
    Unwritable(String),
}

/// Whether XML allows the sign in a document.
fn is_char(sign: char) -> bool {
    matches!(sign, '\t' | '\n' | '\r') || (sign >= ' ' && !matches!(sign, '\u{fffe}' | '\u{ffff}'))
}

/// Whether it may name an element: letters and digits of any script, `-`, `.`, `_` and `:`.
fn is_name(name: &str) -> bool {
    let begins = name.starts_with(|sign: char| sign.is_alphabetic() || matches!(sign, '_' | ':'));
    begins
        && name.chars().all(|sign| sign.is_alphanumeric() || matches!(sign, '-' | '.' | '_' | ':' | '\u{b7}'))
}

#[cfg(test)]
mod tests;
