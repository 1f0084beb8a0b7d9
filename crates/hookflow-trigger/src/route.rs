//! Which requests a webhook means: its methods and the pattern of what follows `/hook/<flow>`.

use hookflow_text::{Code, Diagnostics, Node, NodeValue};
use http::Method;
use percent_encoding::percent_decode_str;
use std::sync::Arc;

/// The methods that a webhook may take.
pub const METHODS: [&str; 5] = ["POST", "GET", "PUT", "PATCH", "DELETE"];

/// The names and values that a path's `{…}` took, in the order of the path.
pub type Params = Vec<(Arc<str>, String)>;

/// Where a request went: what routing found out about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// The flow's ID.
    pub flow: Arc<str>,
    /// What follows the flow's ID in the path, as sent.
    pub suffix: String,
    /// What the path's `{…}` took.
    pub params: Params,
    /// The platform that sends, as the webhook names it.
    pub system: Option<Arc<str>>,
}

/// The suffixes that a webhook's `path` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathPattern {
    /// `None`: any suffix.
    segments: Option<Vec<Segment>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Param(Arc<str>),
}

impl PathPattern {
    /// Reads `/orders/{id}`: literal segments and whole segments in braces.
    pub fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = node.as_str(diagnostics)?;
        let mut wrong = |part: &str, why: String| {
            let at = text.find(part).unwrap_or(0);
            let span = node.span_within(at..at + part.len());
            diagnostics.error(Code("webhook.path"), &span, why);
        };
        let Some(rest) = text.strip_prefix('/') else {
            wrong(text, format!("a path begins with `/`, found `{text}`"));
            return None;
        };
        let mut segments = Vec::new();
        let mut sound = true;
        for part in rest.split('/') {
            match Segment::read(part) {
                Ok(Segment::Param(name)) if segments.contains(&Segment::Param(Arc::clone(&name))) => {
                    wrong(part, format!("the parameter `{name}` stands twice in this path"));
                    sound = false;
                }
                Ok(segment) => segments.push(segment),
                Err(why) => {
                    wrong(part, why);
                    sound = false;
                }
            }
        }
        for part in rest.split('/') {
            if let Some(name) = part.strip_prefix(':').filter(|name| !name.is_empty()) {
                let at = text.find(part).unwrap_or(0);
                diagnostics
                    .warning(
                        Code("webhook.path"),
                        &node.span_within(at..at + part.len()),
                        format!("`{part}` is just this text"),
                    )
                    .help(format!("a parameter is written in braces: `{{{name}}}`"));
            }
        }
        sound.then_some(Self { segments: Some(segments) })
    }

    /// The parameters when the pattern takes this suffix. `/` takes an empty suffix too; otherwise a slash at the
    /// end counts. A segment that is not UTF-8 behind its percent signs matches nothing.
    pub fn matches(&self, suffix: &str) -> Option<Params> {
        let mut params = Params::new();
        let Some(segments) = &self.segments else { return Some(params) };
        let mut parts = suffix.strip_prefix('/').unwrap_or(suffix).split('/');
        for segment in segments {
            let part = percent_decode_str(parts.next()?).decode_utf8().ok()?;
            match segment {
                Segment::Literal(literal) if *literal == part => {}
                Segment::Param(name) if !part.is_empty() => {
                    params.push((Arc::clone(name), part.into_owned()));
                }
                _ => return None,
            }
        }
        parts.next().is_none().then_some(params)
    }

    /// Whether some suffix is taken by both.
    pub fn conflicts(&self, other: &Self) -> bool {
        let (Some(ours), Some(theirs)) = (&self.segments, &other.segments) else { return true };
        let meet = |pair: (&Segment, &Segment)| match pair {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            (Segment::Literal(literal), Segment::Param(_))
            | (Segment::Param(_), Segment::Literal(literal)) => !literal.is_empty(),
            (Segment::Param(_), Segment::Param(_)) => true,
        };
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(meet)
    }

    /// The names of its parameters.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().flatten().filter_map(|segment| match segment {
            Segment::Param(name) => Some(&**name),
            Segment::Literal(_) => None,
        })
    }
}

impl Segment {
    fn read(part: &str) -> Result<Self, String> {
        if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let mut characters = name.chars();
            let begins = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
            return if begins && characters.all(|other| other.is_ascii_alphanumeric() || other == '_') {
                Ok(Self::Param(name.into()))
            } else {
                Err(format!("`{{{name}}}` needs a name of letters, digits and `_`, such as `{{id}}`"))
            };
        }
        if part.contains(['{', '}']) {
            return Err("a parameter in braces is a whole segment: `/orders/{id}`".into());
        }
        match part
            .chars()
            .find(|c| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '%' | '\\'))
        {
            Some(' ') => Err("a path has no spaces".into()),
            Some('%') => Err("write the character itself instead of its percent code".into()),
            Some(found) => Err(format!("a path has no {found:?}")),
            None => Ok(Self::Literal(part.into())),
        }
    }
}

/// The methods a webhook takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Methods(Vec<Method>);

impl Default for Methods {
    fn default() -> Self {
        Self(vec![Method::POST])
    }
}

impl Methods {
    /// Reads one method or a list: `POST GET PUT PATCH DELETE`.
    pub fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let items = match &node.value {
            NodeValue::Seq(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        if items.is_empty() {
            diagnostics.error(Code("webhook.methods"), &node.span, "a webhook takes at least one method");
            return None;
        }
        let mut methods = Vec::new();
        for item in items {
            let method = Method::from_bytes(item.one_of(&METHODS, diagnostics)?.as_bytes()).ok()?;
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        Some(Self(methods))
    }

    /// Whether a request with this method may run the flow. HEAD never does; the door answers it itself.
    pub fn contains(&self, method: &Method) -> bool {
        self.0.contains(method)
    }

    /// The text of an `Allow` header: the methods as written and HEAD, which every live webhook answers.
    pub fn allow(&self) -> String {
        let mut words: Vec<_> = self.0.iter().map(Method::as_str).collect();
        words.push("HEAD");
        words.join(", ")
    }

    /// The methods as written.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests;
