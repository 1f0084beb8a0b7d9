//! What every other crate reads files and speaks to people with: a spanned YAML tree, diagnostics,
//! durations, sizes, rates, JSON values and secrets.
//!
//! Every YAML file of the service goes through [`parse`] and the readers on [`Node`] and [`Fields`], so
//! there is one style of message. Nothing here waits, reads a clock or touches a socket.

mod amounts;
mod diagnostic;
mod fields;
mod json;
mod nearest;
mod schema;
mod secret;
mod span;
mod tree;

pub use amounts::{Rate, duration_in_words, parse_duration, parse_size};
pub use diagnostic::{Code, Diagnostic, Diagnostics, Severity};
pub use fields::Fields;
pub use json::{Json, weight};
pub use nearest::nearest;
pub use schema::{Key, MapSchema, OneOf, Rule, Schema, json_schema};
pub use secret::{Secret, SecretRef, SecretSource};
pub use span::{Position, Source, Span};
pub use tree::{Node, NodeValue, Scalar, Style, parse};
