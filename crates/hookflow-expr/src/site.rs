//! Where an expression stands: inside a scalar of a file.

use hookflow_text::{Node, NodeValue, Span, Style};
use std::ops::Range;
use std::sync::Arc;

/// The scalar and the place of the expression in it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    node: Arc<Node>,
    range: Range<usize>,
}

impl Site {
    pub(crate) fn new(node: &Arc<Node>, range: Range<usize>) -> Self {
        Self { node: Arc::clone(node), range }
    }

    /// The text at this place.
    pub(crate) fn text(&self) -> &str {
        self.node.text().get(self.range.clone()).unwrap_or_default()
    }

    /// The same place without the white space around its text.
    pub(crate) fn trimmed(mut self) -> Self {
        let text = self.text();
        let kept = text.trim().len();
        let start = self.range.start + if kept == 0 { 0 } else { text.len() - text.trim_start().len() };
        self.range = start..start + kept;
        self
    }

    /// The place in the file.
    pub(crate) fn span(&self) -> Span {
        self.node.span_within(self.range.clone())
    }

    /// The place in the file of a part of the text.
    pub(crate) fn span_of(&self, part: Range<usize>) -> Span {
        let end = self.range.end;
        self.node.span_within(
            (self.range.start + part.start).min(end)
                ..(self.range.start + part.end).clamp(self.range.start, end),
        )
    }

    /// Whether YAML has ended the scalar at a ` #` that was meant to be a part of it.
    pub(crate) fn is_cut(&self) -> bool {
        let span = &self.node.span;
        let plain = matches!(&self.node.value, NodeValue::Scalar(scalar) if scalar.style == Style::Plain);
        let after = span.source.text.get(span.range.end..).unwrap_or_default();
        plain && after.trim_start_matches([' ', '\t']).starts_with('#')
    }
}
