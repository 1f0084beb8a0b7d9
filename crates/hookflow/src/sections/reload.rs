//! `reload`: whether changed files take effect by themselves.

use crate::config::Config;
use crate::section::Section;
use hookflow_text::{Diagnostics, Fields, Key, MapSchema, Node, Schema, SecretSource};
use std::borrow::Cow;

static MAP: MapSchema = MapSchema {
    name: "reload",
    about: "When files are read again.",
    keys: Cow::Borrowed(&[Key::may(
        "watch",
        Schema::Bool,
        "whether files are followed; `false`: they are read again at SIGHUP and POST /api/reload only (true)",
    )]),
    rules: &[],
};

pub(crate) static SECTION: Section = Section {
    key: "reload",
    map: &MAP,
    defaults: "\
reload:
  watch: true                      # false: files are read again at SIGHUP and POST /api/reload only
",
    settings: &[],
    read,
};

/// When new files take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reload {
    pub(crate) watch: bool,
}

impl Default for Reload {
    fn default() -> Self {
        Self { watch: true }
    }
}

fn read(node: &Node, config: &mut Config, _: &dyn SecretSource, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the section `reload`", diagnostics) else { return };
    if let Some(watch) = fields.take("watch").and_then(|node| node.as_bool(diagnostics)) {
        config.reload.watch = watch;
    }
    fields.finish(diagnostics);
}
