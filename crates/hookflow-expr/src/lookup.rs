//! What an expression sees when it runs.

use hookflow_text::Json;
use std::fmt;
use std::sync::Arc;

/// A place in which names are looked up: the whole scope, or a part of it such as `steps` or `webhook`.
///
/// A part is asked only for what an expression reads, so nothing is built that nobody looks at.
pub trait Lookup: Send + Sync + fmt::Debug {
    /// What `name` stands for here; `None` when there is no such name.
    fn get(&self, name: &str) -> Option<Found>;
    /// The names there are, for "did you mean" and for writing the part out as an object.
    fn names(&self) -> Vec<Arc<str>>;
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub enum Found {
    /// A value, shared, never copied to be read.
    Value(Arc<Json>),
    /// A part in which names are looked up in turn.
    Part(Arc<dyn Lookup>),
    /// The result of a step that did not run: null, and a field of it is an error that says so.
    DidNotRun,
    /// A value that is there and cannot be read, and why.
    Unreadable(Arc<str>),
}
