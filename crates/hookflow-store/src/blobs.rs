//! The table of places for what is too large for memory. What a blob is says hookflow-trigger, whose events name them.

mod folder;

pub use folder::{BLOB_BYTES, BlobFolder};
