//! The parts of a request that a signature may stand in or cover, read when they are asked for.

use crate::auth_scheme::{MAX_READ, Reason, read_json};
use crate::body::each_piece;
use crate::headers::{load_name, only_text};
use crate::{Blob, Body, Head, properties};
use hookflow_text::{Code, Diagnostics, Fields, Json, Key, Node, Schema};
use http::header::HeaderName;
use std::borrow::Cow;
use std::cell::OnceCell;

/// The body under judgement.
#[derive(Clone, Copy)]
pub(super) enum Signed<'r> {
    Held(&'r [u8]),
    Spooled(&'r Blob),
}

impl<'r> Signed<'r> {
    /// Shows all of it, piece by piece.
    pub(super) fn each(self, mut see: impl FnMut(&[u8])) -> Result<(), Reason> {
        match self {
            Self::Held(bytes) => see(bytes),
            Self::Spooled(blob) => each_piece(blob.reader(), see)?,
        }
        Ok(())
    }

    /// All of it in memory, when it is small enough to be read before anybody is trusted.
    fn read(self) -> Result<Cow<'r, [u8]>, Reason> {
        match self {
            Self::Held(bytes) if bytes.len() <= MAX_READ => Ok(Cow::Borrowed(bytes)),
            Self::Spooled(blob) if blob.len() <= MAX_READ as u64 => {
                Ok(Cow::Owned(Body::Spooled(blob.clone()).whole()?.into()))
            }
            _ => Err(Reason::TooLarge),
        }
    }
}

/// A request under judgement.
pub(super) struct Material<'r> {
    pub(super) head: &'r Head,
    pub(super) body: Signed<'r>,
    json: OnceCell<Result<Json, Reason>>,
}

impl<'r> Material<'r> {
    pub(super) fn new(head: &'r Head, body: Signed<'r>) -> Self {
        Self { head, body, json: OnceCell::new() }
    }

    fn json(&self, path: &str) -> Result<String, Reason> {
        let root = self.json.get_or_init(|| read_json(&self.body.read()?)).as_ref().map_err(Clone::clone)?;
        match path.split('.').try_fold(root, |value, name| value.get(name)) {
            Some(Json::String(text)) => Ok(text.clone()),
            Some(Json::Number(number)) => Ok(number.to_string()),
            _ => Err(Reason::Missing(format!("`{path}` in the body"))),
        }
    }

    fn form(&self, field: &str) -> Result<String, Reason> {
        let body = self.body.read()?;
        let what = || format!("the form's `{field}`");
        let mut values = properties::pairs(&body).filter(|(name, _)| **name == *field.as_bytes());
        let (_, value) = values.next().ok_or_else(|| Reason::Missing(what()))?;
        if values.next().is_some() {
            return Err(Reason::Repeated(what()));
        }
        String::from_utf8(value.into_owned()).map_err(|_| Reason::Unreadable(what()))
    }

    /// Every name with its value, in order, each pair once, and nothing between them.
    pub(super) fn form_sorted(&self) -> Result<Vec<u8>, Reason> {
        let body = self.body.read()?;
        let mut pairs: Vec<_> = properties::pairs(&body).take(properties::MAX_FORM + 1).collect();
        if pairs.len() > properties::MAX_FORM {
            return Err(Reason::TooLarge);
        }
        pairs.sort();
        pairs.dedup();
        Ok(pairs.iter().flat_map(|(name, value)| [&**name, &**value]).flatten().copied().collect())
    }
}

/// The keys that say where one value stands; one of them is written.
pub(super) const PLACE: [Key; 3] = [
    Key::may("header", Schema::Like(""), "the header that holds it"),
    Key::may("json", Schema::Text, "the path in the JSON body that holds it"),
    Key::may("form", Schema::Text, "the field of the form that holds it"),
];

/// Where one value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Header(HeaderName),
    Json(String),
    Form(String),
}

impl Place {
    /// Reads the one of `header`, `json` and `form` that is written; `None` without a word when none is.
    pub(super) fn load(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let header = fields.take("header");
        let json = fields.take("json");
        let form = fields.take("form");
        let text = |node: &Node, diagnostics: &mut Diagnostics| node.as_str(diagnostics).map(str::to_owned);
        match (header, json, form) {
            (Some(node), None, None) => load_name(node, diagnostics).map(Self::Header),
            (None, Some(node), None) => text(node, diagnostics).map(Self::Json),
            (None, None, Some(node)) => text(node, diagnostics).map(Self::Form),
            (None, None, None) => None,
            _ => {
                diagnostics.error(
                    Code("auth.place"),
                    fields.span(),
                    "one value stands in one place: `header`, `json` or `form`",
                );
                None
            }
        }
    }

    /// The value, which must come exactly once.
    pub(super) fn read(&self, material: &Material<'_>) -> Result<String, Reason> {
        match self {
            Self::Header(name) => only_text(&material.head.headers, name)
                .map(str::to_owned)
                .map_err(|why| Reason::header(&why, name)),
            Self::Json(path) => material.json(path),
            Self::Form(field) => material.form(field),
        }
    }
}
