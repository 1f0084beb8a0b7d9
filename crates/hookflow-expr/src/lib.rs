//! Expressions and templates: what stands in `${ … }` and `@{ … }`.
//!
//! The language is Jinja's, as `MiniJinja` speaks it, and `MiniJinja` runs it. An expression is parsed once when its
//! file loads; `rewrite.rs` then turns every path (`webhook.body.id`) into one lookup of our own, and every operator
//! that can multiply memory into a capped one. So a missing field is named with its whole path and the nearest key
//! there is, `default(…)` covers a path from end to end, and nothing is copied to be read. The structure of a text
//! (`@{if}`, `@{for}`) is ours too (`text.rs`): it knows at load how each insertion has to be escaped.
//!
//! Everything here is a function of what is passed in: time and chance come with [`Env`], so a replay gives the
//! same value. Every evaluation is bounded by fuel and by [`MAX_OUTPUT`].

mod arguments;
mod builtins;
mod chain;
mod compiled;
mod engine;
mod escape;
mod eval_error;
mod evaluation;
mod expression;
mod function;
mod functions;
mod known;
mod lookup;
mod operators;
mod other_marks;
mod path;
mod program;
mod rewrite;
mod scan;
mod site;
mod template;
mod text;
mod value;
mod xml;

pub use builtins::{filters as jinja_filters, tests as jinja_tests};
pub use escape::Escape;
pub use eval_error::EvalError;
pub use evaluation::{Env, MAX_OUTPUT};
pub use expression::Expression;
pub use function::Function;
pub use functions::{functions, uuid};
pub use known::{Known, Unknown};
pub use lookup::{Found, Lookup};
pub use path::Path;
pub use template::Template;
pub use text::{Part, Text};
pub use xml::{XmlFault, XmlShape, read_xml, write_xml};
