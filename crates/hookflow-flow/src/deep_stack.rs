//! A stack for libraries that recurse as deep as a value nests.

/// More than a value of the deepest nesting that a body may have ever took, or a filter of as many calls as it may make. Only
/// what is touched is used.
const STACK: usize = 256 << 20;

/// Runs `work` on a stack of its own.
pub(crate) fn on_deep_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::grow(STACK, work)
}
