//! A field that is an expression: `when: a > 1` and `when: ${ a > 1 }` are the same.

use crate::eval_error::EvalError;
use crate::evaluation::Env;
use crate::known::Known;
use crate::lookup::Lookup;
use crate::program::Program;
use crate::site::Site;
use crate::text::{unclosed, whole};
use hookflow_text::{Code, Diagnostics, Json, Node, NodeValue};
use std::sync::Arc;

/// A compiled expression.
#[derive(Debug)]
pub struct Expression(Program);

impl Expression {
    /// Compiles a scalar. Every mistake goes into `diagnostics`.
    pub fn compile(node: &Node, known: &dyn Known, diagnostics: &mut Diagnostics) -> Option<Self> {
        if !matches!(node.value, NodeValue::Scalar(_)) {
            return node.mistyped("an expression", diagnostics);
        }
        if node.is_null() {
            diagnostics
                .error(Code("expr.empty"), &node.span, "an expression is missing here")
                .help("write `none` for null");
            return None;
        }
        let text = node.text();
        let shared = Arc::new(node.clone());
        let everything = Site::new(&shared, 0..text.len()).trimmed();
        let site = match whole(text) {
            Some(inside) => Site::new(&shared, inside),
            None if !everything.text().starts_with("${") => everything,
            None => {
                let opened = text.find("${").unwrap_or_default();
                if crate::scan::closing_brace(text.get(opened + 2..).unwrap_or_default()).is_none() {
                    unclosed(&everything, "${", 0, diagnostics);
                } else {
                    diagnostics
                        .error(
                            Code("expr.syntax"),
                            &everything.span(),
                            "an expression stands here, not a text",
                        )
                        .help("write it without `${ }`, or all of it within one");
                }
                return None;
            }
        };
        Program::compile(site, &[], known, diagnostics).map(Self)
    }

    /// The path that it is, when it is nothing but one: `webhook.body.items` as its parts.
    pub fn path(&self) -> Option<Vec<String>> {
        self.0.parts()
    }

    /// Tells each path that it reads, as it is written, and the value that is there; what is missing is not told.
    pub fn each_read(&self, scope: &dyn Lookup, told: &mut dyn FnMut(String, &Json)) {
        self.0.each_read(scope, told);
    }

    /// The value.
    pub fn eval(&self, env: &Env) -> Result<Arc<Json>, EvalError> {
        self.0.eval(env)?.json().map_err(|failure| self.0.locate(failure))
    }

    /// Whether it holds: everything does but false, null, zero, and empty texts, lists and objects.
    pub fn test(&self, env: &Env) -> Result<bool, EvalError> {
        self.0.eval(env).map(crate::program::Made::holds)
    }
}

#[cfg(test)]
pub(crate) mod tests;
