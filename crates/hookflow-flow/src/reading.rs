//! What compiling needs of the place where something is written: which names are in scope there, and where mistakes go.

use crate::lowering::read_id;
use hookflow_expr::{Escape, Expression, Known, Template, Text};
use hookflow_text::{Diagnostics, Node};
use std::sync::Arc;

/// Whether a text is one template and nothing else, which may give any value.
pub(crate) fn is_one_template(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("${") && text.ends_with('}') && text.matches("${").count() == 1
}

/// A place that is being read.
pub(crate) struct Reading<'a> {
    pub known: &'a dyn Known,
    pub diagnostics: &'a mut Diagnostics,
}

impl Reading<'_> {
    /// An expression.
    pub fn expression(&mut self, node: &Node) -> Option<Expression> {
        Expression::compile(node, self.known, self.diagnostics)
    }

    /// Any value.
    pub fn template(&mut self, node: &Node) -> Option<Template> {
        Template::compile(node, self.known, self.diagnostics)
    }

    /// Text.
    pub fn text(&mut self, node: &Node, escape: Escape) -> Option<Text> {
        Text::compile(node, escape, self.known, self.diagnostics)
    }

    /// A name that the file gives to something of its own.
    pub fn own_name(&mut self, node: &Node) -> Option<Arc<str>> {
        read_id(node, self.diagnostics)
    }
}
