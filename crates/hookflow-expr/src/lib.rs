//! Expressions and templates.

mod lookup;
pub use lookup::{Found, Lookup};
