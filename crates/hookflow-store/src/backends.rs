//! The table of backends.

mod memory;

pub use memory::{FINISHED_BYTES, FINISHED_KEPT};

use crate::Store;
use std::sync::Arc;

/// A backend: one entry of the table.
pub struct Backend {
    /// The word for it.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Opens it.
    pub open: fn() -> Arc<dyn Store>,
}

/// All backends, by name.
pub static ALL: &[Backend] = &[memory::BACKEND];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(ALL.is_sorted_by_key(|backend| backend.name));
    }
}
