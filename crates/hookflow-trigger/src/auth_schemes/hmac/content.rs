//! Which bytes are signed: a template such as `{timestamp}.{body}`.

use super::algorithm::Digester;
use super::material::{Material, Place};
use crate::auth_scheme::Reason;
use hookflow_text::{Code, Diagnostics, Node, nearest};
use http::header::HeaderName;

/// The parts of the signed content, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Body,
    Timestamp,
    Url,
    Method,
    Value(Place),
    FormSorted,
    Secret,
}

/// What fills the template for one key and one URL.
pub(super) struct Filling<'f> {
    pub(super) material: &'f Material<'f>,
    pub(super) timestamp: Option<&'f str>,
    pub(super) url: &'f str,
    pub(super) key: &'f [u8],
}

impl Content {
    pub(super) fn body() -> Self {
        Self(vec![Part::Body])
    }

    pub(super) fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut rest = node.as_str(diagnostics)?;
        let mut parts = Vec::new();
        while let Some((literal, tail)) = rest.split_once('{') {
            let Some((word, tail)) = tail.split_once('}') else {
                diagnostics.error(Code("auth.content"), &node.span, "a `{` in the content has no `}`");
                return None;
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            parts.push(Part::read(word).or_else(|| unknown_part(word, node, diagnostics))?);
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Some(Self(parts))
    }

    pub(super) fn has_timestamp(&self) -> bool {
        self.0.contains(&Part::Timestamp)
    }

    pub(super) fn has_url(&self) -> bool {
        self.0.contains(&Part::Url)
    }

    pub(super) fn has_secret(&self) -> bool {
        self.0.contains(&Part::Secret)
    }

    /// Whether any of it comes from the body.
    pub(super) fn has_body(&self) -> bool {
        self.0.iter().any(|part| {
            matches!(part, Part::Body | Part::FormSorted | Part::Value(Place::Json(_) | Place::Form(_)))
        })
    }

    /// Whether a value at this place cannot be changed without breaking the signature.
    pub(super) fn covers(&self, place: &Place) -> bool {
        let through_body = match place {
            Place::Header(_) => false,
            Place::Json(_) => self.0.contains(&Part::Body),
            Place::Form(_) => self.0.contains(&Part::Body) || self.0.contains(&Part::FormSorted),
        };
        through_body || self.0.iter().any(|part| matches!(part, Part::Value(covered) if covered == place))
    }

    /// The headers whose values are signed.
    pub(super) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().filter_map(|part| match part {
            Part::Value(Place::Header(name)) => Some(name),
            _ => None,
        })
    }

    /// Feeds the filled template to a digest, piece by piece.
    pub(super) fn feed(&self, digester: &mut Digester, filling: &Filling<'_>) -> Result<(), Reason> {
        let material = filling.material;
        for (index, part) in self.0.iter().enumerate() {
            match part {
                Part::Literal(text) => digester.update(text.as_bytes()),
                Part::Body => material.body.each(|piece| digester.update(piece))?,
                Part::Timestamp => digester.update(filling.timestamp.unwrap_or_default().as_bytes()),
                Part::Url => digester.update(filling.url.as_bytes()),
                Part::Method => digester.update(material.head.method.as_str().as_bytes()),
                Part::Value(place) => {
                    let value = place.read(material)?;
                    // A value that holds the separator could move bytes across it under the same signature.
                    if let (Place::Header(name), Some(Part::Literal(separator))) =
                        (place, self.0.get(index + 1))
                        && value.contains(separator.as_str())
                    {
                        return Err(Reason::Unexpected(format!("the header `{name}`")));
                    }
                    digester.update(value.as_bytes());
                }
                Part::FormSorted => digester.update(&material.form_sorted()?),
                Part::Secret => digester.update(filling.key),
            }
        }
        Ok(())
    }
}

impl Part {
    fn read(word: &str) -> Option<Self> {
        Some(match word.split_once(':') {
            Some(("header", name)) => {
                Self::Value(Place::Header(HeaderName::from_bytes(name.as_bytes()).ok()?))
            }
            Some(("json", path)) if !path.is_empty() => Self::Value(Place::Json(path.into())),
            Some(("form", field)) if !field.is_empty() => Self::Value(Place::Form(field.into())),
            Some(_) => return None,
            None => match word {
                "body" => Self::Body,
                "timestamp" => Self::Timestamp,
                "url" => Self::Url,
                "method" => Self::Method,
                "form_sorted" => Self::FormSorted,
                "secret" => Self::Secret,
                _ => return None,
            },
        })
    }
}

fn unknown_part(word: &str, node: &Node, diagnostics: &mut Diagnostics) -> Option<Part> {
    const WORDS: [&str; 6] = ["body", "timestamp", "url", "method", "form_sorted", "secret"];
    let at = node.text().find(&format!("{{{word}}}")).unwrap_or(0);
    let diagnostic = diagnostics.error(
        Code("auth.content"),
        &node.span_within(at..at + word.len() + 2),
        format!("the content knows no `{{{word}}}`"),
    );
    match nearest(word, WORDS) {
        Some(near) => diagnostic.help(format!("did you mean `{{{near}}}`?")),
        None => diagnostic.help(
            "known are {body}, {timestamp}, {url}, {method}, {form_sorted}, {secret}, {header:NAME}, {json:PATH}, {form:FIELD}",
        ),
    };
    None
}
