//! What the checker knows about names, asked while an expression is compiled.

use hookflow_text::{Code, Severity};

/// What can be read at the place where an expression stands.
///
/// It is asked once for every path an expression reads, so an implementation may also collect what is read.
pub trait Known {
    /// Whether `path` can be read here, for example `["webhook", "body", "id"]`. A list index stands as its
    /// decimal number; a path ends before the first part that is computed (`items[n].id` asks for `items`).
    /// Names bound by `@{for}` are not asked for.
    ///
    /// # Errors
    /// Why it cannot be read, or may be missing.
    fn check(&self, path: &[&str]) -> Result<(), Unknown>;
}

/// Why a path cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The diagnostic's code.
    pub code: Code,
    /// Whether it stops the load.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}
