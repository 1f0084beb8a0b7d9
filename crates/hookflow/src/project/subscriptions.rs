//! `config/subscriptions/*.yaml`: who gets the events that go out.

use crate::project::files::Files;
use hookflow_flow::Subscriptions;
use hookflow_text::{Diagnostics, Node, SecretSource};
use std::sync::Arc;

/// Where they stand.
const FOLDER: &str = "config/subscriptions";

/// The subscriptions of a folder.
#[derive(Default)]
pub(super) struct Read {
    pub(super) subscriptions: Subscriptions,
    /// Their documents, by name.
    pub(super) documents: Vec<(Arc<str>, Node)>,
}

/// Reads them.
pub(super) fn read(files: &mut Files, secrets: &dyn SecretSource, diagnostics: &mut Diagnostics) -> Read {
    let mut read = Read::default();
    files.each_document(FOLDER, "subscriptions", diagnostics, |_, path, root, found| {
        read.subscriptions.load(&root, secrets, found);
        if let Some(loaded) = read.subscriptions.iter().find(|it| *it.span.source.name == *path) {
            read.documents.push((Arc::clone(&loaded.id), root));
        }
    });
    read
}
