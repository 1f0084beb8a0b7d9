//! `config/subscriptions/*.yaml`: who gets the events that go out.

use crate::project::files::Files;
use hookflow_flow::Subscriptions;
use hookflow_text::{Code, Diagnostics, Node, SecretSource, Source, Span, parse};
use std::path::Path;
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
    for name in files.names(FOLDER) {
        let path = format!("{FOLDER}/{name}");
        if Path::new(&name).extension().is_none_or(|extension| extension != "yaml") {
            let span = Span::new(&Source::new(path.clone(), ""), 0..0);
            let message = format!("`{path}` is not a file that the service reads");
            diagnostics
                .warning(Code("config.unknown-file"), &span, message)
                .help("subscriptions stand in files that end in `.yaml`");
            continue;
        }
        let mut found = Diagnostics::default();
        let source = files.read_source(&path, &mut found);
        if let Some(root) = source.and_then(|source| parse(&source, &mut found)) {
            read.subscriptions.load(&root, secrets, &mut found);
            let loaded = read.subscriptions.iter().find(|it| *it.span.source.name == *path);
            if let Some(subscription) = loaded {
                read.documents.push((Arc::clone(&subscription.id), root));
            }
        }
        diagnostics.extend(found);
    }
    read
}
