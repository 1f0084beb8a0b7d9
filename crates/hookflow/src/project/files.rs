//! The files of a folder, by the names that people type: `flows/shop.yaml`.

use crate::seen::{Seen, visible_names};
use hookflow_text::{Code, Diagnostics, Node, Source, Span, parse};
use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file of YAML that is read.
const LARGEST_DOCUMENT: u64 = 4 << 20;
/// The largest file that a flow may name.
const LARGEST_SAMPLE: u64 = 16 << 20;

/// The files of one folder.
pub(super) struct Files {
    folder: PathBuf,
    read: usize,
    seen: RefCell<Seen>,
}

impl Files {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), read: 0, seen: RefCell::default() }
    }

    /// How many documents were read.
    pub(super) fn count(&self) -> usize {
        self.read
    }

    /// What was looked at.
    pub(super) fn seen(self) -> Seen {
        self.seen.into_inner()
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        self.note(name);
        // A link that leads nowhere is there, and reading it says so.
        fs::symlink_metadata(self.folder.join(name)).is_ok()
    }

    /// What stands in a folder, sorted, without hidden files. Nothing when there is no such folder.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        self.note(folder);
        visible_names(&self.folder.join(folder))
    }

    fn note(&self, name: &str) {
        self.seen.borrow_mut().note(&self.folder.join(name));
    }

    /// Reads each document of a folder in the order of their names; `what` stands in them. `load` gets its path, what it says, and where to
    /// put mistakes. A file that is none of these is warned of.
    pub(super) fn each_document(
        &mut self,
        folder: &str,
        what: &str,
        diagnostics: &mut Diagnostics,
        mut load: impl FnMut(&Self, &str, Node, &mut Diagnostics),
    ) {
        for name in self.names(folder) {
            let path = format!("{folder}/{name}");
            if Path::new(&name).extension().is_none_or(|extension| extension != "yaml") {
                let span = Span::new(&Source::new(path.clone(), ""), 0..0);
                let message = format!("`{path}` is not a file that the service reads");
                diagnostics
                    .warning(Code("config.unknown-file"), &span, message)
                    .help(format!("{what} stand in files that end in `.yaml`"));
                continue;
            }
            let mut found = Diagnostics::default();
            let source = self.read_source(&path, &mut found);
            if let Some(root) = source.and_then(|source| parse(&source, &mut found)) {
                load(self, &path, root, &mut found);
            }
            diagnostics.extend(found);
        }
    }

    /// A document's text. A file that cannot be read, or is not UTF-8, is an error.
    pub(super) fn read_source(&mut self, name: &str, diagnostics: &mut Diagnostics) -> Option<Arc<Source>> {
        self.read += 1;
        match self.read_bytes(name, LARGEST_DOCUMENT) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Some(Source::new(name, text)),
                Err(error) => {
                    let at = error.utf8_error().valid_up_to();
                    let source = Source::new(name, String::from_utf8_lossy(error.as_bytes()));
                    diagnostics
                        .error(
                            Code("yaml.encoding"),
                            &Span::new(&source, at..at + 1),
                            format!("the file is not UTF-8: it breaks at byte {at}"),
                        )
                        .help("save it as UTF-8");
                    None
                }
            },
            Err(why) => {
                unreadable(name, &why, diagnostics);
                None
            }
        }
    }

    /// A file that a flow names.
    pub(super) fn read_sample(&self, name: &str) -> Result<Vec<u8>, String> {
        self.read_bytes(name, LARGEST_SAMPLE)
    }

    fn read_bytes(&self, name: &str, most: u64) -> Result<Vec<u8>, String> {
        self.note(name);
        let path = self.folder.join(name);
        // A pipe would be waited for.
        if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err("it is not a file".into());
        }
        let file = fs::File::open(path).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > most {
            return Err(format!("it is larger than {} MiB", most >> 20));
        }
        Ok(bytes)
    }

    /// Every `.yaml` file under `flows/`, sorted. Links are followed, each folder once.
    pub(super) fn flows(&self, diagnostics: &mut Diagnostics) -> Vec<String> {
        let mut found = Vec::new();
        let mut visited = HashSet::new();
        let mut open = vec!["flows".to_owned()];
        while let Some(folder) = open.pop() {
            // A link to a folder above would lead round and round.
            let Ok(real) = fs::canonicalize(self.folder.join(&folder)) else { continue };
            if !visited.insert(real) {
                continue;
            }
            for name in self.names(&folder) {
                let path = format!("{folder}/{name}");
                let extension = Path::new(&name).extension().and_then(|extension| extension.to_str());
                match fs::metadata(self.folder.join(&path)) {
                    Ok(metadata) if metadata.is_dir() => open.push(path),
                    Ok(_) if extension == Some("yaml") => found.push(path),
                    Ok(_) if extension == Some("yml") => {
                        diagnostics
                            .warning(Code("flow.file-name"), &nowhere(&path), format!("`{path}` is not read"))
                            .help("flows stand in files that end in `.yaml`");
                    }
                    Ok(_) => {}
                    Err(error) => {
                        self.note(&path);
                        unreadable(&path, &error.to_string(), diagnostics);
                    }
                }
            }
        }
        found.sort_unstable();
        found
    }
}

fn unreadable(name: &str, why: &str, diagnostics: &mut Diagnostics) {
    diagnostics.error(Code("yaml.unreadable"), &nowhere(name), format!("`{name}` cannot be read: {why}"));
}

fn nowhere(name: &str) -> Span {
    Span::new(&Source::new(name, ""), 0..0)
}
