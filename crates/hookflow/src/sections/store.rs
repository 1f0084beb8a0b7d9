//! `store`: where events and runs are kept.

use crate::config::Config;
use crate::section::{Section, Setting, not_yet};
use hookflow_store::blobs::BLOB_BYTES;
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, Schema, SecretSource};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

static MAP: MapSchema = MapSchema {
    name: "store",
    about: "Where events and runs are kept.",
    keys: Cow::Borrowed(&[
        Key::may("sqlite", Schema::MapOrNull(&SQLITE), "in one file"),
        Key::may("memory", Schema::MapOrNull(&MEMORY), "in memory: lost when the process ends"),
        Key::may(
            "blob_bytes",
            Schema::SIZE,
            "the bytes of all bodies above 64 KiB: files beside the database, or of the system's temporary folder (10GiB)",
        ),
        Key::may("postgres", Schema::Null, "not in this version yet"),
    ]),
    rules: &[],
};

static SQLITE: MapSchema = MapSchema {
    name: "sqlite",
    about: "One file of SQLite's.",
    keys: Cow::Borrowed(&[Key::may(
        "path",
        Schema::Text,
        "the file, within the folder or absolute; on a local disk (data/hookflow.db)",
    )]),
    rules: &[],
};

static MEMORY: MapSchema = MapSchema {
    name: "memory",
    about: "Nothing outlives the process.",
    keys: Cow::Borrowed(&[]),
    rules: &[],
};

pub(crate) static SECTION: Section = Section {
    key: "store",
    map: &MAP,
    defaults: "\
store:
  sqlite:                          # or `memory: {}`: lost when the process ends
    path: data/hookflow.db         # within the folder, or absolute; on a local disk
  blob_bytes: 10GiB                # of all bodies above 64 KiB: files beside the database, or of the system's temporary folder
",
    settings: &[
        Setting::plain("store", |config| config.store.backend.to_owned()),
        Setting::plain("store.blob_bytes", |config| format!("{}B", config.store.blob_bytes)),
        Setting::plain("store.sqlite.path", |config| config.store.path.display().to_string()),
    ],
    read,
};

/// Where events and runs are kept: one of the backends' names, and what that one needs.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) backend: &'static str,
    path: PathBuf,
    /// How many bytes all large bodies together may take.
    pub(crate) blob_bytes: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self { backend: "sqlite", path: "data/hookflow.db".into(), blob_bytes: BLOB_BYTES }
    }
}

impl Store {
    /// Whether what is kept outlives the process.
    pub(crate) fn is_durable(&self) -> bool {
        self.backend != "memory"
    }

    /// The file, as seen from where the folder is.
    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.path)
    }
}

fn read(node: &Node, config: &mut Config, _: &dyn SecretSource, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the section `store`", diagnostics) else { return };
    let memory = fields.take_entry("memory").filter(|(_, node)| !node.is_null());
    let sqlite = fields.take_entry("sqlite").filter(|(_, node)| !node.is_null());
    if let (Some(_), Some((name, _))) = (memory, sqlite) {
        diagnostics
            .error(Code("config.store-twice"), &name.span, "`store` names two stores")
            .label("beside `memory`")
            .help("keep the one where events are to be");
    }
    if let Some((_, node)) = memory
        && let Some(fields) = Fields::of(node, "the memory store", diagnostics)
    {
        config.store.backend = "memory";
        fields.finish(diagnostics);
    }
    if let Some((_, node)) = sqlite
        && let Some(mut fields) = Fields::of(node, "the SQLite store", diagnostics)
    {
        if let Some(path) = fields.take("path").and_then(|node| node.as_str(diagnostics)) {
            config.store.path = path.into();
        }
        fields.finish(diagnostics);
    }
    if let Some(node) = fields.take("blob_bytes") {
        match node.as_size(diagnostics) {
            Some(0) => drop(node.mistyped::<()>("a size above nothing", diagnostics)),
            Some(bytes) => config.store.blob_bytes = bytes,
            None => {}
        }
    }
    not_yet(&mut fields, "store", "postgres", diagnostics);
    fields.finish(diagnostics);
}
