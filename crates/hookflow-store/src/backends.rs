//! The table of backends.

mod memory;
mod sqlite;

pub use memory::{FINISHED_BYTES, FINISHED_KEPT};

use crate::Store;
use crate::blobs::BlobFolder;
use hookflow_runtime::Chance;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A backend: one entry of the table.
pub struct Backend {
    /// The word for it.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Opens it.
    pub open: fn(&Opening) -> Result<Opened, OpenFault>,
    /// Looks after its file, if it has one.
    pub care: Option<Care>,
}

/// What can be done about the file of a backend.
pub struct Care {
    /// Reads all of it, beside a service or without one, and says what is wrong with it.
    pub check: fn(&Opening) -> Result<Vec<String>, OpenFault>,
    /// Moves it, with all that belongs to it, into a folder of its own that tells the moment, and returns that folder. Refused
    /// while a service holds it.
    pub set_aside: fn(&Path, Timestamp) -> Result<PathBuf, OpenFault>,
}

/// A store, and where the blobs lie that its events name.
#[derive(Debug)]
pub struct Opened {
    /// Events and runs.
    pub store: Arc<dyn Store>,
    /// Bodies that are too large for memory. They last as long as what the store keeps.
    pub blobs: Arc<BlobFolder>,
}

/// What a backend is opened with.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The file, for a backend that has one.
    pub path: PathBuf,
    /// What for.
    pub access: Access,
    /// How many bytes all blobs together may take.
    pub blob_bytes: u64,
    /// Names the blobs.
    pub chance: Chance,
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To write to it, as the one service that does.
    Serve,
    /// To read from it, beside the service that writes to it or without one. What would be written is refused.
    Read,
}

/// Why a store could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store `{}` cannot be used: {why}", path.display())]
pub struct OpenFault {
    /// The file.
    pub path: PathBuf,
    /// Why, in words.
    pub why: String,
}

/// All backends, by name.
pub static ALL: &[Backend] = &[memory::BACKEND, sqlite::BACKEND];

/// A store that is gone with the process, for tests and trials.
pub fn in_memory() -> Arc<dyn Store> {
    memory::new()
}

/// The same, with so many finished runs kept: for tests that look at all of them in the end.
#[cfg(feature = "conformance")]
pub fn in_memory_keeping(runs: usize) -> Arc<dyn Store> {
    memory::keeping(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(ALL.is_sorted_by_key(|backend| backend.name));
    }
}
